//! Death: who is told, once, why, and what a dead object still does.

use std::time::Duration;

use bytes::Bytes;
use proto::{
    frame::{Frame, Status},
    message::{Control, DeathReason},
};

use super::pair::{A, B, Pair, TestCall, key, named, register, same, stub};
use crate::{
    error::LinkToDeathError,
    limits,
    remote::LocalObject,
    session::{Event, LinkId, Outgoing, Scope, StartCallError},
};

fn kill(pair: &mut Pair, end: usize, object: &LocalObject, reason: DeathReason) {
    pair.run(end, |session, _| {
        session.kill(reason, |other| same(other, object))
    });
}

fn died(pair: &Pair, end: usize) -> Vec<(DeathReason, Vec<LinkId>)> {
    let death = |event: &Event| match event {
        Event::Died { reason, links, .. } => Some((*reason, links.clone())),
        _ => None,
    };
    pair.ends[end].events.iter().filter_map(death).collect()
}

#[test]
fn everyone_who_asked_is_told_once_and_why() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = named(3, 1);
    let proxy = pair.grant(A, &object);
    let mut link = || {
        pair.run(B, |session, _| session.link_to_death(proxy))
            .unwrap()
    };
    let links = [link(), link(), link()];
    assert!(pair.run(B, |session, _| session.unlink_to_death(proxy, links[1])));
    assert!(!pair.run(B, |session, _| session.unlink_to_death(proxy, links[1])));
    kill(&mut pair, A, &object, DeathReason::ServiceRemoved);
    kill(&mut pair, A, &object, DeathReason::Revoked);
    pair.drive();
    assert_eq!(
        died(&pair, B),
        [(DeathReason::ServiceRemoved, vec![links[0], links[2]])]
    );
    assert!(!pair.run(B, |session, _| session.unlink_to_death(proxy, links[0])));
    // The end of the session is not a second death.
    pair.disconnect();
    assert_eq!(died(&pair, B).len(), 2, "and the other is the root's");
}

#[test]
fn dead_object_stays_dead() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = named(3, 1);
    let proxy = pair.grant(A, &object);
    kill(&mut pair, A, &object, DeathReason::ServiceRemoved);
    pair.drive();
    let dead = Err(StartCallError::Dead(DeathReason::ServiceRemoved));
    assert_eq!(pair.call(B, &TestCall::new(proxy)), dead);
    let link = pair.run(B, |session, _| session.link_to_death(proxy));
    assert_eq!(link, Err(LinkToDeathError::DeadObject));
    // The service again is another registration, and a new proxy.
    let again = pair.grant(A, &register(&object, 3, 2));
    assert_ne!(again, proxy);
    pair.two_way(B, again);
    pair.drive();
    assert!(pair.request(A).is_some());
}

#[test]
fn obituary_that_overtakes_a_grant_finds_it() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = named(3, 1);
    let objects = [Outgoing::Own(object.clone())];
    let root = pair.ends[A].root;
    for _ in 0..2 {
        pair.call(
            A,
            &TestCall {
                objects: &objects,
                ..TestCall::new(root)
            },
        )
        .unwrap();
    }
    kill(&mut pair, A, &object, DeathReason::Revoked);
    pair.deliver(B, 0, usize::MAX);
    assert_eq!(pair.usage(B).obituaries, 1);
    pair.drive();
    // Each time, also after the first has been let go of.
    for _ in 0..2 {
        let request = pair.request(B).unwrap();
        let proxy = key(&request.parcel.objects[0]);
        let dead = pair.ends[B].session.import_death(proxy);
        assert_eq!(dead, Some(DeathReason::Revoked));
        pair.answer(B, request.serving, &[]);
        pair.drop_hold(B, proxy);
    }
    assert_eq!(died(&pair, B), [], "it was never alive here");
    pair.drive();
    assert_eq!(
        pair.usage(B).obituaries,
        0,
        "its owner knows that no grant is under way"
    );
    assert_eq!(pair.usage(A).exports, 1);
}

#[test]
fn obituary_carries_how_often_the_object_was_granted() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = named(3, 1);
    let objects = [Outgoing::Own(object.clone()), Outgoing::Own(object.clone())];
    pair.call(
        A,
        &TestCall {
            objects: &objects,
            ..TestCall::new(pair.ends[A].root)
        },
    )
    .unwrap();
    kill(&mut pair, A, &object, DeathReason::ServiceRemoved);
    let frames = pair.intercept(A);
    let [(0, Frame::Control(Control::Obituary(obituary))), ..] = frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!(
        (obituary.granted, obituary.reason),
        (2, DeathReason::ServiceRemoved)
    );
}

#[test]
fn one_registration_dies_and_the_stub_lives() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = stub();
    let registered = register(&object, 3, 1);
    let anonymous = pair.grant(A, &object);
    let service = pair.grant(A, &registered);
    kill(&mut pair, A, &registered, DeathReason::ServiceRemoved);
    pair.drive();
    assert!(pair.ends[B].session.import_death(service).is_some());
    assert!(pair.ends[B].session.import_death(anonymous).is_none());
}

#[test]
fn calls_that_wait_at_a_stub_that_dies_end_as_dead() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = named(3, 1);
    let proxy = pair.grant(A, &object);
    let raw = Some(Bytes::from_static(b"raw"));
    pair.one_way(B, proxy, &[1]);
    pair.one_way(B, proxy, &[2]);
    pair.drive();
    let running = pair.request(A).unwrap();
    let bulk = pair
        .call(
            B,
            &TestCall {
                raw,
                ..TestCall::new(proxy)
            },
        )
        .unwrap()
        .unwrap();
    let crossing = pair.two_way(B, proxy);
    pair.drive_lanes();
    let dispatched = pair.request(A).unwrap();
    kill(&mut pair, A, &object, DeathReason::Revoked);
    let late = pair.two_way(B, proxy);
    pair.drive();
    assert_eq!(
        pair.status(B, bulk),
        Status::Dead(DeathReason::Revoked),
        "its body came after the death"
    );
    assert_eq!(
        pair.status(B, late),
        Status::Dead(DeathReason::Revoked),
        "its obituary crossed it"
    );
    // What runs may end; what waited behind it does not begin.
    pair.answer(A, dispatched.serving, &[]);
    pair.answer(A, running.serving, &[]);
    pair.drive();
    assert_eq!(pair.status(B, crossing), Status::Ok);
    assert!(pair.request(A).is_none());
    assert_eq!(
        pair.count(B, |event| matches!(
            event,
            Event::OneWayRefused { count: 1 }
        )),
        1
    );
    pair.drop_hold(B, proxy);
    pair.drive();
    drop((running, dispatched));
    pair.assert_floor();
}

#[test]
fn death_of_an_anonymous_stub_cannot_be_watched_from_another_device() {
    for (scope, expected) in [
        (Scope::OtherDevice, Err(LinkToDeathError::AnonymousStub)),
        (Scope::SameDevice, Ok(())),
    ] {
        let mut pair = Pair::new(scope);
        let proxy = pair.grant(A, &stub());
        let link = pair.run(B, |session, _| session.link_to_death(proxy));
        assert_eq!(link.map(drop), expected);
    }
}

#[test]
fn death_links_of_an_object_are_bounded() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let proxy = pair.grant(A, &named(3, 1));
    let mut last = None;
    for _ in 0..limits::DEATH_LINKS_PER_OBJECT {
        last = pair.run(B, |session, _| session.link_to_death(proxy)).ok();
    }
    let more = pair.run(B, |session, _| session.link_to_death(proxy));
    let limit = limits::DEATH_LINKS_PER_OBJECT;
    let value = limit + 1;
    assert_eq!(more, Err(LinkToDeathError::LimitReached { limit, value }));
    assert!(pair.run(B, |session, _| {
        session.unlink_to_death(proxy, last.unwrap())
    }));
    pair.run(B, |session, _| session.link_to_death(proxy))
        .unwrap();
}

#[test]
fn death_links_of_a_peer_are_bounded() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let (per_object, limit) = (limits::DEATH_LINKS_PER_OBJECT, limits::DEATH_LINKS_PER_PEER);
    for service in 1..=(limit / per_object) as u32 {
        let proxy = pair.grant(A, &named(service, service.into()));
        for _ in 0..per_object {
            pair.run(B, |session, _| session.link_to_death(proxy))
                .unwrap();
        }
    }
    let one_more = pair.grant(A, &named(1000, 1000));
    let refused = pair.run(B, |session, _| session.link_to_death(one_more));
    let value = limit + 1;
    assert_eq!(
        refused,
        Err(LinkToDeathError::LimitReached { limit, value })
    );
}

#[test]
fn linking_and_unlinking_for_ever_leaves_nothing() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let proxy = pair.grant(A, &named(3, 1));
    let limit = limits::DEATH_LINKS_PER_OBJECT;
    let link = |pair: &mut Pair| pair.run(B, |session, _| session.link_to_death(proxy));
    let mut links: Vec<_> = (0..limit).map(|_| link(&mut pair).unwrap()).collect();
    for turn in 0..100_000 {
        let old = std::mem::replace(&mut links[turn % limit], LinkId(0));
        assert!(pair.run(B, |session, _| session.unlink_to_death(proxy, old)));
        links[turn % limit] = link(&mut pair).unwrap();
        assert_eq!(pair.usage(B).links, limit);
    }
    for link in links {
        assert!(pair.run(B, |session, _| session.unlink_to_death(proxy, link)));
    }
    assert_eq!(pair.usage(B).links, 0);
    pair.drop_hold(B, proxy);
    pair.drive();
    pair.assert_floor();
}

#[test]
fn last_hold_takes_the_death_links_with_it() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let object = named(3, 1);
    let proxy = pair.grant(A, &object);
    pair.run(B, |session, _| session.link_to_death(proxy))
        .unwrap();
    pair.drop_hold(B, proxy);
    kill(&mut pair, A, &object, DeathReason::Revoked);
    pair.drive();
    assert_eq!(died(&pair, B), []);
    pair.assert_floor();
}

#[test]
fn end_of_the_session_is_the_death_of_all_its_imports() {
    let mut pair = Pair::new(Scope::OtherDevice);
    let watched = pair.grant(A, &named(3, 1));
    let dead = named(4, 2);
    pair.grant(A, &dead);
    kill(&mut pair, A, &dead, DeathReason::ServiceRemoved);
    pair.drive();
    pair.ends[B].events.clear();
    let link = pair
        .run(B, |session, _| session.link_to_death(watched))
        .unwrap();
    pair.disconnect();
    let unreachable = DeathReason::DeviceUnreachable;
    let mut died = died(&pair, B);
    died.sort_by_key(|(_, links)| links.len());
    assert_eq!(
        died,
        [(unreachable, vec![]), (unreachable, vec![link])],
        "root and service"
    );
    assert_eq!(
        pair.usage(A).exports,
        0,
        "the owner has forgotten what the peer held"
    );
    assert_eq!(pair.usage(B).links, 0);
    pair.pass(Duration::from_secs(60));
}
