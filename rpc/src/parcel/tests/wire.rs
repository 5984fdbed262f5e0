//! Rows 40 and 51, and what a peer may send.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::{body, object, received};
use crate::{
    RemoteObject,
    parcel::{
        BrokenObject, MAX_PARCEL_LEN, MalformedParcel, Parcel, ReadParcelError, WriteParcelError,
    },
};

// Row 40.
#[test]
fn received_parcel_cannot_be_written() {
    let mut parcel = Parcel::new();
    parcel.write_i64(1).unwrap();
    let mut parcel = received(&parcel).unwrap();
    let read_only = Err(WriteParcelError::ReadOnly);
    assert!(parcel.is_read_only());
    assert_eq!(parcel.write_bool(true), read_only);
    assert_eq!(parcel.write_u64(1), read_only);
    assert_eq!(parcel.write_string(""), read_only);
    assert_eq!(parcel.write_buffer(&[]), read_only);
    assert_eq!(parcel.write_i32_vec(&[]), read_only);
    assert_eq!(parcel.write_string_vec(&[""]), read_only);
    assert_eq!(parcel.write_raw_data(vec![1; 100_000]), read_only);
    assert_eq!(parcel.write_remote_object(&object()), read_only);
    assert_eq!(parcel.write_interface_token("I"), read_only);
    assert_eq!(parcel.write(&(1u8, 2u8)), read_only);
    assert_eq!(parcel.append(&Parcel::new()), read_only);
    assert_eq!(parcel.rewind_write(0), read_only);
    assert_eq!(parcel.raise_capacity(MAX_PARCEL_LEN), read_only);
    parcel.raise_to_transport_limit();
    assert_eq!(parcel.write_i32(1), read_only);
    assert_eq!(
        (
            parcel.capacity(),
            parcel.writable_bytes(),
            parcel.data_size()
        ),
        (8, 0, 8)
    );
    assert_eq!(parcel.read_i64(), Ok(1));
}

// Row 51.
#[test]
fn parcel_can_be_sent_again_and_written_on() {
    let mut parcel = Parcel::new();
    parcel.write_string("again").unwrap();
    parcel.write_remote_object(&object()).unwrap();
    parcel.write_raw_data(vec![1; 40_000]).unwrap();
    let first = body(&parcel);
    assert_eq!(body(&parcel), first);
    assert_eq!(parcel.wire_parts().raw.map(Bytes::len), Some(40_000));
    parcel.write_i32(3).unwrap();

    let mut parcel = received(&parcel).unwrap();
    assert_eq!(parcel.read_string().unwrap(), "again");
    parcel.read_remote_object().unwrap();
    assert_eq!(parcel.read_raw_data(40_000).unwrap().len(), 40_000);
    assert_eq!(parcel.read_i32(), Ok(3));
}

#[test]
fn raw_data_stands_in_one_place() {
    let raw = Bytes::from(vec![1; 100_000]);
    // A vector of blocks, each of which says that it is the raw data.
    let mut parcel = Parcel::new();
    parcel.write_i32(3).unwrap();
    for _ in 0..3 {
        parcel.write(&(-2i32, 100_000i32)).unwrap();
    }
    let mut parcel = Parcel::from_wire(body(&parcel), Vec::new(), Some(raw.clone())).unwrap();
    assert_eq!(
        parcel.read::<Vec<Vec<u8>>>(),
        Err(ReadParcelError::RawDataMissing)
    );
    assert_eq!(
        parcel.read::<Vec<Bytes>>(),
        Err(ReadParcelError::RawDataMissing)
    );
    // In its place it can be read again, also where the parcel has been passed on.
    parcel.read_i32().unwrap();
    let mut whole = Parcel::new();
    whole.write_u64(0).unwrap();
    whole.append(&parcel).unwrap();
    whole.rewind_read(12).unwrap();
    for parcel in [&mut parcel, &mut whole] {
        let start = parcel.read_position();
        for _ in 0..2 {
            parcel.rewind_read(start).unwrap();
            assert_eq!(parcel.read::<Bytes>().as_ref(), Ok(&raw));
        }
        assert_eq!(parcel.read::<Bytes>(), Err(ReadParcelError::RawDataMissing));
    }
}

#[test]
fn received_bytes_are_not_copied() {
    let mut parcel = Parcel::new();
    parcel.write(&Bytes::from_static(b"typed")).unwrap();
    parcel.write_raw_data(&b"raw"[..]).unwrap();
    let body = body(&parcel);
    let mut parcel = Parcel::from_wire(body.clone(), Vec::new(), None).unwrap();
    assert_eq!(parcel.read::<Bytes>().unwrap().as_ptr(), body[4..].as_ptr());
    assert_eq!(
        parcel.read_raw_data(3).unwrap().as_ptr(),
        body[16..].as_ptr()
    );
}

#[test]
fn nothing_is_allocated_to_send_no_objects() {
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    assert_eq!(parcel.wire_parts().offsets.capacity(), 0);
    let parcel = received(&parcel).unwrap();
    assert!(parcel.carried.is_nothing());
}

#[test]
fn empty_body_is_an_empty_parcel() {
    let mut parcel = Parcel::from_wire(Bytes::new(), Vec::new(), None).unwrap();
    assert_eq!(parcel.data_size(), 0);
    assert_eq!(
        parcel.read_i32(),
        Err(ReadParcelError::Truncated { wanted: 4, left: 0 })
    );
}

fn refusal(body: &[u8], objects: usize) -> MalformedParcel {
    let objects = vec![Err(BrokenObject::Null); objects];
    Parcel::from_wire(Bytes::copy_from_slice(body), objects, None).unwrap_err()
}

#[test]
fn malformed_table_of_objects_is_refused() {
    let slot = |index: u8| [b'T', b'L', b'O', b'S', index, 0, 0, 0];
    let good = [&[0; 4][..], &slot(0), &slot(1), &[4, 0, 0, 0, 12, 0, 0, 0]].concat();
    Parcel::from_wire(
        Bytes::from(good.clone()),
        vec![Err(BrokenObject::Null); 2],
        None,
    )
    .unwrap();

    let offset = MalformedParcel("offset of an object");
    let content = MalformedParcel("slot of an object");
    let table = |first: u8, second: u8| {
        let mut bytes = good.clone();
        (bytes[20], bytes[24]) = (first, second);
        bytes
    };
    assert_eq!(
        refusal(&table(12, 4), 2),
        content,
        "descending, and the wrong index"
    );
    assert_eq!(refusal(&table(4, 4), 2), offset, "twice the same");
    assert_eq!(refusal(&table(4, 8), 2), offset, "overlapping");
    assert_eq!(refusal(&table(4, 13), 2), offset, "unaligned");
    assert_eq!(refusal(&table(4, 16), 2), content, "half behind the data");
    assert_eq!(refusal(&table(4, 255), 2), offset);
    assert_eq!(refusal(&table(4, 252), 2), content, "behind the data");
    assert_eq!(refusal(&table(0, 12), 2), content, "no marker");

    let mut bytes = good.clone();
    bytes[27] = 0x80;
    assert_eq!(refusal(&bytes, 2), content, "far behind the data");
    let mut bytes = good.clone();
    bytes[8] = 1;
    assert_eq!(refusal(&bytes, 2), content, "wrong index");
    assert_eq!(refusal(&good, 1), content, "too few objects");
    assert_eq!(
        refusal(&good, 8),
        MalformedParcel("table of objects cut off")
    );
    assert_eq!(refusal(&good, 65), MalformedParcel("too many objects"));
}

#[test]
fn malformed_body_is_refused() {
    assert_eq!(refusal(&[0; 5], 0), MalformedParcel("data not padded"));
    assert_eq!(
        refusal(&vec![0; MAX_PARCEL_LEN + 4], 0),
        MalformedParcel("body too long")
    );
    for size in [0, 32 * 1024, 128 * 1024 * 1024 + 1] {
        let raw = Bytes::from(vec![0; size]);
        let error = Parcel::from_wire(Bytes::new(), Vec::new(), Some(raw)).unwrap_err();
        assert_eq!(error, MalformedParcel("size of raw data"));
    }
}

/// Every kind of read there is.
const READS: &[fn(&mut Parcel) -> bool] = &[
    |p| p.read_bool().is_ok(),
    |p| p.read_i8().is_ok(),
    |p| p.read_u16().is_ok(),
    |p| p.read_u32().is_ok(),
    |p| p.read_f64().is_ok(),
    |p| p.read_string().is_ok(),
    |p| p.read_str().is_ok(),
    |p| p.read_string16().is_ok(),
    |p| p.read_c_string().is_ok(),
    |p| p.read_nullable_string().is_ok(),
    |p| p.read_nullable_string16().is_ok(),
    |p| p.read_buffer(7).is_ok(),
    |p| p.read_bool_vec().is_ok(),
    |p| p.read_i16_vec().is_ok(),
    |p| p.read_u64_vec().is_ok(),
    |p| p.read_string_vec().is_ok(),
    |p| p.read_string16_vec().is_ok(),
    |p| p.read_exception().is_ok(),
    |p| p.read_interface_token().is_ok(),
    |p| p.read_raw_data(8).is_ok(),
    |p| p.read_parcelable_vec::<String>().is_ok(),
    |p| p.read::<(char, Option<Bytes>)>().is_ok(),
    |p| p.read::<Vec<Vec<Result<(), [u8; 3]>>>>().is_ok(),
    |p| p.read::<std::collections::HashMap<u8, ()>>().is_ok(),
    |p| p.read::<Vec<RemoteObject>>().is_ok(),
];

proptest! {
    #[test]
    fn random_bytes_and_reads_never_panic(
        // Small numbers are likely lengths and counts; the marker makes slots.
        words in vec(prop_oneof![0..9u32, Just(0x534f_4c54), any::<u32>()], 0..40),
        tail in 0..4usize,
        objects in 0..3usize,
        reads in vec((0..READS.len() + 2, 0..200usize), 0..40),
    ) {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        if objects == 0 {
            bytes.extend(vec![0; tail]);
        }
        let Ok(mut parcel) = Parcel::from_wire(bytes.into(), vec![Err(BrokenObject::Null); objects], None) else {
            return Ok(());
        };
        read_at_random(&mut parcel, &reads)?;
    }

    #[test]
    fn random_reads_of_honest_parcels_never_panic(
        words in vec(0..9u32, 0..10),
        objects in 0..5usize,
        reads in vec((0..READS.len() + 2, 0..200usize), 0..40),
    ) {
        let mut parcel = Parcel::new();
        for _ in 0..objects {
            for &word in &words {
                parcel.write_u32(word).unwrap();
            }
            parcel.write_remote_object(&object()).unwrap();
        }
        read_at_random(&mut received(&parcel).unwrap(), &reads)?;
    }

    #[test]
    fn what_is_sent_is_received(items in vec((any::<u64>(), any::<bool>()), 0..60), raw: bool) {
        let mut parcel = Parcel::new();
        let sent = object();
        for &(word, is_object) in &items {
            if is_object {
                parcel.write_remote_object(&sent).unwrap();
            } else {
                parcel.write_u64(word).unwrap();
            }
        }
        if raw {
            parcel.write_raw_data(vec![7; 40_000]).unwrap();
        }
        let mut parcel = received(&parcel).unwrap();
        for &(word, is_object) in &items {
            if is_object {
                prop_assert_eq!(parcel.read_remote_object(), Ok(sent.clone()));
            } else {
                prop_assert_eq!(parcel.read_u64(), Ok(word));
            }
        }
        if raw {
            prop_assert_eq!(parcel.read_raw_data(40_000).unwrap().len(), 40_000);
        }
        prop_assert_eq!(parcel.readable_bytes(), 0);
    }
}

/// A failed read keeps the cursor, unless the object in the way is broken.
fn read_at_random(parcel: &mut Parcel, reads: &[(usize, usize)]) -> Result<(), TestCaseError> {
    for &(read, position) in reads {
        let before = parcel.read_position();
        match READS.get(read) {
            Some(read) if read(parcel) => prop_assert!(parcel.read_position() >= before),
            Some(_) => prop_assert_eq!(parcel.read_position(), before),
            None if position % 2 == 0 => {
                let moves = match parcel.read_remote_object() {
                    Ok(_) | Err(ReadParcelError::BrokenObject) => 8,
                    Err(_) => 0,
                };
                prop_assert_eq!(parcel.read_position(), before + moves);
            }
            None => {
                let _ = parcel.rewind_read(position);
            }
        }
        prop_assert!(parcel.read_position() <= parcel.data_size());
    }
    Ok(())
}
