//! Names of types and values as a peer may send them: whatever they are, nothing panics and nothing grows without bounds.

use std::sync::Arc;

use proptest::prelude::*;
use softbus_rpc::{
    Parcel,
    dynamic::{Type, Types, Value},
    parcel::ReadParcelError,
};

/// What names are made of, so that many are right, or almost.
const PIECES: [&str; 28] = [
    "u8",
    "i32",
    "u64",
    "bool",
    "char",
    "String",
    "f64",
    "()",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    ", ",
    "; ",
    ": ",
    "Vec<",
    "Option<",
    "Map<",
    "Result<",
    "Stream<",
    "#0",
    "A{",
    "a: ",
    "\u{e9}7 -1",
];

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)
        .prop_map(|pieces| pieces.concat())
}

/// Names that are right, some of types that contain themselves.
fn right_name() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "u8", "i32", "bool", "char", "String", "f32", "()", "Duration",
    ]);
    let leaf = leaf.prop_map(str::to_owned);
    leaf.prop_recursive(6, 40, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|of| format!("Vec<{of}>")),
            inner.clone().prop_map(|of| format!("Option<{of}>")),
            inner.prop_map(|of| format!("[{of}; 1048576]")),
            two.clone().prop_map(|(a, b)| format!("Result<{a}, {b}>")),
            two.clone().prop_map(|(a, b)| format!("Map<{a}, {b}>")),
            two.clone().prop_map(|(a, b)| format!("({a}, {b})")),
            two.prop_map(|(a, b)| format!("E[0 X({a}), 1 Y{{b: {b}}}]")),
            Just("L{next: Option<#0>}".to_owned()),
            Just("L{all: Vec<#0>, me: #0}".to_owned()),
        ]
    })
}

/// Understands a name and reads a value of it from `numbers`. A value that is read is written as it was.
fn understand(name: &str, numbers: &[u32]) {
    let mut types = Types::default();
    let of = types.parse(name);
    assert!(
        types.definitions().len() <= name.len(),
        "a definition takes at least a byte"
    );
    assert!(types.display(&of).to_string().len() <= 2 * name.len() + 2);
    let mut parcel = Parcel::new();
    for number in numbers {
        parcel.write_u32(*number).unwrap();
    }
    let Ok(value) = types.read(&of, &mut parcel) else {
        assert_eq!(parcel.read_position(), Parcel::new().read_position());
        return;
    };
    let mut again = Parcel::new();
    again.raise_to_transport_limit();
    if types.write(&of, &value, &mut again).is_ok() {
        types.read(&of, &mut again).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_name_is_a_type(name in name(), numbers in prop::collection::vec(0..4_u32, 0..40)) {
        understand(&name, &numbers);
    }

    #[test]
    fn any_bytes_are_a_value_or_none(
        name in right_name(),
        small in prop::collection::vec(0..4_u32, 0..40),
        numbers in prop::collection::vec(any::<u32>(), 0..10),
    ) {
        let numbers = [small, numbers].concat();
        prop_assert!(!matches!(Types::default().parse(&name), Type::Opaque(_)), "{}", name);
        understand(&name, &numbers);
    }
}

#[test]
fn depth_has_a_bound() {
    for piece in ["Vec<", "(", "[", "A{a: ", "A[0 B("] {
        let name = piece.repeat(200_000);
        assert_eq!(Types::default().parse(&name), Type::Opaque(name));
    }
    // A list of itself, as deep as there are bytes.
    understand("L{next: Option<#0>}", &[1; 10_000]);
    understand("L{me: #0}", &[]);
}

/// A reply of `numbers`, as a value of the type with this name.
fn read(name: &str, numbers: impl IntoIterator<Item = u32>) -> Result<Value, ReadParcelError> {
    let mut types = Types::default();
    let of = types.parse(name);
    let mut parcel = Parcel::new();
    parcel.raise_to_transport_limit();
    for number in numbers {
        parcel.write_u32(number).unwrap();
    }
    types.read(&of, &mut parcel)
}

#[test]
fn names_are_short_and_shared_by_all_values() {
    let name = "x".repeat(256);
    for wrap in [
        |name| format!("Vec<A{{{name}: ()}}>"),
        |name| format!("Vec<A[0 {name}]>"),
        |name| format!("Vec<{name}(u8)>"),
    ] {
        let right: String = wrap(name.clone());
        assert!(matches!(Types::default().parse(&right), Type::Vec(_)));
        let long = wrap(format!("{name}x"));
        assert_eq!(Types::default().parse(&long), Type::Opaque(long));
    }
    let Value::List(fields) = read(&format!("Vec<A{{{name}: ()}}>"), [2, 0, 0]).unwrap() else {
        panic!("a list");
    };
    let [Value::Struct(one), Value::Struct(other)] = &fields[..] else {
        panic!("two structs");
    };
    assert!(Arc::ptr_eq(&one[0].0, &other[0].0));
    let Value::List(variants) = read(&format!("Vec<A[0 {name}]>"), [2, 0, 0]).unwrap() else {
        panic!("a list");
    };
    let [Value::Variant(one, _), Value::Variant(other, _)] = &variants[..] else {
        panic!("two variants");
    };
    assert!(Arc::ptr_eq(one, other));
}

#[test]
fn values_are_few_where_the_bytes_are() {
    let too_many = Err(ReadParcelError::InvalidValue("too many values"));
    // From no bytes at all.
    assert!(read("[(); 16383]", []).is_ok());
    assert_eq!(read("[(); 16384]", []), too_many);
    assert_eq!(read("[A{x: ()}; 1048576]", []), too_many);
    // Each element takes four bytes, and is 101 values.
    let fields: Vec<_> = (0..100).map(|field| format!("f{field}: ()")).collect();
    let name = format!("Vec<A{{{}}}>", fields.join(", "));
    let elements = |count: u32| std::iter::once(count).chain((0..count).map(|_| 0));
    assert!(read(&name, elements(100)).is_ok());
    assert_eq!(read(&name, elements(10_000)), too_many);
    // What has bytes has enough of them for what it is wrapped in.
    assert!(read("Vec<A(B(C{c: i32}))>", elements(200_000)).is_ok());
}

#[test]
fn members_have_a_bound() {
    let list = |count: usize, piece: fn(usize) -> String| {
        let pieces: Vec<_> = (0..count).map(piece).collect();
        pieces.join(", ")
    };
    let parse = |name: &str| matches!(Types::default().parse(name), Type::Opaque(_));
    for (count, opaque) in [(4096, false), (4097, true)] {
        let variants = list(count, |tag| format!("{tag} V{tag}"));
        assert_eq!(parse(&format!("A[{variants}]")), opaque);
        let fields = list(count, |field| format!("f{field}: u8"));
        assert_eq!(parse(&format!("A{{{fields}}}")), opaque);
        assert_eq!(
            parse(&format!("({})", list(count, |_| "u8".into()))),
            opaque
        );
    }
}

#[test]
fn variants_are_told_apart() {
    for name in ["A[0 X, 1 X(u8)]", "A[0 X, 0 Y(u8)]"] {
        assert_eq!(Types::default().parse(name), Type::Opaque(name.to_owned()));
    }
}
