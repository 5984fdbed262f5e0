//! `#[derive(Parcelable)]` through the public API. (What cannot be derived is in `compile_fail`.)

#![allow(clippy::unwrap_used, reason = "the helpers are tests as well")]

mod bytes;
mod depth;
mod forged;
mod interface;
mod names;
mod round_trips;
mod types;

use std::fmt::Debug;

use softbus_rpc::{Parcel, Parcelable};

/// Writes, reads back, and returns the bytes.
#[track_caller]
fn round_trip<T: Parcelable + PartialEq + Debug>(value: &T) -> Vec<u8> {
    let mut parcel = Parcel::new();
    parcel.write(value).unwrap();
    let size = parcel.data_size();
    parcel.write_u32(0xabcd).unwrap();
    assert_eq!(parcel.read::<T>().as_ref(), Ok(value));
    assert_eq!(parcel.read_u32(), Ok(0xabcd));
    parcel.rewind_read(0).unwrap();
    parcel.read_buffer(size).unwrap().to_vec()
}

/// A parcel of these words, as a peer may send it.
fn forged(words: &[i32]) -> Parcel {
    let mut parcel = Parcel::new();
    for word in words {
        parcel.write_i32(*word).unwrap();
    }
    parcel
}
