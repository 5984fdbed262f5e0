//! Row 42 and typed values.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    time::Duration,
};

use bytes::Bytes;
use softbus_rpc::{
    Parcel, RemoteObject,
    parcel::{MAX_DEPTH, MAX_PARCEL_LEN, Marshal, Parcelable, ReadParcelError, WriteParcelError},
};

fn round_trip<T: Parcelable + PartialEq + Debug>(value: T) {
    let mut parcel = Parcel::new();
    parcel.write(&value).unwrap();
    parcel.write_u32(0xabcd).unwrap();
    assert_eq!(parcel.read::<T>().unwrap(), value);
    assert_eq!(parcel.read_u32(), Ok(0xabcd));
}

#[test]
fn every_typed_value_round_trips() {
    round_trip(true);
    round_trip((i8::MIN, i16::MIN, i32::MIN, i64::MIN));
    round_trip((u8::MAX, u16::MAX, u32::MAX, u64::MAX));
    round_trip((f32::MIN, f64::MAX));
    round_trip('\u{10ffff}');
    round_trip("text".to_owned());
    round_trip(());
    round_trip(((),));
    round_trip((1u8, 2u8, 3u8, 4u8, 5u8, 6u8));
    round_trip(Some(Some("x".to_owned())));
    round_trip(Some(None::<String>));
    round_trip(Ok::<u8, String>(1));
    round_trip(Err::<u8, String>("no".to_owned()));
    round_trip(Box::new(5i64));
    round_trip([1u8, 2, 3, 4, 5]);
    round_trip(["a".to_owned(), "b".to_owned()]);
    round_trip([[1u16; 3]; 2]);
    round_trip([(); 3]);
    round_trip(Duration::new(u64::MAX, 999_999_999));
    round_trip(Bytes::from_static(b"bytes"));
    round_trip(HashMap::from([
        (1u8, "one".to_owned()),
        (2, "two".to_owned()),
    ]));
    round_trip(BTreeMap::from([
        ("one".to_owned(), vec![1u8]),
        ("two".to_owned(), vec![]),
    ]));
    round_trip(BTreeMap::from([((), ())]));
}

#[test]
fn every_typed_vector_round_trips() {
    round_trip(vec![true, false, true]);
    round_trip(vec![1u8, 2, 3]);
    round_trip(vec![-1i8]);
    round_trip(vec![i16::MIN, i16::MAX]);
    round_trip(vec![1u16, 2, 3]);
    round_trip(vec![1i32, 2, 3]);
    round_trip(vec![1u32, 2, 3]);
    round_trip(vec![1i64, 2, 3]);
    round_trip(vec![1u64, 2, 3]);
    round_trip(vec![1.5f32]);
    round_trip(vec![1.5f64]);
    round_trip(vec!['a', 'ü']);
    round_trip(vec!["a".to_owned(), String::new()]);
    round_trip(vec![vec![1u8], vec![]]);
    round_trip(vec![(1u8, None), (2, Some("b".to_owned()))]);
    round_trip(vec![(), (), ()]);
    round_trip(vec![[(); 2]; 3]);
    round_trip(vec![[1u8, 2, 3]; 3]);
    round_trip(Vec::<String>::new());
}

#[test]
fn references_are_written_like_what_they_refer_to() {
    let mut parcel = Parcel::new();
    parcel.write("text").unwrap();
    parcel.write(&["a", "b"][..]).unwrap();
    parcel.write(&Some("x")).unwrap();
    parcel.write(&(&1u8, &&2u8)).unwrap();
    parcel.write(&[1u8, 2][..]).unwrap();
    assert_eq!(parcel.read::<String>().unwrap(), "text");
    assert_eq!(parcel.read::<Vec<String>>().unwrap(), ["a", "b"]);
    assert_eq!(
        parcel.read::<Option<String>>().unwrap().as_deref(),
        Some("x")
    );
    assert_eq!(parcel.read::<(u8, u8)>().unwrap(), (1, 2));
    assert_eq!(parcel.read::<Bytes>().unwrap(), [1u8, 2][..]);
}

#[test]
fn type_names_are_canonical() {
    assert_eq!(bool::type_name(), "bool");
    assert_eq!(i32::type_name(), "i32");
    assert_eq!(<()>::type_name(), "()");
    assert_eq!(<(i8, char)>::type_name(), "(i8, char)");
    assert_eq!(Option::<u8>::type_name(), "Option<u8>");
    assert_eq!(Vec::<String>::type_name(), "Vec<String>");
    assert_eq!(<[Option<f32>; 4]>::type_name(), "[Option<f32>; 4]");
    assert_eq!(Result::<(), Vec<u8>>::type_name(), "Result<(), Vec<u8>>");
    assert_eq!(Box::<u64>::type_name(), "u64");
    assert_eq!(Duration::type_name(), "Duration");
    assert_eq!(RemoteObject::type_name(), "RemoteObject");
    assert_eq!(Bytes::type_name(), Vec::<u8>::type_name());
    assert_eq!(HashMap::<u8, bool>::type_name(), "Map<u8, bool>");
    assert_eq!(
        BTreeMap::<u8, bool>::type_name(),
        HashMap::<u8, bool>::type_name()
    );
}

// Row 42.
#[test]
fn parcelable_has_a_null_marker() {
    let mut parcel = Parcel::new();
    parcel.write_parcelable(Some(&7u64)).unwrap();
    parcel.write_parcelable::<u64>(None).unwrap();
    parcel.write_i32(2).unwrap();
    assert_eq!(parcel.data_size(), 12 + 4 + 4);
    assert_eq!(parcel.read_parcelable::<u64>(), Ok(Some(7)));
    assert_eq!(parcel.read_parcelable::<u64>(), Ok(None));
    assert_eq!(
        parcel.read_parcelable::<u64>(),
        Err(ReadParcelError::InvalidTag { value: 2 })
    );
    assert_eq!(parcel.read_i32(), Ok(2));
}

/// A type of an application that contains itself.
#[derive(Debug, Default, PartialEq)]
struct Node {
    name: String,
    next: Option<Box<Self>>,
}

impl Node {
    fn chain(len: usize) -> Self {
        (1..len).fold(Self::default(), |node, _| Self {
            name: "n".to_owned(),
            next: Some(Box::new(node)),
        })
    }
}

impl Marshal for Node {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        self.name.marshal(parcel)?;
        self.next.marshal(parcel)
    }
}

impl Parcelable for Node {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        Ok(Self {
            name: Parcelable::unmarshal(parcel)?,
            next: Parcelable::unmarshal(parcel)?,
        })
    }

    fn type_name() -> Cow<'static, str> {
        "Node".into()
    }
}

// Row 42.
#[test]
fn custom_types_and_vectors_of_them_round_trip() {
    round_trip(Node::chain(5));
    round_trip(vec![Node::chain(1), Node::chain(3)]);
    let mut parcel = Parcel::new();
    parcel.write_parcelable(Some(&Node::chain(2))).unwrap();
    parcel
        .write_parcelable_vec(&[Node::chain(1), Node::chain(2)])
        .unwrap();
    assert_eq!(parcel.read_parcelable().unwrap(), Some(Node::chain(2)));
    assert_eq!(
        parcel.read_parcelable_vec::<Node>().unwrap(),
        [Node::chain(1), Node::chain(2)]
    );
}

#[test]
fn depth_32_is_read_and_33_is_not() {
    round_trip(Node::chain(MAX_DEPTH + 1));
    let mut parcel = Parcel::new();
    let too_deep = WriteParcelError::TooDeep { limit: 32 };
    assert_eq!(parcel.write(&Node::chain(MAX_DEPTH + 2)), Err(too_deep));
    assert_eq!(parcel.data_size(), 0);
}

#[test]
fn forged_depth_does_not_exhaust_the_stack() {
    for depth in [MAX_DEPTH + 1, 100_000] {
        let mut parcel = Parcel::new();
        parcel.raise_to_transport_limit();
        // Each level: an empty name without its terminator's padding, and the mark that another follows.
        for _ in 0..depth.min(MAX_PARCEL_LEN / 12) {
            parcel.write_string("").unwrap();
            parcel.write_i32(1).unwrap();
        }
        let too_deep = ReadParcelError::TooDeep { limit: 32 };
        assert_eq!(parcel.read::<Node>(), Err(too_deep));
        assert_eq!(parcel.read_position(), 0);
        // The count of levels is as before: a shallow value can still be read.
        parcel.rewind_write(0).unwrap();
        parcel.write(&Node::chain(MAX_DEPTH + 1)).unwrap();
        assert!(parcel.read::<Node>().is_ok());
    }
}

/// Nests through a vector, and in the hand-written way.
#[derive(Debug)]
struct Tree(Vec<Self>);

impl Marshal for Tree {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        self.0.marshal(parcel)
    }
}

impl Parcelable for Tree {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        Vec::unmarshal(parcel).map(Self)
    }

    fn type_name() -> Cow<'static, str> {
        "Tree".into()
    }
}

#[test]
fn forged_depth_of_vectors_is_refused() {
    let mut parcel = Parcel::new();
    for _ in 0..30_000 {
        parcel.write_i32(1).unwrap();
    }
    assert_eq!(
        parcel.read::<Tree>().unwrap_err(),
        ReadParcelError::TooDeep { limit: 32 }
    );
    fn nested(parcel: &mut Parcel) -> Result<(), ReadParcelError> {
        parcel.read_nested(nested)
    }
    assert_eq!(
        nested(&mut parcel),
        Err(ReadParcelError::TooDeep { limit: 32 })
    );
}

#[test]
fn failed_typed_write_leaves_nothing_behind() {
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    let value = ("kept out".to_owned(), vec![0u64; 200_000]);
    assert!(matches!(
        parcel.write(&value),
        Err(WriteParcelError::CapacityExceeded { .. })
    ));
    assert_eq!(parcel.data_size(), 4);
}

#[test]
fn failed_typed_read_keeps_the_cursor() {
    let mut parcel = Parcel::new();
    parcel.write(&(1u8, 2u8, 7i32)).unwrap();
    assert_eq!(
        parcel.read::<(u8, u8, Option<u8>)>(),
        Err(ReadParcelError::InvalidTag { value: 7 })
    );
    assert!(parcel.read::<(u8, u8, i32, i32)>().is_err());
    assert!(parcel.read::<[u32; 4]>().is_err());
    assert_eq!(parcel.read::<(u8, u8, i32)>(), Ok((1, 2, 7)));
}

#[test]
fn forged_values_are_refused() {
    let mut parcel = Parcel::new();
    parcel.write(&(u64::MAX, 0xd800u32)).unwrap();
    parcel.rewind_read(8).unwrap();
    assert_eq!(
        parcel.read::<char>(),
        Err(ReadParcelError::InvalidChar { value: 0xd800 })
    );
    parcel.rewind_write(8).unwrap();
    parcel.write_u32(1_000_000_000).unwrap();
    parcel.rewind_read(0).unwrap();
    assert_eq!(
        parcel.read::<Duration>(),
        Err(ReadParcelError::InvalidValue("duration"))
    );
    parcel.rewind_read(8).unwrap();
    assert!(matches!(
        parcel.read::<Result<u8, u8>>(),
        Err(ReadParcelError::InvalidTag { .. })
    ));
}

#[test]
fn of_a_key_that_comes_twice_the_last_value_stays() {
    let mut parcel = Parcel::new();
    parcel.write(&vec![(1u8, 1u8), (1, 2)]).unwrap();
    assert_eq!(
        parcel.read::<HashMap<u8, u8>>().unwrap(),
        HashMap::from([(1, 2)])
    );
}

fn transport_limit() -> Parcel {
    let mut parcel = Parcel::new();
    parcel.raise_to_transport_limit();
    parcel
}

#[test]
fn bytes_of_every_size_are_legal() {
    for len in [
        0,
        1,
        500_000,
        600_000,
        MAX_PARCEL_LEN - 8,
        MAX_PARCEL_LEN,
        5_000_000,
    ] {
        let mut parcel = transport_limit();
        parcel
            .write(&(Bytes::from(vec![1; len]), "behind"))
            .unwrap();
        let (bytes, behind) = parcel.read::<(Vec<u8>, String)>().unwrap();
        assert_eq!((bytes, behind.as_str()), (vec![1; len], "behind"));

        let mut parcel = transport_limit();
        parcel.write(&(vec![2u8; len], "behind")).unwrap();
        let (bytes, behind) = parcel.read::<(Bytes, String)>().unwrap();
        assert_eq!((bytes.len(), behind.as_str()), (len, "behind"));
    }
}

#[test]
fn large_bytes_are_handed_over_without_a_copy() {
    let bytes = Bytes::from(vec![1; 2_000_000]);
    let mut parcel = transport_limit();
    parcel.write(&bytes).unwrap();
    assert_eq!(parcel.data_size(), 8);
    assert_eq!(parcel.read::<Bytes>().unwrap().as_ptr(), bytes.as_ptr());
}

#[test]
fn second_large_bytes_stay_in_the_parcel_while_they_fit() {
    let bytes = Bytes::from(vec![1; 600_000]);
    let mut parcel = transport_limit();
    parcel.write(&(bytes.clone(), bytes.clone())).unwrap();
    assert_eq!(
        parcel.read::<(Bytes, Bytes)>().unwrap(),
        (bytes.clone(), bytes.clone())
    );
    assert_eq!(parcel.write(&bytes), Err(WriteParcelError::SecondRawData));
}

#[test]
fn bytes_fill_the_capacity_exactly() {
    for len in [0, 1, 100, 32 * 1024] {
        let bytes = Bytes::from(vec![1; len]);
        let mut parcel = Parcel::new();
        let free = 4 + len.next_multiple_of(4);
        parcel
            .write_buffer(&vec![0; parcel.capacity() - free + 4])
            .unwrap();
        assert!(matches!(
            parcel.write(&bytes),
            Err(WriteParcelError::CapacityExceeded { .. })
        ));
        assert!(matches!(
            parcel.write(&bytes[..]),
            Err(WriteParcelError::CapacityExceeded { .. })
        ));
        parcel.rewind_write(parcel.capacity() - free).unwrap();
        parcel.write(&bytes).unwrap();
        assert_eq!(parcel.writable_bytes(), 0);
    }
}

#[test]
fn bytes_that_do_not_fit_a_small_capacity_become_raw_data() {
    let bytes = vec![1u8; 300_000];
    let mut parcel = Parcel::new();
    parcel.write(&bytes).unwrap();
    assert_eq!(parcel.data_size(), 8);
    assert_eq!(parcel.read::<Vec<u8>>().unwrap(), bytes);
}
