//! What processes of one device say to each other beside their lanes: who attaches, packets with descriptors, and what the host's
//! desk is asked and answers.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use bytes::Bytes;
use softbus::{
    fuzzing::{ask_desk, claim_again, devices_again, packet_again, prelude_again, refusal_again},
    rpc::{
        ashmem::Ashmem,
        fuzzing::{a_stub, bus, received},
    },
};

use super::Input;

/// What it is, and then its bytes.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() % 8 {
        0..=2 => packet(&mut input),
        3 => exactly(input.0, claim_again),
        4 => exactly(input.0, prelude_again),
        5 => again(input.0, refusal_again),
        6 => desk(&mut input),
        _ => devices(input.0),
    }
}

/// What is read is written and read again the same.
fn again(bytes: &[u8], read: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    if let Some(written) = read(bytes) {
        assert_eq!(read(&written), Some(written));
    }
}

/// It has one spelling.
fn exactly(bytes: &[u8], read: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    if let Some(written) = read(bytes) {
        assert_eq!(written, bytes);
    }
}

/// It has one spelling, and no descriptor is left over or missing.
fn packet(input: &mut Input<'_>) {
    const CLOSE: u8 = 3;
    let descriptors: Vec<_> = (0..input.below(6)).map(|_| descriptor(input)).collect();
    let came = descriptors.len();
    let Some((written, descriptors)) = packet_again(input.0, descriptors) else {
        return;
    };
    assert_eq!(descriptors.len(), came);
    // The text of a close is made readable.
    if written[0] != CLOSE {
        assert_eq!(written, input.0);
    }
    let again = packet_again(&written, descriptors).expect("what we write can be read");
    assert_eq!((again.0, again.1.len()), (written, came));
}

fn descriptor(input: &mut Input<'_>) -> OwnedFd {
    let kind = input.u8() % 8;
    match kind {
        0..=4 => {
            let memory = Ashmem::create("fuzz", 64).expect("memory");
            if kind < 4 {
                memory.freeze().expect("nobody has it");
            }
            let shared = memory.share().expect("it can be passed on");
            shared.try_clone_to_owned().expect("a descriptor")
        }
        5 | 6 => UnixStream::pair().expect("a socket").0.into(),
        _ => File::open("/dev/null").expect("a file").into(),
    }
}

/// An answer or an error, whatever it is asked.
fn desk(input: &mut Input<'_>) {
    let code = u32::try_from(input.number()).unwrap_or(u32::MAX);
    let objects = (0..input.below(3)).map(|_| Some(a_stub())).collect();
    let body = Bytes::copy_from_slice(input.0);
    let Ok(body) = received(body, objects, None) else {
        return;
    };
    if let Some((_, reply)) = ask_desk(&bus(), code, body) {
        assert_eq!(reply.object_count(), 0, "it has nothing to hand out");
    }
}

fn devices(bytes: &[u8]) {
    let Ok(mut told) = received(Bytes::copy_from_slice(bytes), Vec::new(), None) else {
        return;
    };
    let Some((version, devices, mut written)) = devices_again(&mut told) else {
        return;
    };
    assert!(devices.len() <= bytes.len() / 32, "each has an id");
    let again = devices_again(&mut written).expect("what we write can be read");
    assert_eq!((again.0, again.1), (version, devices));
}
