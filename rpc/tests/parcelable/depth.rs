//! How deep derived values nest: each is a level, and so is each box, vector and map.

use softbus_rpc::{
    Parcel, Parcelable,
    parcel::{MAX_DEPTH, MAX_PARCEL_LEN, ReadParcelError, WriteParcelError},
};

use crate::{forged, round_trip, types::*};

/// One level more.
#[derive(Clone, Debug, PartialEq, Parcelable)]
struct In<T>(T);

const TOO_DEEP: ReadParcelError = ReadParcelError::TooDeep { limit: MAX_DEPTH };

#[test]
fn level_32_is_written_and_33_is_not() {
    // n values and n - 1 boxes.
    let levels_31 = Chain::new(16);
    round_trip(&levels_31);
    round_trip(&In(levels_31.clone()));
    let mut parcel = Parcel::new();
    for too_deep in [
        parcel.write(&In(In(levels_31))),
        parcel.write(&Chain::new(17)),
    ] {
        assert_eq!(
            too_deep,
            Err(WriteParcelError::TooDeep { limit: MAX_DEPTH })
        );
    }
    assert_eq!(parcel.data_size(), 0);
}

#[test]
fn level_32_is_read_and_33_is_not() {
    let bytes = |length: usize| {
        let mut words = [7, 1].repeat(length - 1);
        words.extend([7, 0]);
        words
    };
    let mut parcel = forged(&bytes(16));
    assert_eq!(parcel.read::<In<Chain>>(), Ok(In(Chain::new(16))));
    parcel.rewind_read(0).unwrap();
    assert_eq!(parcel.read::<In<In<Chain>>>(), Err(TOO_DEEP));
    assert_eq!(parcel.read_position(), 0);
    // The levels were counted back: what is not so deep can be read.
    assert_eq!(parcel.read::<Chain>(), Ok(Chain::new(16)));
    assert_eq!(forged(&bytes(17)).read::<Chain>(), Err(TOO_DEEP));
}

#[test]
fn forged_depth_does_not_exhaust_the_stack() {
    let mut parcel = Parcel::new();
    parcel.raise_to_transport_limit();
    for _ in 0..MAX_PARCEL_LEN / 4 {
        parcel.write_i32(1).unwrap();
    }
    assert_eq!(parcel.read::<Chain>(), Err(TOO_DEEP));
    assert_eq!(parcel.read::<Tree<()>>(), Err(TOO_DEEP));
    // A link to a link to a link.
    assert_eq!(forged(&[2; 50_000]).read::<Entry>(), Err(TOO_DEEP));
}
