//! Waiting for services, and being told of them.

use std::time::Duration;

use softbus::{
    Allow, CallOption, DeathReason, GetServiceError, Parcel, SendRequestError, ServiceId,
    ServiceOptions,
    rpc::{ServiceEvent, ServiceState, ServiceWatch, WatchServiceError},
    service_watch::{RemoteServiceEvent, RemoteServiceWatch},
};
use tokio::time::Instant;

use super::{
    SERVICE, SOON, for_all,
    loading::offer,
    reached, usage_of,
    workbench::{code, parcel, reverse, workbench},
};
use crate::{wait::wait_until_async, world::World};

fn id(number: u32) -> ServiceId {
    ServiceId::new(number).unwrap()
}

/// The next event of a watch, by when something would have happened.
pub async fn next_change(watch: &mut ServiceWatch) -> ServiceEvent {
    let change = tokio::time::timeout(SOON, watch.next()).await;
    change.expect("a watcher is told in time")
}

async fn next_remote(watch: &mut RemoteServiceWatch) -> RemoteServiceEvent {
    let change = tokio::time::timeout(SOON, watch.next()).await;
    change.expect("a watcher is told in time")
}

/// Rows 138 and 139: 256 watches in a process, and a watch that is dropped is none any more.
pub async fn watches_are_limited(world: &mut dyn World) {
    let device = world.device().await;
    let samgr = device.samgr();
    let mut watches: Vec<_> = (0..256).map(|n| samgr.watch(id(n % 8 + 1))).collect();
    assert!(watches.iter().all(Result::is_ok));
    let limit = WatchServiceError::LimitReached {
        limit: 256,
        value: 257,
    };
    assert_eq!(samgr.watch(SERVICE).unwrap_err(), limit);
    watches.pop();
    let mut last = samgr.watch(SERVICE).unwrap();
    assert_eq!(samgr.watch(id(1)).unwrap_err(), limit);
    device.add(SERVICE, &workbench().0, for_all()).unwrap();
    assert_eq!(next_change(&mut last).await, ServiceEvent::Added);
}

/// Row 137, of a service that is started on demand: offered is not there.
pub async fn a_watch_is_told_of_what_is_started_and_unloaded(world: &mut dyn World) {
    let device = world.device().await;
    let mut watch = device.watch(SERVICE);
    let _control = offer(&*device, SERVICE, 2, for_all());
    let moment = tokio::time::timeout(Duration::from_millis(50), watch.next()).await;
    assert!(moment.is_err(), "{moment:?}");
    for _ in 0..2 {
        device.samgr().load(SERVICE).await.unwrap();
        assert_eq!(next_change(&mut watch).await, ServiceEvent::Added);
        device.samgr().unload(SERVICE).await.unwrap();
        assert_eq!(next_change(&mut watch).await, ServiceEvent::Removed);
    }
}

/// Row 137: a slow watcher is told of the newest, in order, and costs no more than a quick one.
pub async fn a_slow_watcher_is_told_of_the_newest(world: &mut dyn World) {
    let device = world.device().await;
    device.add(SERVICE, &workbench().0, for_all()).unwrap();
    let mut watch = device.watch(SERVICE);
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Added);
    for _ in 0..1000 {
        device.add(SERVICE, &workbench().0, for_all()).unwrap();
    }
    device.remove(SERVICE).unwrap();
    device.add(SERVICE, &workbench().0, for_all()).unwrap();
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Removed);
    assert_eq!(next_change(&mut watch).await, ServiceEvent::Added);
    let more = tokio::time::timeout(Duration::from_millis(50), watch.next()).await;
    assert!(more.is_err(), "{more:?}");
}

/// Waiting ends when the service comes, here and from elsewhere, also when it is there already.
pub async fn a_wait_ends_when_the_service_comes(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let (here, there) = (b.samgr(), b.id());
    let (stub, bench) = workbench();
    let (local, remote, ()) = tokio::join!(
        here.wait_for(SERVICE, SOON),
        a.wait_for(SERVICE, &there, SOON),
        async {
            // Not for the one who waits elsewhere: that one goes on waiting.
            b.add(id(9), &stub, for_all()).unwrap();
            b.add(SERVICE, &workbench().0, ServiceOptions::local())
                .unwrap();
            assert!(a.get(SERVICE, &there).await.is_err());
            b.add(SERVICE, &stub, for_all()).unwrap();
        }
    );
    local.unwrap();
    let proxy = remote.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    assert_eq!(*bench.entered.borrow(), 1);
    assert_eq!(a.wait_for(SERVICE, &there, SOON).await.unwrap(), proxy);
    assert_eq!(here.wait_for(SERVICE, SOON).await.unwrap(), stub);
}

/// Waiting for a service that is started on demand starts it.
pub async fn a_wait_starts_what_is_started_on_demand(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let id = b.id();
    let (proxy, control) = tokio::join!(a.wait_for(SERVICE, &id, SOON), async {
        tokio::task::yield_now().await;
        offer(&*b, SERVICE, 1, for_all())
    });
    assert_eq!(reverse(&proxy.unwrap(), 2019).await, Ok(9102));
    assert_eq!(*control.starts.borrow(), 1);
}

/// A wait ends at its deadline, and leaves nothing behind at the device that was asked.
pub async fn a_wait_ends_at_its_deadline(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let after = Duration::from_millis(100);
    let timed_out = GetServiceError::TimedOut { after };
    a.check_of(SERVICE, &b.id()).await.unwrap_err();
    let before = (usage_of(&*a, &*b), usage_of(&*b, &*a));
    let begun = Instant::now();
    let local = b.samgr().wait_for(SERVICE, after).await;
    assert_eq!(local.unwrap_err(), timed_out);
    let remote = a.wait_for(SERVICE, &b.id(), after).await.unwrap_err();
    assert!(
        matches!(remote, GetServiceError::TimedOut { .. }),
        "{remote:?}"
    );
    assert!(begun.elapsed() >= 2 * after - Duration::from_millis(5));
    super::settled(&*a, &*b, before.0).await;
    super::settled(&*b, &*a, before.1).await;
}

/// Waits of a caller are limited like its loads, and those of other callers are not touched.
pub async fn waits_of_one_caller_are_limited(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let third = world.device().await;
    let there = b.id();
    let mut waits = tokio::task::JoinSet::new();
    for number in 0..=256 {
        let a = a.clone();
        waits.spawn(async move { a.wait_for(id(2000 + number), &there, SOON).await });
    }
    let first = waits.join_next().await.unwrap().unwrap();
    let limit = GetServiceError::TooManyLoads {
        limit: 256,
        value: 257,
    };
    assert_eq!(first.unwrap_err(), limit);
    b.add(SERVICE, &workbench().0, for_all()).unwrap();
    third.wait_for(SERVICE, &there, SOON).await.unwrap();
    a.get(SERVICE, &there).await.unwrap();
    waits.shutdown().await;
    let free = wait_until_async(SOON, async || {
        a.wait_for(SERVICE, &there, SOON).await.is_ok()
    });
    assert!(free.await);
}

/// Rows 130 and 142: whom no rule names hears the same of everything, at once and without a try: what is absent, what is
/// for this device only, what is for others, what could be started and what is being started.
pub async fn a_stranger_is_refused_alike(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let here = b.samgr();
    let only_b = || ServiceOptions::distributed(Allow::devices([b.id()]));
    b.add(id(1), &workbench().0, ServiceOptions::local())
        .unwrap();
    b.add(id(2), &workbench().0, only_b()).unwrap();
    let mut controls = Vec::new();
    for (number, options) in [(3, ServiceOptions::local()), (4, only_b())] {
        controls.push(offer(&*b, id(number), 0, options));
    }
    let starting = offer(&*b, id(5), 0, only_b());
    let load = tokio::spawn(async move { here.load(id(5)).await });
    reached(&starting.starts, 1).await;
    let first = a.get(id(6), &b.id()).await.unwrap_err();
    assert_eq!(
        first,
        GetServiceError::Refused,
        "and there is a session now"
    );
    let wait = Duration::from_millis(200);
    for number in 1..=6 {
        let begun = Instant::now();
        let refusals = [
            a.get(id(number), &b.id()).await,
            a.check_of(id(number), &b.id()).await,
            a.load_within(id(number), &b.id(), SOON).await,
        ];
        for refused in refusals {
            assert_eq!(refused.unwrap_err(), GetServiceError::Refused, "{number}");
        }
        if world.time_is_virtual() {
            assert_eq!(begun.elapsed(), Duration::ZERO, "{number}");
        }
        let begun = Instant::now();
        let waited = a.wait_for(id(number), &b.id(), wait).await.unwrap_err();
        assert!(
            matches!(waited, GetServiceError::TimedOut { .. }),
            "{waited:?}"
        );
        assert!(
            begun.elapsed() >= wait - Duration::from_millis(5),
            "{number}"
        );
    }
    assert_eq!(a.list_of(&b.id()).await.unwrap(), []);
    assert!(controls.iter().all(|control| *control.starts.borrow() == 0));
    assert_eq!(*starting.starts.borrow(), 1);
    assert_eq!(b.samgr().state(id(4)), Some(ServiceState::NotLoaded));
    load.abort();
}

/// A watch of another device's service follows it through everything, by itself.
pub async fn a_remote_watch_follows_its_service(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let mut watch = a.watch_of(SERVICE, &b.id()).unwrap();
    b.add(SERVICE, &workbench().0, for_all()).unwrap();
    let RemoteServiceEvent::Added(first) = next_remote(&mut watch).await else {
        panic!("nothing was there to go");
    };
    assert_eq!(reverse(&first, 2019).await, Ok(9102));
    let mut second_watch = a.watch_of(SERVICE, &b.id()).unwrap();
    let known = next_remote(&mut second_watch).await;
    assert_eq!(known, RemoteServiceEvent::Added(first.clone()));

    b.remove(SERVICE).unwrap();
    let removed = RemoteServiceEvent::Removed(DeathReason::ServiceRemoved);
    assert_eq!(next_remote(&mut watch).await, removed);
    b.add(SERVICE, &workbench().0, for_all()).unwrap();
    let RemoteServiceEvent::Added(second) = next_remote(&mut watch).await else {
        panic!("it had gone already");
    };
    assert_ne!(first, second);

    b.vanish().await;
    let gone = next_remote(&mut watch).await;
    assert!(matches!(gone, RemoteServiceEvent::Removed(_)), "{gone:?}");
    let again = world.restart(&b).await;
    again.add(SERVICE, &workbench().0, for_all()).unwrap();
    let back = next_remote(&mut watch).await;
    let RemoteServiceEvent::Added(third) = back else {
        panic!("{back:?}");
    };
    assert_eq!(reverse(&third, 2019).await, Ok(9102));
    // The slow one was told of nothing in between, and now of both ends of it.
    let slow = next_remote(&mut second_watch).await;
    assert!(matches!(slow, RemoteServiceEvent::Removed(_)), "{slow:?}");
    let slow = next_remote(&mut second_watch).await;
    assert_eq!(slow, RemoteServiceEvent::Added(third));
}

/// Calls that are made through a watch go to the next proxy when one is dead, and what may be done twice is repeated.
pub async fn calls_of_a_watch_outlive_a_restart_of_the_device(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let watch = a.watch_of(SERVICE, &b.id()).unwrap();
    let (stub, bench) = workbench();
    b.add(SERVICE, &stub, for_all()).unwrap();
    // There is none yet: it is waited for.
    let option = CallOption::two_way().wait(2 * SOON);
    let number = parcel(|data| data.write_i32(2019));
    let mut reply = watch.send_request(code::REVERSE, &number, option).await;
    assert_eq!(reply.as_mut().unwrap().read_i32(), Ok(9102));

    // Two under way when the device goes. Of one nobody knows whether it was done, and it is not done again.
    let nothing = Parcel::new();
    let (once, again) = (option, option.idempotent());
    let (once, again, back) = tokio::join!(
        watch.send_request(code::HOLD, &nothing, once),
        watch.send_request(code::HOLD, &nothing, again),
        async {
            reached(&bench.entered, 3).await;
            b.vanish().await;
            let back = world.restart(&b).await;
            let (stub, bench) = workbench();
            back.add(SERVICE, &stub, for_all()).unwrap();
            bench.release();
            reached(&bench.left, 1).await;
            (back, bench)
        }
    );
    assert_eq!(once.unwrap_err(), SendRequestError::Indeterminate);
    again.unwrap();
    let (back, bench) = back;
    assert_eq!(*bench.entered.borrow(), 1);

    back.remove(SERVICE).unwrap();
    let soon = option.wait(Duration::from_millis(50));
    let absent = watch.send_request(code::REVERSE, &number, soon).await;
    let absent = absent.unwrap_err();
    assert!(
        matches!(
            absent,
            SendRequestError::DeadObject { .. } | SendRequestError::TimedOut { .. }
        ),
        "{absent:?}"
    );
}

/// A wait goes on when the device is gone in between and comes back.
pub async fn a_wait_outlives_a_restart_of_the_device(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    a.check_of(SERVICE, &b.id()).await.unwrap_err();
    let there = b.id();
    let (waited, again) = tokio::join!(a.wait_for(SERVICE, &there, 2 * SOON), async {
        b.vanish().await;
        let again = world.restart(&b).await;
        again.add(SERVICE, &workbench().0, for_all()).unwrap();
        again
    });
    assert_eq!(reverse(&waited.unwrap(), 2019).await, Ok(9102));
    drop(again);
}

/// The same of a service of the own device, for those who do not care whose it is.
pub async fn a_remote_watch_follows_an_own_service_too(world: &mut dyn World) {
    let device = world.device().await;
    let mut watch = device.watch_of(SERVICE, &device.id()).unwrap();
    let (stub, _) = workbench();
    device.add(SERVICE, &stub, ServiceOptions::local()).unwrap();
    let added = next_remote(&mut watch).await;
    assert_eq!(added, RemoteServiceEvent::Added(stub));
    device.remove(SERVICE).unwrap();
    let removed = RemoteServiceEvent::Removed(DeathReason::ServiceRemoved);
    assert_eq!(next_remote(&mut watch).await, removed);
}

/// A device takes leave at once, also while others wait for services of it.
pub async fn waits_do_not_hold_up_a_leave(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    a.check_of(SERVICE, &b.id()).await.unwrap_err();
    let there = b.id();
    let waits = (0..8).map(|number| {
        let a = a.clone();
        tokio::spawn(async move { a.wait_for(id(2000 + number), &there, SOON).await })
    });
    let waits: Vec<_> = waits.collect();
    let watch = a.watch_of(SERVICE, &there).unwrap();
    let arrived = wait_until_async(SOON, async || usage_of(&*b, &*a).serving >= 9);
    assert!(arrived.await, "{:?}", usage_of(&*b, &*a));
    let mut events = a.events().unwrap();
    super::next_event(&mut events).await;
    let begun = Instant::now();
    let (told, ()) = tokio::join!(
        async {
            super::next_event(&mut events).await;
            begun.elapsed()
        },
        b.leave()
    );
    assert!(told < softbus::rpc::limits::DRAIN_TIME, "{told:?}");
    waits.iter().for_each(tokio::task::JoinHandle::abort);
    drop(watch);
}
