//! A peer that keeps to no rule: what it may not do ends its session, what it may do in vain is given back, and
//! nothing it sends makes anybody panic.

mod siege;

use bytes::Bytes;
use proto::{
    BootId, CallId, Handle, ObjectId,
    frame::{Ack, Bind, BulkPart, Call, Cancel, Frame, Grant, ObjectKind, Release, Reply, Status},
    message::{Control, DeathReason, Hello, Obituary, Welcome},
};

use super::pair::{A, B, Pair, boot, forged_call, grants, named, small_limits, stub};
use crate::session::{Delivered, Event, PeerFault, Scope};

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
fn handle_that_was_never_issued_ends_the_session() {
    for frame in about(Handle::new(8, 5)) {
        let mut pair = pair();
        assert_eq!(
            pair.forge(A, ROOT_LANE, &frame),
            Err(PeerFault::ForgedHandle),
            "{frame:?}"
        );
        assert_eq!(pair.count(A, is_request), 0);
    }
}

#[test]
fn third_wrong_tag_ends_the_session() {
    let mut pair = pair();
    pair.grant(A, &stub());
    let [call, release, bind] = about(Handle::new(1, 0xdead));
    let lane = pair.lane(A, Handle::new(1, 0));
    pair.forge(A, lane, &call).unwrap();
    assert_eq!(statuses(&mut pair, A), [Status::BadObject]);
    pair.forge(A, lane, &release).unwrap();
    assert_eq!(pair.usage(A).exports, 2, "nothing was released");
    assert_eq!(pair.forge(A, lane, &bind), Err(PeerFault::ForgedHandle));
}

#[test]
fn tag_of_the_root_cannot_be_guessed_around() {
    let mut pair = pair();
    let [call, ..] = about(Handle::new(0, 1));
    pair.forge(A, ROOT_LANE, &call).unwrap();
    assert_eq!(statuses(&mut pair, A), [Status::BadObject]);
}

#[test]
fn guessing_by_sending_home_is_guessing() {
    let mut pair = Pair::new(Scope::SameDevice);
    pair.grant(A, &stub());
    let home = |tag| Grant::Home {
        handle: Handle::new(1, tag),
    };
    let guess = |slot, tag| {
        Frame::Call(Call {
            grants: grants(&[home(tag)]),
            ..call(slot)
        })
    };
    for slot in 0..2 {
        pair.forge(A, ROOT_LANE, &guess(slot, slot.into())).unwrap();
        assert!(matches!(
            pair.request(A).unwrap().parcel.objects[..],
            [Delivered::Null]
        ));
    }
    assert_eq!(
        pair.forge(A, ROOT_LANE, &guess(2, 2)),
        Err(PeerFault::ForgedHandle)
    );

    let mut pair = Pair::new(Scope::SameDevice);
    let never = Grant::Home {
        handle: Handle::new(9, 1),
    };
    let frame = Frame::Call(Call {
        grants: grants(&[never]),
        ..call(0)
    });
    assert_eq!(
        pair.forge(A, ROOT_LANE, &frame),
        Err(PeerFault::ForgedHandle)
    );
}

#[test]
fn what_came_before_a_guess_in_one_header_is_held_by_nobody() {
    let mut pair = Pair::new(Scope::SameDevice);
    let guess = Grant::Home {
        handle: Handle::new(9, 1),
    };
    let frame = Frame::Call(Call {
        grants: grants(&[granted(boot(B), 5, 1), guess]),
        ..call(0)
    });
    let forged = pair.forge(A, ROOT_LANE, &frame);
    assert_eq!(forged, Err(PeerFault::ForgedHandle));
    assert_eq!(pair.usage(A).imports, 1);
}

#[test]
fn freed_handle_is_ignored() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let handle = pair.handle(B, proxy);
    let lane = pair.lane(B, handle);
    pair.drop_hold(B, proxy);
    pair.drive();
    for _ in 0..5 {
        for frame in about(handle) {
            pair.forge(A, lane, &frame).unwrap();
        }
        assert_eq!(statuses(&mut pair, A), [Status::BadObject]);
    }
    // Also when its place is taken again.
    pair.grant(A, &stub());
    for frame in about(handle).into_iter().skip(1).cycle().take(2) {
        pair.forge(A, lane, &frame).unwrap();
    }
    assert_eq!(pair.usage(A).exports, 2);
}

#[test]
fn more_released_than_granted_ends_the_session() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let handle = pair.handle(B, proxy);
    let lane = pair.lane(B, handle);
    let release = |count| {
        Frame::Release(Release {
            handle,
            count,
            homes: 0,
        })
    };
    assert_eq!(
        pair.forge(A, lane, &release(2)),
        Err(PeerFault::OverRelease)
    );
}

#[test]
fn more_released_than_granted_behind_a_held_call_ends_the_session() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let handle = pair.handle(B, proxy);
    let lane = pair.lane(B, handle);
    let part = BulkPart {
        id: 1,
        body_len: 0,
        raw_len: 4,
    };
    let held = Frame::Call(Call {
        bulk: Some(part),
        ..forged_call(handle, 0)
    });
    let release = Frame::Release(Release {
        handle,
        count: 1,
        homes: 0,
    });
    pair.forge(A, lane, &held).unwrap();
    pair.forge(A, lane, &release).unwrap();
    assert_eq!(pair.forge(A, lane, &release), Err(PeerFault::OverRelease));
}

#[test]
fn root_is_never_released() {
    let mut pair = pair();
    let release = |count| {
        Frame::Release(Release {
            handle: Handle::SAMGR,
            count,
            homes: 0,
        })
    };
    for _ in 0..3 {
        pair.forge(A, ROOT_LANE, &release(1)).unwrap();
        pair.forge(A, ROOT_LANE, &release(0)).unwrap();
    }
    pair.two_way(B, pair.ends[B].root);
    pair.drive();
    assert!(pair.request(A).is_some());
    assert_eq!(
        pair.forge(A, ROOT_LANE, &release(2)),
        Err(PeerFault::OverRelease)
    );
}

#[test]
fn third_reply_to_no_call_ends_the_session() {
    let mut pair = pair();
    let object = grants(&[granted(boot(B), 3, 3)]);
    let forged = Frame::Reply(Reply {
        grants: object,
        ..reply(CallId {
            slot: 5,
            generation: 1,
        })
    });
    for _ in 0..2 {
        pair.forge(A, ROOT_LANE, &forged).unwrap();
        let frames = pair.intercept(A);
        assert!(
            matches!(frames[..], [(_, Frame::Release(_))]),
            "given back: {frames:?}"
        );
    }
    assert_eq!(pair.usage(A).imports, 1);
    assert_eq!(
        pair.forge(A, ROOT_LANE, &forged),
        Err(PeerFault::ForgedReply)
    );
}

#[test]
fn reply_on_another_lane_or_to_another_generation_is_no_reply() {
    let mut pair = pair();
    let id = pair.two_way(A, pair.ends[A].root);
    let other = CallId {
        generation: id.generation + 1,
        ..id
    };
    pair.forge(A, ROOT_LANE + 1, &Frame::Reply(reply(id)))
        .unwrap();
    pair.forge(A, ROOT_LANE, &Frame::Reply(reply(other)))
        .unwrap();
    assert!(pair.outcome(A, id).is_none());
    pair.forge(A, ROOT_LANE, &Frame::Reply(reply(id))).unwrap();
    assert_eq!(pair.status(A, id), Status::Ok);
    assert_eq!(
        pair.forge(A, ROOT_LANE, &Frame::Reply(reply(id))),
        Err(PeerFault::ForgedReply)
    );
}

#[test]
fn second_reply_while_the_body_of_the_first_is_on_its_way_loses_nothing() {
    let mut pair = pair();
    let id = pair.two_way(A, pair.ends[A].root);
    pair.intercept(A);
    let part = |id| {
        Some(BulkPart {
            id,
            body_len: 0,
            raw_len: 1,
        })
    };
    let object = |index| grants(&[granted(boot(B), index, 3)]);
    let bulk = Reply {
        bulk: part(1),
        grants: object(3),
        ..reply(id)
    };
    pair.forge(A, ROOT_LANE, &Frame::Reply(bulk)).unwrap();
    pair.forge(
        A,
        ROOT_LANE,
        &Frame::Reply(Reply {
            grants: object(4),
            ..reply(id)
        }),
    )
    .unwrap();
    let raw = Bytes::from_static(b"x");
    pair.run(A, |session, now| session.handle_bulk(now, 1, raw))
        .unwrap();
    pair.run(A, |session, _| session.abandon(id));
    assert_eq!(pair.usage(A).imports, 1);
}

#[test]
fn frames_on_lanes_of_others_end_the_session() {
    let control = Frame::Control(Control::Unknown);
    let cancel = Frame::Cancel(Cancel {
        id: CallId {
            slot: 0,
            generation: 1,
        },
    });
    let mut cases = vec![
        (ROOT_LANE, control),
        (0, cancel),
        (0, Frame::Ack(Ack::default())),
    ];
    for frame in about(Handle::SAMGR) {
        cases.push((0, frame.clone()));
        cases.push((ROOT_LANE + 1, frame));
    }
    for (lane, frame) in cases {
        let mut pair = pair();
        let taken = pair.forge(A, lane, &frame);
        assert_eq!(taken, Err(PeerFault::WrongLane), "{frame:?} on {lane}");
    }
}

#[test]
fn call_id_in_use_and_call_id_out_of_range_end_the_session() {
    let mut pair = pair();
    pair.forge(A, ROOT_LANE, &Frame::Call(call(3))).unwrap();
    let again = Call {
        id: Some(CallId {
            slot: 3,
            generation: 2,
        }),
        ..call(3)
    };
    assert_eq!(
        pair.forge(A, ROOT_LANE, &Frame::Call(again)),
        Err(PeerFault::InvalidCallId)
    );

    let mut pair = self::pair();
    let far = Frame::Call(call(0x1_0000));
    assert_eq!(
        pair.forge(A, ROOT_LANE, &far),
        Err(PeerFault::InvalidCallId)
    );
}

#[test]
fn more_calls_than_agreed_end_the_session() {
    let mut pair = pair();
    let limit = small_limits().calls_in_flight;
    for slot in 0..limit {
        pair.forge(A, ROOT_LANE, &Frame::Call(call(slot))).unwrap();
    }
    let more = Frame::Call(call(limit));
    assert_eq!(
        pair.forge(A, ROOT_LANE, &more),
        Err(PeerFault::InvalidCallId)
    );
}

#[test]
fn peer_that_does_not_read_its_replies_gets_no_more_calls() {
    let mut pair = pair();
    let mut taken = 0;
    let unknown = Frame::Call(Call { code: 0, ..call(0) });
    while pair.forge(A, ROOT_LANE, &unknown).is_ok() {
        taken += 1;
        assert!(taken <= small_limits().calls_in_flight, "replies pile up");
    }
    assert_eq!(pair.ends[A].fault, Some(PeerFault::InvalidCallId));
}

#[test]
fn peer_that_does_not_read_its_bulk_replies_gets_no_more_calls() {
    let mut pair = pair();
    let raw = Bytes::from_static(b"raw");
    let mut taken = 0;
    while pair.forge(A, ROOT_LANE, &Frame::Call(call(0))).is_ok() {
        let request = pair.request(A).unwrap();
        let body = crate::session::Body {
            parts: [&[], &[]],
            raw: Some(&raw),
        };
        let answer = crate::session::Answer::Parcel { body, objects: &[] };
        pair.run(A, |session, _| session.finish(request.serving, &answer));
        pair.intercept(A);
        taken += 1;
        assert!(
            taken <= small_limits().calls_in_flight + 10,
            "bodies pile up"
        );
    }
    assert_eq!(pair.ends[A].fault, Some(PeerFault::InvalidCallId));
}

#[test]
fn credit_exceeded_ends_the_session() {
    let limits = small_limits();
    let mut pair = pair();
    for _ in 0..limits.one_way_calls {
        pair.forge(A, ROOT_LANE, &one_way(0)).unwrap();
    }
    assert_eq!(
        pair.forge(A, ROOT_LANE, &one_way(0)),
        Err(PeerFault::CreditExceeded)
    );

    let mut pair = self::pair();
    pair.forge(A, ROOT_LANE, &one_way(limits.one_way_bytes as usize))
        .unwrap();
    assert_eq!(
        pair.forge(A, ROOT_LANE, &one_way(1)),
        Err(PeerFault::CreditExceeded)
    );
}

#[test]
fn credit_comes_back_only_with_an_acknowledgement_that_is_read() {
    let mut pair = pair();
    let unknown = Frame::Call(Call {
        id: None,
        code: 0,
        ..call(0)
    });
    for _ in 0..small_limits().one_way_calls {
        pair.forge(A, ROOT_LANE, &unknown).unwrap();
    }
    assert!(!pair.intercept(A).is_empty());
    for _ in 0..small_limits().one_way_calls {
        pair.forge(A, ROOT_LANE, &unknown).unwrap();
    }
    assert_eq!(
        pair.forge(A, ROOT_LANE, &unknown),
        Err(PeerFault::CreditExceeded)
    );
}

#[test]
fn acknowledgement_of_what_was_not_sent_ends_the_session() {
    let acks = [
        Ack {
            calls: 2,
            ..Ack::default()
        },
        Ack {
            calls: 1,
            bytes: 5,
            refused: 0,
        },
        Ack {
            calls: 1,
            bytes: 4,
            refused: 2,
        },
    ];
    for ack in acks {
        let mut pair = pair();
        pair.one_way(A, pair.ends[A].root, &[0; 4]);
        let taken = pair.forge(A, ROOT_LANE, &Frame::Ack(ack));
        assert_eq!(taken, Err(PeerFault::CreditExceeded), "{ack:?}");
    }
    // And one that takes back what an earlier one said.
    let mut pair = pair();
    pair.one_way(A, pair.ends[A].root, &[0; 4]);
    let ack = Ack {
        calls: 1,
        bytes: 4,
        refused: 0,
    };
    pair.forge(A, ROOT_LANE, &Frame::Ack(ack)).unwrap();
    let back = Frame::Ack(Ack::default());
    assert_eq!(
        pair.forge(A, ROOT_LANE, &back),
        Err(PeerFault::CreditExceeded)
    );
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
        versions: (1, 1),
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
fn object_sent_home_from_another_device_is_null() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let home = Grant::Home {
        handle: pair.handle(B, proxy),
    };
    let frame = Frame::Call(Call {
        grants: grants(&[home, Grant::Null]),
        ..call(0)
    });
    pair.forge(A, ROOT_LANE, &frame).unwrap();
    let objects = pair.request(A).unwrap().parcel.objects;
    assert!(matches!(objects[..], [Delivered::Null, Delivered::Null]));
}

#[test]
fn object_of_a_third_device_is_null_and_given_back() {
    let mut pair = pair();
    let foreign = BootId {
        epoch: 9,
        random: 9,
    };
    let frame = Frame::Call(Call {
        grants: grants(&[granted(foreign, 3, 3)]),
        ..call(0)
    });
    pair.forge(A, ROOT_LANE, &frame).unwrap();
    assert!(matches!(
        pair.request(A).unwrap().parcel.objects[..],
        [Delivered::Null]
    ));
    let frames = pair.intercept(A);
    let [(_, Frame::Release(release))] = frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!((release.handle, release.count), (Handle::new(3, 3), 1));
    assert_eq!(pair.usage(A).imports, 1);
}

#[test]
fn grant_of_the_place_of_the_root_is_null() {
    let mut pair = pair();
    let root = grants(&[granted(boot(B), 0, 0), granted(boot(B), 0, 5)]);
    pair.forge(
        A,
        ROOT_LANE,
        &Frame::Call(Call {
            grants: root,
            ..call(0)
        }),
    )
    .unwrap();
    let objects = pair.request(A).unwrap().parcel.objects;
    assert!(matches!(objects[..], [Delivered::Null, Delivered::Null]));
    assert_eq!(pair.usage(A).imports, 1);
    pair.two_way(A, pair.ends[A].root);
}

#[test]
fn more_objects_than_agreed_are_null_and_given_back() {
    let mut pair = pair();
    let limit = small_limits().objects;
    let mut index = 0;
    for slot in 0..8 {
        let some: Vec<_> = (0..64)
            .map(|_| {
                index += 1;
                granted(boot(B), index, 1)
            })
            .collect();
        let frame = Frame::Call(Call {
            grants: grants(&some),
            ..call(slot)
        });
        pair.forge(A, ROOT_LANE, &frame).unwrap();
    }
    assert_eq!(pair.usage(A).imports, limit as usize + 1);
}

#[test]
fn nothing_happens_after_a_fault() {
    let mut pair = pair();
    pair.forge(A, 0, &Frame::Call(call(0))).unwrap_err();
    pair.forge(A, 0, &Frame::Call(call(0))).unwrap();
    pair.forge(A, ROOT_LANE, &Frame::Call(call(0))).unwrap();
    pair.run(A, |session, now| session.handle_bulk(now, 1, Bytes::new()))
        .unwrap();
    pair.run(A, |session, _| session.handle_bulk_reset(1, Status::Busy));
    pair.run(A, |session, now| session.handle_timeout(now));
    pair.run(A, |session, _| session.go_away(1, ""));
    assert_eq!(pair.count(A, is_request), 0);
    assert!(pair.intercept(A).is_empty());
    assert_eq!(pair.usage(A).exports, 0);
}
