//! Shared memory that is none, that lies about its size, or that somebody would like to change under its reader.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use proto::frame::{Frame, Status};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    io::Errno,
};
use softbus::{
    SendRequestError,
    rpc::{
        ashmem::{Ashmem, AshmemError, MAX_ASHMEM},
        link::LinkClosed,
        peer::SessionEnd,
    },
};

use super::{act, enter};
use crate::{
    raw::{bulk, encoded},
    stage::{SUM, claim, look, look_at},
};

const SIZE: i32 = 65_536;

fn memfd(size: u64, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = memfd_create("hostile", flags).unwrap();
    ftruncate(&memory, size).unwrap();
    fcntl_add_seals(&memory, seals).unwrap();
    memory
}

/// What no reader can rely on, and the size it is said to have.
fn unreliable() -> Vec<(&'static str, OwnedFd, i32)> {
    let size = SIZE as u64;
    let shrink = SealFlags::SHRINK;
    let all_but_seal = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let sealed = all_but_seal | SealFlags::SEAL;
    let plain = memfd_create("hostile", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&plain, size).unwrap();
    let in_memory = tempfile::tempfile_in("/dev/shm").unwrap();
    in_memory.set_len(size).unwrap();
    let on_disk = tempfile::tempfile().unwrap();
    on_disk.set_len(size).unwrap();
    vec![
        ("unsealed", memfd(size, SealFlags::empty()), SIZE),
        ("sealed against shrinking only", memfd(size, shrink), SIZE),
        (
            "whose seals can still be added",
            memfd(size, all_but_seal),
            SIZE,
        ),
        ("that cannot be sealed", plain, SIZE),
        ("a file of /dev/shm", in_memory.into(), SIZE),
        ("a file on a disk", on_disk.into(), SIZE),
        ("a pipe", std::io::pipe().unwrap().0.into(), SIZE),
        ("a directory", File::open("/").unwrap().into(), SIZE),
        ("/dev/zero", File::open("/dev/zero").unwrap().into(), SIZE),
        ("larger than it says", memfd(size, sealed), SIZE - 1),
        ("smaller than it says", memfd(size, sealed), SIZE + 1),
        ("of nothing", memfd(0, sealed), 0),
        ("of a negative size", memfd(size, sealed), -1),
        ("of 1 TiB", memfd(1 << 40, sealed), SIZE),
        ("of 1 TiB, cut to 32 bits", memfd(1 << 40, sealed), 0),
        (
            "of 4 GiB and a little",
            memfd((1 << 32) + size, sealed),
            SIZE,
        ),
    ]
}

// Input 58.
#[test]
fn memory_that_nobody_can_rely_on_is_no_argument() {
    act(async |stage| {
        for (what, memory, size) in unreliable() {
            let looked = look_at(&stage.proxy, &claim(memory, size)).await;
            assert_eq!(looked, Err(SendRequestError::MalformedRequest), "{what}");
        }
    });
}

// Input 58.
#[test]
fn memory_that_nobody_can_rely_on_is_no_body() {
    for (what, memory, size) in unreliable() {
        act(async |stage| {
            let (mut process, session) = enter(stage).await;
            let service = process.service().await;
            let call = process.call_with_raw(service, SUM, 1, SIZE as u32);
            process
                .send(&encoded(&Frame::Call(call)), &[])
                .await
                .unwrap();
            let packet = bulk(1, size as u64);
            process.send_packet(&packet, &[memory.as_fd()]).await;
            let end = session.ended().await;
            assert!(
                matches!(end, SessionEnd::Link(LinkClosed::Failed(_))),
                "{what}: {end:?}"
            );
        });
    }
}

// Input 58.
#[test]
fn packets_without_their_memory_or_with_more_end_the_session() {
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    for count in [0, 2, 3, 40] {
        act(async |stage| {
            let (process, session) = enter(stage).await;
            let memory = memfd(SIZE as u64, sealed);
            let packet = bulk(1, SIZE as u64);
            process
                .send_packet(&packet, &vec![memory.as_fd(); count])
                .await;
            let end = session.ended().await;
            let failed = matches!(end, SessionEnd::Link(LinkClosed::Failed(_)));
            assert!(failed, "{count}: {end:?}");
        });
    }
}

// Input 58.
#[test]
fn a_body_of_another_length_than_announced_ends_the_session() {
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let call = process.call_with_raw(service, SUM, 1, SIZE as u32);
        process
            .send(&encoded(&Frame::Call(call)), &[])
            .await
            .unwrap();
        let memory = memfd(SIZE as u64 + 4096, sealed);
        let packet = bulk(1, SIZE as u64 + 4096);
        process.send_packet(&packet, &[memory.as_fd()]).await;
        assert!(matches!(session.ended().await, SessionEnd::Fault(_)));
    });
}

// Input 58.
#[test]
fn a_flood_of_large_bodies_is_bounded() {
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        // All of them the same memory, which costs who sends it nothing.
        let memory = memfd(100 << 20, sealed);
        for id in 1..=40 {
            process
                .send_packet(&bulk(id, 100 << 20), &[memory.as_fd()])
                .await;
        }
        drop(memory);
        // Those without room are told so when their header comes; the others are whole.
        let mut busy = 0;
        for id in 1..=40 {
            let call = process.call_with_raw(service, SUM, id, 100 << 20);
            process
                .send(&encoded(&Frame::Call(call)), &[])
                .await
                .unwrap();
        }
        for _ in 1..=40 {
            let status = process.reply().await.unwrap().status;
            assert!([Status::Ok, Status::Busy].contains(&status), "{status:?}");
            busy += usize::from(status == Status::Busy);
        }
        assert!(busy >= 38, "{busy} of 40 were busy");
        drop(process);
        session.ended().await;
    });
}

// Input 58.
#[test]
fn what_lies_outside_of_shared_memory_is_not_reached() {
    let memory = Ashmem::create("bounds", SIZE as usize).unwrap();
    let mut into = [0; 8];
    for offset in [SIZE as usize - 7, SIZE as usize, usize::MAX - 3, usize::MAX] {
        let (len, size) = (8, SIZE as usize);
        let outside = AshmemError::OutOfBounds { offset, len, size };
        assert_eq!(memory.read(offset, &mut into), Err(outside.clone()));
        assert_eq!(memory.write(offset, &into), Err(outside));
    }
    const { assert!(MAX_ASHMEM < 1 << 31) };
}

// Input 59.
#[test]
fn who_has_sent_memory_cannot_take_it_away() {
    act(async |stage| {
        let memory = Ashmem::create("sent", SIZE as usize).unwrap();
        assert_eq!(look(&stage.proxy, &memory).await, Ok([0, 0]));
        let descriptor = memory.share().unwrap();
        for size in [0, 1, SIZE as u64 - 1, SIZE as u64 + 1] {
            assert_eq!(ftruncate(descriptor, size), Err(Errno::PERM));
        }
        // What was frozen is the same for ever, for its maker too.
        let frozen = Ashmem::create("sent", SIZE as usize).unwrap();
        frozen.write(0, &[9]).unwrap();
        frozen.freeze().unwrap();
        assert_eq!(look(&stage.proxy, &frozen).await, Ok([9, 0]));
        let written = rustix::io::pwrite(frozen.share().unwrap(), &[1], 0);
        assert_eq!(written, Err(Errno::PERM));
        assert_eq!(look(&stage.proxy, &frozen).await, Ok([9, 0]));
    });
}

// Input 59.
#[test]
fn a_body_is_the_same_for_ever_before_it_is_looked_at() {
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    act(async |stage| {
        let (process, session) = enter(stage).await;
        // Its size is sealed, and its content could change while it is judged.
        let memory = memfd(SIZE as u64, sealed);
        process
            .send_packet(&bulk(1, SIZE as u64), &[memory.as_fd()])
            .await;
        let end = session.ended().await;
        assert!(
            matches!(end, SessionEnd::Link(LinkClosed::Failed(_))),
            "{end:?}"
        );
    });
}
