//! A name is the whole definition: it differs exactly where definitions differ.

use std::{borrow::Cow, marker::PhantomData, panic};

use softbus_rpc::{
    Parcel, Parcelable,
    parcel::{Marshal, ReadParcelError, WriteParcelError},
};

use crate::types::*;

#[test]
fn a_name_is_the_definition() {
    assert_eq!(Point::type_name(), "Point{x: i32, y: i32}");
    assert_eq!(Meters::type_name(), "Meters(f64, Option<String>)");
    assert_eq!(Unit::type_name(), "Unit{}");
    assert_eq!(Empty::type_name(), "Empty{}");
    assert_eq!(Cached::type_name(), "Cached{value: u8}");
    assert_eq!(Nobody::type_name(), "Nobody[]");
    assert_eq!(
        Shape::type_name(),
        "Shape[0 Nothing, 1 Circle{center: Point{x: i32, y: i32}, radius: f32}, 2 Line(#1, #1)]"
    );
    assert_eq!(
        Words::type_name(),
        "Words[0 type{fn: u8, parcel: u8, value: u8}]"
    );
}

#[test]
fn variants_are_named_by_their_numbers() {
    assert_eq!(
        Tagged::type_name(),
        "Tagged[-1 MinusOne, 2 Two, 10 Ten, 2147483647 Most]"
    );
}

#[test]
fn type_arguments_are_seen_where_they_are_sent() {
    assert_eq!(
        Pair::<Unit, Option<u8>>::type_name(),
        "Pair{a: Unit{}, b: Vec<Option<u8>>}"
    );
    assert_eq!(
        Pair::<Pair<u8>, Pair<u8>>::type_name(),
        "Pair{a: Pair{a: u8, b: Vec<u8>}, b: Vec<#1>}"
    );
    assert_eq!(Block::<3>::type_name(), "Block([u8; 3])");
    assert_eq!(Id::<Files>::type_name(), "Id{id: u64}");
}

#[test]
fn the_name_of_a_type_in_itself_ends() {
    assert_eq!(Chain::type_name(), "Chain{value: u8, next: Option<#0>}");
    assert_eq!(
        Folder::type_name(),
        "Folder{name: String, entries: Map<String, Entry[0 File{size: u64}, 1 Folder(#0), 2 Link(#1)]>}"
    );
    assert_eq!(
        Entry::type_name(),
        "Entry[0 File{size: u64}, 1 Folder(Folder{name: String, entries: Map<String, #0>}), 2 Link(#0)]"
    );
    assert_eq!(
        Tree::<Tree<u8>>::type_name(),
        "Tree{value: Tree{value: u8, children: Vec<#1>}, children: Vec<#0>}"
    );
}

#[test]
fn a_name_is_the_same_each_time_and_in_every_place() {
    let chain = Chain::type_name();
    assert_eq!(Vec::<Chain>::type_name(), format!("Vec<{chain}>"));
    assert_eq!(<(Chain, Chain)>::type_name(), format!("({chain}, {chain})"));
    assert_eq!(Chain::type_name(), chain);
}

/// The same type after each kind of change.
#[test]
fn each_change_changes_the_name() {
    macro_rules! versions {
        ($($(#[$attr:meta])* { $($item:tt)* })*) => {
            vec![$({
                #[derive(Parcelable)]
                #[allow(dead_code, reason = "only its name is asked for")]
                $($item)*
                T::type_name()
            }),*]
        };
    }
    mod inner {
        use softbus_rpc::Parcelable;

        #[derive(Parcelable)]
        pub(super) struct P {
            x: i64,
        }
    }
    #[derive(Parcelable)]
    struct P {
        x: i32,
    }
    let mut names = versions! {
        { struct T { a: u8, b: P } }
        { struct T { a: u8, b: inner::P } }
        { struct T { b: P, a: u8 } }
        { struct T { a: u8, c: P } }
        { struct T { a: u16, b: P } }
        { struct T { a: u8 } }
        { struct T(u8, P); }
        { struct T; }
        { enum T { A, B } }
        { enum T { B, A } }
        { enum T { A, B, C } }
        { enum T { A, #[parcelable(tag = 2)] B } }
        { enum T { A(u8), B } }
        { enum T { A, B(u8) } }
        { enum T { A { a: u8 }, B } }
    };
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "{names:#?}");
    // And these change nothing that is sent.
    let same = versions! {
        { struct T { a: u8, b: u8 } }
        { struct T { a: u8, #[parcelable(skip)] c: PhantomData<u8>, b: u8 } }
    };
    assert!(same.iter().all(|name| *name == same[0]), "{same:?}");
    let same = versions! {
        { enum T { A, B } }
        { enum T { #[parcelable(tag = 1)] B, #[parcelable(tag = 0)] A } }
    };
    assert_eq!(same[0], same[1]);
}

/// Its name cannot be made.
#[derive(Debug)]
struct Nameless;

impl Marshal for Nameless {
    fn marshal(&self, _: &mut Parcel) -> Result<(), WriteParcelError> {
        Ok(())
    }
}

impl Parcelable for Nameless {
    fn unmarshal(_: &mut Parcel) -> Result<Self, ReadParcelError> {
        Ok(Self)
    }

    fn type_name() -> Cow<'static, str> {
        panic!("no name")
    }
}

#[test]
fn a_name_that_failed_leaves_nothing_behind() {
    assert!(panic::catch_unwind(Pair::<Chain, Nameless>::type_name).is_err());
    assert_eq!(Chain::type_name(), "Chain{value: u8, next: Option<#0>}");
}
