//! The bytes, for those who write them in another language.

use softbus_rpc::{Parcel, parcel::WriteParcelError};

use crate::{round_trip, types::*};

/// Bytes of little-endian words.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_struct_is_its_fields() {
    assert_eq!(round_trip(&Point { x: 1, y: -2 }), words(&[1, 0xffff_fffe]));
    let meters = Meters(1.0, Some("ab".into()));
    let text = u32::from_le_bytes(*b"ab\0\0");
    assert_eq!(round_trip(&meters), words(&[0, 0x3ff0_0000, 1, 2, text]));
    assert_eq!(round_trip(&Unit), []);
    assert_eq!(round_trip(&Empty {}), []);
    assert_eq!(round_trip(&Block(*b"abc")), b"abc\0");
}

#[test]
fn an_enum_is_a_number_and_its_fields() {
    assert_eq!(round_trip(&Shape::Nothing), words(&[0]));
    let (a, b) = (Point { x: 1, y: 2 }, Point { x: 3, y: 4 });
    assert_eq!(round_trip(&Shape::Line(a, b)), words(&[2, 1, 2, 3, 4]));
    let center = Point { x: 5, y: 6 };
    let circle = Shape::Circle {
        center,
        radius: 1.0,
    };
    assert_eq!(round_trip(&circle), words(&[1, 5, 6, 0x3f80_0000]));
}

#[test]
fn a_tag_is_as_given_or_the_place() {
    assert_eq!(round_trip(&Tagged::Ten), words(&[10]));
    assert_eq!(round_trip(&Tagged::MinusOne), words(&[u32::MAX]));
    assert_eq!(round_trip(&Tagged::Two), words(&[2]));
    assert_eq!(round_trip(&Tagged::Most), words(&[0x7fff_ffff]));
}

#[test]
fn a_type_in_itself_is_no_more_than_its_parts() {
    assert_eq!(round_trip(&Chain::new(3)), words(&[7, 1, 7, 1, 7, 0]));
    let leaf = |value| Tree {
        value,
        children: Vec::new(),
    };
    let tree = Tree {
        value: 9u64,
        children: vec![leaf(1), leaf(2)],
    };
    assert_eq!(round_trip(&tree), words(&[9, 0, 2, 1, 0, 0, 2, 0, 0]));
    // An element without bytes takes a word.
    assert_eq!(round_trip(&vec![Unit, Unit]), words(&[2, 0, 0]));
}

#[test]
fn by_hand_they_are_the_same() {
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    parcel.write_i32(2).unwrap();
    assert_eq!(parcel.read(), Ok(Point { x: 1, y: 2 }));
}

#[test]
fn what_does_not_fit_is_not_written_in_part() {
    let mut parcel = Parcel::new();
    parcel
        .write_buffer(&vec![0; parcel.capacity() - 16])
        .unwrap();
    let line = Shape::Line(Point { x: 1, y: 2 }, Point { x: 3, y: 4 });
    let before = parcel.data_size();
    assert!(matches!(
        parcel.write(&line),
        Err(WriteParcelError::CapacityExceeded { .. })
    ));
    assert_eq!(parcel.data_size(), before);
}
