//! A type of each kind.

use std::{collections::BTreeMap, marker::PhantomData};

use proptest::{collection::vec, prelude::*};
use softbus_rpc::Parcelable;

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Point {
    pub(crate) x: i32,
    pub(crate) y: i32,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Meters(pub(crate) f64, pub(crate) Option<String>);

#[derive(Clone, Debug, Default, PartialEq, Parcelable)]
pub(crate) struct Unit;

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Empty {}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) enum Shape {
    Nothing,
    Circle { center: Point, radius: f32 },
    Line(Point, Point),
}

#[derive(Clone, Copy, Debug, PartialEq, Parcelable)]
pub(crate) enum Tagged {
    #[parcelable(tag = 10)]
    Ten,
    #[parcelable(tag = -1)]
    MinusOne,
    /// Its place.
    Two,
    #[parcelable(tag = 0x7fff_ffff)]
    Most = 3,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Pair<A, B = u8> {
    pub(crate) a: A,
    pub(crate) b: Vec<B>,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) enum Either<L, R> {
    Left(L),
    Right(R),
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Block<const N: usize>(pub(crate) [u8; N]);

/// `T` is not sent: it need not be parcelable.
#[derive(Debug, PartialEq, Parcelable)]
pub(crate) struct Id<T> {
    pub(crate) id: u64,
    #[parcelable(skip)]
    pub(crate) of: PhantomData<T>,
}

pub(crate) trait Store {
    type Key;
}

#[derive(Debug, PartialEq)]
pub(crate) struct Files;

impl Store for Files {
    type Key = String;
}

/// The bound on what a parameter leads to is the user's.
#[derive(Debug, PartialEq, Parcelable)]
pub(crate) struct Keys<S: Store>
where
    S: Parcelable,
    S::Key: Parcelable,
{
    pub(crate) keys: Vec<S::Key>,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Tree<T> {
    pub(crate) value: T,
    pub(crate) children: Vec<Self>,
}

/// A list.
#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Chain {
    pub(crate) value: u8,
    pub(crate) next: Option<Box<Self>>,
}

impl Chain {
    pub(crate) fn new(length: usize) -> Self {
        let next = (length > 1).then(|| Box::new(Self::new(length - 1)));
        Self { value: 7, next }
    }
}

/// Each contains the other.
#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Folder {
    pub(crate) name: String,
    pub(crate) entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) enum Entry {
    File { size: u64 },
    Folder(Folder),
    Link(Box<Self>),
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) struct Cached {
    #[parcelable(skip)]
    pub(crate) key: String,
    pub(crate) value: u8,
    #[parcelable(skip)]
    pub(crate) borrowed: Option<&'static str>,
}

/// Names that the language has taken.
#[derive(Clone, Debug, PartialEq, Parcelable)]
#[expect(non_camel_case_types, reason = "it is the point")]
pub(crate) enum r#Words {
    r#type { r#fn: u8, parcel: u8, value: u8 },
}

/// There is no value of it.
#[derive(Clone, Debug, PartialEq, Parcelable)]
pub(crate) enum Nobody {}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    let point = || (any::<i32>(), any::<i32>()).prop_map(|(x, y)| Point { x, y });
    prop_oneof![
        Just(Shape::Nothing),
        (point(), -1e6f32..1e6).prop_map(|(center, radius)| Shape::Circle { center, radius }),
        (point(), point()).prop_map(|(a, b)| Shape::Line(a, b)),
    ]
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let file = any::<u64>().prop_map(|size| Entry::File { size });
    file.prop_recursive(4, 32, 4, |entry| {
        let named = vec((".{0,8}", entry.clone()), 0..4);
        let folder = (".{0,8}", named).prop_map(|(name, entries)| {
            let entries = entries.into_iter().collect();
            Entry::Folder(Folder { name, entries })
        });
        prop_oneof![folder, entry.prop_map(|to| Entry::Link(Box::new(to)))]
    })
}
