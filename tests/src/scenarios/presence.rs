//! Devices coming and going, where there is more than links.

use softbus::{DeviceEvent, presence::OfflineReason};
use tokio::time::Instant;

use super::{
    SERVICE, for_all, next, next_event, obituaries, pair,
    workbench::{reverse, workbench},
};
use crate::world::World;

/// Each device that comes and goes is told as that, in order.
pub async fn devices_come_and_go_in_order(world: &mut dyn World) {
    let pair = pair(world).await;
    let b = pair.b.id();
    let mut events = pair.a.events().unwrap();
    assert_eq!(next_event(&mut events).await, DeviceEvent::Online(b));
    pair.b.leave().await;
    let left = next_event(&mut events).await;
    assert_eq!(left, DeviceEvent::Offline(b, OfflineReason::Left));

    let again = world.restart(&pair.b).await;
    assert_eq!(next_event(&mut events).await, DeviceEvent::Online(b));
    again.vanish().await;
    let vanished = next_event(&mut events).await;
    let crashed = DeviceEvent::Offline(b, OfflineReason::Crashed);
    let silent = DeviceEvent::Offline(b, OfflineReason::TimedOut);
    assert!(vanished == crashed || vanished == silent, "{vanished:?}");

    let _third_start = world.restart(&again).await;
    assert_eq!(next_event(&mut events).await, DeviceEvent::Online(b));
}

/// How long it takes from the decision to leave until the other device knows. To be 0.1 s at most.
pub async fn a_graceful_leave_is_told_at_once(world: &mut dyn World) {
    let pair = pair(world).await;
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    let begun = Instant::now();
    let (_, after) = tokio::join!(pair.b.leave(), async {
        next(&mut told).await;
        begun.elapsed()
    });
    super::measured("graceful leave", after);
    assert!(after.as_millis() < 1000, "{after:?}");
}

/// A device that is started again before anybody missed it is a new one: the session with the old one is replaced.
pub async fn a_restarted_device_replaces_the_one_before(world: &mut dyn World) {
    let pair = pair(world).await;
    let b = pair.b.id();
    let mut events = pair.a.events().unwrap();
    assert_eq!(next_event(&mut events).await, DeviceEvent::Online(b));
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    pair.b.vanish().await;
    let begun = Instant::now();
    let _again = world.restart(&pair.b).await;
    next(&mut told).await;
    super::measured("crash and restart noticed", begun.elapsed());
    let gone = next_event(&mut events).await;
    assert!(matches!(gone, DeviceEvent::Offline(id, _) if id == b));
    assert_eq!(next_event(&mut events).await, DeviceEvent::Online(b));
}

/// Row 118, in our terms: a node that starts again after a crash has its peers again without asking, and what it
/// registers can be got again.
pub async fn a_node_that_starts_again_has_its_peers_and_services_again(world: &mut dyn World) {
    let pair = pair(world).await;
    let (a, b) = (pair.a.id(), pair.b.id());
    let mut events = pair.b.events().unwrap();
    assert_eq!(next_event(&mut events).await, DeviceEvent::Online(a));
    pair.a.add(SERVICE, &workbench().0, for_all()).unwrap();
    let before = pair.b.get(SERVICE, &a).await.unwrap();
    let (tell, mut told) = obituaries();
    let _link = before.link_to_death(tell).unwrap();

    pair.a.vanish().await;
    let again = world.restart(&pair.a).await;
    let mut own_events = again.events().unwrap();
    again.add(SERVICE, &workbench().0, for_all()).unwrap();
    assert_eq!(next_event(&mut own_events).await, DeviceEvent::Online(b));
    next(&mut told).await;
    let gone = next_event(&mut events).await;
    assert!(matches!(gone, DeviceEvent::Offline(id, _) if id == a));
    assert_eq!(next_event(&mut events).await, DeviceEvent::Online(a));

    let to_b = again.get(SERVICE, &b).await.unwrap();
    let to_a = pair.b.get(SERVICE, &a).await.unwrap();
    for proxy in [&to_b, &to_a] {
        assert_eq!(reverse(proxy, 2019).await, Ok(9102));
    }
    assert!(before.is_dead(), "what it was before stays dead");
}
