//! Rows 35 and 41: vectors.

use softbus_rpc::{
    Parcel,
    parcel::{DEFAULT_CAPACITY, ReadParcelError},
};

use crate::forged;

macro_rules! round_trips {
    ($($write:ident $read:ident [$($value:expr),*];)*) => {$(
        let mut parcel = Parcel::new();
        parcel.$write(&[$($value),*]).unwrap();
        parcel.$write(&[]).unwrap();
        parcel.write_u32(0xabcd).unwrap();
        assert_eq!(parcel.$read().unwrap(), [$($value),*]);
        assert!(parcel.$read().unwrap().is_empty());
        assert_eq!(parcel.read_u32(), Ok(0xabcd));
    )*};
}

// Row 41.
#[test]
fn every_kind_of_vector_round_trips() {
    round_trips! {
        write_bool_vec read_bool_vec [true, false, true];
        write_i8_vec read_i8_vec [i8::MIN, -1, 0, 1, i8::MAX];
        write_i16_vec read_i16_vec [i16::MIN, -1, i16::MAX];
        write_i32_vec read_i32_vec [i32::MIN, -1, i32::MAX];
        write_i64_vec read_i64_vec [i64::MIN, -1, i64::MAX];
        write_u8_vec read_u8_vec [0, 1, u8::MAX];
        write_u16_vec read_u16_vec [0, 1, u16::MAX];
        write_u32_vec read_u32_vec [0, 1, u32::MAX];
        write_u64_vec read_u64_vec [0, 1, u64::MAX];
        write_f32_vec read_f32_vec [-0.5, f32::MAX, f32::INFINITY];
        write_f64_vec read_f64_vec [-0.5, f64::MIN_POSITIVE];
    }
}

// Row 41.
#[test]
fn vectors_of_strings_round_trip() {
    let mut parcel = Parcel::new();
    parcel.write_string_vec(&["", "abc", "你好"]).unwrap();
    parcel
        .write_string16_vec(&["", "abc", "\u{1f680}"])
        .unwrap();
    parcel.write_string_vec::<&str>(&[]).unwrap();
    assert_eq!(parcel.read_string_vec().unwrap(), ["", "abc", "你好"]);
    assert_eq!(
        parcel.read_string16_vec().unwrap(),
        ["", "abc", "\u{1f680}"]
    );
    assert!(parcel.read_string_vec().unwrap().is_empty());
}

// Row 41.
#[test]
fn reading_another_type_is_refused() {
    let mut parcel = Parcel::new();
    parcel.write_u8_vec(&[1, 2, 3]).unwrap();
    assert_eq!(
        parcel.read_i32_vec(),
        Err(ReadParcelError::Truncated {
            wanted: 12,
            left: 4
        })
    );
    assert_eq!(
        parcel.read_i64_vec(),
        Err(ReadParcelError::Truncated {
            wanted: 24,
            left: 4
        })
    );
    assert_eq!(
        parcel.read_bool_vec(),
        Err(ReadParcelError::InvalidBool { value: 2 })
    );
    assert!(parcel.read_string_vec().is_err());
    assert_eq!(parcel.read_position(), 0);
    assert_eq!(parcel.read_u8_vec().unwrap(), [1, 2, 3]);
}

// Row 35. Memory of a claimed size could not even be reserved here.
#[test]
fn forged_count_is_refused() {
    for count in [2i32, 1000, i32::MAX] {
        let mut bytes = count.to_le_bytes().to_vec();
        bytes.extend([0; 4]);
        let mut parcel = forged(&bytes);
        let wanted = count as usize;
        assert_eq!(
            parcel.read_i64_vec(),
            Err(ReadParcelError::Truncated {
                wanted: wanted * 8,
                left: 4
            })
        );
        assert_eq!(
            parcel.read_f32_vec(),
            Err(ReadParcelError::Truncated {
                wanted: wanted * 4,
                left: 4
            })
        );
        assert_eq!(
            parcel.read_string_vec(),
            Err(ReadParcelError::Truncated {
                wanted: wanted * 4,
                left: 4
            })
        );
        assert_eq!(
            parcel.read::<Vec<[u64; 1000]>>(),
            Err(ReadParcelError::Truncated {
                wanted: wanted * 4,
                left: 4
            })
        );
        assert_eq!(
            parcel.read::<Vec<()>>(),
            Err(ReadParcelError::Truncated {
                wanted: wanted * 4,
                left: 4
            })
        );
        assert_eq!(parcel.read_position(), 0);
    }
}

// Row 35.
#[test]
fn negative_count_is_refused() {
    for length in [-1, i32::MIN] {
        let mut parcel = Parcel::new();
        parcel.write_i32(length).unwrap();
        parcel.write_i32(0).unwrap();
        let error = ReadParcelError::InvalidLength { length };
        assert_eq!(parcel.read_u8_vec(), Err(error.clone()));
        assert_eq!(parcel.read_bool_vec(), Err(error.clone()));
        assert_eq!(parcel.read_string16_vec(), Err(error.clone()));
        assert_eq!(parcel.read::<Vec<String>>(), Err(error));
    }
}

#[test]
fn vector_that_breaks_off_keeps_the_cursor() {
    let mut parcel = Parcel::new();
    parcel.write_i32(3).unwrap();
    parcel.write_string("one").unwrap();
    parcel.write_string("two").unwrap();
    assert!(parcel.read_string_vec().is_err());
    assert_eq!(parcel.read_position(), 0);
}

#[test]
fn vector_fills_the_capacity_exactly() {
    let mut parcel = Parcel::new();
    let values = vec![7; (DEFAULT_CAPACITY - 4) / 4];
    parcel.write_u32(0).unwrap();
    assert!(parcel.write_u32_vec(&values).is_err());
    parcel.rewind_write(0).unwrap();
    parcel.write_u32_vec(&values).unwrap();
    assert_eq!(parcel.writable_bytes(), 0);
    assert_eq!(parcel.read_u32_vec().unwrap(), values);
}

// Row 42.
#[test]
fn null_in_a_vector_of_parcelables_is_refused() {
    let mut parcel = Parcel::new();
    parcel.write_i32(2).unwrap();
    parcel.write_parcelable(Some("here")).unwrap();
    parcel.write_parcelable::<str>(None).unwrap();
    assert_eq!(
        parcel.read_parcelable_vec::<String>(),
        Err(ReadParcelError::UnexpectedNull)
    );
    assert_eq!(parcel.read_position(), 0);
}
