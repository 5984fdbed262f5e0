//! Random scripts of writes and reads.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};
use softbus_rpc::Parcel;

use crate::bytes;

/// One item of a parcel.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    F32(u32),
    F64(u64),
    Text(String),
    Text16(String),
    CText(String),
    Null,
    Buffer(Vec<u8>),
    Bytes(Vec<u8>),
    Bools(Vec<bool>),
    Shorts(Vec<i16>),
    Longs(Vec<u64>),
    Texts(Vec<String>),
    Raw(Vec<u8>),
    Token(String),
    Exception(i32, String),
    Map(HashMap<u16, Option<String>>),
}

fn item() -> impl Strategy<Value = Item> {
    use Item::*;
    let text = || ".{0,20}";
    prop_oneof![
        any::<bool>().prop_map(Bool),
        any::<i8>().prop_map(I8),
        any::<i16>().prop_map(I16),
        any::<i32>().prop_map(I32),
        any::<i64>().prop_map(I64),
        any::<u8>().prop_map(U8),
        any::<u16>().prop_map(U16),
        any::<u32>().prop_map(U32),
        any::<u64>().prop_map(U64),
        any::<u32>().prop_map(F32),
        any::<u64>().prop_map(F64),
        any::<String>().prop_map(Text),
        any::<String>().prop_map(Text16),
        text().prop_map(|text: String| CText(text.replace('\0', ""))),
        Just(Null),
        vec(any::<u8>(), 0..20).prop_map(Buffer),
        vec(any::<u8>(), 0..20).prop_map(Bytes),
        vec(any::<bool>(), 0..20).prop_map(Bools),
        vec(any::<i16>(), 0..20).prop_map(Shorts),
        vec(any::<u64>(), 0..20).prop_map(Longs),
        vec(text(), 0..5).prop_map(Texts),
        vec(any::<u8>(), 1..100).prop_map(Raw),
        ".{1,20}".prop_map(Token),
        (any::<i32>(), text()).prop_map(|(code, message)| Exception(code, message)),
        proptest::collection::hash_map(any::<u16>(), proptest::option::of(text()), 0..5)
            .prop_map(Map),
    ]
}

fn write(parcel: &mut Parcel, item: &Item) {
    match item {
        Item::Bool(value) => parcel.write_bool(*value),
        Item::I8(value) => parcel.write_i8(*value),
        Item::I16(value) => parcel.write_i16(*value),
        Item::I32(value) => parcel.write_i32(*value),
        Item::I64(value) => parcel.write_i64(*value),
        Item::U8(value) => parcel.write_u8(*value),
        Item::U16(value) => parcel.write_u16(*value),
        Item::U32(value) => parcel.write_u32(*value),
        Item::U64(value) => parcel.write_u64(*value),
        Item::F32(bits) => parcel.write_f32(f32::from_bits(*bits)),
        Item::F64(bits) => parcel.write_f64(f64::from_bits(*bits)),
        Item::Text(value) => parcel.write_string(value),
        Item::Text16(value) => parcel.write_string16(value),
        Item::CText(value) => parcel.write_c_string(value),
        Item::Null => parcel.write_null_string(),
        Item::Buffer(value) => parcel.write_buffer(value),
        Item::Bytes(value) => parcel.write_u8_vec(value),
        Item::Bools(value) => parcel.write_bool_vec(value),
        Item::Shorts(value) => parcel.write_i16_vec(value),
        Item::Longs(value) => parcel.write_u64_vec(value),
        Item::Texts(value) => parcel.write_string_vec(value),
        Item::Raw(value) => parcel.write_raw_data(value.clone()),
        Item::Token(value) => parcel.write_interface_token(value),
        Item::Exception(0, _) => parcel.write_no_exception(),
        Item::Exception(code, message) => parcel.write_exception(*code, message),
        Item::Map(value) => parcel.write(value),
    }
    .unwrap();
}

/// Reads what `like` is, whatever stands there.
fn read(parcel: &mut Parcel, like: &Item) -> Option<Item> {
    Some(match like {
        Item::Bool(_) => Item::Bool(parcel.read_bool().ok()?),
        Item::I8(_) => Item::I8(parcel.read_i8().ok()?),
        Item::I16(_) => Item::I16(parcel.read_i16().ok()?),
        Item::I32(_) => Item::I32(parcel.read_i32().ok()?),
        Item::I64(_) => Item::I64(parcel.read_i64().ok()?),
        Item::U8(_) => Item::U8(parcel.read_u8().ok()?),
        Item::U16(_) => Item::U16(parcel.read_u16().ok()?),
        Item::U32(_) => Item::U32(parcel.read_u32().ok()?),
        Item::U64(_) => Item::U64(parcel.read_u64().ok()?),
        Item::F32(_) => Item::F32(parcel.read_f32().ok()?.to_bits()),
        Item::F64(_) => Item::F64(parcel.read_f64().ok()?.to_bits()),
        Item::Text(_) => Item::Text(parcel.read_string().ok()?),
        Item::Text16(_) => Item::Text16(parcel.read_string16().ok()?),
        Item::CText(_) => Item::CText(parcel.read_c_string().ok()?.to_owned()),
        Item::Null => {
            parcel.read_nullable_string().ok()?;
            Item::Null
        }
        Item::Buffer(value) => Item::Buffer(parcel.read_buffer(value.len()).ok()?.to_vec()),
        Item::Bytes(_) => Item::Bytes(parcel.read_u8_vec().ok()?),
        Item::Bools(_) => Item::Bools(parcel.read_bool_vec().ok()?),
        Item::Shorts(_) => Item::Shorts(parcel.read_i16_vec().ok()?),
        Item::Longs(_) => Item::Longs(parcel.read_u64_vec().ok()?),
        Item::Texts(_) => Item::Texts(parcel.read_string_vec().ok()?),
        Item::Raw(value) => Item::Raw(parcel.read_raw_data(value.len()).ok()?.to_vec()),
        Item::Token(_) => Item::Token(parcel.read_interface_token().ok()?),
        Item::Exception(_, message) => match parcel.read_exception().ok()? {
            Ok(()) => Item::Exception(0, message.clone()),
            Err(exception) => Item::Exception(exception.code, exception.message),
        },
        Item::Map(_) => Item::Map(parcel.read().ok()?),
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(items in vec(item(), 0..30)) {
        let mut parcel = Parcel::new();
        for item in &items {
            write(&mut parcel, item);
            prop_assert_eq!(parcel.data_size() % 4, 0);
        }
        for item in &items {
            let found = read(&mut parcel, item);
            prop_assert_eq!(found.as_ref(), Some(item));
        }
        prop_assert_eq!(parcel.readable_bytes(), 0);
    }

    #[test]
    fn appended_parcels_read_like_one(first in vec(item(), 0..10), second in vec(item(), 0..10)) {
        let (mut parcel, mut tail, mut whole) = (Parcel::new(), Parcel::new(), Parcel::new());
        for item in &first {
            write(&mut parcel, item);
            write(&mut whole, item);
        }
        for item in &second {
            write(&mut tail, item);
            write(&mut whole, item);
        }
        parcel.append(&tail).unwrap();
        prop_assert_eq!(bytes(&mut parcel), bytes(&mut whole));
    }

    #[test]
    fn failed_reads_keep_the_cursor(
        words in vec(any::<u32>().prop_map(|word| if word & 1 == 0 { word >> 28 } else { word }), 0..64),
        reads in vec(item(), 0..64),
    ) {
        let mut parcel = Parcel::new();
        for word in words {
            parcel.write_u32(word).unwrap();
        }
        for like in &reads {
            let position = parcel.read_position();
            match read(&mut parcel, like) {
                Some(_) => prop_assert!(parcel.read_position() >= position),
                None => prop_assert_eq!(parcel.read_position(), position),
            }
            prop_assert!(parcel.read_position() <= parcel.data_size());
        }
    }

    #[test]
    fn a_write_fits_or_changes_nothing(free in 0..8usize, item in item()) {
        let mut parcel = Parcel::new();
        parcel.write_buffer(&vec![0; parcel.capacity() - free * 4]).unwrap();
        let before = parcel.data_size();
        let fits = {
            let mut alone = Parcel::new();
            write(&mut alone, &item);
            alone.data_size() <= free * 4
        };
        let mut tail = Parcel::new();
        write(&mut tail, &item);
        prop_assert_eq!(parcel.append(&tail).is_ok(), fits);
        prop_assert_eq!(parcel.data_size(), if fits { before + tail.data_size() } else { before });
    }
}
