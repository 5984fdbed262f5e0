//! Bodies that travel beside the lane.

use super::*;

#[test]
fn outcome_that_nobody_takes_is_given_back() {
    let mut pair = pair();
    let id = pair.two_way(A, pair.ends[A].root);
    pair.drive();
    let request = pair.request(B).unwrap();
    pair.answer(B, request.serving, &[Outgoing::Own(stub())]);
    pair.drive();
    pair.run(A, |session, _| session.abandon(id));
    pair.drive();
    pair.assert_floor();
}

#[test]
fn cancel_before_the_body_is_answered_at_once() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let id = pair
        .call(
            A,
            &TestCall {
                raw: raw(8),
                ..TestCall::new(root)
            },
        )
        .unwrap()
        .unwrap();
    pair.drive_lanes();
    pair.run(A, |session, _| session.abandon(id));
    pair.drive_lanes();
    assert_eq!(pair.usage(A).calls, 0, "the terminal frame has come");
    pair.drive();
    assert_eq!(pair.count(B, is_request), 0);
    pair.assert_floor();
}

#[test]
fn bulk_body_may_come_before_and_after_its_header() {
    for body_first in [false, true] {
        let mut pair = pair();
        let body = vec![5; 40_000];
        let call = TestCall {
            body: &body,
            raw: raw(3),
            ..TestCall::new(pair.ends[A].root)
        };
        pair.call(A, &call).unwrap();
        if body_first {
            pair.deliver_bulk(B, 0);
            assert_eq!(pair.count(B, is_request), 0);
        }
        pair.drive();
        let request = pair.request(B).unwrap();
        assert_eq!(request.parcel.body[..], body);
        assert_eq!(request.parcel.raw, raw(3));
        let reply = Body {
            parts: [&body, &[1, 2, 3, 4]],
            raw: None,
        };
        pair.run(B, |session, _| {
            session.finish(
                request.serving,
                &Answer::Parcel {
                    body: reply,
                    objects: &[],
                },
            );
        });
        if body_first {
            pair.deliver_bulk(A, 0);
        }
        pair.drive();
        drop(request);
        assert_eq!(pair.usage(A).calls, 1, "an outcome waits to be taken");
    }
}

#[test]
fn inline_body_stays_in_the_frame_when_raw_data_goes_beside_it() {
    let mut pair = pair();
    let call = TestCall {
        body: &[1, 2, 3, 4],
        raw: raw(1),
        ..TestCall::new(pair.ends[A].root)
    };
    pair.call(A, &call).unwrap();
    pair.drive();
    let request = pair.request(B).unwrap();
    assert_eq!(request.parcel.body[..], [1, 2, 3, 4]);
    assert_eq!(request.parcel.raw, raw(1));
}

#[test]
fn bulk_body_that_is_reset_ends_its_call_before_and_after_the_header() {
    for reset_first in [false, true] {
        let mut pair = pair();
        let root = pair.ends[A].root;
        let objects = [Outgoing::Own(stub())];
        let call = TestCall {
            raw: raw(9),
            objects: &objects,
            ..TestCall::new(root)
        };
        let two_way = pair.call(A, &call).unwrap().unwrap();
        pair.call(
            A,
            &TestCall {
                one_way: true,
                ..call
            },
        )
        .unwrap();
        if !reset_first {
            pair.drive_lanes();
        }
        pair.reset_bulk(B, 0);
        pair.reset_bulk(B, 0);
        pair.drive();
        assert_eq!(pair.status(A, two_way), Status::Cancelled);
        assert_eq!(pair.count(B, is_request), 0);
        drop(objects);
        pair.assert_floor();
    }
}

#[test]
fn reply_whose_body_is_reset_ends_its_call_before_and_after_the_header() {
    for reset_first in [false, true] {
        let mut pair = pair();
        let id = pair.two_way(A, pair.ends[A].root);
        pair.drive();
        let request = pair.request(B).unwrap();
        let raw = raw(9);
        let body = Body {
            parts: [&[], &[]],
            raw: raw.as_ref(),
        };
        let objects = [Outgoing::Own(stub())];
        pair.run(B, |session, _| {
            session.finish(
                request.serving,
                &Answer::Parcel {
                    body,
                    objects: &objects,
                },
            );
        });
        if !reset_first {
            pair.drive_lanes();
        }
        pair.reset_bulk(A, 0);
        pair.drive();
        assert_eq!(pair.status(A, id), Status::Cancelled);
        drop(request);
        pair.assert_floor();
    }
}

#[test]
fn header_that_a_lossy_lane_holds_up_for_long_still_finds_its_body() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    for one_way in [true, false] {
        let call = TestCall {
            raw: raw(9),
            one_way,
            ..TestCall::new(target)
        };
        pair.call(A, &call).unwrap();
        pair.deliver_bulk(B, 0);
        // Packets of others keep the link alive.
        for _ in 0..5 {
            pair.pass(11 * SECOND);
        }
        pair.drive();
        let request = pair.request(B).unwrap();
        assert_eq!(request.parcel.raw, raw(9));
        pair.answer(B, request.serving, &[]);
        pair.drive();
    }
}

#[test]
fn body_without_header_is_given_up_after_a_minute() {
    let mut pair = pair();
    let call = TestCall {
        raw: raw(9),
        ..TestCall::new(pair.ends[A].root)
    };
    let id = pair.call(A, &call).unwrap().unwrap();
    pair.deliver_bulk(B, 0);
    assert_eq!(
        pair.ends[B].session.poll_timeout(),
        Some(pair.now + 60 * SECOND)
    );
    pair.pass(60 * SECOND);
    assert_eq!(pair.ends[B].session.poll_timeout(), None);
    // The header was slower still: its call ends all the same.
    pair.drive();
    assert_eq!(pair.status(A, id), Status::Expired);
    assert_eq!(pair.count(B, is_request), 0);
    pair.assert_floor();
}

#[test]
fn body_of_a_refused_call_is_taken_for_nothing_before_and_after_the_header() {
    for body_first in [false, true] {
        let mut pair = pair();
        let root = pair.ends[A].root;
        let call = TestCall {
            code: 0,
            raw: raw(9),
            ..TestCall::new(root)
        };
        let id = pair.call(A, &call).unwrap().unwrap();
        if body_first {
            pair.deliver_bulk(B, 0);
        }
        pair.drive();
        assert_eq!(pair.status(A, id), Status::UnknownMethod);
        pair.assert_floor();
    }
}

#[test]
fn later_one_way_calls_wait_for_a_body_and_nothing_else_does() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let other = pair.grant(B, &stub());
    let bulk = TestCall {
        raw: raw(9),
        ..TestCall::new(target)
    };
    pair.call(A, &bulk).unwrap();
    pair.one_way(A, target, &[1]);
    pair.two_way(A, target);
    pair.one_way(A, other, &[2]);
    pair.drive_lanes();
    let mut arrived: Vec<_> = (0..2).map(|_| pair.request(B).unwrap()).collect();
    arrived.sort_by_key(|request| request.one_way);
    assert!(!arrived[0].one_way, "the two-way call of the same object");
    assert_eq!(
        arrived[1].parcel.body[..],
        [2],
        "the one-way call of another object"
    );
    assert!(pair.request(B).is_none());

    pair.drive();
    assert!(pair.request(B).unwrap().parcel.raw.is_some());
    assert_eq!(pair.request(B).unwrap().parcel.body[..], [1]);
}

#[test]
fn release_waits_for_a_body_and_for_held_one_way_calls() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let bulk = TestCall {
        raw: raw(9),
        one_way: true,
        ..TestCall::new(target)
    };
    pair.call(A, &bulk).unwrap();
    pair.one_way(A, target, &[1]);
    pair.drop_hold(A, target);
    pair.drive_lanes();
    assert_eq!(pair.usage(B).exports, 2);
    pair.drive();
    let first = pair.request(B).unwrap();
    assert_eq!(pair.usage(B).exports, 2);
    pair.answer(B, first.serving, &[]);
    assert_eq!(pair.usage(B).exports, 1, "the last one has begun");
    let second = pair.request(B).unwrap();
    pair.answer(B, second.serving, &[]);
    pair.drive();
    drop((first, second));
    pair.assert_floor();
}

#[test]
fn streams_beyond_the_agreed_number_wait() {
    let mut pair = pair();
    let call = TestCall {
        raw: raw(9),
        ..TestCall::new(pair.ends[A].root)
    };
    for _ in 0..5 {
        pair.call(A, &call).unwrap();
    }
    assert_eq!(
        pair.ends[B].bulk.len(),
        small_limits().bulk_streams as usize
    );
    pair.drive();
    assert_eq!(pair.count(B, is_request), 5);
}

/// A simulation that is repeated, and whoever reads two logs, finds what a session leaves behind in one order.
#[test]
fn end_of_a_session_gives_back_what_waits_for_bodies_in_the_order_it_was_sent() {
    let mut pair = pair();
    let stubs: Vec<_> = (0..8).map(|_| stub()).collect();
    let targets: Vec<_> = stubs.iter().map(|stub| pair.grant(B, stub)).collect();
    for target in targets {
        let call = TestCall {
            raw: raw(1),
            ..TestCall::new(target)
        };
        pair.call(A, &call).unwrap();
    }
    pair.drive_lanes();
    pair.disconnect();
    let released: Vec<_> = pair.ends[B]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Released(object) => stubs.iter().position(|stub| stub.key() == object.key()),
            _ => None,
        })
        .take(stubs.len())
        .collect();
    assert_eq!(released, (0..stubs.len()).collect::<Vec<_>>());
}
