//! Bytes that nobody wrote.

use proptest::{collection::vec, prelude::*};
use softbus_rpc::{Parcel, Parcelable, parcel::ReadParcelError};

use crate::{forged, types::*};

#[test]
fn a_number_that_is_no_variants_is_refused() {
    let invalid = |value| ReadParcelError::InvalidTag { value };
    for value in [3, -1, i32::MAX, i32::MIN] {
        assert_eq!(forged(&[value]).read::<Shape>(), Err(invalid(value)));
    }
    for value in [0, 1, 3, 11] {
        assert_eq!(forged(&[value]).read::<Tagged>(), Err(invalid(value)));
    }
    assert_eq!(forged(&[0]).read::<Nobody>(), Err(invalid(0)));
}

#[test]
fn what_is_cut_off_is_refused_and_the_cursor_stays() {
    let mut parcel = forged(&[2, 1, 2, 3]);
    let cut = ReadParcelError::Truncated { wanted: 4, left: 0 };
    assert_eq!(parcel.read::<Shape>(), Err(cut));
    assert_eq!(parcel.read_position(), 0);
    assert_eq!(parcel.read_i32(), Ok(2));
}

#[test]
fn a_forged_count_allocates_nothing() {
    let forged = forged(&[7, i32::MAX]).read::<Tree<i32>>();
    assert!(matches!(forged, Err(ReadParcelError::Truncated { .. })));
}

/// Reads a type from where the cursor is.
fn read<T: Parcelable>(parcel: &mut Parcel) -> bool {
    parcel.read::<T>().is_ok()
}

const READERS: [fn(&mut Parcel) -> bool; 14] = [
    read::<Point>,
    read::<Meters>,
    read::<Unit>,
    read::<Vec<Unit>>,
    read::<Shape>,
    read::<Vec<Shape>>,
    read::<Tagged>,
    read::<Nobody>,
    read::<Pair<Either<Words, Cached>, Option<Point>>>,
    read::<Block<7>>,
    read::<Tree<Tagged>>,
    read::<Chain>,
    read::<Folder>,
    read::<Entry>,
];

proptest! {
    #[test]
    fn random_bytes_are_a_value_or_an_error(
        // Small numbers most of all: counts, lengths and variants.
        words in vec(any::<i32>().prop_map(|word| if word & 3 == 0 { word } else { word >> 29 }), 0..200),
        types in vec(0..READERS.len(), 1..50),
    ) {
        let mut parcel = forged(&words);
        for index in types {
            let position = parcel.read_position();
            if !READERS[index](&mut parcel) {
                prop_assert_eq!(parcel.read_position(), position);
            }
            prop_assert!(parcel.read_position() <= parcel.data_size());
        }
    }
}
