//! One session with each device, whoever dials.

use std::time::Duration;

use softbus::{
    DeviceEvent, Identity, Node, TrustStore,
    discovery::{Source, StaticPeers},
};
use testkit::{
    scenarios::{
        SERVICE, for_all, next_event, usage_of,
        workbench::{reverse, workbench},
    },
    world::{
        Device,
        loopback::LOCAL,
        node::{NodeDevice, Vanish},
    },
};

use crate::run_in;

/// Enough to meet each order of what happens in a handshake.
const REPETITIONS: usize = 20;

fn start(identity: Identity, trust: &TrustStore) -> (NodeDevice, StaticPeers) {
    let list = StaticPeers::new(Source::STATIC, []).unwrap();
    let builder = Node::builder()
        .identity(identity)
        .trust(trust.clone())
        .listen(LOCAL)
        .discovery(Box::new(list.clone()));
    (NodeDevice::start(builder, Vanish::Crash).unwrap(), list)
}

#[test]
fn two_that_dial_each_other_at_once_have_one_session() {
    run_in(async |_| {
        for _ in 0..REPETITIONS {
            both_dial_at_once().await;
        }
    });
}

async fn both_dial_at_once() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let trust = TrustStore::in_memory();
    trust.trust(*a.device_id(), "a").unwrap();
    trust.trust(*b.device_id(), "b").unwrap();
    let ((a, a_list), (b, b_list)) = (start(a, &trust), start(b, &trust));
    for node in [&a, &b] {
        node.add(SERVICE, &workbench().0, for_all()).unwrap();
    }
    let mut events = [a.events().unwrap(), b.events().unwrap()];
    a_list.insert(b.id(), b.node().local_addr()).unwrap();
    b_list.insert(a.id(), a.node().local_addr()).unwrap();
    let (a_id, b_id) = (a.id(), b.id());
    let (to_b, to_a) = tokio::join!(a.get(SERVICE, &b_id), b.get(SERVICE, &a_id));
    for (events, other) in events.iter_mut().zip([&b, &a]) {
        assert_eq!(next_event(events).await, DeviceEvent::Online(other.id()));
    }
    let (to_b, to_a) = (to_b.unwrap(), to_a.unwrap());
    assert_eq!(reverse(&to_b, 2019).await, Ok(9102));
    assert_eq!(reverse(&to_a, 2019).await, Ok(9102));
    usage_of(&a, &b);
    usage_of(&b, &a);
    for events in &mut events {
        let more = tokio::time::timeout(Duration::from_millis(20), events.next()).await;
        assert!(more.is_err(), "the first session stays: {more:?}");
    }
    assert!(!to_a.is_dead() && !to_b.is_dead());
}
