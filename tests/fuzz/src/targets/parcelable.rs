//! Derived types, read from bytes that nobody wrote as such.

use std::{collections::BTreeMap, time::Duration};

use softbus_rpc::{Parcel, Parcelable, RemoteObject};

use super::{Input, parcel::arrived};

#[derive(Parcelable)]
struct Point {
    x: i32,
    y: f64,
    #[expect(dead_code, reason = "it is there to be skipped")]
    #[parcelable(skip)]
    cached: Option<String>,
}

#[derive(Parcelable)]
struct Tuple(u8, Vec<u8>, Option<Duration>, [u16; 3]);

#[derive(Parcelable)]
struct Unit;

#[derive(Parcelable)]
enum Shape {
    Nothing,
    Circle {
        center: Point,
        radius: f32,
    },
    Lines(Vec<(Point, Point)>),
    #[parcelable(tag = -7)]
    Held(Option<RemoteObject>),
}

#[derive(Parcelable)]
struct Tree<T> {
    value: T,
    children: Vec<Self>,
}

#[derive(Parcelable)]
enum Entry {
    File { size: u64, tags: Vec<Unit> },
    Folder(BTreeMap<String, Self>),
    Link(Box<Self>),
}

/// Which type, how many objects, kind of raw data, and then the body.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (which, objects, raw) = (input.u8(), input.below(5), input.u8());
    let Some(mut parcel) = arrived(input.0, objects, raw) else {
        return;
    };
    match which % 10 {
        0 => check::<Point>(&mut parcel),
        1 => check::<Tuple>(&mut parcel),
        2 => check::<Vec<Unit>>(&mut parcel),
        3 => check::<Shape>(&mut parcel),
        4 => check::<Vec<Shape>>(&mut parcel),
        5 => check::<Tree<u8>>(&mut parcel),
        6 => check::<Tree<Vec<Tuple>>>(&mut parcel),
        7 => check::<Entry>(&mut parcel),
        8 => check::<Result<Option<Box<Entry>>, [Unit; 3]>>(&mut parcel),
        _ => check::<(Tree<Shape>, Entry)>(&mut parcel),
    }
}

/// A value or an error; a value is written as it is read.
fn check<T: Parcelable>(parcel: &mut Parcel) {
    let Ok(value) = parcel.read::<T>() else {
        assert_eq!(parcel.read_position(), 0, "a failed read moves nothing");
        return;
    };
    let mut first = write(&value);
    let again = first.read::<T>().expect("what was written can be read");
    assert_eq!(first.readable_bytes(), 0, "and nothing is left");
    let mut second = write(&again);
    assert_eq!(first.object_count(), second.object_count());
    assert_eq!(plain(&mut first), plain(&mut second));
}

fn write<T: Parcelable>(value: &T) -> Parcel {
    let mut parcel = Parcel::new();
    parcel.raise_to_transport_limit();
    parcel.write(value).expect("what was read can be written");
    parcel
}

/// The bytes, unless an object is among them.
fn plain(parcel: &mut Parcel) -> Option<Vec<u8>> {
    parcel.rewind_read(0).expect("there is a beginning");
    let bytes = parcel.read_buffer(parcel.data_size());
    bytes.ok().map(<[u8]>::to_vec)
}
