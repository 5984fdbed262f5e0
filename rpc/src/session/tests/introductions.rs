//! Parcels that wait for objects of third devices.

use std::time::Duration;

use proto::{
    BootId, DeviceId, ObjectId,
    frame::{Introduction, Status, Token},
};

use super::{
    super::{Delivered, Event, Introduced, Outcome, Outgoing, RedemptionId, Scope},
    pair::{A, B, Pair, TestCall, replied, stub},
};
use bytes::Bytes;
use proto::message::DeathReason;

fn introduced(number: u8) -> Introduced {
    Introduced {
        introduction: Introduction {
            home: DeviceId::from_bytes([9; 32]),
            process: 0,
            token: Token::from_bytes([number; 32]),
        },
        object: ObjectId {
            boot: BootId {
                epoch: 1,
                random: 9,
            },
            number: number.into(),
        },
    }
}

/// The only redemption an end was told of, and its objects.
fn redemption(pair: &mut Pair, end: usize) -> (RedemptionId, Vec<Introduced>) {
    let events = &mut pair.ends[end].events;
    let index = events
        .iter()
        .position(|event| matches!(event, Event::Redeem { .. }));
    match events.remove(index.unwrap()) {
        Some(Event::Redeem { id, objects, .. }) => (id, objects),
        other => panic!("{other:?}"),
    }
}

fn is_request(event: &Event) -> bool {
    matches!(event, Event::Request(_))
}

fn is_unredeemed(event: &Event) -> bool {
    matches!(event, Event::Unredeemed(_))
}

fn redeemed(pair: &mut Pair, end: usize, id: RedemptionId) {
    pair.run(end, |session, _| session.redeemed(id));
    pair.drive();
}

#[test]
fn one_way_calls_and_the_release_wait_behind_an_introduction_and_nothing_else() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = stub();
    let proxy = pair.grant(B, &object);
    let objects = [Outgoing::Introduced(introduced(1))];
    let introducing = TestCall {
        objects: &objects,
        ..TestCall::new(proxy)
    };
    pair.call(A, &introducing).unwrap();
    let one_way = TestCall {
        one_way: true,
        code: 2,
        ..TestCall::new(proxy)
    };
    pair.call(A, &one_way).unwrap();
    let beside = TestCall {
        code: 3,
        ..TestCall::new(proxy)
    };
    pair.call(A, &beside).unwrap();
    pair.drop_hold(A, proxy);
    pair.drive();
    assert_eq!(pair.request(B).unwrap().code, 3);
    assert_eq!(pair.count(B, is_request), 0);
    assert_eq!(pair.usage(B).exports, 2, "the release waits");
    let (id, objects) = redemption(&mut pair, B);
    assert_eq!(objects, [introduced(1)]);
    redeemed(&mut pair, B, id);
    let first = pair.request(B).unwrap();
    assert!(matches!(first.parcel.objects[..], [Delivered::Introduced]));
    assert_eq!((first.code, first.parcel.introductions), (1, Some(id)));
    let second = pair.request(B).unwrap();
    assert_eq!(second.code, 2);
    assert_eq!(pair.usage(B).exports, 1);
}

#[test]
fn an_object_that_stands_in_a_parcel_twice_has_one_entry() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let objects = [1, 2, 1].map(|number| Outgoing::Introduced(introduced(number)));
    let call = TestCall {
        objects: &objects,
        ..TestCall::new(pair.ends[A].root)
    };
    pair.call(A, &call).unwrap();
    pair.drive();
    let (_, objects) = redemption(&mut pair, B);
    assert_eq!(objects, [1, 2, 1].map(introduced));
}

#[test]
fn body_and_introductions_may_come_in_either_order() {
    for body_first in [false, true] {
        let mut pair = Pair::new(Scope::OtherDevice);
        let body = vec![5; 40_000];
        let objects = [Outgoing::Introduced(introduced(1))];
        let call = TestCall {
            body: &body,
            raw: Some(Bytes::from_static(&[3; 3])),
            objects: &objects,
            ..TestCall::new(pair.ends[A].root)
        };
        let call = pair.call(A, &call).unwrap().unwrap();
        pair.drive_lanes();
        let (id, _) = redemption(&mut pair, B);
        if body_first {
            pair.drive();
            assert_eq!(pair.count(B, is_request), 0);
            redeemed(&mut pair, B, id);
        } else {
            pair.run(B, |session, _| session.redeemed(id));
            assert_eq!(pair.count(B, is_request), 0);
            pair.drive();
        }
        let request = pair.request(B).unwrap();
        assert_eq!(request.parcel.body[..], body);
        pair.answer(B, request.serving, &[]);
        pair.drive();
        assert_eq!(pair.status(A, call), Status::Ok);
        pair.assert_floor();
    }
}

#[test]
fn a_reply_waits_for_what_it_introduces_and_not_beyond_its_deadline() {
    let wait = Duration::from_secs(8);
    for late in [false, true] {
        let mut pair = Pair::new(Scope::OtherDevice);
        let call = TestCall {
            wait: Some(wait),
            ..TestCall::new(pair.ends[A].root)
        };
        let id = pair.call(A, &call).unwrap().unwrap();
        pair.drive();
        let request = pair.request(B).unwrap();
        let objects = [Outgoing::Introduced(introduced(1))];
        pair.answer(B, request.serving, &objects);
        pair.drive();
        let (redemption, _) = redemption(&mut pair, A);
        assert!(pair.outcome(A, id).is_none());
        if late {
            pair.pass(wait);
            assert!(matches!(pair.outcome(A, id), Some(Outcome::TimedOut)));
            redeemed(&mut pair, A, redemption);
            assert_eq!(pair.count(A, is_unredeemed), 1);
        } else {
            redeemed(&mut pair, A, redemption);
            let arrived = replied(pair.outcome(A, id));
            assert_eq!(arrived.introductions, Some(redemption));
            assert_eq!(pair.count(A, is_unredeemed), 0);
        }
        pair.assert_floor();
    }
}

#[test]
fn a_cancelled_request_is_not_run_when_its_introductions_have_come() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let objects = [Outgoing::Introduced(introduced(1))];
    let call = TestCall {
        objects: &objects,
        ..TestCall::new(pair.ends[A].root)
    };
    let id = pair.call(A, &call).unwrap().unwrap();
    pair.drive();
    pair.run(A, |session, _| session.abandon(id));
    pair.drive();
    let (id, _) = redemption(&mut pair, B);
    redeemed(&mut pair, B, id);
    assert_eq!(pair.count(B, is_request), 0);
    assert_eq!(pair.count(B, is_unredeemed), 1);
    pair.assert_floor();
}

#[test]
fn the_end_of_a_session_is_the_end_of_what_waits() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let objects = [Outgoing::Introduced(introduced(1))];
    let call = TestCall {
        objects: &objects,
        ..TestCall::new(pair.ends[A].root)
    };
    pair.call(A, &call).unwrap();
    pair.drive();
    pair.run(B, |session, _| {
        session.close(DeathReason::DeviceUnreachable);
    });
    assert!(pair.count(B, is_unredeemed) > 0);
    let (id, _) = redemption(&mut pair, B);
    redeemed(&mut pair, B, id);
    assert_eq!(pair.count(B, is_request), 0);
    assert_eq!(pair.usage(B).serving, 0);
}

#[test]
fn a_refused_call_redeems_nothing() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = stub();
    let proxy = pair.grant(B, &object);
    pair.run(B, |session, _| {
        session.kill(DeathReason::Revoked, |other| other.key() == object.key());
    });
    let objects = [Outgoing::Introduced(introduced(1))];
    let call = TestCall {
        objects: &objects,
        ..TestCall::new(proxy)
    };
    let id = pair.call(A, &call).unwrap().unwrap();
    pair.drive();
    let status = pair.status(A, id);
    assert_eq!(status, Status::Dead(DeathReason::Revoked));
    let is_redeem = |event: &Event| matches!(event, Event::Redeem { .. });
    assert_eq!(pair.count(B, is_redeem), 0);
}
