//! The list of devices, kept by its events.

use std::{collections::BTreeMap, net::SocketAddr};

use softbus::{
    Device as Known, DeviceEvent, DeviceId, Identity, Node, TrustStore,
    discovery::{Source, StaticPeers},
    presence::{DeviceWatch, OfflineReason, Presence},
};
use testkit::{
    scenarios::SOON,
    wait::wait_until_async,
    world::{
        Device,
        loopback::LOCAL,
        node::{NodeDevice, Vanish},
    },
};

use crate::run_in;

async fn next(watch: &mut DeviceWatch) -> DeviceEvent {
    let next = tokio::time::timeout(SOON, watch.next()).await;
    next.expect("an event comes in time")
}

/// Reads until an event is as wanted.
async fn until(watch: &mut DeviceWatch, mut wanted: impl FnMut(&DeviceEvent) -> bool) {
    while !wanted(&next(watch).await) {}
}

/// Whether the list is what the node knows. A device that is being dialled is in the list what it was before.
fn is_true(watch: &DeviceWatch, node: &Node) -> bool {
    let same = |(listed, mut known): (&Known, Known)| {
        if known.presence == Presence::Connecting && !listed.is_online() {
            known.presence = listed.presence.clone();
        }
        *listed == known
    };
    let known = node.devices();
    watch.devices().count() == known.len() && watch.devices().zip(known).all(same)
}

/// Reads until the list is what the node knows. How much that was.
async fn read_all(watch: &mut DeviceWatch, node: &Node) -> Vec<DeviceEvent> {
    let mut events = Vec::new();
    let read = async {
        while !is_true(watch, node) {
            let more = tokio::time::timeout(std::time::Duration::from_millis(20), watch.next());
            events.extend(more.await);
        }
    };
    let read = tokio::time::timeout(SOON, read).await;
    assert!(
        read.is_ok(),
        "{:?}\n{:?}",
        node.devices(),
        watch.devices().collect::<Vec<_>>()
    );
    events
}

fn stranger(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// A node that is told of devices by this list.
fn start(trust: &TrustStore, identity: Identity) -> (NodeDevice, StaticPeers) {
    let list = StaticPeers::new(Source::STATIC, []).unwrap();
    let builder = Node::builder()
        .identity(identity)
        .trust(trust.clone())
        .listen(LOCAL)
        .discovery(Box::new(list.clone()));
    (NodeDevice::start(builder, Vanish::Crash).unwrap(), list)
}

/// Each thing that changes is told as what it is, and the list has it then.
#[test]
fn a_watch_tells_everything_that_changes_of_a_device() {
    run_in(async |_| {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (trust, trust_of_b) = (TrustStore::in_memory(), TrustStore::in_memory());
        trust_of_b.trust(*a.device_id(), "a").unwrap();
        let ((a, list), (b, _)) = (start(&trust, a), start(&trust_of_b, b));
        let (node, id) = (a.node(), b.id());
        let mut watch = node.watch_devices();
        assert_eq!(watch.devices().count(), 0);

        list.insert(id, at(1)).unwrap();
        assert_eq!(next(&mut watch).await, DeviceEvent::Found(id));
        let known = watch.device(&id).unwrap().clone();
        assert_eq!(
            (known.presence, known.trusted),
            (Presence::Candidate, false)
        );
        list.insert(id, b.node().local_addr().unwrap()).unwrap();
        until(
            &mut watch,
            |event| matches!(event, DeviceEvent::Changed(_, change) if change.addresses),
        )
        .await;
        trust.trust(id, "b").unwrap();
        until(
            &mut watch,
            |event| matches!(event, DeviceEvent::Changed(_, change) if change.trusted),
        )
        .await;
        assert!(watch.device(&id).unwrap().trusted);
        assert_eq!(next(&mut watch).await, DeviceEvent::Online(id));
        assert!(watch.device(&id).unwrap().transport.is_some());

        b.leave().await;
        let left = DeviceEvent::Offline(id, OfflineReason::Left);
        until(&mut watch, |event| *event == left).await;
        let known = watch.device(&id).unwrap().clone();
        assert_eq!(known.presence, Presence::Offline(OfflineReason::Left));
        assert_eq!(known.transport, None);
        list.insert(stranger(1), at(1)).unwrap();
        until(&mut watch, |event| {
            *event == DeviceEvent::Found(stranger(1))
        })
        .await;
        list.remove(&stranger(1));
        until(&mut watch, |event| *event == DeviceEvent::Lost(stranger(1))).await;
        assert_eq!(watch.device(&stranger(1)), None);
    });
}

/// A thousand changes of two hundred devices that nobody reads: what is told then follows from what was told before, is not
/// more than a few events for each, and ends at the truth.
#[test]
fn a_watch_that_was_not_read_ends_at_the_truth() {
    run_in(async |world| {
        let identity = Identity::generate().unwrap();
        let trust = TrustStore::in_memory();
        let (a, list) = start(&trust, identity);
        let node = a.node();
        let b = world.node();
        world.trust_of(&b.id()).trust(a.id(), "a").unwrap();
        trust.trust(b.id(), "b").unwrap();
        let mut watch = node.watch_devices();
        list.insert(b.id(), b.node().local_addr().unwrap()).unwrap();
        until(&mut watch, |event| *event == DeviceEvent::Online(b.id())).await;
        let mut online = BTreeMap::from([(b.id(), true)]);

        for round in 0..1000u16 {
            let device = stranger((round % 200) as u8);
            match round / 200 {
                0 => list.insert(device, at(1000)).unwrap(),
                1 => list.insert(device, at(1001 + round)).unwrap(),
                2 if round % 2 == 0 => assert!(list.remove(&device)),
                3 if round % 4 == 0 => list.insert(device, at(1)).unwrap(),
                _ => drop(trust.block(&device).unwrap()),
            }
        }
        b.leave().await;
        list.insert(stranger(200), at(1)).unwrap();
        let there = async || {
            let known = node.devices();
            let last = known.iter().any(|device| device.id == stranger(200));
            last && !known.iter().any(Known::is_online)
        };
        assert!(wait_until_async(SOON, there).await);
        let events = read_all(&mut watch, &node).await;
        assert!((150..=3 * 202).contains(&events.len()), "{}", events.len());
        for event in &events {
            let was = match event {
                DeviceEvent::Found(id) => online.insert(*id, false).is_none(),
                DeviceEvent::Online(id) => online.insert(*id, true) != Some(true),
                DeviceEvent::Offline(id, _) => online.insert(*id, false) == Some(true),
                DeviceEvent::Lost(id) => online.remove(id) == Some(false),
                DeviceEvent::Changed(id, _) => online.contains_key(id),
                _ => false,
            };
            assert!(was, "{event:?} does not follow");
        }
        assert_eq!(online.len(), node.devices().len());
        assert!(read_all(&mut watch, &node).await.is_empty());
    });
}
