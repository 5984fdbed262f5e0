//! Rows 45, 47 and 48: file descriptors and shared memory in a parcel, without a peer.

use std::{
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
};

use softbus_rpc::{
    Parcel,
    parcel::{MAX_DESCRIPTORS, MAX_OBJECTS, ReadParcelError, WriteParcelError},
};

/// What can still be read from a pipe whose every writer is closed. Waits for ever for one that is not.
fn rest(mut reader: io::PipeReader) -> String {
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    rest
}

// Row 45.
#[test]
fn a_descriptor_is_duplicated_when_written_and_when_read_and_closed_with_the_parcel() {
    let (reader, writer) = io::pipe().unwrap();
    let mut parcel = Parcel::new();
    assert!(!parcel.has_file_descriptors());
    parcel.write_i32(1).unwrap();
    parcel.write_file_descriptor(&writer).unwrap();
    assert!(parcel.has_file_descriptors());
    assert_eq!((parcel.data_size(), parcel.object_count()), (12, 1));
    drop(writer);

    assert_eq!(parcel.read_i32(), Ok(1));
    // As often as one likes.
    for text in ["first ", "second "] {
        parcel.rewind_read(4).unwrap();
        let mut own = io::PipeWriter::from(parcel.read_file_descriptor().unwrap());
        own.write_all(text.as_bytes()).unwrap();
    }
    let mut last = io::PipeWriter::from({
        parcel.rewind_read(4).unwrap();
        parcel.read_file_descriptor().unwrap()
    });
    drop(parcel);
    last.write_all(b"third").unwrap();
    drop(last);
    assert_eq!(rest(reader), "first second third");
}

#[test]
fn cutting_the_parcel_closes_what_was_written_behind() {
    let (reader, writer) = io::pipe().unwrap();
    let mut parcel = Parcel::new();
    parcel.write_file_descriptor(&writer).unwrap();
    drop(writer);
    parcel.rewind_write(0).unwrap();
    assert!(!parcel.has_file_descriptors());
    assert_eq!(rest(reader), "");
}

#[test]
fn descriptors_of_an_appended_parcel_are_found_where_they_are() {
    let (reader, writer) = io::pipe().unwrap();
    let mut tail = Parcel::new();
    tail.write_string("tail").unwrap();
    tail.write_file_descriptor(&writer).unwrap();
    let mut parcel = Parcel::new();
    parcel.write_file_descriptor(&reader).unwrap();
    parcel.append(&tail).unwrap();
    drop((writer, tail));

    parcel.read_file_descriptor().unwrap();
    assert_eq!(parcel.read_string().unwrap(), "tail");
    let mut own = io::PipeWriter::from(parcel.read_file_descriptor().unwrap());
    own.write_all(b"found").unwrap();
    drop((own, parcel));
    assert_eq!(rest(reader), "found");
}

#[test]
fn sixteen_descriptors_and_not_one_more() {
    let (reader, _writer) = io::pipe().unwrap();
    let mut parcel = Parcel::new();
    for _ in 0..MAX_DESCRIPTORS {
        parcel.write_file_descriptor(&reader).unwrap();
    }
    let limit = MAX_DESCRIPTORS;
    let full = Err(WriteParcelError::TooManyDescriptors { limit });
    let size = parcel.data_size();
    assert_eq!(parcel.write_file_descriptor(&reader), full);
    let mut tail = Parcel::new();
    tail.write_file_descriptor(&reader).unwrap();
    assert_eq!(parcel.append(&tail), full);
    assert_eq!(parcel.data_size(), size);
    const { assert!(MAX_DESCRIPTORS < MAX_OBJECTS) };
}

#[test]
fn a_descriptor_is_read_as_nothing_else_and_nothing_else_as_a_descriptor() {
    let (reader, _writer) = io::pipe().unwrap();
    let mut parcel = Parcel::new();
    parcel.write_file_descriptor(&reader).unwrap();
    parcel.write_i64(7).unwrap();
    assert_eq!(
        parcel.read_remote_object(),
        Err(ReadParcelError::NotAnObject)
    );
    assert_eq!(
        parcel.read_i32(),
        Err(ReadParcelError::ObjectInTheWay { offset: 0 })
    );
    parcel.read_file_descriptor().unwrap();
    let none = parcel.read_file_descriptor().map(drop);
    assert_eq!(none, Err(ReadParcelError::NotADescriptor));
    assert_eq!(parcel.read_i64(), Ok(7));
    let none = parcel.read_file_descriptor().map(drop);
    let truncated = ReadParcelError::Truncated { wanted: 8, left: 0 };
    assert_eq!(none, Err(truncated));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let (reader, writer) = io::pipe().unwrap();
    let mut parcel = Parcel::new();
    parcel.raise_capacity(204_804).unwrap();
    parcel.write_buffer(&[0; 204_800]).unwrap();
    let full = parcel.write_file_descriptor(&writer);
    assert!(matches!(
        full,
        Err(WriteParcelError::CapacityExceeded { .. })
    ));
    drop(writer);
    assert_eq!(rest(reader), "");
}

#[test]
fn typed_values_hold_descriptors() {
    let (reader, writer) = io::pipe().unwrap();
    let mut parcel = Parcel::new();
    let written: Vec<OwnedFd> = vec![writer.into()];
    parcel.write(&written).unwrap();
    drop(written);
    let read: Vec<OwnedFd> = parcel.read().unwrap();
    drop(parcel);
    let [own] = <[OwnedFd; 1]>::try_from(read).unwrap();
    io::PipeWriter::from(own).write_all(b"typed").unwrap();
    assert_eq!(rest(reader), "typed");
}

#[cfg(target_os = "linux")]
mod memory {
    use softbus_rpc::ashmem::{Ashmem, AshmemError, Protection};

    use super::*;

    // Row 48.
    #[test]
    fn shared_memory_in_a_parcel_is_the_same_memory() {
        let memory = Ashmem::create("parcel", 1 << 30).unwrap();
        let mut parcel = Parcel::new();
        parcel.write_ashmem(&memory).unwrap();
        parcel.write(&memory.read_only().unwrap()).unwrap();
        assert_eq!((parcel.data_size(), parcel.object_count()), (24, 2));
        memory.write((1 << 30) - 4, b"last").unwrap();

        let read = parcel.read_ashmem().unwrap();
        let narrowed: Ashmem = parcel.read().unwrap();
        assert_eq!((read.size(), narrowed.size()), (1 << 30, 1 << 30));
        let mut last = [0; 4];
        for seen in [&read, &narrowed] {
            seen.read((1 << 30) - 4, &mut last).unwrap();
            assert_eq!(&last, b"last");
        }
        assert_eq!(read.protection(), Protection::ReadWrite);
        assert_eq!(narrowed.write(0, b"no"), Err(AshmemError::ReadOnly));
        // What it promises is fixed.
        assert_eq!(memory.freeze(), Err(AshmemError::Shared));
    }

    #[test]
    fn what_is_no_sealed_memory_of_its_size_is_not_read_as_shared_memory() {
        let memory = Ashmem::create("parcel", 4096).unwrap();
        let (pipe, _writer) = io::pipe().unwrap();
        let shared = memory.share().unwrap();
        for (descriptor, size, error) in [
            (pipe.as_fd(), 4096, AshmemError::NotSealed("no memory file")),
            (shared, 4097, AshmemError::NotSealed("of another size")),
            (shared, 4095, AshmemError::NotSealed("of another size")),
        ] {
            let mut parcel = Parcel::new();
            parcel.write_file_descriptor(descriptor).unwrap();
            parcel.write_i32(size).unwrap();
            let refused = ReadParcelError::SharedMemory(error);
            assert_eq!(parcel.read_ashmem().unwrap_err(), refused);
            // It is still there for who wants it as it is.
            assert_eq!(parcel.read_position(), 0);
            parcel.read_file_descriptor().unwrap();
        }
    }

    #[test]
    fn a_size_that_is_none_is_refused() {
        let memory = Ashmem::create("parcel", 4096).unwrap();
        for (size, error) in [
            (-1, ReadParcelError::InvalidLength { length: -1 }),
            (0, {
                let limit = softbus_rpc::ashmem::MAX_ASHMEM;
                ReadParcelError::SharedMemory(AshmemError::Size { size: 0, limit })
            }),
        ] {
            let mut parcel = Parcel::new();
            parcel
                .write_file_descriptor(memory.share().unwrap())
                .unwrap();
            parcel.write_i32(size).unwrap();
            assert_eq!(parcel.read_ashmem().unwrap_err(), error);
        }
    }
}
