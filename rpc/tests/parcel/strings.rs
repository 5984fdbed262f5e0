//! Rows 32, 33, 35 and 36: strings.

use softbus_rpc::{
    Parcel,
    parcel::{ReadParcelError, WriteParcelError},
};

use crate::forged;

const TEXTS: [&str; 7] = [
    "",
    "a",
    "abc",
    "abcd",
    "nul\0inside\0",
    "Grüße 你好",
    "\u{1f680}\u{10ffff}\u{0}",
];

// Rows 32 and 33.
#[test]
fn strings_round_trip() {
    let mut parcel = Parcel::new();
    for text in TEXTS {
        parcel.write_string(text).unwrap();
        parcel.write_string16(text).unwrap();
        parcel.write_string(text).unwrap();
    }
    for text in TEXTS {
        assert_eq!(parcel.read_string().unwrap(), text);
        assert_eq!(parcel.read_string16().unwrap(), text);
        assert_eq!(parcel.read_str().unwrap(), text);
    }
    assert_eq!(parcel.readable_bytes(), 0);
}

// Row 33.
#[test]
fn c_strings_round_trip() {
    let mut parcel = Parcel::new();
    for text in ["", "abc", "abcd", "你好"] {
        parcel.write_c_string(text).unwrap();
    }
    for text in ["", "abc", "abcd", "你好"] {
        assert_eq!(parcel.read_c_string().unwrap(), text);
    }
    assert_eq!(parcel.readable_bytes(), 0);
}

// Row 33.
#[test]
fn c_strings_need_not_be_utf8() {
    let mut parcel = Parcel::new();
    parcel.write_c_str(c"\xff\xfe").unwrap();
    parcel.write_c_str(c"plain").unwrap();
    assert_eq!(parcel.read_c_string(), Err(ReadParcelError::InvalidUtf8));
    assert_eq!(parcel.read_c_str().unwrap(), c"\xff\xfe");
    assert_eq!(parcel.read_c_string().unwrap(), "plain");
    assert!(parcel.read_c_str().is_err());
}

// Row 33.
#[test]
fn c_string_with_a_nul_inside_is_refused() {
    let mut parcel = Parcel::new();
    assert_eq!(
        parcel.write_c_string("ab\0c"),
        Err(WriteParcelError::InteriorNul { position: 2 })
    );
    assert_eq!(parcel.data_size(), 0);
}

// Row 32.
#[test]
fn null_string_is_minus_one_and_reads_as_none() {
    let mut parcel = Parcel::new();
    parcel.write_null_string().unwrap();
    parcel.write_nullable_string(None).unwrap();
    parcel.write_nullable_string16(None).unwrap();
    parcel.write_nullable_string(Some("")).unwrap();
    parcel.write_nullable_string16(Some("x")).unwrap();
    assert_eq!(parcel.read_i32(), Ok(-1));
    parcel.rewind_read(0).unwrap();
    assert_eq!(parcel.read_string(), Err(ReadParcelError::UnexpectedNull));
    assert_eq!(parcel.read_string16(), Err(ReadParcelError::UnexpectedNull));
    assert_eq!(parcel.read_str(), Err(ReadParcelError::UnexpectedNull));
    assert_eq!(parcel.read_nullable_string(), Ok(None));
    assert_eq!(parcel.read_nullable_string(), Ok(None));
    assert_eq!(parcel.read_nullable_string16(), Ok(None));
    assert_eq!(parcel.read_nullable_string(), Ok(Some(String::new())));
    assert_eq!(parcel.read_nullable_string16(), Ok(Some("x".to_owned())));
}

// Row 32.
#[test]
fn the_three_forms_are_not_mistaken_for_each_other() {
    let mut parcel = Parcel::new();
    parcel.write_string("word").unwrap();
    // As many units would need more bytes than there are.
    assert_eq!(
        parcel.read_string16(),
        Err(ReadParcelError::Truncated {
            wanted: 10,
            left: 8
        })
    );
    assert_eq!(parcel.read_string().unwrap(), "word");

    let mut parcel = Parcel::new();
    parcel.write_string16("word").unwrap();
    assert_eq!(
        parcel.read_string(),
        Err(ReadParcelError::MissingTerminator)
    );
    assert_eq!(parcel.read_string16().unwrap(), "word");

    let mut parcel = Parcel::new();
    parcel.write_c_string("word").unwrap();
    assert!(matches!(
        parcel.read_string(),
        Err(ReadParcelError::Truncated { .. })
    ));
    assert_eq!(parcel.read_c_string().unwrap(), "word");
}

// Row 35.
#[test]
fn forged_string_length_is_refused() {
    for length in [4i32, 5, 1000, 0x7fff_ffff] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"abc\0");
        let mut parcel = forged(&bytes);
        assert!(matches!(
            parcel.read_string(),
            Err(ReadParcelError::Truncated { left: 4, .. })
        ));
        assert!(matches!(
            parcel.read_string16(),
            Err(ReadParcelError::Truncated { left: 4, .. })
        ));
        assert_eq!(parcel.read_position(), 0);
    }
}

// Row 35.
#[test]
fn negative_string_length_is_refused() {
    for length in [-2, i32::MIN] {
        let mut parcel = Parcel::new();
        parcel.write_i32(length).unwrap();
        let error = ReadParcelError::InvalidLength { length };
        assert_eq!(parcel.read_string(), Err(error.clone()));
        assert_eq!(parcel.read_nullable_string(), Err(error.clone()));
        assert_eq!(parcel.read_nullable_string16(), Err(error));
        assert_eq!(parcel.read_i32(), Ok(length));
    }
}

// Row 36.
#[test]
fn missing_terminator_fails() {
    let mut parcel = forged(b"\x03\0\0\0abcd");
    assert_eq!(
        parcel.read_string(),
        Err(ReadParcelError::MissingTerminator)
    );
    assert_eq!(
        parcel.read_nullable_string(),
        Err(ReadParcelError::MissingTerminator)
    );
    assert_eq!(parcel.read_position(), 0);

    let mut parcel = forged(b"\x01\0\0\0a\0b\0");
    assert_eq!(
        parcel.read_string16(),
        Err(ReadParcelError::MissingTerminator)
    );

    let mut parcel = forged(b"abcdefgh");
    assert_eq!(
        parcel.read_c_string(),
        Err(ReadParcelError::MissingTerminator)
    );
    assert_eq!(parcel.read_position(), 0);
}

#[test]
fn invalid_text_is_refused() {
    let mut parcel = forged(b"\x02\0\0\0\xff\xfe\0\0");
    assert_eq!(parcel.read_string(), Err(ReadParcelError::InvalidUtf8));
    assert_eq!(parcel.read_str(), Err(ReadParcelError::InvalidUtf8));
    assert_eq!(parcel.read_position(), 0);

    // Half of a surrogate pair.
    let mut parcel = forged(b"\x01\0\0\0\x3d\xd8\0\0");
    assert_eq!(parcel.read_string16(), Err(ReadParcelError::InvalidUtf16));
    assert_eq!(parcel.read_position(), 0);

    let mut parcel = forged(b"\xff\xfe\0\0");
    assert_eq!(parcel.read_c_string(), Err(ReadParcelError::InvalidUtf8));
    assert_eq!(parcel.read_position(), 0);
}
