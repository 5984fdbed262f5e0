//! Calls: that each ends once, in which order they run, what they may weigh, and how long they last.

use std::time::Duration;

use bytes::Bytes;
use proto::frame::{Frame, MethodHash, Status};

use super::pair::{A, B, Pair, TestCall, interface, small_limits, stub, typed};
use crate::{
    limits,
    session::{Answer, Body, Event, Outcome, Outgoing, Scope, StartCallError},
};

const SECOND: Duration = Duration::from_secs(1);

fn pair() -> Pair {
    Pair::new(Scope::OtherDevice)
}

fn is_request(event: &Event) -> bool {
    matches!(event, Event::Request(_))
}

fn is_cancel(event: &Event) -> bool {
    matches!(event, Event::Cancel(_))
}

fn is_reply(frame: &(u16, Frame)) -> bool {
    matches!(frame.1, Frame::Reply(_))
}

fn raw(len: usize) -> Option<Bytes> {
    Some(Bytes::from(vec![9; len]))
}

#[test]
fn two_way_call_ends_once() {
    let mut pair = pair();
    let id = pair.two_way(A, pair.ends[A].root);
    assert!(pair.outcome(A, id).is_none());
    pair.drive();
    let request = pair.request(B).unwrap();
    assert!(!request.one_way);
    pair.answer(B, request.serving, &[]);
    pair.answer(B, request.serving, &[]);
    pair.drive();
    assert_eq!(
        pair.count(A, |event| matches!(event, Event::CallEnded(_))),
        1
    );
    assert_eq!(pair.status(A, id), Status::Ok);
    assert!(pair.outcome(A, id).is_none());
    drop(request);
    pair.assert_floor();
}

#[test]
fn error_reply_carries_code_and_no_objects() {
    let mut pair = pair();
    let id = pair.two_way(A, pair.ends[A].root);
    pair.drive();
    let request = pair.request(B).unwrap();
    pair.fail(B, request.serving, Status::App(1_909_001));
    pair.drive();
    assert_eq!(pair.status(A, id), Status::App(1_909_001));
}

#[test]
fn late_reply_is_dropped_and_its_grants_given_back() {
    let mut pair = pair();
    let id = pair.two_way(A, pair.ends[A].root);
    pair.drive();
    let request = pair.request(B).unwrap();
    pair.answer(B, request.serving, &[Outgoing::Own(stub())]);
    // The cancel crosses the reply.
    pair.run(A, |session, _| session.abandon(id));
    pair.drive();
    assert_eq!(
        pair.count(A, |event| matches!(event, Event::CallEnded(_))),
        0
    );
    assert_eq!(pair.count(B, is_cancel), 0);
    drop(request);
    pair.assert_floor();
}

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
fn call_slot_is_not_used_again_before_the_terminal_frame() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let first = pair.two_way(A, root);
    pair.drive();
    pair.run(A, |session, _| session.abandon(first));
    pair.drive();
    let second = pair.two_way(A, root);
    assert_ne!(first.slot, second.slot);

    let request = pair.request(B).unwrap();
    pair.fail(B, request.serving, Status::Cancelled);
    pair.drive();
    let third = pair.two_way(A, root);
    assert_eq!(third.slot, first.slot);
    assert_ne!(third.generation, first.generation);
}

#[test]
fn cancel_of_a_running_handler_leads_to_one_terminal_frame() {
    let mut pair = pair();
    let id = pair.two_way(A, pair.ends[A].root);
    pair.drive();
    let request = pair.request(B).unwrap();
    pair.run(A, |session, _| session.abandon(id));
    pair.run(A, |session, _| session.abandon(id));
    pair.drive();
    assert_eq!(pair.count(B, is_cancel), 1);
    assert!(pair.ends[B].session.is_stopped(request.serving));
    // The deadline changes nothing any more, and the answer is the one frame.
    pair.pass(10 * SECOND);
    assert!(pair.intercept(B).is_empty());
    pair.fail(B, request.serving, Status::Cancelled);
    assert_eq!(
        pair.intercept(B)
            .iter()
            .filter(|frame| is_reply(frame))
            .count(),
        1
    );
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
fn deadline_ends_a_call_at_both_ends() {
    let mut pair = pair();
    let call = TestCall {
        wait: Some(8 * SECOND),
        ..TestCall::new(pair.ends[A].root)
    };
    let id = pair.call(A, &call).unwrap().unwrap();
    pair.drive();
    let request = pair.request(B).unwrap();
    assert_eq!(request.context.deadline, Some(pair.now + 8 * SECOND));
    pair.pass(8 * SECOND - Duration::from_micros(1));
    assert!(pair.outcome(A, id).is_none());
    pair.pass(Duration::from_micros(1));
    assert_eq!(pair.count(B, is_cancel), 1);
    assert!(matches!(pair.outcome(A, id), Some(Outcome::TimedOut)));
    pair.drive();
    assert_eq!(pair.usage(A).calls, 0);
    // What the handler answers afterwards goes nowhere, grants included.
    pair.answer(B, request.serving, &[Outgoing::Own(stub())]);
    drop(request);
    pair.assert_floor();
}

#[test]
fn callee_that_expires_first_tells_the_caller() {
    let mut pair = pair();
    let call = TestCall {
        wait: Some(8 * SECOND),
        ..TestCall::new(pair.ends[A].root)
    };
    let id = pair.call(A, &call).unwrap().unwrap();
    pair.drive();
    pair.now += 8 * SECOND;
    pair.run(B, |session, now| session.handle_timeout(now));
    pair.drive();
    assert_eq!(pair.status(A, id), Status::Expired);
    assert_eq!(pair.usage(B).serving, 1, "the handler has not ended");
}

#[test]
fn remaining_time_is_what_is_left_when_the_header_is_made() {
    let mut pair = pair();
    let call = TestCall {
        wait: Some(Duration::ZERO),
        ..TestCall::new(pair.ends[A].root)
    };
    pair.call(A, &call).unwrap();
    let frames = pair.intercept(A);
    let Frame::Call(call) = &frames[0].1 else {
        panic!("{frames:?}")
    };
    assert_eq!(call.deadline_us, 1, "0 would be no deadline at all");
}

#[test]
fn one_way_call_that_expires_in_the_queue_never_runs() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    pair.one_way(A, root, &[1]);
    pair.call(
        A,
        &TestCall {
            one_way: true,
            wait: Some(SECOND),
            ..TestCall::new(root)
        },
    )
    .unwrap();
    pair.one_way(A, root, &[3]);
    pair.drive();
    let first = pair.request(B).unwrap();
    pair.pass(2 * SECOND);
    pair.answer(B, first.serving, &[]);
    let third = pair.request(B).unwrap();
    assert_eq!(third.parcel.body[..], [3]);
    pair.answer(B, third.serving, &[]);
    pair.drive();
    assert_eq!(
        pair.count(A, |event| matches!(
            event,
            Event::OneWayRefused { count: 1 }
        )),
        1
    );
    drop((first, third));
    pair.assert_floor();
}

#[test]
fn one_way_calls_run_in_order_and_one_at_a_time() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    for number in 0..5 {
        pair.one_way(A, root, &[number]);
    }
    pair.drive();
    for number in 0..5 {
        assert_eq!(pair.count(B, is_request), 1);
        let request = pair.request(B).unwrap();
        assert_eq!(request.parcel.body[..], [number]);
        pair.answer(B, request.serving, &[]);
    }
    pair.drive();
    pair.assert_floor();
}

#[test]
fn two_way_call_runs_beside_one_way_calls_of_the_same_object() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    pair.one_way(A, root, &[1]);
    pair.two_way(A, root);
    pair.drive();
    assert_eq!(pair.count(B, is_request), 2);
    assert!(pair.request(B).unwrap().one_way, "and arrives after them");
}

#[test]
fn one_way_calls_of_two_objects_do_not_wait_for_each_other() {
    let mut pair = pair();
    let other = pair.grant(B, &stub());
    pair.one_way(A, other, &[1]);
    pair.one_way(A, pair.ends[A].root, &[2]);
    pair.drive();
    assert_eq!(pair.count(B, is_request), 2);
}

#[test]
fn one_way_credit_counts_calls_of_a_lane() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let lane = pair.lane(A, pair.handle(A, root));
    for _ in 0..small_limits().one_way_calls {
        pair.one_way(A, root, &[]);
    }
    let more = TestCall {
        one_way: true,
        ..TestCall::new(root)
    };
    assert_eq!(pair.call(A, &more), Err(StartCallError::NoCredit { lane }));
    pair.drive();
    assert_eq!(
        pair.call(A, &more),
        Err(StartCallError::NoCredit { lane }),
        "running is not ended"
    );
    let request = pair.request(B).unwrap();
    pair.answer(B, request.serving, &[]);
    pair.drive();
    assert_eq!(
        pair.count(
            A,
            |event| matches!(event, Event::Credit { lane: l } if *l == lane)
        ),
        1
    );
    assert_eq!(pair.call(A, &more), Ok(None));
    assert!(pair.call(A, &more).is_err());
}

#[test]
fn one_way_credit_counts_bytes_raw_data_included() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let half = vec![0; small_limits().one_way_bytes as usize / 2];
    let one_way = TestCall {
        one_way: true,
        ..TestCall::new(root)
    };
    pair.call(
        A,
        &TestCall {
            body: &half,
            ..one_way.clone()
        },
    )
    .unwrap();
    let rest = TestCall {
        raw: raw(half.len()),
        ..one_way.clone()
    };
    assert!(
        pair.call(
            A,
            &TestCall {
                body: &[1],
                ..rest.clone()
            }
        )
        .is_err()
    );
    pair.call(A, &rest).unwrap();
    assert!(
        pair.call(
            A,
            &TestCall {
                body: &[1],
                ..one_way.clone()
            }
        )
        .is_err()
    );
    pair.call(A, &one_way).expect("an empty one costs no bytes");
}

#[test]
fn one_way_call_larger_than_the_credit_goes_when_nothing_else_is_under_way() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let large = vec![0; small_limits().one_way_bytes as usize + 1];
    let large = TestCall {
        one_way: true,
        body: &large,
        ..TestCall::new(root)
    };
    pair.call(A, &large).unwrap();
    assert!(pair.call(A, &large).is_err());
    pair.drive();
    let request = pair.request(B).unwrap();
    pair.answer(B, request.serving, &[]);
    pair.drive();
    pair.call(A, &large).unwrap();
}

#[test]
fn one_acknowledgement_for_many_calls() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    for _ in 0..3 {
        pair.one_way(A, root, &[7]);
    }
    pair.drive();
    for _ in 0..3 {
        let request = pair.request(B).unwrap();
        pair.answer(B, request.serving, &[]);
    }
    let frames = pair.intercept(B);
    let [(_, Frame::Ack(ack))] = frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!((ack.calls, ack.bytes, ack.refused), (3, 3, 0));
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
fn body_without_header_is_given_up_after_five_seconds() {
    let mut pair = pair();
    let call = TestCall {
        raw: raw(9),
        ..TestCall::new(pair.ends[A].root)
    };
    let id = pair.call(A, &call).unwrap().unwrap();
    pair.deliver_bulk(B, 0);
    assert_eq!(
        pair.ends[B].session.poll_timeout(),
        Some(pair.now + 5 * SECOND)
    );
    pair.pass(5 * SECOND);
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
fn sixteen_calls_are_kept_for_handlers() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let limit = small_limits().calls_in_flight;
    let room = limit - limits::NESTED_CALLS_RESERVE;
    for _ in 0..room {
        pair.two_way(A, root);
    }
    let full = |limit| Err(StartCallError::TooManyCalls { limit });
    assert_eq!(pair.call(A, &TestCall::new(root)), full(room));
    let nested = TestCall {
        depth: 1,
        ..TestCall::new(root)
    };
    for _ in 0..limits::NESTED_CALLS_RESERVE {
        pair.call(A, &nested).unwrap();
    }
    assert_eq!(pair.call(A, &nested), full(limit));
    pair.drive();
    assert_eq!(
        pair.count(B, is_request),
        limit as usize,
        "the callee takes all of them"
    );
    assert_eq!(pair.ends[B].fault, None);
}

#[test]
fn handlers_that_do_not_end_keep_their_places() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let limit = small_limits().calls_in_flight;
    let nested = TestCall {
        depth: 1,
        wait: Some(SECOND),
        ..TestCall::new(root)
    };
    for _ in 0..limit {
        pair.call(A, &nested).unwrap();
    }
    pair.drive();
    pair.pass(2 * SECOND);
    pair.drive();
    // Every call has ended for the caller, no handler has.
    let id = pair.call(A, &TestCall::new(root)).unwrap().unwrap();
    pair.drive();
    assert_eq!(pair.status(A, id), Status::Busy);
    let request = pair.request(B).unwrap();
    pair.answer(B, request.serving, &[]);
    pair.two_way(A, root);
    pair.drive();
    assert_eq!(pair.count(B, is_request), limit as usize);
}

#[test]
fn codes_outside_the_range_are_unknown_methods() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    for (code, status) in [
        (0, Some(Status::UnknownMethod)),
        (1, None),
        (0x00ff_ffff, None),
        (0x0100_0000, Some(Status::UnknownMethod)),
        (u32::MAX, Some(Status::UnknownMethod)),
    ] {
        let id = pair
            .call(
                A,
                &TestCall {
                    code,
                    ..TestCall::new(root)
                },
            )
            .unwrap()
            .unwrap();
        pair.drive();
        match status {
            Some(status) => assert_eq!(pair.status(A, id), status, "{code:#x}"),
            None => assert_eq!(pair.request(B).unwrap().code, code),
        }
    }
}

#[test]
fn chain_of_calls_deeper_than_sixteen_is_refused() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    pair.call(
        A,
        &TestCall {
            depth: 16,
            ..TestCall::new(root)
        },
    )
    .unwrap();
    pair.drive();
    assert_eq!(pair.request(B).unwrap().context.depth, 16);
    let id = pair
        .call(
            A,
            &TestCall {
                depth: 17,
                ..TestCall::new(root)
            },
        )
        .unwrap()
        .unwrap();
    pair.drive();
    assert_eq!(pair.status(A, id), Status::TooDeep);
}

#[test]
fn who_leaves_refuses_new_calls_and_ends_the_running_ones() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let running = pair.two_way(A, root);
    pair.drive();
    let request = pair.request(B).unwrap();
    let crossing = pair.two_way(A, root);
    pair.run(B, |session, _| session.go_away(1, &"é".repeat(100_000)));
    pair.drive();
    assert_eq!(pair.status(A, crossing), Status::ShuttingDown);
    assert_eq!(
        pair.call(A, &TestCall::new(root)),
        Err(StartCallError::PeerLeaving)
    );
    pair.answer(B, request.serving, &[]);
    pair.drive();
    assert_eq!(pair.status(A, running), Status::Ok);
}

#[test]
fn end_of_the_session_ends_every_call() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let waiting = pair.two_way(A, root);
    let overdue = pair.call(
        A,
        &TestCall {
            wait: Some(SECOND),
            ..TestCall::new(root)
        },
    );
    let bulk = pair
        .call(
            A,
            &TestCall {
                raw: raw(9),
                ..TestCall::new(root)
            },
        )
        .unwrap()
        .unwrap();
    pair.drive_lanes();
    pair.pass(SECOND);
    pair.disconnect();
    assert!(matches!(
        pair.outcome(A, waiting),
        Some(Outcome::Indeterminate)
    ));
    assert!(matches!(
        pair.outcome(A, overdue.unwrap().unwrap()),
        Some(Outcome::TimedOut)
    ));
    assert!(matches!(
        pair.outcome(A, bulk),
        Some(Outcome::Indeterminate)
    ));
    assert_eq!(pair.usage(A).calls, 0);
    // Handlers are told to stop, and their answers go nowhere.
    assert_eq!(pair.count(B, is_cancel), 2);
    while let Some(request) = pair.request(B) {
        pair.answer(B, request.serving, &[Outgoing::Own(stub())]);
    }
    assert_eq!(pair.usage(B).serving, 0);
    assert!(pair.ends[B].session.is_idle());
    assert!(matches!(
        pair.call(A, &TestCall::new(root)),
        Err(StartCallError::Dead(_))
    ));
}

fn methods(methods: &[(u32, u64)]) -> Vec<MethodHash> {
    methods
        .iter()
        .map(|&(code, hash)| MethodHash { code, hash })
        .collect()
}

#[test]
fn binding_is_checked_for_each_method() {
    let mut pair = pair();
    let ours = typed(methods(&[(1, 10), (2, 20)]));
    let target = pair.grant(B, &ours);
    let same = interface("test.Stub", methods(&[(1, 10), (2, 21), (3, 30)]));
    let other = interface("test.Other", methods(&[(1, 10)]));
    let cases = [
        (same, 1, Status::Ok),
        (same, 2, Status::InterfaceMismatch),
        (same, 3, Status::UnknownMethod),
        (other, 1, Status::InterfaceMismatch),
    ];
    for (interface, code, status) in cases {
        let call = TestCall {
            interface: Some(interface),
            code,
            ..TestCall::new(target)
        };
        let id = pair.call(A, &call).unwrap().unwrap();
        pair.drive();
        if status == Status::Ok {
            let request = pair.request(B).unwrap();
            pair.answer(B, request.serving, &[]);
            pair.drive();
        }
        assert_eq!(
            pair.status(A, id),
            status,
            "{} {code}",
            interface.descriptor
        );
    }
    // A caller that names no interface is not checked.
    let id = pair
        .call(
            A,
            &TestCall {
                code: 3,
                ..TestCall::new(target)
            },
        )
        .unwrap();
    pair.drive();
    assert_eq!(pair.request(B).unwrap().code, 3);
    assert!(pair.outcome(A, id.unwrap()).is_none());
}

#[test]
fn stub_without_a_list_of_methods_is_not_checked() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let other = interface("test.Other", methods(&[(1, 10)]));
    pair.call(
        A,
        &TestCall {
            interface: Some(other),
            ..TestCall::new(target)
        },
    )
    .unwrap();
    pair.drive();
    assert!(pair.request(B).is_some());
}

#[test]
fn interface_is_bound_once() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let same = interface("test.Stub", Vec::new());
    let call = TestCall {
        interface: Some(same),
        ..TestCall::new(target)
    };
    pair.call(A, &call).unwrap();
    pair.call(A, &call).unwrap();
    let frames = pair.intercept(A);
    assert_eq!(
        frames
            .iter()
            .filter(|(_, frame)| matches!(frame, Frame::Bind(_)))
            .count(),
        1
    );
}

#[test]
fn more_interfaces_than_numbers_take_turns() {
    let mut pair = pair();
    let ours = typed(methods(&[(1, 10)]));
    let target = pair.grant(B, &ours);
    let right = interface("test.Stub", methods(&[(1, 10)]));
    let wrong: Vec<_> = (0..20)
        .map(|_| interface("test.Other", methods(&[(1, 10)])))
        .collect();
    for _ in 0..2 {
        for wrong in &wrong {
            let call = TestCall {
                interface: Some(wrong),
                ..TestCall::new(target)
            };
            let id = pair.call(A, &call).unwrap().unwrap();
            pair.drive();
            assert_eq!(pair.status(A, id), Status::InterfaceMismatch);
        }
        pair.call(
            A,
            &TestCall {
                interface: Some(right),
                ..TestCall::new(target)
            },
        )
        .unwrap();
        pair.drive();
        let request = pair.request(B).unwrap();
        pair.answer(B, request.serving, &[]);
    }
}

#[test]
fn interface_too_large_to_bind_is_not_checked() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let huge = methods(&vec![(1, 10); 2000]);
    let huge = interface("test.Stub", huge);
    pair.call(
        A,
        &TestCall {
            interface: Some(huge),
            ..TestCall::new(target)
        },
    )
    .unwrap();
    pair.drive();
    assert!(pair.request(B).is_some());
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
