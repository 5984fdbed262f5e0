//! Rows 38, 39, 44 and 115: objects.

use std::sync::{Arc, Mutex};

use super::{object, received};
use crate::parcel::{
    BrokenObject, Item, MAX_OBJECTS, Parcel, PassObjectError, ReadParcelError, WriteParcelError,
};

#[test]
fn objects_are_read_where_they_were_written() {
    let (first, second) = (object(), object());
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    parcel.write_remote_object(&first).unwrap();
    parcel.write_string("between").unwrap();
    parcel.write(&vec![second.clone(), first.clone()]).unwrap();
    assert_eq!((parcel.data_size(), parcel.object_count()), (44, 3));

    assert_eq!(parcel.read_i32(), Ok(1));
    assert_eq!(parcel.read_remote_object().unwrap(), first);
    assert_eq!(parcel.read_string().unwrap(), "between");
    assert_eq!(
        parcel.read::<Vec<crate::RemoteObject>>().unwrap(),
        [second, first]
    );
    assert_eq!(parcel.readable_bytes(), 0);
}

#[test]
fn object_slot_has_the_documented_bytes() {
    let mut parcel = Parcel::new();
    parcel.write_remote_object(&object()).unwrap();
    parcel.write_remote_object(&object()).unwrap();
    assert_eq!(parcel.wire_parts().data, *b"TLOS\0\0\0\0TLOS\x01\0\0\0");
    assert_eq!(parcel.wire_parts().offsets, [0, 0, 0, 0, 8, 0, 0, 0]);
}

#[test]
fn object_is_read_as_nothing_else_and_nothing_else_as_an_object() {
    let mut parcel = Parcel::new();
    parcel.write_i64(1).unwrap();
    assert_eq!(
        parcel.read_remote_object(),
        Err(ReadParcelError::NotAnObject)
    );
    parcel.rewind_read(4).unwrap();
    assert_eq!(
        parcel.read_remote_object(),
        Err(ReadParcelError::Truncated { wanted: 8, left: 4 })
    );
    assert_eq!(parcel.read_position(), 4);
}

// Row 39.
#[test]
fn plain_read_across_an_object_fails() {
    let mut parcel = Parcel::new();
    parcel.write_i32(4).unwrap();
    parcel.write_remote_object(&object()).unwrap();
    parcel.write_i64(0).unwrap();
    let in_the_way = ReadParcelError::ObjectInTheWay { offset: 4 };

    assert_eq!(parcel.read_i64(), Err(in_the_way.clone()));
    assert_eq!(parcel.read_f64(), Err(in_the_way.clone()));
    assert_eq!(parcel.read_string(), Err(in_the_way.clone()));
    assert_eq!(parcel.read_u8_vec(), Err(in_the_way.clone()));
    assert_eq!(parcel.read_u16_vec(), Err(in_the_way.clone()));
    assert_eq!(parcel.read_raw_data(4), Err(in_the_way.clone()));
    assert_eq!(parcel.read_buffer(5), Err(in_the_way.clone()));
    assert_eq!(parcel.read_buffer(20), Err(in_the_way.clone()));
    assert_eq!(parcel.read_interface_token(), Err(in_the_way.clone()));
    assert_eq!(parcel.read::<bytes::Bytes>(), Err(in_the_way.clone()));
    assert_eq!(parcel.read_position(), 0);
    assert_eq!(parcel.read_i32(), Ok(4));

    assert_eq!(parcel.read_i32(), Err(in_the_way.clone()));
    assert_eq!(parcel.read_c_string(), Err(in_the_way.clone()));
    // Its second half is as much an object as its first.
    parcel.rewind_read(8).unwrap();
    assert_eq!(parcel.read_i32(), Err(in_the_way));
    assert_eq!(
        parcel.read_remote_object(),
        Err(ReadParcelError::NotAnObject)
    );
    parcel.rewind_read(12).unwrap();
    assert_eq!(parcel.read_i64(), Ok(0));
}

#[test]
fn sixty_five_objects_are_too_many() {
    let mut parcel = Parcel::new();
    let object = object();
    for _ in 0..MAX_OBJECTS {
        parcel.write_remote_object(&object).unwrap();
    }
    let too_many = WriteParcelError::TooManyObjects { limit: 64 };
    assert_eq!(parcel.write_remote_object(&object), Err(too_many.clone()));
    assert_eq!(parcel.append(&parcel.clone()), Err(too_many));
    assert_eq!((parcel.data_size(), parcel.object_count()), (512, 64));
    parcel.write_i32(1).unwrap();
}

#[test]
fn object_past_the_capacity_changes_nothing() {
    let mut parcel = Parcel::new();
    parcel
        .write_buffer(&vec![0; parcel.capacity() - 4])
        .unwrap();
    assert!(matches!(
        parcel.write_remote_object(&object()),
        Err(WriteParcelError::CapacityExceeded { .. })
    ));
    assert_eq!((parcel.writable_bytes(), parcel.object_count()), (4, 0));
}

// Row 38.
#[test]
fn rewind_write_drops_objects_behind_it() {
    let (kept, gone) = (object(), object());
    let mut parcel = Parcel::new();
    parcel.write_remote_object(&kept).unwrap();
    parcel.write_i32(1).unwrap();
    parcel.write_remote_object(&gone).unwrap();
    // In the middle of the second slot: what is left of it is plain data.
    parcel.rewind_write(16).unwrap();
    assert_eq!(parcel.object_count(), 1);
    parcel.write_remote_object(&gone).unwrap();
    parcel.rewind_write(12).unwrap();
    parcel.write_remote_object(&kept).unwrap();

    let mut parcel = received(&parcel).unwrap();
    assert_eq!(parcel.read_remote_object().unwrap(), kept);
    assert_eq!(parcel.read_i32(), Ok(1));
    assert_eq!(parcel.read_remote_object().unwrap(), kept);
}

#[test]
fn failed_typed_write_drops_its_objects() {
    let mut parcel = Parcel::new();
    let value = (object(), vec![0u64; 200_000]);
    assert!(parcel.write(&value).is_err());
    assert_eq!((parcel.data_size(), parcel.object_count()), (0, 0));
}

// Row 44.
#[test]
fn append_rebases_objects() {
    let (first, second, third) = (object(), object(), object());
    let mut tail = Parcel::new();
    tail.write_i32(2).unwrap();
    tail.write_remote_object(&second).unwrap();
    tail.write_remote_object(&third).unwrap();
    let mut parcel = Parcel::new();
    parcel.write_i32(1).unwrap();
    parcel.write_remote_object(&first).unwrap();
    parcel.append(&tail).unwrap();
    parcel.append(&received(&tail).unwrap()).unwrap();
    parcel.append(&Parcel::new()).unwrap();

    for mut parcel in [received(&parcel).unwrap(), parcel] {
        assert_eq!(parcel.read_i32(), Ok(1));
        assert_eq!(parcel.read_remote_object().unwrap(), first);
        for _ in 0..2 {
            assert_eq!(parcel.read_i32(), Ok(2));
            assert_eq!(parcel.read_remote_object().unwrap(), second);
            assert_eq!(parcel.read_remote_object().unwrap(), third);
        }
    }
}

// Row 115.
#[test]
fn broken_object_leaves_the_rest_readable() {
    let whole = object();
    let mut parcel = Parcel::new();
    parcel.write_remote_object(&object()).unwrap();
    parcel.write_i32(5).unwrap();
    parcel.write_remote_object(&whole).unwrap();
    let body = super::body(&parcel);
    let mut parcel = Parcel::from_wire(
        body,
        vec![Err(BrokenObject::Null), Ok(whole.clone().into())],
        None,
    )
    .unwrap();

    assert_eq!(
        parcel.read_i64(),
        Err(ReadParcelError::ObjectInTheWay { offset: 0 })
    );
    assert_eq!(
        parcel.read_remote_object(),
        Err(ReadParcelError::BrokenObject)
    );
    assert_eq!(parcel.read_i32(), Ok(5));
    assert_eq!(parcel.read_remote_object().unwrap(), whole);

    // It stays broken when it is passed on.
    let mut copy = Parcel::new();
    copy.append(&parcel).unwrap();
    assert_eq!(
        copy.read_remote_object(),
        Err(ReadParcelError::BrokenObject)
    );
}

#[test]
fn reply_asks_at_the_write_whether_an_object_may_pass() {
    let (allowed, refused) = (object(), object());
    let asked = Arc::new(Mutex::new(0));
    let mut reply = Parcel::new();
    reply.set_pass_check(Arc::new({
        let (refused, asked) = (refused.clone(), asked.clone());
        move |item| {
            *asked.lock().unwrap() += 1;
            if matches!(item, Item::Object(object) if *object == refused) {
                Err(PassObjectError::ThirdParty)
            } else {
                Ok(())
            }
        }
    }));

    reply.write_remote_object(&allowed).unwrap();
    let refusal = WriteParcelError::Pass(PassObjectError::ThirdParty);
    assert_eq!(reply.write_remote_object(&refused), Err(refusal.clone()));
    assert_eq!((reply.data_size(), reply.object_count()), (8, 1));

    let mut tail = Parcel::new();
    tail.write_remote_object(&allowed).unwrap();
    reply.append(&tail).unwrap();
    tail.write_remote_object(&refused).unwrap();
    assert_eq!(reply.append(&tail), Err(refusal));
    assert_eq!((reply.data_size(), reply.object_count()), (16, 2));
    assert_eq!(*asked.lock().unwrap(), 5);
}
