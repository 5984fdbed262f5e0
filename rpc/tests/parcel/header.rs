//! Row 43 and interface tokens.

use softbus_rpc::{
    Parcel,
    parcel::{MAX_PARCEL_LEN, MAX_TOKEN_LEN, ReadParcelError, WriteParcelError},
};

use crate::bytes;

// Row 43.
#[test]
fn no_exception_is_zero() {
    let mut parcel = Parcel::new();
    parcel.write_no_exception().unwrap();
    parcel.write_i32(42).unwrap();
    assert_eq!(bytes(&mut parcel)[..4], [0; 4]);
    assert_eq!(parcel.read_exception(), Ok(Ok(())));
    assert_eq!(parcel.read_i32(), Ok(42));
}

// Row 43.
#[test]
fn exception_carries_code_and_message() {
    let mut parcel = Parcel::new();
    parcel.write_exception(-8, "außer Betrieb").unwrap();
    parcel.write_exception(i32::MAX, "").unwrap();
    let exception = parcel.read_exception().unwrap().unwrap_err();
    assert_eq!(
        (exception.code, exception.message.as_str()),
        (-8, "außer Betrieb")
    );
    assert_eq!(exception.to_string(), "exception -8: außer Betrieb");
    assert_eq!(parcel.read_exception().unwrap().unwrap_err().code, i32::MAX);
}

// Row 43.
#[test]
fn exception_with_code_zero_is_refused() {
    let mut parcel = Parcel::new();
    assert_eq!(
        parcel.write_exception(0, "x"),
        Err(WriteParcelError::ExceptionCode)
    );
    assert_eq!(parcel.data_size(), 0);
}

// Row 43.
#[test]
fn exception_without_a_message_fails() {
    let mut parcel = Parcel::new();
    parcel.write_i32(5).unwrap();
    assert!(matches!(
        parcel.read_exception(),
        Err(ReadParcelError::Truncated { .. })
    ));
    assert_eq!(parcel.read_i32(), Ok(5));
}

#[test]
fn interface_token_has_the_documented_bytes() {
    let mut parcel = Parcel::new();
    parcel.write_interface_token("IA").unwrap();
    assert_eq!(
        bytes(&mut parcel),
        *b"\0\x01\0\0\0\0\0\0\x02\0\0\0I\0A\0\0\0\0\0"
    );
    assert_eq!(parcel.read_interface_token().unwrap(), "IA");
    assert_eq!(parcel.readable_bytes(), 0);
}

#[test]
fn interface_token_has_1_to_204800_bytes() {
    let mut parcel = Parcel::new();
    parcel.raise_capacity(MAX_PARCEL_LEN).unwrap();
    for len in [0, MAX_TOKEN_LEN + 1] {
        assert_eq!(
            parcel.write_interface_token(&"a".repeat(len)),
            Err(WriteParcelError::TokenLength {
                len,
                limit: 204_800
            })
        );
    }
    assert_eq!(parcel.data_size(), 0);
    for len in [1, MAX_TOKEN_LEN] {
        parcel.write_interface_token(&"a".repeat(len)).unwrap();
        assert_eq!(parcel.read_interface_token().unwrap().len(), len);
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let mut parcel = Parcel::new();
    parcel.write_string16("ICalc").unwrap();
    assert_eq!(
        parcel.read_interface_token(),
        Err(ReadParcelError::NotAToken)
    );
    assert_eq!(parcel.read_string16().unwrap(), "ICalc");

    let mut parcel = Parcel::new();
    parcel.write_u32(0x100).unwrap();
    parcel.write_u32(0).unwrap();
    parcel.write_null_string().unwrap();
    assert_eq!(
        parcel.read_interface_token(),
        Err(ReadParcelError::UnexpectedNull)
    );
    parcel.rewind_write(8).unwrap();
    assert!(matches!(
        parcel.read_interface_token(),
        Err(ReadParcelError::Truncated { .. })
    ));
    assert_eq!(parcel.read_position(), 0);
}
