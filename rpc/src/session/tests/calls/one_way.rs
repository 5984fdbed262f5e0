//! One-way calls: order, credit and acknowledgement.

use super::*;

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
