//! File descriptors: that they come with their frames, and that none is left with nobody.

use std::io::{self, Read};

use proto::{
    Handle,
    frame::{Frame, Grant, MAX_DESCRIPTORS, Reply, Status},
};

use super::{
    super::{Delivered, Event, Outcome, Outgoing, PeerFault, Scope, StartCallError, Taken},
    pair::{A, B, NO_ROOM, Pair, TestCall, forged_call, grants},
};
use crate::{limits::DESCRIPTORS_PER_PEER, link::Descriptor};

/// The lane of the root.
const LANE: u16 = 1;

fn pair() -> Pair {
    Pair::new(Scope::SameDevice)
}

/// Descriptors of one pipe, and its other end, which tells when all of them are closed.
fn pipes(count: usize) -> (Vec<Descriptor>, io::PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let one = Descriptor::from(std::os::fd::OwnedFd::from(writer));
    (vec![one; count], reader)
}

/// What has come, and there was room for.
fn taken(descriptors: Vec<Descriptor>) -> Vec<Taken> {
    descriptors.into_iter().map(Ok).collect()
}

fn outgoing(descriptors: Vec<Descriptor>) -> Vec<Outgoing> {
    descriptors.into_iter().map(Outgoing::Descriptor).collect()
}

/// Waits for ever while one of the descriptors is open.
fn assert_closed(mut reader: io::PipeReader) {
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

fn call(from: usize, pair: &mut Pair, objects: &[Outgoing]) -> proto::CallId {
    let target = pair.ends[from].root;
    let call = TestCall {
        objects,
        ..TestCall::new(target)
    };
    pair.call(from, &call).unwrap().unwrap()
}

fn is_close(event: &Event) -> bool {
    matches!(event, Event::Close(_))
}

fn fault(pair: &Pair, end: usize) -> Option<PeerFault> {
    pair.ends[end].fault.clone()
}

#[test]
fn descriptors_come_with_their_frames_however_the_bytes_are_cut() {
    for most in [1, 7, 60, usize::MAX] {
        let mut pair = pair();
        let (descriptors, reader) = pipes(MAX_DESCRIPTORS);
        let full = outgoing(descriptors);
        for objects in [&full[..], &[], &full[..1], &full[..]] {
            call(A, &mut pair, objects);
        }
        while pair.deliver(B, LANE.into(), most) {}
        for count in [MAX_DESCRIPTORS, 0, 1, MAX_DESCRIPTORS] {
            let incoming = pair.request(B).unwrap();
            let objects = incoming.parcel.objects;
            assert_eq!(objects.len(), count);
            let all = objects
                .iter()
                .all(|object| matches!(object, Delivered::Descriptor(_)));
            assert!(all);
            pair.answer(B, incoming.serving, &full[..count]);
        }
        while pair.deliver(A, LANE.into(), most) {}
        assert_eq!((fault(&pair, A), fault(&pair, B)), (None, None));
        drop((full, pair));
        assert_closed(reader);
    }
}

#[test]
fn those_of_a_refused_call_are_closed() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(3);
    pair.run(B, |session, _| {
        session.handle_descriptors(LANE, taken(descriptors))
    });
    let mut forged = forged_call(Handle::SAMGR, 0);
    forged.grants = grants(&[Grant::Descriptor; 3]);
    forged.code = 0xffff_ffff;
    pair.forge(B, LANE, &Frame::Call(forged)).unwrap();
    pair.pause(B, LANE.into());
    assert_eq!((pair.count(B, is_close), fault(&pair, B)), (3, None));
    pair.ends[B].events.clear();
    assert_closed(reader);
}

#[test]
fn those_of_a_call_that_was_cancelled_before_it_was_whole_are_closed() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(2);
    let target = pair.ends[A].root;
    let objects = outgoing(descriptors);
    let waiting = TestCall {
        raw: Some(vec![0; 40_000].into()),
        objects: &objects,
        ..TestCall::new(target)
    };
    let id = pair.call(A, &waiting).unwrap().unwrap();
    pair.drive_lanes();
    pair.run(A, |session, _| session.abandon(id));
    pair.drive();
    assert_eq!(pair.count(B, is_close), 2);
    drop(objects);
    pair.ends[B].events.clear();
    assert_closed(reader);
    pair.assert_floor();
}

#[test]
fn those_of_a_late_reply_are_closed() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(2);
    let id = call(A, &mut pair, &[]);
    pair.drive();
    let serving = pair.request(B).unwrap().serving;
    pair.answer(B, serving, &outgoing(descriptors));
    pair.run(A, |session, _| session.abandon(id));
    pair.drive();
    assert_eq!(pair.count(A, is_close), 2);
    pair.ends[A].events.clear();
    assert_closed(reader);
    pair.assert_floor();
}

#[test]
fn those_of_a_reply_to_no_call_are_closed() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(1);
    pair.run(A, |session, _| {
        session.handle_descriptors(LANE, taken(descriptors))
    });
    let reply = Reply {
        id: proto::CallId {
            slot: 3,
            generation: 3,
        },
        status: Status::Ok,
        bulk: None,
        grants: grants(&[Grant::Descriptor]),
        extensions: Default::default(),
        body: Default::default(),
    };
    pair.forge(A, LANE, &Frame::Reply(reply)).unwrap();
    assert_eq!(pair.count(A, is_close), 1);
    pair.ends[A].events.clear();
    assert_closed(reader);
}

#[test]
fn the_end_of_a_session_closes_what_was_not_sent_and_what_nobody_took() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(2);
    let id = call(A, &mut pair, &outgoing(descriptors));
    let (arrived, other) = pipes(2);
    pair.run(B, |session, _| {
        session.handle_descriptors(LANE, taken(arrived))
    });
    pair.disconnect();
    assert!(matches!(pair.outcome(A, id), Some(Outcome::Indeterminate)));
    assert_eq!((pair.count(A, is_close), pair.count(B, is_close)), (2, 2));
    let (late, third) = pipes(1);
    pair.run(B, |session, _| {
        session.handle_descriptors(LANE, taken(late))
    });
    pair.ends[A].events.clear();
    pair.ends[B].events.clear();
    for reader in [reader, other, third] {
        assert_closed(reader);
    }
}

#[test]
fn fewer_than_named_end_the_session() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(1);
    pair.run(B, |session, _| {
        session.handle_descriptors(LANE, taken(descriptors))
    });
    let mut forged = forged_call(Handle::SAMGR, 0);
    forged.grants = grants(&[Grant::Descriptor; 2]);
    let taken = pair.forge(B, LANE, &Frame::Call(forged));
    assert_eq!(taken, Err(PeerFault::Descriptors));
    pair.ends[B].events.clear();
    assert_closed(reader);
}

#[test]
fn more_than_named_end_the_session() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(2);
    pair.run(B, |session, _| {
        session.handle_descriptors(LANE, taken(descriptors))
    });
    let mut forged = forged_call(Handle::SAMGR, 0);
    forged.grants = grants(&[Grant::Descriptor]);
    pair.forge(B, LANE, &Frame::Call(forged)).unwrap();
    pair.pause(B, LANE.into());
    assert_eq!(fault(&pair, B), Some(PeerFault::Descriptors));
    pair.ends[B].events.clear();
    assert_closed(reader);
}

#[test]
fn within_a_frame_no_more_than_it_can_name_are_kept() {
    for (count, within, expected) in [
        (MAX_DESCRIPTORS, true, Ok(())),
        (MAX_DESCRIPTORS + 1, true, Err(PeerFault::Descriptors)),
        (1, false, Err(PeerFault::Descriptors)),
        (0, false, Ok(())),
    ] {
        let mut pair = pair();
        let descriptors = pipes(count).0;
        let paused = pair.run(B, |session, _| {
            session.handle_descriptors(LANE, taken(descriptors));
            session.handle_pause(LANE, within)
        });
        assert_eq!(paused, expected);
    }
}

#[test]
fn a_session_that_did_not_agree_on_descriptors_takes_none() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let (descriptors, reader) = pipes(1);
    pair.run(B, |session, _| {
        session.handle_descriptors(LANE, taken(descriptors))
    });
    let mut forged = forged_call(Handle::SAMGR, 0);
    forged.grants = grants(&[Grant::Descriptor]);
    let taken = pair.forge(B, LANE, &Frame::Call(forged));
    assert_eq!(taken, Err(PeerFault::UnexpectedDescriptor));
    pair.ends[B].events.clear();
    assert_closed(reader);
}

#[test]
fn requests_hold_no_more_descriptors_than_agreed() {
    let mut pair = pair();
    let full = outgoing(pipes(MAX_DESCRIPTORS).0);
    let allowed = DESCRIPTORS_PER_PEER as usize / MAX_DESCRIPTORS;
    for _ in 0..allowed {
        call(A, &mut pair, &full);
    }
    let refused = call(A, &mut pair, &full[..1]);
    pair.drive();
    let served = pair.request(B).unwrap().serving;
    assert_eq!(pair.status(A, refused), Status::Busy);
    assert_eq!(pair.count(B, is_close), 1);
    // One that has none is let in.
    call(A, &mut pair, &[]);
    pair.answer(B, served, &[]);
    call(A, &mut pair, &full);
    pair.drive();
    let mut requests = std::iter::from_fn(|| pair.request(B));
    assert_eq!(requests.by_ref().count(), allowed - 1 + 2);
}

#[test]
fn descriptors_of_one_way_calls_use_up_their_credit() {
    let limits = crate::limits::DEFAULT_PEER_LIMITS;
    let mut pair = Pair::with(Scope::SameDevice, 1, limits);
    let full = outgoing(pipes(MAX_DESCRIPTORS).0);
    let target = pair.ends[A].root;
    let one_way = TestCall {
        one_way: true,
        objects: &full,
        ..TestCall::new(target)
    };
    let allowed = DESCRIPTORS_PER_PEER as usize / MAX_DESCRIPTORS;
    for _ in 0..allowed {
        pair.call(A, &one_way).unwrap();
    }
    let again = pair.call(A, &one_way);
    assert_eq!(again, Err(StartCallError::NoCredit { lane: LANE }));
    pair.drive();
    while let Some(incoming) = pair.request(B) {
        pair.answer(B, incoming.serving, &[]);
    }
    pair.drive();
    pair.call(A, &one_way).unwrap();
    pair.drive();
    assert_eq!(fault(&pair, B), None);
}

/// What a call is told that comes where there is room for one descriptor.
fn assert_no_room(pair: &mut Pair, from: usize, id: proto::CallId) {
    let Some(Outcome::Failed { status, extensions }) = pair.outcome(from, id) else {
        panic!("it went through");
    };
    assert_eq!(status, Status::Busy);
    assert_eq!(extensions, NO_ROOM.extensions());
    assert_eq!((fault(pair, A), fault(pair, B)), (None, None));
}

#[test]
fn a_call_with_descriptors_for_which_there_is_no_room_is_busy() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(2);
    pair.ends[B].room = 1;
    let id = call(A, &mut pair, &outgoing(descriptors));
    pair.drive();
    assert_no_room(&mut pair, A, id);
    assert_eq!(pair.count(B, is_close), 1);
    pair.ends[B].events.clear();
    assert_closed(reader);
    // The session goes on.
    call(A, &mut pair, &[]);
    pair.drive();
    assert!(pair.request(B).is_some());
}

#[test]
fn a_reply_with_descriptors_for_which_there_is_no_room_is_busy() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(2);
    pair.ends[A].room = 1;
    let id = call(A, &mut pair, &[]);
    pair.drive();
    let serving = pair.request(B).unwrap().serving;
    pair.answer(B, serving, &outgoing(descriptors));
    pair.drive();
    assert_no_room(&mut pair, A, id);
    assert_eq!(pair.count(A, is_close), 1);
    pair.ends[A].events.clear();
    assert_closed(reader);
    pair.assert_floor();
}

#[test]
fn a_one_way_call_with_descriptors_for_which_there_is_no_room_is_refused() {
    let mut pair = pair();
    let (descriptors, reader) = pipes(1);
    pair.ends[B].room = 0;
    let target = pair.ends[A].root;
    let objects = outgoing(descriptors);
    let one_way = TestCall {
        one_way: true,
        objects: &objects,
        ..TestCall::new(target)
    };
    pair.call(A, &one_way).unwrap();
    drop(objects);
    pair.drive();
    assert!(pair.request(B).is_none());
    let refused = |event: &Event| matches!(event, Event::OneWayRefused { count: 1 });
    assert_eq!(pair.count(A, refused), 1);
    assert_eq!((fault(&pair, A), fault(&pair, B)), (None, None));
    assert_closed(reader);
    pair.assert_floor();
}
