//! Who is let in, and what becomes of who is not.

use std::{
    net::UdpSocket,
    sync::Arc,
    time::{Duration, Instant},
};

use softbus::{
    DeathReason, DeviceEvent, DeviceId, GetServiceError, Identity, Node, NodeBuilder, Parcel,
    SendRequestError, TrustStore, presence::OfflineReason,
};
use testkit::{
    scenarios::{
        SERVICE, for_all, measured, next, next_event, obituaries, pair, reached,
        workbench::{call, code, reverse, workbench},
    },
    world::{
        Device,
        loopback::{LOCAL, LoopbackWorld},
        node::{NodeDevice, Vanish},
    },
};

use tokio::time::timeout;

use crate::run_in;

/// A device that is no member of any world.
fn stranger(with: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Arc<NodeDevice> {
    let builder = Node::builder()
        .identity(Identity::generate().unwrap())
        .listen(LOCAL);
    Arc::new(NodeDevice::start(with(builder), Vanish::Crash).unwrap())
}

/// `device` is told where `other` is and trusts it, which need not be mutual.
fn told_of(other: &NodeDevice) -> impl FnOnce(NodeBuilder) -> NodeBuilder {
    let trust = TrustStore::in_memory();
    trust.trust(other.id(), "other").unwrap();
    let address = other.node().local_addr().unwrap();
    move |builder: NodeBuilder| builder.trust(trust).static_peer(other.id(), address)
}

/// Of the world's devices nobody is the worse for it.
async fn still_serves(world: &mut LoopbackWorld, member: &dyn Device) {
    let other = world.node();
    let proxy = other.get(SERVICE, &member.id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
}

fn member_with_service(world: &mut LoopbackWorld) -> Arc<NodeDevice> {
    let member = world.node();
    member.add(SERVICE, &workbench().0, for_all()).unwrap();
    member
}

#[test]
fn a_device_that_is_not_trusted_there_is_told_so() {
    run_in(async |world| {
        let member = member_with_service(world);
        let stranger = stranger(told_of(&member));
        let refused = stranger.get(SERVICE, &member.id()).await;
        assert_eq!(refused.unwrap_err(), GetServiceError::NotTrustedByDevice);
        assert!(stranger.usage().is_empty(), "there never was a session");
        assert!(member.usage().is_empty());
        still_serves(world, &*member).await;
    });
}

#[test]
fn a_device_that_is_not_trusted_here_is_not_called() {
    run_in(async |world| {
        let member = member_with_service(world);
        let address = member.node().local_addr().unwrap();
        let id = member.id();
        let stranger = stranger(|builder| builder.static_peer(id, address));
        let refused = stranger.get(SERVICE, &id).await;
        assert_eq!(refused.unwrap_err(), GetServiceError::DeviceNotTrusted);
    });
}

#[test]
fn another_identity_under_a_known_address_gets_no_session() {
    run_in(async |world| {
        let impostor = member_with_service(world);
        let absent = Identity::generate().unwrap();
        let absent = *absent.device_id();
        let trust = TrustStore::in_memory();
        trust.trust(absent, "absent").unwrap();
        let address = impostor.node().local_addr().unwrap();
        let caller = stranger(|builder| builder.trust(trust).static_peer(absent, address));
        let wait = Duration::from_secs(2);
        let samgr = caller.node().samgr();
        let refused = samgr.get_within(SERVICE, &absent, wait).await.unwrap_err();
        assert!(
            matches!(&refused, GetServiceError::Unreachable(why) if why.contains("somebody else")),
            "{refused:?}"
        );
        assert!(caller.usage().is_empty() && impostor.usage().is_empty());
        still_serves(world, &*impostor).await;
    });
}

#[test]
fn withdrawn_trust_ends_the_session() {
    run_in(async |world| {
        let pair = pair(world).await;
        let (a, b) = (pair.a.id(), pair.b.id());
        let mut events = pair.a.events().unwrap();
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(b));
        let (tell, mut told) = obituaries();
        let _link = pair.proxy.link_to_death(tell).unwrap();

        // The one that is called withdraws; the one that calls learns why.
        world.trust_of(&b).forget(&a).unwrap();
        assert_eq!(next(&mut told).await, DeathReason::AccessRevoked);
        let gone = DeviceEvent::Offline(b, OfflineReason::AccessRevoked);
        assert_eq!(next_event(&mut events).await, gone);
        let refused = pair.a.get(SERVICE, &b).await;
        assert_eq!(refused.unwrap_err(), GetServiceError::NotTrustedByDevice);

        world.trust_of(&b).trust(a, "a").unwrap();
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(b));
        let (tell, mut told) = obituaries();
        let proxy = pair.a.get(SERVICE, &b).await.unwrap();
        let _link = proxy.link_to_death(tell).unwrap();

        // The one that calls withdraws.
        world.trust_of(&a).forget(&b).unwrap();
        assert_eq!(next(&mut told).await, DeathReason::AccessRevoked);
        let refused = pair.a.get(SERVICE, &b).await;
        assert_eq!(refused.unwrap_err(), GetServiceError::DeviceNotTrusted);
    });
}

#[test]
fn datagrams_that_are_no_quic_disturb_nobody() {
    run_in(async |world| {
        let pair = pair(world).await;
        let node = world.node();
        node.add(SERVICE, &workbench().0, for_all()).unwrap();
        let socket = UdpSocket::bind(LOCAL).unwrap();
        let mut noise = 0x2545_f491_4f6c_dd1d_u64;
        for len in (0..1400).step_by(7) {
            let datagram: Vec<u8> = (0..len)
                .map(|_| {
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    noise as u8
                })
                .collect();
            socket
                .send_to(&datagram, node.node().local_addr().unwrap())
                .unwrap();
        }
        let proxy = pair.a.get(SERVICE, &node.id()).await.unwrap();
        assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
    });
}

#[test]
fn a_device_that_is_blocked_loses_its_64_calls_and_hears_why_once() {
    loses_its_64_calls(|trust, device| trust.block(device).unwrap());
}

#[test]
fn a_device_that_is_forgotten_loses_its_64_calls_and_hears_why_once() {
    loses_its_64_calls(|trust, device| trust.forget(device).unwrap());
}

/// The promise is a bound, so it is judged: whose trust is withdrawn has lost everything within this.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);

fn loses_its_64_calls(withdraw: fn(&TrustStore, &DeviceId) -> bool) {
    run_in(async move |world| {
        let pair = pair(world).await;
        let (healthy, b) = (world.node(), pair.b.id());
        let other = healthy.get(SERVICE, &b).await.unwrap();
        let (tell, mut told) = obituaries();
        let _link = pair.proxy.link_to_death(tell).unwrap();
        let held: Vec<_> = (0..64)
            .map(|_| {
                let proxy = pair.proxy.clone();
                tokio::spawn(async move { call(&proxy, code::HOLD, &Parcel::new()).await })
            })
            .collect();
        reached(&pair.bench.entered, 64).await;

        let blocked = Instant::now();
        assert!(withdraw(world.trust_of(&b), &pair.a.id()));
        let ends = async {
            for held in held {
                let ended = held.await.unwrap();
                assert_eq!(ended.unwrap_err(), SendRequestError::Indeterminate);
            }
            assert_eq!(next(&mut told).await, DeathReason::AccessRevoked);
        };
        timeout(WITHDRAWN_WITHIN, ends).await.unwrap();
        measured("64 calls without trust end", blocked.elapsed());
        assert!(told.try_recv().is_err(), "told once");
        let refused = pair.a.get(SERVICE, &b).await;
        assert_eq!(refused.unwrap_err(), GetServiceError::NotTrustedByDevice);
        // Their handlers have been told to stop, and another device's calls never noticed.
        reached(&pair.bench.left, 64).await;
        for _ in 0..100 {
            assert_eq!(reverse(&other, 2019).await, Ok(9102));
        }
    });
}
