use std::{collections::HashMap, marker::PhantomData};

use proptest::{collection::vec, prelude::*};
use softbus_rpc::{Parcel, Parcelable, RemoteObject, remote_interface};

use crate::{round_trip, types::*};

fn chain_in_vectors(values: &[u8]) -> Tree<u8> {
    let leaf = |value: &u8| Tree {
        value: *value,
        children: Vec::new(),
    };
    Tree {
        value: 0,
        children: values.iter().map(leaf).collect(),
    }
}

#[test]
fn structs_round_trip() {
    round_trip(&Point { x: -1, y: 2 });
    round_trip(&Meters(1.5, Some("m".into())));
    round_trip(&Unit);
    round_trip(&Empty {});
    round_trip(&Block([1, 2, 3, 4, 5]));
}

#[test]
fn enums_round_trip() {
    let center = Point { x: 1, y: 2 };
    round_trip(&Shape::Nothing);
    round_trip(&Shape::Line(center.clone(), center.clone()));
    round_trip(&Shape::Circle {
        center,
        radius: 0.5,
    });
    for tagged in [Tagged::Ten, Tagged::MinusOne, Tagged::Two, Tagged::Most] {
        round_trip(&tagged);
    }
    round_trip(&Words::r#type {
        r#fn: 1,
        parcel: 2,
        value: 3,
    });
}

#[test]
fn generics_round_trip() {
    let pair = Pair {
        a: Some("a".to_owned()),
        b: vec![1u16, 2],
    };
    round_trip(&pair);
    round_trip(&Either::<u8, Pair<_, _>>::Right(pair));
    round_trip(&Either::<Unit, u8>::Left(Unit));
    round_trip(&Id::<RemoteObject> {
        id: 5,
        of: PhantomData,
    });
}

#[test]
fn types_in_themselves_round_trip() {
    round_trip(&Chain::new(1));
    round_trip(&Chain::new(9));
    round_trip(&chain_in_vectors(&[1, 2, 3]));
    let folder = Folder {
        name: "/".into(),
        entries: [("a".to_owned(), Entry::File { size: 1 })].into(),
    };
    round_trip(&Entry::Link(Box::new(Entry::Folder(folder))));
}

#[test]
fn they_go_into_everything() {
    let point = || Point { x: 1, y: 2 };
    round_trip(&vec![point(), point()]);
    round_trip(&vec![Unit, Unit, Unit]);
    round_trip(&[Shape::Nothing, Shape::Line(point(), point())]);
    round_trip(&Some(point()));
    round_trip(&None::<Point>);
    round_trip(&Err::<Point, Shape>(Shape::Nothing));
    round_trip(&HashMap::from([("a".to_owned(), vec![Chain::new(2)])]));
    let mut parcel = Parcel::new();
    parcel.write_parcelable(Some(&point())).unwrap();
    parcel.write_parcelable::<Point>(None).unwrap();
    assert_eq!(parcel.read_parcelable(), Ok(Some(point())));
    assert_eq!(parcel.read_parcelable::<Point>(), Ok(None));
}

#[test]
fn skipped_fields_are_the_default_at_the_receiver() {
    let mut parcel = Parcel::new();
    let sent = Cached {
        key: "kept here".into(),
        value: 3,
        borrowed: Some("too"),
    };
    parcel.write(&sent).unwrap();
    assert_eq!(parcel.data_size(), 4);
    let arrived = Cached {
        key: String::new(),
        value: 3,
        borrowed: None,
    };
    assert_eq!(parcel.read(), Ok(arrived));
}

#[remote_interface]
trait Bell {
    async fn ring(&self);
}

struct Silent;

impl Bell for Silent {
    async fn ring(&self) {}
}

/// Whose bell, and how it may be rung: names that the macro might use itself are free.
#[derive(Clone, Debug, PartialEq, Parcelable)]
struct Door<T> {
    bell: BellProxy,
    object: Option<RemoteObject>,
    field0: T,
    #[parcelable(skip)]
    waiting: Vec<std::sync::Arc<T>>,
}

#[test]
fn objects_ride_along() {
    let bell = BellStub::new(Silent).into_proxy();
    let door = Door {
        object: Some(bell.as_object().clone()),
        bell,
        field0: (),
        waiting: Vec::new(),
    };
    let mut parcel = Parcel::new();
    parcel.write(&[door.clone(), door.clone()]).unwrap();
    assert_eq!(parcel.read(), Ok([door.clone(), door]));
}

proptest! {
    #[test]
    fn any_value_round_trips(shapes in vec(shape(), 0..5), entry in entry(), text in any::<String>()) {
        round_trip(&shapes);
        round_trip(&Pair { a: text, b: shapes });
        round_trip(&entry);
    }
}
