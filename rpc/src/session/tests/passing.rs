//! Objects in parcels: what arrives, who holds what, and that everything comes back.

use proto::{
    frame::{Frame, Status},
    message::DeathReason,
};

use super::pair::{A, B, Pair, TestCall, interface, key, named, replied, same, small_limits, stub};
use crate::{
    remote::LocalObject,
    session::{About, Delivered, Event, Outgoing, Scope, StartCallError},
};

fn own(object: &LocalObject) -> Outgoing {
    Outgoing::Own(object.clone())
}

#[test]
fn stub_passed_many_times_is_one_import() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = stub();
    let first = pair.grant(A, &object);
    let objects = [own(&object), own(&object), Outgoing::Null, own(&object)];
    let call = TestCall {
        objects: &objects,
        ..TestCall::new(pair.ends[A].root)
    };
    pair.call(A, &call).unwrap();
    pair.drive();
    let request = pair.request(B).unwrap();
    let keys: Vec<_> = request.parcel.objects.iter().collect();
    assert!(matches!(keys[2], Delivered::Null));
    for index in [0, 1, 3] {
        assert_eq!(key(keys[index]), first);
    }
    assert_eq!(pair.usage(B).imports, 2);
    for _ in 0..3 {
        pair.drop_hold(B, first);
        pair.drive();
        assert_eq!(pair.usage(A).exports, 2);
    }
    pair.drop_hold(B, first);
    pair.drive();
    assert_eq!(pair.usage(A).exports, 1);
    assert_eq!(
        pair.count(A, |event| matches!(event, Event::Released(_))),
        1
    );
}

#[test]
fn registrations_are_identities_of_their_own() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let anonymous = stub();
    let registered = super::pair::register(&anonymous, 7, 1);
    let first = pair.grant(A, &anonymous);
    let second = pair.give(A, own(&registered));
    assert_ne!(first, key(&second));
    assert!(matches!(
        second,
        Delivered::Import { about: About { kind: proto::frame::ObjectKind::Named(id), .. }, .. } if id.get() == 7
    ));
}

#[test]
fn sixty_four_objects_fit_and_one_more_does_not() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let root = pair.ends[A].root;
    let objects: Vec<_> = (0..65).map(|_| Outgoing::Own(stub())).collect();
    let call = TestCall {
        objects: &objects[..64],
        ..TestCall::new(root)
    };
    pair.call(A, &call).unwrap();
    pair.drive();
    assert_eq!(pair.request(B).unwrap().parcel.objects.len(), 64);
    let call = TestCall {
        objects: &objects,
        ..TestCall::new(root)
    };
    assert_eq!(
        pair.call(A, &call),
        Err(StartCallError::TooManyObjects { limit: 64 })
    );
}

#[test]
fn agreed_number_of_objects_is_kept_to() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let root = pair.ends[A].root;
    let limit = small_limits().objects;
    let objects: Vec<_> = (0..limit).map(|_| Outgoing::Own(stub())).collect();
    for objects in objects.chunks(50) {
        pair.call(
            A,
            &TestCall {
                objects,
                ..TestCall::new(root)
            },
        )
        .unwrap();
    }
    let one = [Outgoing::Own(stub())];
    let more = TestCall {
        objects: &one,
        ..TestCall::new(root)
    };
    assert_eq!(
        pair.call(A, &more),
        Err(StartCallError::TooManyObjects { limit })
    );
    pair.call(
        A,
        &TestCall {
            objects: &objects[..1],
            ..TestCall::new(root)
        },
    )
    .expect("what the peer has already is not one more");
    pair.drive();
    assert_eq!(
        pair.usage(B).imports,
        limit as usize + 1,
        "the receiver takes all of them"
    );

    // The same for a reply, which then carries none.
    let id = pair.two_way(B, pair.ends[B].root);
    pair.drive();
    let request = pair.request(A).unwrap();
    pair.answer(A, request.serving, &one);
    pair.drive();
    assert_eq!(pair.status(B, id), Status::Busy);
}

#[test]
fn everything_may_be_granted_and_die_at_once() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let root = pair.ends[A].root;
    let objects: Vec<_> = (0..small_limits().objects)
        .map(|_| Outgoing::Own(stub()))
        .collect();
    for objects in objects.chunks(50) {
        pair.call(
            A,
            &TestCall {
                objects,
                ..TestCall::new(root)
            },
        )
        .unwrap();
    }
    pair.drive();
    pair.run(A, |session, _| session.kill(DeathReason::Revoked, |_| true));
    pair.drive();
    assert_eq!(pair.ends[B].fault, None);
    assert_eq!(
        pair.count(B, |event| matches!(event, Event::Died { .. })),
        objects.len()
    );
}

#[test]
fn release_that_crosses_a_send_is_harmless() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = stub();
    let first = pair.grant(A, &object);
    let handle = pair.handle(B, first);
    // The second grant leaves before the release of the first arrives.
    let objects = [own(&object)];
    pair.call(
        A,
        &TestCall {
            objects: &objects,
            ..TestCall::new(pair.ends[A].root)
        },
    )
    .unwrap();
    pair.drop_hold(B, first);
    pair.drive();
    assert_eq!(pair.usage(A).exports, 2);
    let request = pair.request(B).unwrap();
    let second = key(&request.parcel.objects[0]);
    assert_eq!(pair.handle(B, second), handle);
    pair.two_way(B, second);
    pair.drive();
    assert!(same(&pair.request(A).unwrap().target, &object));
}

#[test]
fn object_granted_anew_can_be_bound_anew() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = stub();
    let spoken = interface("test.Stub", Vec::new());
    let first = pair.grant(A, &object);
    pair.call(
        B,
        &TestCall {
            interface: Some(spoken),
            ..TestCall::new(first)
        },
    )
    .unwrap();
    let objects = [own(&object)];
    pair.call(
        A,
        &TestCall {
            objects: &objects,
            ..TestCall::new(pair.ends[A].root)
        },
    )
    .unwrap();
    pair.drop_hold(B, first);
    pair.drive();
    let request = pair.request(B).unwrap();
    let second = key(&request.parcel.objects[0]);
    pair.call(
        B,
        &TestCall {
            interface: Some(spoken),
            ..TestCall::new(second)
        },
    )
    .unwrap();
    pair.drive();
    assert_eq!(pair.ends[A].fault, None);
    assert_eq!(pair.count(A, |event| matches!(event, Event::Request(_))), 2);
}

#[test]
fn stub_comes_home_as_itself() {
    let mut pair = Pair::new(Scope::SameDevice);
    let object = stub();
    let proxy = pair.grant(A, &object);
    match pair.give(B, Outgoing::Home(proxy)) {
        Delivered::Home(home) => assert!(same(&home, &object)),
        other => panic!("{other:?}"),
    }
    pair.drop_hold(B, proxy);
    pair.drive();
    assert_eq!(pair.usage(A).exports, 1);
}

#[test]
fn release_that_overtakes_its_object_on_the_way_home_waits_for_it() {
    let mut pair = Pair::new(Scope::SameDevice);
    // Objects until one is on another lane than the root, by which it goes home.
    let root = pair.ends[B].root;
    let (object, proxy) = loop {
        let object = stub();
        let proxy = pair.grant(A, &object);
        if pair.lane(B, pair.handle(B, proxy)) != pair.lane(B, pair.handle(B, root)) {
            break (object, proxy);
        }
    };
    let exports = pair.usage(A).exports;
    let objects = [Outgoing::Home(proxy)];
    pair.call(
        B,
        &TestCall {
            one_way: true,
            objects: &objects,
            ..TestCall::new(root)
        },
    )
    .unwrap();
    pair.drop_hold(B, proxy);
    let handle = pair.handle_of(A, &object);
    let lane = pair.lane(A, handle);
    pair.deliver(A, lane.into(), usize::MAX);
    assert_eq!(
        pair.usage(A).exports,
        exports,
        "it is not on its way home yet"
    );
    pair.drive();
    let request = pair.request(A).unwrap();
    match &request.parcel.objects[..] {
        [Delivered::Home(home)] => assert!(same(home, &object)),
        other => panic!("{other:?}"),
    }
    assert_eq!(pair.usage(A).exports, exports - 1, "and then it is freed");
}

#[test]
fn dead_stub_comes_home_as_itself() {
    let mut pair = Pair::new(Scope::SameDevice);
    let object = stub();
    let proxy = pair.grant(A, &object);
    let objects = [Outgoing::Home(proxy)];
    pair.call(
        B,
        &TestCall {
            objects: &objects,
            ..TestCall::new(pair.ends[B].root)
        },
    )
    .unwrap();
    pair.run(A, |session, _| session.kill(DeathReason::Revoked, |_| true));
    pair.drive();
    match &pair.request(A).unwrap().parcel.objects[..] {
        [Delivered::Home(home)] => assert!(same(home, &object)),
        other => panic!("{other:?}"),
    }
    pair.drop_hold(B, proxy);
    pair.drive();
    assert_eq!(pair.usage(A).exports, 1);
}

#[test]
fn grants_of_a_refused_call_are_given_back() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let objects = [Outgoing::Own(stub()), Outgoing::Own(named(3, 1))];
    let root = pair.ends[A].root;
    for one_way in [false, true] {
        let call = TestCall {
            code: 0,
            one_way,
            objects: &objects,
            ..TestCall::new(root)
        };
        let id = pair.call(A, &call).unwrap();
        pair.drive();
        if let Some(id) = id {
            assert_eq!(pair.status(A, id), Status::UnknownMethod);
        }
        pair.assert_floor();
    }
}

#[test]
fn grants_of_a_reply_are_counted_and_come_back() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = stub();
    let id = pair.two_way(A, pair.ends[A].root);
    pair.drive();
    let request = pair.request(B).unwrap();
    pair.answer(B, request.serving, &[own(&object), own(&object)]);
    pair.drive();
    let outcome = pair.outcome(A, id);
    let reply = replied(outcome);
    for delivered in &reply.objects {
        pair.drop_hold(A, key(delivered));
    }
    pair.drive();
    drop(request);
    pair.assert_floor();
}

/// A registration that was removed after the rules let it pass: the round of obituaries came by before the grant.
fn removed(pair: &mut Pair) -> [Outgoing; 1] {
    let object = named(3, 1);
    object.registration.as_ref().unwrap().remove();
    pair.run(A, |session, _| {
        session.kill(DeathReason::ServiceRemoved, |other| same(other, &object))
    });
    [Outgoing::Own(object)]
}

#[test]
fn stub_that_died_between_the_rules_and_its_request_arrives_dead() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let objects = removed(&mut pair);
    pair.call(
        A,
        &TestCall {
            objects: &objects,
            ..TestCall::new(pair.ends[A].root)
        },
    )
    .unwrap();
    pair.drive();
    let proxy = key(&pair.request(B).unwrap().parcel.objects[0]);
    let dead = pair.ends[B].session.import_death(proxy);
    assert_eq!(dead, Some(DeathReason::ServiceRemoved));
}

#[test]
fn stub_that_died_between_the_rules_and_its_reply_arrives_dead() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let objects = removed(&mut pair);
    let id = pair.two_way(B, pair.ends[B].root);
    pair.drive();
    let request = pair.request(A).unwrap();
    pair.answer(A, request.serving, &objects);
    pair.drive();
    let outcome = pair.outcome(B, id);
    let proxy = key(&replied(outcome).objects[0]);
    let dead = pair.ends[B].session.import_death(proxy);
    assert_eq!(dead, Some(DeathReason::ServiceRemoved));
}

#[test]
fn every_frame_of_an_object_uses_its_lane() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let spoken = interface("test.Stub", Vec::new());
    for _ in 0..6 {
        let object = stub();
        let proxy = pair.grant(A, &object);
        let lane = pair.lane(B, pair.handle(B, proxy));
        assert_eq!(lane, 1 + (pair.handle(B, proxy).index() % 4) as u16);
        let call = TestCall {
            interface: Some(spoken),
            ..TestCall::new(proxy)
        };
        let id = pair.call(B, &call).unwrap().unwrap();
        pair.call(
            B,
            &TestCall {
                one_way: true,
                ..call
            },
        )
        .unwrap();
        pair.run(B, |session, _| session.abandon(id));
        pair.drop_hold(B, proxy);
        let frames = pair.intercept(B);
        assert_eq!(
            frames.len(),
            5,
            "bind, call, one-way call, cancel, release: {frames:?}"
        );
        assert!(matches!(frames[4].1, Frame::Release(_)));
        assert!(frames.iter().all(|(used, _)| *used == lane));
    }
}

/// A frame each, but a lane is written once for all that are let go of together.
#[test]
fn a_hundred_releases_are_one_write_of_each_lane() {
    const OBJECTS: usize = 100;
    /// A release with its length.
    const FRAME: usize = 32;
    let mut pair = Pair::new(Scope::OtherDevice);
    let proxies: Vec<_> = (0..OBJECTS).map(|_| pair.grant(A, &stub())).collect();
    let before = pair.usage(A).exports;
    for proxy in proxies {
        pair.run(B, |session, _| session.drop_hold(proxy));
    }
    let lanes = pair.ends[B].session.config().lanes;
    let mut written = 0;
    for lane in 1..=lanes {
        let mut bytes = bytes::BytesMut::new();
        let session = &mut pair.ends[B].session;
        session.poll_transmit(lane, &mut bytes);
        written += bytes.len();
        assert!(!session.has_transmit(lane), "that was all");
        let mut frames = proto::frame::FrameReader::new();
        frames.buffer().extend_from_slice(&bytes);
        while let Some(frame) = frames.next_frame().unwrap() {
            let frame = Frame::decode(frame).unwrap().unwrap();
            pair.forge(A, lane, &frame).unwrap();
        }
    }
    assert!(written <= OBJECTS * FRAME, "{written} bytes");
    assert_eq!(pair.usage(A).exports, before - OBJECTS);
}
