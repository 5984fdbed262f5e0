//! Rows 34 and 37: short reads, and going back.

use softbus_rpc::{
    Parcel,
    parcel::{ReadParcelError, WriteParcelError},
};

// Row 34.
#[test]
fn short_read_keeps_the_cursor() {
    let mut parcel = Parcel::new();
    parcel.write_i32(7).unwrap();
    let short = ReadParcelError::Truncated { wanted: 8, left: 4 };
    assert_eq!(parcel.read_i64(), Err(short.clone()));
    assert_eq!(parcel.read_f64(), Err(short.clone()));
    assert_eq!(parcel.read_buffer(8), Err(short));
    assert_eq!(parcel.read_position(), 0);
    assert_eq!(parcel.read_i32(), Ok(7));
}

// Row 34.
#[test]
fn empty_parcel_has_nothing_to_read() {
    let mut parcel = Parcel::new();
    let nothing = ReadParcelError::Truncated { wanted: 4, left: 0 };
    assert_eq!(parcel.read_bool(), Err(nothing.clone()));
    assert_eq!(parcel.read_i8(), Err(nothing.clone()));
    assert_eq!(parcel.read_u32(), Err(nothing.clone()));
    assert_eq!(parcel.read_string(), Err(nothing.clone()));
    assert_eq!(parcel.read_string16(), Err(nothing.clone()));
    assert_eq!(parcel.read_i32_vec(), Err(nothing.clone()));
    assert_eq!(parcel.read_exception(), Err(nothing.clone()));
    assert_eq!(parcel.read_raw_data(1), Err(nothing));
    assert_eq!(
        parcel.read_c_string(),
        Err(ReadParcelError::MissingTerminator)
    );
    assert!(parcel.read_interface_token().is_err());
    assert!(parcel.read_remote_object().is_err());
    assert_eq!(parcel.read_buffer(0), Ok(&[][..]));
    assert_eq!(parcel.read::<()>(), Ok(()));
}

#[test]
fn small_value_out_of_range_keeps_the_cursor() {
    let mut parcel = Parcel::new();
    parcel.write_i32(-300).unwrap();
    assert_eq!(
        parcel.read_i8(),
        Err(ReadParcelError::OutOfRange { value: -300 })
    );
    assert_eq!(
        parcel.read_u8(),
        Err(ReadParcelError::OutOfRange {
            value: 4_294_966_996
        })
    );
    assert_eq!(
        parcel.read_u16(),
        Err(ReadParcelError::OutOfRange {
            value: 4_294_966_996
        })
    );
    assert_eq!(
        parcel.read_bool(),
        Err(ReadParcelError::InvalidBool {
            value: 4_294_966_996
        })
    );
    assert_eq!(parcel.read_i16(), Ok(-300));
}

#[test]
fn buffer_reads_without_its_padding() {
    let mut parcel = Parcel::new();
    parcel.write_buffer(b"12345").unwrap();
    parcel.write_i32(6).unwrap();
    assert_eq!(parcel.read_buffer(5), Ok(&b"12345"[..]));
    assert_eq!(parcel.read_i32(), Ok(6));
}

#[test]
fn buffer_of_any_claimed_length_is_refused() {
    let mut parcel = Parcel::new();
    parcel.write_i32(7).unwrap();
    for len in [5, 1 << 40, usize::MAX - 3, usize::MAX] {
        assert_eq!(
            parcel.read_buffer(len),
            Err(ReadParcelError::Truncated {
                wanted: len,
                left: 4
            })
        );
    }
    assert_eq!(parcel.read_position(), 0);
}

// Row 37.
#[test]
fn rewind_read_up_to_the_size() {
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    parcel.write_i32(2).unwrap();
    assert_eq!(parcel.read_i32(), Ok(1));
    parcel.rewind_read(0).unwrap();
    assert_eq!(parcel.read_i32(), Ok(1));
    parcel.rewind_read(8).unwrap();
    assert_eq!(parcel.readable_bytes(), 0);
    assert_eq!(
        parcel.rewind_read(9),
        Err(ReadParcelError::Position {
            position: 9,
            size: 8
        })
    );
    assert_eq!(parcel.read_position(), 8);
    parcel.rewind_read(4).unwrap();
    assert_eq!(parcel.read_i32(), Ok(2));
}

#[test]
fn rewind_read_into_a_value_reads_its_bytes() {
    let mut parcel = Parcel::new();
    parcel.write_i64(0x0102_0304_0506_0708).unwrap();
    parcel.rewind_read(2).unwrap();
    assert_eq!(parcel.read_i32(), Ok(0x0304_0506));
    // The cursor is at 6: two bytes are left, which hold nothing.
    assert!(parcel.read_i32().is_err());
    assert!(parcel.read_buffer(1).is_err());
    assert_eq!(parcel.read_position(), 6);
}

#[test]
fn write_after_read_goes_to_the_end() {
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    assert_eq!(parcel.read_i32(), Ok(1));
    parcel.write_i32(2).unwrap();
    assert_eq!(parcel.read_i32(), Ok(2));
}

#[test]
fn debug_shows_no_contents() {
    let mut parcel = Parcel::new();
    parcel.write_string("secret").unwrap();
    let shown = format!("{parcel:?}");
    assert!(
        shown.contains("data_size: 12") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn errors_name_limit_and_value() {
    assert_eq!(
        WriteParcelError::CapacityExceeded {
            limit: 204_800,
            size: 204_804
        }
        .to_string(),
        "parcel of 204804 bytes, limit 204800"
    );
    assert_eq!(
        ReadParcelError::Truncated { wanted: 8, left: 4 }.to_string(),
        "8 bytes wanted, 4 left"
    );
}
