//! Calls, replies and credit that nobody agreed to.

use super::*;

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
