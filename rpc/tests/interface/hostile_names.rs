//! Names of types and values as a peer may send them: whatever they are, nothing panics and nothing grows without bounds.

use proptest::prelude::*;
use softbus_rpc::{
    Parcel,
    dynamic::{Type, Types},
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
