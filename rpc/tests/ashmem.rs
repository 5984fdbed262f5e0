//! Shared memory: its bounds, who may write, and what is taken from another process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails its test")]

use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use softbus_rpc::ashmem::{Ashmem, AshmemError, AshmemWriter, MAX_ASHMEM, MAX_NAME, Protection};

const SIZE: usize = 10_000;

fn memory() -> Ashmem {
    Ashmem::create("test", SIZE).unwrap()
}

fn descriptor_of(memory: &Ashmem) -> OwnedFd {
    memory.share().unwrap().try_clone_to_owned().unwrap()
}

fn read(memory: &Ashmem, offset: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; len];
    memory.read(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn sizes_from_one_byte_to_the_limit() {
    for size in [0, MAX_ASHMEM + 1, usize::MAX] {
        let limit = MAX_ASHMEM;
        assert_eq!(
            Ashmem::create("test", size).unwrap_err(),
            AshmemError::Size { size, limit }
        );
    }
    // Memory is taken where it is written, so the largest costs nothing.
    for size in [1, MAX_ASHMEM] {
        assert_eq!(Ashmem::create("test", size).unwrap().size(), size);
    }
}

#[test]
fn names_up_to_the_limit() {
    assert!(Ashmem::create("", 1).is_ok());
    assert!(Ashmem::create(&"n".repeat(MAX_NAME), 1).is_ok());
    for name in ["n".repeat(MAX_NAME + 1), "a\0b".to_owned()] {
        let (len, limit) = (name.len(), MAX_NAME);
        assert_eq!(
            Ashmem::create(&name, 1).unwrap_err(),
            AshmemError::Name { len, limit }
        );
    }
}

#[test]
fn what_is_written_is_read_and_the_rest_is_zero() {
    let memory = memory();
    memory.write(3, b"abc").unwrap();
    assert_eq!(read(&memory, 0, 8), b"\0\0\0abc\0\0");
    assert_eq!(read(&memory, SIZE - 1, 1), [0]);
}

#[test]
fn nothing_outside_is_read_or_written() {
    let memory = memory();
    memory.write(0, &[7; SIZE]).unwrap();
    for (offset, len) in [(0, SIZE + 1), (SIZE, 1), (SIZE - 1, 2), (usize::MAX, 1)] {
        let out = AshmemError::OutOfBounds {
            offset,
            len,
            size: SIZE,
        };
        let mut into = vec![0xee; len];
        assert_eq!(memory.read(offset, &mut into), Err(out.clone()));
        assert!(into.iter().all(|byte| *byte == 0xee));
        assert_eq!(memory.write(offset, &vec![9; len]), Err(out));
    }
    assert_eq!(read(&memory, 0, SIZE), [7; SIZE]);
    assert_eq!(memory.read(SIZE, &mut []), Ok(()));
}

#[test]
fn clones_and_taken_descriptors_are_the_same_memory() {
    let memory = memory();
    let other = Ashmem::from_descriptor(descriptor_of(&memory), SIZE).unwrap();
    memory.clone().write(5, b"here").unwrap();
    assert_eq!(read(&other, 5, 4), b"here");
    other.write(5, b"back").unwrap();
    assert_eq!(read(&memory, 5, 4), b"back");
}

#[test]
fn a_narrowed_handle_only_reads_and_so_does_what_it_is_passed_as() {
    let memory = memory();
    let reader = memory.read_only().unwrap();
    memory.write(0, b"live").unwrap();
    assert_eq!(reader.protection(), Protection::ReadOnly);
    assert_eq!(read(&reader, 0, 4), b"live");
    assert_eq!(reader.write(0, b"no"), Err(AshmemError::ReadOnly));

    let passed = Ashmem::from_descriptor(descriptor_of(&reader), SIZE).unwrap();
    assert_eq!(passed.protection(), Protection::ReadOnly);
    assert_eq!(passed.write(0, b"no"), Err(AshmemError::ReadOnly));
    // The system agrees, whatever the handle says.
    assert!(rustix::io::pwrite(descriptor_of(&reader), b"no", 0).is_err());
    assert_eq!(memory.protection(), Protection::ReadWrite);
}

#[test]
fn frozen_memory_is_the_same_for_everybody() {
    let memory = memory();
    memory.write(0, b"ice").unwrap();
    assert_eq!(memory.map().unwrap_err(), AshmemError::NotFrozen);
    memory.freeze().unwrap();
    memory.freeze().unwrap();
    assert_eq!(memory.protection(), Protection::ReadOnly);
    assert_eq!(memory.write(0, b"no"), Err(AshmemError::ReadOnly));

    let other = Ashmem::from_descriptor(descriptor_of(&memory), SIZE).unwrap();
    let map = other.map().unwrap();
    drop((memory, other));
    assert_eq!(map.len(), SIZE);
    assert_eq!(&map[..3], b"ice");
}

#[test]
#[expect(unsafe_code, reason = "nobody else holds the memory")]
fn memory_that_is_mapped_for_writing_is_not_frozen() {
    let memory = memory();
    // SAFETY: this test is the only holder, and uses nothing but the map while it is there.
    let mut map = unsafe { memory.map_mut() }.unwrap();
    map[..4].copy_from_slice(b"wild");
    assert_eq!(memory.freeze(), Err(AshmemError::Mapped));
    drop(map);
    memory.freeze().unwrap();
    assert_eq!(read(&memory, 0, 4), b"wild");
    // SAFETY: it is refused.
    let refused = unsafe { memory.map_mut() };
    assert_eq!(refused.unwrap_err(), AshmemError::ReadOnly);
}

#[test]
fn what_was_passed_on_keeps_its_promises() {
    let memory = memory();
    let passed = descriptor_of(&memory);
    assert_eq!(memory.freeze(), Err(AshmemError::Shared));
    for size in [0, 1, 2 * SIZE as u64] {
        assert!(rustix::fs::ftruncate(&passed, size).is_err());
    }
    let seal = rustix::fs::fcntl_add_seals(&passed, SealFlags::WRITE);
    assert!(
        seal.is_err(),
        "a receiver cannot freeze the sender's memory"
    );
}

#[test]
fn only_sealed_memory_of_its_size_is_taken() {
    let refused = |descriptor: OwnedFd, size| match Ashmem::from_descriptor(descriptor, size) {
        Err(AshmemError::NotSealed(why)) => why,
        other => panic!("{other:?}"),
    };
    let memfd = |seals: SealFlags| {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = rustix::fs::memfd_create("test", flags).unwrap();
        rustix::fs::ftruncate(&descriptor, SIZE as u64).unwrap();
        rustix::fs::fcntl_add_seals(&descriptor, seals).unwrap();
        descriptor
    };
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    assert!(Ashmem::from_descriptor(memfd(all), SIZE).is_ok());
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL] {
        assert_eq!(refused(memfd(all - missing), SIZE), "its size may change");
    }
    // More than there is would be a fault when it is touched; less is not what the sender meant.
    for size in [SIZE - 1, SIZE + 1, MAX_ASHMEM] {
        assert_eq!(refused(memfd(all), size), "of another size");
    }
    let file = tempfile();
    assert_eq!(refused(file, SIZE), "no memory file");
    let (pipe, _writer) = rustix::pipe::pipe().unwrap();
    assert_eq!(refused(pipe, SIZE), "no memory file");
}

#[test]
fn what_is_appended_is_frozen_when_it_is_finished() {
    let mut writer = AshmemWriter::new("writer").unwrap();
    for piece in [&b"one "[..], b"", b"two"] {
        writer.append(piece).unwrap();
    }
    let memory = writer.finish().unwrap();
    assert!(memory.is_frozen());
    assert_eq!(&*memory.map().unwrap(), b"one two");
    let nothing = AshmemWriter::new("nothing").unwrap().finish();
    let (size, limit) = (0, MAX_ASHMEM);
    assert_eq!(nothing.unwrap_err(), AshmemError::Size { size, limit });
}

#[test]
fn a_gigabyte_is_handed_over_and_not_copied() {
    const GIB: usize = 1 << 30;
    let memory = Ashmem::create("large", GIB).unwrap();
    let other = Ashmem::from_descriptor(descriptor_of(&memory), GIB).unwrap();
    memory.write(GIB - 4, b"last").unwrap();
    assert_eq!(read(&other, GIB - 4, 4), b"last");
    // Only what was written takes memory, so nothing can have been copied.
    let blocks = rustix::fs::fstat(other.share().unwrap()).unwrap().st_blocks;
    assert!(blocks * 512 <= 4 << 20, "{blocks} blocks");
}

fn tempfile() -> OwnedFd {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = rustix::fs::open(std::env::temp_dir(), flags, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::fs::ftruncate(&file, SIZE as u64).unwrap();
    file
}
