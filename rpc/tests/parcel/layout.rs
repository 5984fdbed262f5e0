//! Rows 29 to 31: alignment, small values, byte order.

use softbus_rpc::{Parcel, parcel::WriteParcelError};

use crate::bytes;

/// What one write leaves in a new parcel.
fn written(write: impl FnOnce(&mut Parcel) -> Result<(), WriteParcelError>) -> Vec<u8> {
    let mut parcel = Parcel::new();
    write(&mut parcel).unwrap();
    bytes(&mut parcel)
}

// Row 31.
#[test]
fn numbers_are_little_endian() {
    assert_eq!(written(|p| p.write_i32(0x0102_0304)), [4, 3, 2, 1]);
    assert_eq!(
        written(|p| p.write_u32(0xfffe_fdfc)),
        [0xfc, 0xfd, 0xfe, 0xff]
    );
    assert_eq!(
        written(|p| p.write_i64(0x0102_0304_0506_0708)),
        [8, 7, 6, 5, 4, 3, 2, 1]
    );
    assert_eq!(
        written(|p| p.write_u64(1 << 63)),
        [0, 0, 0, 0, 0, 0, 0, 0x80]
    );
    assert_eq!(written(|p| p.write_f32(1.0)), [0, 0, 0x80, 0x3f]);
    assert_eq!(written(|p| p.write_f64(-2.0)), [0, 0, 0, 0, 0, 0, 0, 0xc0]);
}

// Row 30.
#[test]
fn small_values_take_four_bytes() {
    assert_eq!(written(|p| p.write_bool(true)), [1, 0, 0, 0]);
    assert_eq!(written(|p| p.write_bool(false)), [0, 0, 0, 0]);
    assert_eq!(written(|p| p.write_i8(-2)), [0xfe, 0xff, 0xff, 0xff]);
    assert_eq!(written(|p| p.write_u8(0xfe)), [0xfe, 0, 0, 0]);
    assert_eq!(written(|p| p.write_i16(-2)), [0xfe, 0xff, 0xff, 0xff]);
    assert_eq!(written(|p| p.write_u16(0xfedc)), [0xdc, 0xfe, 0, 0]);
}

// Row 29.
#[test]
fn eight_byte_values_are_aligned_to_four() {
    let mut parcel = Parcel::new();
    parcel.write_u8(1).unwrap();
    parcel.write_u64(2).unwrap();
    parcel.write_f64(0.5).unwrap();
    assert_eq!(parcel.data_size(), 20);
    assert_eq!(parcel.read_u8(), Ok(1));
    assert_eq!(parcel.read_u64(), Ok(2));
    assert_eq!(parcel.read_f64(), Ok(0.5));
}

// Row 29.
#[test]
fn items_are_padded_with_zeros() {
    assert_eq!(
        written(|p| p.write_buffer(&[0xff; 5])),
        [255, 255, 255, 255, 255, 0, 0, 0]
    );
    assert_eq!(written(|p| p.write_buffer(&[])), []);
    assert_eq!(written(|p| p.write_u8_vec(&[9])), [1, 0, 0, 0, 9, 0, 0, 0]);

    let mut parcel = Parcel::new();
    for len in 0..9 {
        parcel.write_buffer(&[1; 8][..len.min(8)]).unwrap();
        assert_eq!(parcel.data_size() % 4, 0);
    }
}

#[test]
fn strings_have_the_documented_bytes() {
    assert_eq!(written(|p| p.write_string("abc")), *b"\x03\0\0\0abc\0");
    assert_eq!(
        written(|p| p.write_string("abcd")),
        *b"\x04\0\0\0abcd\0\0\0\0"
    );
    assert_eq!(written(|p| p.write_string("")), *b"\0\0\0\0\0\0\0\0");
    assert_eq!(
        written(|p| p.write_string16("a\u{1f680}")),
        *b"\x03\0\0\0a\0\x3d\xd8\x80\xde\0\0"
    );
    assert_eq!(written(|p| p.write_string16("")), *b"\0\0\0\0\0\0\0\0");
    assert_eq!(written(|p| p.write_c_string("abc")), *b"abc\0");
    assert_eq!(written(|p| p.write_c_string("")), *b"\0\0\0\0");
    assert_eq!(written(Parcel::write_null_string), [0xff; 4]);
}

#[test]
fn vectors_have_the_documented_bytes() {
    assert_eq!(
        written(|p| p.write_i32_vec(&[1, -1])),
        *b"\x02\0\0\0\x01\0\0\0\xff\xff\xff\xff"
    );
    assert_eq!(
        written(|p| p.write_u16_vec(&[1, 2, 3])),
        *b"\x03\0\0\0\x01\0\x02\0\x03\0\0\0"
    );
    assert_eq!(
        written(|p| p.write_bool_vec(&[true, false])),
        *b"\x02\0\0\0\x01\0\0\0"
    );
    assert_eq!(written(|p| p.write_i64_vec(&[])), *b"\0\0\0\0");
    assert_eq!(
        written(|p| p.write_string_vec(&["a"])),
        *b"\x01\0\0\0\x01\0\0\0a\0\0\0"
    );
}

#[test]
fn typed_values_have_the_documented_bytes() {
    assert_eq!(written(|p| p.write(&Some(7u8))), *b"\x01\0\0\0\x07\0\0\0");
    assert_eq!(written(|p| p.write(&None::<u8>)), *b"\0\0\0\0");
    assert_eq!(
        written(|p| p.write(&Err::<u8, u8>(7))),
        *b"\x01\0\0\0\x07\0\0\0"
    );
    assert_eq!(
        written(|p| p.write(&(1u8, 2u64))),
        *b"\x01\0\0\0\x02\0\0\0\0\0\0\0"
    );
    assert_eq!(written(|p| p.write(&[1u8, 2, 3])), *b"\x01\x02\x03\0");
    assert_eq!(written(|p| p.write(&[1u16, 2])), *b"\x01\0\0\0\x02\0\0\0");
    assert_eq!(
        written(|p| p.write(&vec![1u8, 2])),
        *b"\x02\0\0\0\x01\x02\0\0"
    );
    assert_eq!(written(|p| p.write(&'é')), *b"\xe9\0\0\0");
    assert_eq!(written(|p| p.write(&())), []);
    assert_eq!(
        written(|p| p.write(&vec![(), ()])),
        *b"\x02\0\0\0\0\0\0\0\0\0\0\0"
    );
}
