//! Parcels through the public API. Row numbers are those of the project's acceptance table (OpenHarmony's behaviour).

#![allow(clippy::unwrap_used, reason = "the helpers are tests as well")]

mod append;
mod capacity;
#[cfg(unix)]
mod descriptors;
mod header;
mod layout;
mod raw_data;
mod reading;
mod script;
mod strings;
mod typed;
mod vectors;

use softbus_rpc::Parcel;

/// All bytes of a parcel, its cursor left at the start.
fn bytes(parcel: &mut Parcel) -> Vec<u8> {
    parcel.rewind_read(0).unwrap();
    let bytes = parcel.read_buffer(parcel.data_size()).unwrap().to_vec();
    parcel.rewind_read(0).unwrap();
    bytes
}

/// A parcel of these very bytes, as a peer may send it. Their number is a multiple of 4.
fn forged(bytes: &[u8]) -> Parcel {
    assert_eq!(bytes.len() % 4, 0);
    let mut parcel = Parcel::new();
    parcel.write_buffer(bytes).unwrap();
    parcel
}
