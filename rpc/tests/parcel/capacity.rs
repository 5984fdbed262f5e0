//! Rows 28 and 38: how much goes in, and taking it out again.

use softbus_rpc::{
    Parcel,
    parcel::{DEFAULT_CAPACITY, MAX_PARCEL_LEN, ReadParcelError, WriteParcelError},
};

type Write = fn(&mut Parcel) -> Result<(), WriteParcelError>;

/// A parcel with `free` bytes of its capacity left.
fn with_room_for(free: usize) -> Parcel {
    let mut parcel = Parcel::new();
    parcel
        .write_buffer(&vec![1; DEFAULT_CAPACITY - free])
        .unwrap();
    parcel
}

// Row 28.
#[test]
fn new_parcel_takes_200_kib() {
    let mut parcel = Parcel::new();
    assert_eq!(parcel.capacity(), 204_800);
    for value in 0..204_800 / 4 {
        parcel.write_i32(value).unwrap();
    }
    assert_eq!((parcel.data_size(), parcel.writable_bytes()), (204_800, 0));
    assert_eq!(
        parcel.write_i32(0),
        Err(WriteParcelError::CapacityExceeded {
            limit: 204_800,
            size: 204_804
        })
    );
}

// Row 28.
#[test]
fn write_past_the_capacity_changes_nothing() {
    let writes: &[Write] = &[
        |p| p.write_i64(1),
        |p| p.write_f64(1.0),
        |p| p.write_string("abcd"),
        |p| p.write_string16("ab"),
        |p| p.write_c_string("abcd"),
        |p| p.write_buffer(&[1; 5]),
        |p| p.write_u8_vec(&[1; 5]),
        |p| p.write_i32_vec(&[1, 2]),
        |p| p.write_bool_vec(&[true; 5]),
        |p| p.write_string_vec(&["", ""]),
        |p| p.write_parcelable(Some("")),
        |p| p.write_interface_token("a"),
        |p| p.write_exception(1, ""),
        |p| p.write_raw_data(vec![1; 5]),
        |p| p.write(&(1i32, 2i32)),
        |p| p.write(&[1i32, 2]),
        |p| p.write(&Some("")),
        |p| p.write(&vec![(1u8, 2u8)]),
        |p| p.append(&p.clone()),
    ];
    for (index, write) in writes.iter().enumerate() {
        let mut parcel = with_room_for(4);
        parcel.rewind_read(12).unwrap();
        let error = write(&mut parcel).unwrap_err();
        assert!(
            matches!(error, WriteParcelError::CapacityExceeded { .. }),
            "{index}: {error}"
        );
        assert_eq!(parcel.data_size(), DEFAULT_CAPACITY - 4, "{index}");
        assert_eq!(parcel.read_position(), 12, "{index}");
        parcel.write_i32(1).unwrap();
    }
}

// Row 28.
#[test]
fn huge_write_is_refused_before_it_allocates() {
    let mut parcel = Parcel::new();
    let huge = vec![0u8; 2 * MAX_PARCEL_LEN];
    assert!(parcel.write_buffer(&huge).is_err());
    assert!(parcel.write_u8_vec(&huge).is_err());
    assert!(
        parcel
            .write_bool_vec(&vec![true; 2 * MAX_PARCEL_LEN])
            .is_err()
    );
    assert_eq!(parcel.allocated(), 0);
}

// Row 28.
#[test]
fn capacity_is_raised_never_lowered() {
    let mut parcel = Parcel::new();
    assert_eq!(
        parcel.raise_capacity(DEFAULT_CAPACITY - 1),
        Err(WriteParcelError::CapacityLowered {
            current: 204_800,
            wanted: 204_799
        })
    );
    parcel.raise_capacity(DEFAULT_CAPACITY).unwrap();
    parcel.raise_capacity(300_000).unwrap();
    parcel.write_buffer(&[0; 300_000]).unwrap();
    assert!(parcel.write_i32(0).is_err());
    assert_eq!(
        parcel.raise_capacity(MAX_PARCEL_LEN + 1),
        Err(WriteParcelError::CapacityExceeded {
            limit: 1_048_576,
            size: 1_048_577
        })
    );
    parcel.raise_capacity(MAX_PARCEL_LEN).unwrap();
    assert_eq!(parcel.capacity(), MAX_PARCEL_LEN);
}

#[test]
fn generated_code_gets_the_transport_limit() {
    let mut parcel = Parcel::new();
    parcel.raise_to_transport_limit();
    parcel.write_buffer(&vec![0; MAX_PARCEL_LEN]).unwrap();
    assert!(parcel.write_i32(0).is_err());
}

#[test]
fn memory_is_taken_lazily() {
    let mut parcel = Parcel::new();
    assert_eq!(parcel.allocated(), 0);
    assert_eq!(parcel.writable_bytes(), DEFAULT_CAPACITY);
    parcel.write_i32(1).unwrap();
    assert_eq!(parcel.allocated(), 64);
    parcel.write_buffer(&[0; 64]).unwrap();
    assert_eq!(parcel.allocated(), 128);
    parcel.write_buffer(&[0; DEFAULT_CAPACITY - 68]).unwrap();
    assert_eq!(parcel.allocated(), DEFAULT_CAPACITY);
}

#[test]
fn positions_of_a_new_parcel_are_zero() {
    let parcel = Parcel::default();
    assert_eq!(parcel.data_size(), 0);
    assert_eq!(parcel.readable_bytes(), 0);
    assert_eq!(parcel.read_position(), 0);
    assert_eq!(parcel.write_position(), 0);
    assert_eq!(parcel.object_count(), 0);
    assert!(!parcel.is_read_only());
}

#[test]
fn positions_follow_reads_and_writes() {
    let mut parcel = Parcel::new();
    parcel.write_i64(1).unwrap();
    parcel.write_i32(2).unwrap();
    parcel.read_i64().unwrap();
    assert_eq!((parcel.write_position(), parcel.data_size()), (12, 12));
    assert_eq!((parcel.read_position(), parcel.readable_bytes()), (8, 4));
    assert_eq!(parcel.writable_bytes(), DEFAULT_CAPACITY - 12);
}

// Row 38.
#[test]
fn rewind_write_cuts_the_data() {
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    let position = parcel.write_position();
    parcel.write_string("gone").unwrap();
    parcel.rewind_write(position).unwrap();
    parcel.write_i32(2).unwrap();
    assert_eq!(parcel.data_size(), 8);
    assert_eq!((parcel.read_i32(), parcel.read_i32()), (Ok(1), Ok(2)));
}

// Row 38.
#[test]
fn rewind_write_takes_the_read_cursor_along() {
    let mut parcel = Parcel::new();
    parcel.write_i64(1).unwrap();
    parcel.read_i64().unwrap();
    parcel.rewind_write(4).unwrap();
    assert_eq!((parcel.read_position(), parcel.readable_bytes()), (4, 0));
}

// Row 38.
#[test]
fn rewind_write_refuses_what_is_no_end_of_an_item() {
    let mut parcel = Parcel::new();
    parcel.write_i64(1).unwrap();
    assert_eq!(
        parcel.rewind_write(12),
        Err(WriteParcelError::Position {
            position: 12,
            size: 8
        })
    );
    assert_eq!(
        parcel.rewind_write(6),
        Err(WriteParcelError::Misaligned { position: 6 })
    );
    assert_eq!(parcel.data_size(), 8);
    parcel.rewind_write(8).unwrap();
    parcel.rewind_write(0).unwrap();
    assert_eq!(
        parcel.read_i32(),
        Err(ReadParcelError::Truncated { wanted: 4, left: 0 })
    );
}

// Row 38.
#[test]
fn rewind_write_drops_raw_data_behind_it() {
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    parcel.write_raw_data(vec![1; 40_000]).unwrap();
    parcel.rewind_write(4).unwrap();
    parcel.write_raw_data(vec![2; 50_000]).unwrap();
    parcel.read_i32().unwrap();
    assert_eq!(parcel.read_raw_data(50_000).unwrap(), vec![2; 50_000]);
}
