//! Row 44 without objects; those are in the crate's own tests.

use softbus_rpc::{
    Parcel,
    parcel::{DEFAULT_CAPACITY, WriteParcelError},
};

// Row 44.
#[test]
fn append_puts_all_of_the_other_behind() {
    let mut tail = Parcel::new();
    tail.write_string("tail").unwrap();
    tail.write_u8_vec(&[1, 2, 3]).unwrap();
    // Wherever its cursor is.
    tail.read_string().unwrap();

    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    parcel.append(&tail).unwrap();
    parcel.append(&tail).unwrap();
    parcel.write_i32(2).unwrap();

    assert_eq!(parcel.read_i32(), Ok(1));
    for _ in 0..2 {
        assert_eq!(parcel.read_string().unwrap(), "tail");
        assert_eq!(parcel.read_u8_vec().unwrap(), [1, 2, 3]);
    }
    assert_eq!(parcel.read_i32(), Ok(2));
    assert_eq!(tail.read_u8_vec().unwrap(), [1, 2, 3]);
}

// Row 44.
#[test]
fn empty_parcel_can_be_appended() {
    let mut parcel = Parcel::new();
    parcel.append(&Parcel::new()).unwrap();
    assert_eq!(parcel.data_size(), 0);
    parcel.write_buffer(&[1; DEFAULT_CAPACITY]).unwrap();
    parcel.append(&Parcel::new()).unwrap();
    assert_eq!(parcel.data_size(), DEFAULT_CAPACITY);
}

// Row 44.
#[test]
fn append_past_the_capacity_changes_nothing() {
    let mut tail = Parcel::new();
    tail.write_buffer(&[1; DEFAULT_CAPACITY]).unwrap();
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    assert_eq!(
        parcel.append(&tail),
        Err(WriteParcelError::CapacityExceeded {
            limit: 204_800,
            size: 204_804
        })
    );
    assert_eq!(parcel.data_size(), 4);
}

// Row 44.
#[test]
fn append_takes_raw_data_along() {
    let mut tail = Parcel::new();
    tail.write_i32(1).unwrap();
    tail.write_raw_data(vec![5; 40_000]).unwrap();
    let mut parcel = Parcel::new();
    parcel.write_i32(0).unwrap();
    parcel.append(&tail).unwrap();
    assert_eq!((parcel.read_i32(), parcel.read_i32()), (Ok(0), Ok(1)));
    assert_eq!(parcel.read_raw_data(40_000).unwrap(), vec![5; 40_000]);

    // The raw data belongs to its length at 8: a cut behind it keeps it, a cut before it does not.
    parcel.write_i32(2).unwrap();
    parcel.rewind_write(12).unwrap();
    assert_eq!(parcel.append(&tail), Err(WriteParcelError::SecondRawData));
    assert_eq!(parcel.data_size(), 12);
    parcel.rewind_write(8).unwrap();
    parcel.append(&tail).unwrap();
}

// Row 44: a parcel cannot be borrowed twice; its clone can be appended.
#[test]
fn clone_can_be_appended() {
    let mut parcel = Parcel::new();
    parcel.write_i32(7).unwrap();
    parcel.append(&parcel.clone()).unwrap();
    assert_eq!((parcel.read_i32(), parcel.read_i32()), (Ok(7), Ok(7)));
}
