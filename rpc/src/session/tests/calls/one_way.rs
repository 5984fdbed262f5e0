//! One-way calls: order, credit and acknowledgement.

use super::*;
use crate::session::{Delivered, ImportKey};

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
    let credit = small_limits().one_way_calls;
    for _ in 0..credit {
        pair.one_way(A, root, &[]);
    }
    let more = TestCall {
        one_way: true,
        ..TestCall::new(root)
    };
    let told = |pair: &Pair| {
        pair.count(
            A,
            |event| matches!(event, Event::Credit { lane: l } if *l == lane),
        )
    };
    assert_eq!(pair.call(A, &more), Err(StartCallError::NoCredit { lane }));
    pair.drive();
    assert_eq!(
        pair.call(A, &more),
        Err(StartCallError::NoCredit { lane }),
        "running is not ended"
    );
    for _ in 0..credit / 4 {
        assert_eq!(told(&pair), 0, "told of a quarter, not of each");
        let request = pair.request(B).unwrap();
        pair.answer(B, request.serving, &[]);
        pair.drive();
    }
    assert_eq!(told(&pair), 1);
    for _ in 0..credit / 4 {
        assert_eq!(pair.call(A, &more), Ok(None));
    }
    assert!(pair.call(A, &more).is_err());
}

#[test]
fn one_way_calls_that_ended_are_acknowledged_in_time_though_others_go_on() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    pair.one_way(A, root, &[1]);
    pair.one_way(A, root, &[2]);
    pair.one_way(A, root, &[3]);
    pair.drive();
    let first = pair.request(B).unwrap();
    pair.answer(B, first.serving, &[]);
    let credits = |event: &Event| matches!(event, Event::Credit { .. });
    pair.drive();
    assert_eq!(pair.count(A, credits), 0, "the second goes on");
    pair.pass(limits::ONE_WAY_ACK_DELAY);
    pair.drive();
    assert_eq!(pair.count(A, credits), 1);
}

#[test]
fn acknowledgement_rides_along_with_what_is_written() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    let call = pair.two_way(A, root);
    pair.one_way(A, root, &[1]);
    pair.one_way(A, root, &[2]);
    pair.drive();
    let two_way = pair.request(B).unwrap();
    let first = pair.request(B).unwrap();
    pair.answer(B, first.serving, &[]);
    pair.answer(B, two_way.serving, &[]);
    let frames: Vec<_> = pair
        .intercept(B)
        .into_iter()
        .map(|(_, frame)| frame)
        .collect();
    let [Frame::Reply(reply), Frame::Ack(ack)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!((reply.id, ack.calls), (call, 1));
}

#[test]
fn one_way_calls_that_wait_together_are_handed_out_together_and_no_other_call_is_overtaken() {
    let mut pair = pair();
    let root = pair.ends[A].root;
    for number in 0..3 {
        pair.one_way(A, root, &[number]);
    }
    pair.two_way(A, root);
    pair.one_way(A, root, &[3]);
    let frames = pair.intercept(A);
    let now = pair.now;
    let session = &mut pair.ends[B].session;
    for (lane, frame) in frames {
        session.handle_frame(now, lane, frame).unwrap();
    }
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    let [Event::OneWay { calls, .. }, Event::Request(request)] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(!request.one_way);
    let numbers: Vec<_> = calls.iter().map(|call| call.parcel.body[0]).collect();
    assert_eq!(
        numbers,
        [0, 1, 2],
        "the fourth waits for the end of the third"
    );
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

/// Both releases are there before the parcels in which the object comes home, with a call between them.
#[test]
fn what_was_sent_between_two_releases_is_not_lost_with_the_first() {
    let mut pair = Pair::new(Scope::SameDevice);
    let (object, root) = (stub(), pair.ends[A].root);
    let send_home = |pair: &mut Pair, key: ImportKey| {
        let call = TestCall {
            one_way: true,
            objects: &[Outgoing::Home(key)],
            ..TestCall::new(root)
        };
        pair.call(A, &call).unwrap();
        pair.drop_hold(A, key);
    };
    let first = pair.grant(B, &object);
    let lane = usize::from(pair.lane(A, pair.handle(A, first)));
    send_home(&mut pair, first);
    let again = TestCall {
        one_way: true,
        objects: &[Outgoing::Own(object)],
        ..TestCall::new(pair.ends[B].root)
    };
    pair.call(B, &again).unwrap();
    for lane in 0..=4 {
        pair.deliver(A, lane, usize::MAX);
    }
    let granted = pair.request(A).unwrap();
    let Delivered::Import { key: second, .. } = granted.parcel.objects[0] else {
        panic!("{granted:?}")
    };
    pair.answer(A, granted.serving, &[]);
    pair.one_way(A, second, &[1]);
    send_home(&mut pair, second);
    pair.deliver(B, lane, usize::MAX);
    let mut homes = 0;
    let mut calls = 0;
    loop {
        pair.drive();
        let Some(request) = pair.request(B) else {
            break;
        };
        let home = |object: &&Delivered| matches!(object, Delivered::Home(_));
        homes += request.parcel.objects.iter().filter(home).count();
        calls += 1;
        pair.answer(B, request.serving, &[]);
    }
    assert_eq!((calls, homes), (3, 2));
    drop(granted);
    pair.assert_floor();
}
