//! Descriptions, and replies that are read by them: values of types that only a stranger knows.

use bytes::Bytes;
use softbus_rpc::{
    Parcel,
    describe::Description,
    dynamic::{Type, Types, Value},
    fuzzing::received,
};

use super::{Input, parcel::arrived};

/// What may come from no bytes, and the most at all.
const EMPTY_VALUES: usize = 16 * 1024;
const MAX_VALUES: usize = 1024 * 1024;

/// Kind of description (the name of a type, or a whole one), its length, how many objects the reply has; the
/// description, and then the reply.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (whole, len, objects) = (input.bool(), input.u16(), input.below(5));
    let description = input.bytes(len.into());
    let Some(reply) = arrived(input.0, objects, 0) else {
        return;
    };
    let mut types = Types::default();
    for name in names(whole, description) {
        let of = types.parse(&name);
        let defined = types.definitions().len();
        assert!(defined <= description.len(), "a definition takes a byte");
        assert!(types.display(&of).to_string().len() <= 2 * name.len() + 2);
        read(&types, &of, reply.clone());
    }
}

/// The names of the types.
fn names(whole: bool, description: &[u8]) -> Vec<String> {
    if !whole {
        return vec![String::from_utf8_lossy(description).into_owned()];
    }
    let Ok(mut parcel) = received(Bytes::copy_from_slice(description), Vec::new(), None) else {
        return Vec::new();
    };
    let Ok(description) = parcel.read::<Description>() else {
        return Vec::new();
    };
    let methods = description.methods.into_iter();
    let names = methods.flat_map(|method| {
        let arguments = method.arguments.into_iter();
        arguments
            .map(|argument| argument.type_name)
            .chain([method.result])
    });
    names.collect()
}

/// A value or an error; a value is written, and is as small as what it was read from.
fn read(types: &Types, of: &Type, mut reply: Parcel) {
    let size = reply.data_size();
    let Ok(value) = types.read(of, &mut reply) else {
        assert_eq!(reply.read_position(), 0, "a failed read moves nothing");
        return;
    };
    let most = (EMPTY_VALUES + size).min(MAX_VALUES);
    // Booleans and small numbers are packed, each in a byte or two.
    assert!(
        count(&value) <= most + size,
        "more values than bytes for them"
    );
    let mut again = Parcel::new();
    again.raise_to_transport_limit();
    types
        .write(of, &value, &mut again)
        .expect("what was read can be written");
    while again.data_size() < size {
        again.write_u32(0).expect("there was room before");
    }
    assert!(types.read(of, &mut again).is_ok(), "and read again");
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Option(Some(value)) | Value::Result(Ok(value) | Err(value)) => count(value),
        Value::Variant(_, value) => count(value),
        Value::List(values) | Value::Tuple(values) => values.iter().map(count).sum(),
        Value::Map(values) => values.iter().map(|(key, of)| count(key) + count(of)).sum(),
        Value::Struct(fields) => fields.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}
