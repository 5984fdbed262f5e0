//! A parcel as a typed call with a few arguments makes it.

use std::hint::black_box;

use bytes::Bytes;
use rpc::{Parcel, fuzzing::received, parcel::ReadParcelError};

use super::Case;

type Arguments = (i32, u64, bool, String, Vec<i64>, Bytes);

fn arguments() -> Arguments {
    let list = (0..16).map(|nth| nth * 1_000_003).collect();
    let payload = Bytes::from_static(&[0x5a; 64]);
    (-7, 1 << 40, true, "kitchen light".to_owned(), list, payload)
}

fn write(arguments: &Arguments) -> Parcel {
    let (int, long, flag, text, list, payload) = arguments;
    let mut parcel = Parcel::new();
    let written = parcel
        .write(int)
        .and_then(|()| parcel.write(long))
        .and_then(|()| parcel.write(flag))
        .and_then(|()| parcel.write(text))
        .and_then(|()| parcel.write(list))
        .and_then(|()| parcel.write(payload));
    written.expect("far below every limit");
    parcel
}

fn read(parcel: &mut Parcel) -> Result<Arguments, ReadParcelError> {
    Ok((
        parcel.read()?,
        parcel.read()?,
        parcel.read()?,
        parcel.read()?,
        parcel.read()?,
        parcel.read()?,
    ))
}

/// Arguments become bytes.
pub(super) fn encode() -> Box<dyn Case> {
    let arguments = arguments();
    Box::new(move || {
        black_box(write(black_box(&arguments)));
    })
}

/// Bytes from a peer become arguments.
pub(super) fn decode() -> Box<dyn Case> {
    let arguments = arguments();
    let mut parcel = write(&arguments);
    let size = parcel.data_size();
    let body = Bytes::copy_from_slice(parcel.read_buffer(size).expect("all there is"));
    Box::new(move || {
        let parcel = received(body.clone(), Vec::new(), None);
        let mut parcel = parcel.expect("as it was written");
        let read = read(&mut parcel).expect("as it was written");
        debug_assert!(read == arguments);
        black_box(read);
    })
}
