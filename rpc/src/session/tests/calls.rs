//! Calls: that each ends once, in which order they run, what they may weigh, and how long they last.

mod binding;
mod bulk;
mod one_way;

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

/// A chain that the peer was merely told of gets nobody past a queue: only what comes from where a handler waits does.
#[test]
fn request_is_nested_while_a_handler_of_its_chain_waits_for_the_peer() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let (to_a, to_b) = (pair.ends[B].root, pair.ends[A].root);
    let at_depth = |target, depth| TestCall {
        depth,
        ..TestCall::new(target)
    };
    let nested = |pair: &mut Pair, end: usize, call: TestCall<'_>| {
        let id = pair.call(1 - end, &call).unwrap().unwrap();
        pair.drive();
        let request = pair.request(end).unwrap();
        (request.nested, id, request.serving)
    };
    // Nobody at A waits: it has been told of the chain, that is all.
    assert!(!nested(&mut pair, A, at_depth(to_a, 2)).0);
    // Somebody waits who is no handler.
    assert!(!nested(&mut pair, B, at_depth(to_b, 0)).0);
    assert!(!nested(&mut pair, A, at_depth(to_a, 2)).0);
    // A handler of the chain waits.
    let (_, waiting, serving) = nested(&mut pair, B, at_depth(to_b, 1));
    assert!(nested(&mut pair, A, at_depth(to_a, 2)).0);
    assert!(
        !nested(&mut pair, A, at_depth(to_a, 0)).0,
        "the root of a chain is nested in nothing"
    );
    // It has its answer.
    pair.answer(B, serving, &[]);
    pair.drive();
    assert!(pair.outcome(A, waiting).is_some());
    assert!(!nested(&mut pair, A, at_depth(to_a, 2)).0);
    // It has given up.
    let (_, waiting, _) = nested(&mut pair, B, at_depth(to_b, 1));
    pair.run(A, |session, _| session.abandon(waiting));
    assert!(!nested(&mut pair, A, at_depth(to_a, 2)).0);
}
