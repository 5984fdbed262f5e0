//! The system ability manager, and who sees what of it.

use std::collections::BTreeSet;

use softbus::{
    Allow, DeviceId, GetServiceError, Parcel, RemoteObject, SendRequestError, ServiceId,
    ServiceOptions,
    rpc::{AddServiceError, RemoveServiceError, ServiceEvent, limits},
};

use super::{
    SERVICE, for_all, next, obituaries, pair, usage_of,
    watching::next_change,
    workbench::{call, call_within, code, keep, reverse, workbench},
};
use crate::world::World;

fn id(number: u32) -> ServiceId {
    ServiceId::new(number).unwrap()
}

fn stub() -> RemoteObject {
    workbench().0
}

/// Row 95: no service, an error, at once. *Absent* is said to whom a rule names; a stranger to the id hears what he would
/// hear of a service that is not for him.
pub async fn an_absent_service_is_not_found_at_once(world: &mut dyn World) {
    let pair = pair(world).await;
    let begun = tokio::time::Instant::now();
    let unknown = pair.a.get(id(99), &pair.b.id()).await;
    assert_eq!(unknown.unwrap_err(), world.said_of_unknown());
    pair.b.add(id(99), &stub(), for_all()).unwrap();
    pair.b.remove(id(99)).unwrap();
    let removed = pair.a.get(id(99), &pair.b.id()).await;
    assert_eq!(removed.unwrap_err(), GetServiceError::Absent);
    let own = pair.a.get(id(99), &pair.a.id()).await;
    assert_eq!(own.unwrap_err(), GetServiceError::Absent);
    assert!(begun.elapsed() < limits::DEFAULT_WAIT, "no hang");
}

/// Row 96: *not distributed* is an answer of its own to a caller whom a rule for the id names.
pub async fn a_service_that_is_not_distributed_says_so(world: &mut dyn World) {
    let pair = pair(world).await;
    pair.b.add(id(5), &stub(), for_all()).unwrap();
    pair.b.add(id(5), &stub(), ServiceOptions::local()).unwrap();
    let local = pair.a.get(id(5), &pair.b.id()).await;
    assert_eq!(local.unwrap_err(), GetServiceError::NotDistributed);
    assert!(
        pair.b.check(id(5)).is_some(),
        "on its own device it is there"
    );
}

/// Row 97: what is no id never leaves the device.
pub async fn bad_ids_are_no_ids(world: &mut dyn World) {
    for number in [0, 0x0100_0000, u32::MAX] {
        assert_eq!(ServiceId::new(number), None);
    }
    assert!(ServiceId::new(1).is_some() && ServiceId::new(0x00ff_ffff).is_some());
    for text in ["", &"a".repeat(65)] {
        assert!(text.parse::<DeviceId>().is_err());
    }
    let device = world.device().await;
    let stranger = DeviceId::from_bytes([0xee; 32]);
    let unknown = device.get(SERVICE, &stranger).await.unwrap_err();
    assert!(
        matches!(
            unknown,
            GetServiceError::DeviceNotTrusted | GetServiceError::Unreachable(_)
        ),
        "{unknown:?}"
    );
}

/// Row 102.
pub async fn ten_proxies_share_a_session(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = usage_of(&*pair.a, &*pair.b);
    let mut proxies = Vec::new();
    for number in 1..=10 {
        pair.b.add(id(number), &stub(), for_all()).unwrap();
        proxies.push(pair.a.get(id(number), &pair.b.id()).await.unwrap());
    }
    for proxy in &proxies {
        assert_eq!(reverse(proxy, 2019).await, Ok(9102));
    }
    // This looks that there is one session.
    let imports = usage_of(&*pair.a, &*pair.b).imports;
    assert_eq!(imports, before.imports + 10);
}

/// Row 98: those who ask while there is no session yet share the one that comes.
pub async fn concurrent_gets_share_a_session(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    b.add(SERVICE, &stub(), for_all()).unwrap();
    let gets: Vec<_> = (0..16)
        .map(|number| {
            let (a, b) = (a.clone(), b.clone());
            let (from, to) = if number % 2 == 0 { (a, b) } else { (b, a) };
            tokio::spawn(async move { from.get(SERVICE, &to.id()).await })
        })
        .collect();
    for (number, get) in gets.into_iter().enumerate() {
        let got = get.await.unwrap();
        assert_eq!(got.is_ok(), number % 2 == 0, "only b offers it: {got:?}");
    }
    usage_of(&*a, &*b);
    usage_of(&*b, &*a);
}

/// Row 124, as decided here: a service is for its own device unless its registration says whom else it is for.
pub async fn a_registration_is_distributed_only_when_told(world: &mut dyn World) {
    let pair = pair(world).await;
    let third = world.device().await;
    let all = pair.b.id();
    pair.b
        .add(id(5), &stub(), ServiceOptions::default())
        .unwrap();
    let refused = pair.a.get(id(5), &all).await;
    assert_eq!(refused.unwrap_err(), GetServiceError::Refused);

    let only_third = ServiceOptions::distributed(Allow::devices([third.id()]));
    pair.b.add(id(6), &stub(), only_third).unwrap();
    let refused = pair.a.get(id(6), &all).await;
    assert_eq!(refused.unwrap_err(), GetServiceError::Refused);
    let allowed = third.get(id(6), &all).await.unwrap();
    assert_eq!(reverse(&allowed, 2019).await, Ok(9102));
}

/// Rows 123 and 125: one thousand services, and not one more.
pub async fn a_thousand_services_and_no_more(world: &mut dyn World) {
    let device = world.device().await;
    let object = stub();
    for number in 1..=1000 {
        device.add(id(number), &object, for_all()).unwrap();
    }
    let refused = device.add(id(1001), &object, for_all());
    let (limit, value) = (1000, 1001);
    assert_eq!(refused, Err(AddServiceError::LimitReached { limit, value }));
    device.add(id(1000), &object, for_all()).unwrap();
    device.remove(id(1)).unwrap();
    device.add(id(1001), &object, for_all()).unwrap();
    assert_eq!(device.list().len(), 1000);
    device.revoke(&object);
    let dead = device.add(id(1), &object, for_all());
    assert_eq!(dead, Err(AddServiceError::DeadObject));
}

/// Row 126: watchers see the old one go and the new one come, proxies of the old one die, and the next get finds the
/// new one.
pub async fn registering_again_replaces(world: &mut dyn World) {
    let pair = pair(world).await;
    let mut watch = pair.b.watch(SERVICE);
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Added);
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    let (new, bench) = workbench();
    pair.b.add(SERVICE, &new, for_all()).unwrap();
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Removed);
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Added);
    assert_eq!(next(&mut told).await, softbus::DeathReason::ServiceRemoved);
    let proxy = pair.a.get(SERVICE, &pair.b.id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    assert_eq!(*bench.entered.borrow(), 1);
}

/// Row 127.
pub async fn an_owner_that_dies_is_unregistered(world: &mut dyn World) {
    let pair = pair(world).await;
    let mut watch = pair.b.watch(SERVICE);
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Added);
    pair.b.revoke(&pair.stub);
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Removed);
    assert_eq!(pair.b.check(SERVICE), None);
    let gone = pair.a.get(SERVICE, &pair.b.id()).await;
    assert_eq!(gone.unwrap_err(), GetServiceError::Absent);
}

/// Row 128.
pub async fn removing_what_is_absent_is_an_error(world: &mut dyn World) {
    let device = world.device().await;
    assert_eq!(device.remove(id(5)), Err(RemoveServiceError::Absent));
    device.add(id(5), &stub(), for_all()).unwrap();
    assert_eq!(device.remove(id(5)), Ok(()));
    assert_eq!(device.remove(id(5)), Err(RemoveServiceError::Absent));
}

/// Row 137: an event for each coming and going, the first for what is there already; watching twice is harmless.
pub async fn a_watch_begins_with_what_is_there(world: &mut dyn World) {
    let device = world.device().await;
    device.add(id(5), &stub(), for_all()).unwrap();
    let mut watches = [device.watch(id(5)), device.watch(id(5))];
    let mut other = device.watch(id(6));
    for watch in &mut watches {
        assert_eq!(next_change(watch).await, ServiceEvent::Added);
    }
    let [mut watch, dropped] = watches;
    drop(dropped);
    device.remove(id(5)).unwrap();
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Removed);
    device.add(id(6), &stub(), for_all()).unwrap();
    assert_eq!(next_change(&mut other).await, ServiceEvent::Added);
    device.add(id(5), &stub(), for_all()).unwrap();
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Added);
}

/// Row 140.
pub async fn all_ids_are_listed(world: &mut dyn World) {
    let device = world.device().await;
    assert_eq!(device.list(), []);
    for number in [9, 1, 0x00ff_ffff, 1401] {
        device
            .add(id(number), &stub(), ServiceOptions::local())
            .unwrap();
    }
    assert_eq!(device.list(), [id(1), id(9), id(1401), id(0x00ff_ffff)]);
    let texts: Vec<_> = device.list().iter().map(ServiceId::to_string).collect();
    assert_eq!(texts, ["1", "9", "1401", "16777215"]);
}

/// Row 142, the half a proxy can show: other devices learn of distributed services only.
pub async fn others_see_only_what_they_may_call(world: &mut dyn World) {
    let pair = pair(world).await;
    pair.b.add(id(5), &stub(), ServiceOptions::local()).unwrap();
    let only_b = ServiceOptions::distributed(Allow::devices([pair.b.id()]));
    pair.b.add(id(6), &stub(), only_b).unwrap();
    assert_eq!(pair.a.list_of(&pair.b.id()).await.unwrap(), [SERVICE]);
    assert_eq!(pair.b.list(), [id(5), id(6), SERVICE]);
}

/// Row 117: after the loss of a session a call fails at once, and the next get makes a new session.
pub async fn after_the_end_of_a_session_the_next_get_makes_another(world: &mut dyn World) {
    let pair = pair(world).await;
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    pair.b.vanish().await;
    next(&mut told).await;
    let begun = tokio::time::Instant::now();
    let failed = reverse(&pair.proxy, 1).await;
    assert!(matches!(failed, Err(SendRequestError::DeadObject { .. })));
    assert!(begun.elapsed().as_millis() < 500, "at once");
    let again = world.restart(&pair.b).await;
    again.add(SERVICE, &stub(), for_all()).unwrap();
    let proxy = pair.a.get(SERVICE, &again.id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    usage_of(&*pair.a, &*again);
}

/// Row 158: each refusal has its own name.
pub async fn refusals_are_told_apart(world: &mut dyn World) {
    let pair = pair(world).await;
    let b = pair.b.id();
    pair.b.add(id(5), &stub(), for_all()).unwrap();
    pair.b.add(id(5), &stub(), ServiceOptions::local()).unwrap();
    pair.b.add(id(6), &stub(), for_all()).unwrap();
    pair.b.remove(id(6)).unwrap();
    let mut gets = BTreeSet::new();
    for service in [id(5), id(6), id(7)] {
        gets.insert(pair.a.get(service, &b).await.unwrap_err().to_string());
    }
    assert_eq!(gets.len(), 3, "{gets:?}");

    let mut calls = BTreeSet::new();
    let mut fails = |error: SendRequestError| calls.insert(error.to_string());
    fails(call(&pair.proxy, 0, &Parcel::new()).await.unwrap_err());
    fails(
        call(&pair.proxy, code::UNKNOWN, &Parcel::new())
            .await
            .unwrap_err(),
    );
    fails(
        call(&pair.proxy, code::REVERSE, &Parcel::new())
            .await
            .unwrap_err(),
    );
    fails(
        call(&pair.proxy, code::PANIC, &Parcel::new())
            .await
            .unwrap_err(),
    );
    fails(keep(&pair.proxy, &[&pair.proxy]).await.unwrap_err());
    let moment = std::time::Duration::from_millis(50);
    fails(
        call_within(&pair.proxy, code::HOLD, moment)
            .await
            .unwrap_err(),
    );
    let mut large = Parcel::new();
    large.write_u32(2 << 20).unwrap();
    fails(
        call(&pair.proxy, code::LARGE_REPLY, &large)
            .await
            .unwrap_err(),
    );
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    pair.b.remove(SERVICE).unwrap();
    next(&mut told).await;
    fails(call(&pair.proxy, 1, &Parcel::new()).await.unwrap_err());
    assert_eq!(calls.len(), 8, "{calls:?}");
}
