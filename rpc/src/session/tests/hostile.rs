//! A peer that keeps to no rule: what it may not do ends its session, what it may do in vain is given back, and
//! nothing it sends makes anybody panic.

mod calls;
mod handles;
mod objects;
mod siege;

use bytes::Bytes;
use proto::{
    BootId, CallId, Handle, ObjectId,
    frame::{Ack, Bind, BulkPart, Call, Cancel, Frame, Grant, ObjectKind, Release, Reply, Status},
    message::{Control, DeathReason, Hello, Obituary, VersionRange, Welcome},
};

use super::pair::{A, B, Pair, boot, forged_call, grants, named, small_limits, stub};
use crate::session::{Delivered, Event, LostBulk, PeerFault, Scope};

fn pair() -> Pair {
    Pair::new(Scope::OtherDevice)
}

/// The lane of the root.
const ROOT_LANE: u16 = 1;

fn is_request(event: &Event) -> bool {
    matches!(event, Event::Request(_))
}

fn call(slot: u32) -> Call {
    forged_call(Handle::SAMGR, slot)
}

fn one_way(body: usize) -> Frame {
    Frame::Call(Call {
        id: None,
        body: vec![0; body].into(),
        ..call(0)
    })
}

fn reply(id: CallId) -> Reply {
    Reply {
        id,
        status: Status::Ok,
        bulk: None,
        grants: Default::default(),
        extensions: Default::default(),
        body: Bytes::new(),
    }
}

fn granted(boot: BootId, index: u32, tag: u64) -> Grant {
    Grant::Granted {
        handle: Handle::new(index, tag),
        kind: ObjectKind::Anonymous,
        object: ObjectId { boot, number: 77 },
    }
}

fn bulk_call(slot: u32, id: u64, raw_len: u32) -> Frame {
    Frame::Call(Call {
        bulk: Some(BulkPart {
            id,
            body_len: 0,
            raw_len,
        }),
        ..call(slot)
    })
}

fn statuses(pair: &mut Pair, end: usize) -> Vec<Status> {
    let status = |(_, frame)| match frame {
        Frame::Reply(reply) => Some(reply.status),
        _ => None,
    };
    pair.intercept(end).into_iter().filter_map(status).collect()
}

/// Every frame about an object, with this handle.
fn about(handle: Handle) -> [Frame; 3] {
    let bind = Bind {
        handle,
        binding: 1,
        descriptor: Bytes::new(),
        methods: Vec::new(),
    };
    [
        Frame::Call(forged_call(handle, 0)),
        Frame::Release(Release {
            handle,
            count: 1,
            homes: 0,
        }),
        Frame::Bind(bind),
    ]
}

#[test]
fn body_of_the_wrong_length_ends_the_session() {
    for body_first in [false, true] {
        let mut pair = pair();
        let body = Bytes::from_static(b"four");
        let header = bulk_call(0, 1, 5);
        let taken = if body_first {
            pair.run(A, |session, now| session.handle_bulk(now, 1, body))
                .unwrap();
            pair.forge(A, ROOT_LANE, &header)
        } else {
            pair.forge(A, ROOT_LANE, &header).unwrap();
            pair.run(A, |session, now| session.handle_bulk(now, 1, body))
        };
        assert_eq!(taken, Err(PeerFault::InvalidBulk));
        pair.disconnect();
        let usage = pair.usage(A);
        assert_eq!((usage.serving, usage.bulk, usage.exports), (0, 0, 0));
    }
}

#[test]
fn stream_named_twice_ends_the_session() {
    let mut pair = pair();
    pair.forge(A, ROOT_LANE, &bulk_call(0, 1, 5)).unwrap();
    assert_eq!(
        pair.forge(A, ROOT_LANE, &bulk_call(1, 1, 5)),
        Err(PeerFault::InvalidBulk)
    );

    let mut pair = self::pair();
    let body = || Bytes::from_static(b"four");
    pair.run(A, |session, now| session.handle_bulk(now, 1, body()))
        .unwrap();
    let again = pair.run(A, |session, now| session.handle_bulk(now, 1, body()));
    assert_eq!(again, Err(PeerFault::InvalidBulk));
}

#[test]
fn bodies_without_headers_are_bounded_in_bytes() {
    let mut pair = pair();
    let limit = crate::limits::BULK_MEMORY_PER_PEER;
    // Bytes are shared, so this costs the test one of them.
    let body = Bytes::from(vec![0; limit / 4]);
    for id in 1..=5 {
        let body = body.clone();
        pair.run(A, |session, now| session.handle_bulk(now, id, body))
            .unwrap();
    }
    pair.forge(A, ROOT_LANE, &bulk_call(5, 5, body.len() as u32))
        .unwrap();
    assert_eq!(statuses(&mut pair, A), [Status::Busy]);
    pair.forge(A, ROOT_LANE, &bulk_call(4, 4, body.len() as u32))
        .unwrap();
    assert_eq!(pair.count(A, is_request), 1);
}

#[test]
fn binding_that_was_never_made_ends_the_session() {
    let mut pair = pair();
    let bound = Frame::Call(Call {
        binding: 1,
        ..call(0)
    });
    assert_eq!(
        pair.forge(A, ROOT_LANE, &bound),
        Err(PeerFault::InvalidBinding)
    );

    let mut pair = self::pair();
    let far = Bind::MAX_BINDINGS + 1;
    let bind = Bind {
        handle: Handle::SAMGR,
        binding: far,
        descriptor: Bytes::new(),
        methods: vec![],
    };
    assert_eq!(
        pair.forge(A, ROOT_LANE, &Frame::Bind(bind)),
        Err(PeerFault::InvalidBinding)
    );
}

#[test]
fn too_many_obituaries_end_the_session() {
    let mut pair = pair();
    let reason = DeathReason::Revoked;
    let obituary = |index| {
        let handle = Handle::new(index, 1);
        Frame::Control(Control::Obituary(Obituary {
            handle,
            granted: 1,
            reason,
        }))
    };
    let limit = small_limits().objects;
    for index in 0..limit {
        pair.forge(A, 0, &obituary(index + 1)).unwrap();
    }
    assert_eq!(
        pair.forge(A, 0, &obituary(limit + 1)),
        Err(PeerFault::TooManyObituaries)
    );
}

#[test]
fn same_obituary_again_kills_nobody_twice() {
    let mut pair = pair();
    let proxy = pair.grant(B, &named(3, 1));
    let handle = pair.handle(A, proxy);
    let obituary = Obituary {
        handle,
        granted: 1,
        reason: DeathReason::Revoked,
    };
    let limit = small_limits().objects;
    for _ in 0..limit {
        pair.forge(A, 0, &Frame::Control(Control::Obituary(obituary)))
            .unwrap();
    }
    pair.forge(A, 0, &Frame::Control(Control::ObituaryEnd(handle)))
        .unwrap();
    pair.forge(A, 0, &Frame::Control(Control::ObituaryEnd(handle)))
        .unwrap();
    assert!(pair.ends[A].session.import_death(proxy).is_some());
    assert_eq!(
        pair.count(A, |event| matches!(event, Event::Died { .. })),
        1
    );
}

#[test]
fn opening_in_a_running_session_ends_it() {
    let (limits, boot) = (small_limits(), boot(B));
    let hello = Hello {
        versions: VersionRange::SPOKEN,
        features: 0,
        lanes: 1,
        limits,
        boot,
        replaces: 0,
    };
    let welcome = Welcome {
        version: 1,
        features: 0,
        lanes: 1,
        limits,
        boot,
        session: 1,
    };
    for control in [Control::Hello(hello), Control::Welcome(welcome)] {
        let mut pair = pair();
        let taken = pair.forge(A, 0, &Frame::Control(control));
        assert_eq!(taken, Err(PeerFault::UnexpectedControl));
    }
}

#[test]
fn unknown_control_message_is_skipped() {
    let mut pair = pair();
    pair.forge(A, 0, &Frame::Control(Control::Unknown)).unwrap();
}

#[test]
fn nothing_happens_after_a_fault() {
    let mut pair = pair();
    pair.forge(A, 0, &Frame::Call(call(0))).unwrap_err();
    pair.forge(A, 0, &Frame::Call(call(0))).unwrap();
    pair.forge(A, ROOT_LANE, &Frame::Call(call(0))).unwrap();
    pair.run(A, |session, now| session.handle_bulk(now, 1, Bytes::new()))
        .unwrap();
    pair.run(A, |session, _| session.handle_bulk_reset(1, LostBulk::Late));
    pair.run(A, |session, now| session.handle_timeout(now));
    pair.run(A, |session, _| session.go_away(1, ""));
    assert_eq!(pair.count(A, is_request), 0);
    assert!(pair.intercept(A).is_empty());
    assert_eq!(pair.usage(A).exports, 0);
}
