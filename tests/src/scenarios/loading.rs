//! Services that are started on demand.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use softbus::{
    DeathReason, GetServiceError, RemoteObject, ServiceId, ServiceOptions, async_trait,
    rpc::{OnDemandOptions, ServiceStarter, ServiceState, UnloadServiceError, limits},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};

use super::{
    SERVICE, SOON, for_all, next, obituaries, reached,
    workbench::{reverse, workbench},
};
use crate::{
    wait::wait_until_async,
    world::{Device, World},
};

/// What a scenario sees of a starter, and what it makes it do.
#[derive(Debug)]
pub struct Control {
    /// How often it was asked to start.
    pub starts: watch::Sender<u64>,
    /// How often it was asked to stop.
    pub stops: watch::Sender<u64>,
    /// Let starts and stops go on.
    pub start: Semaphore,
    stop: Semaphore,
    how: Mutex<How>,
    stub: Mutex<Option<RemoteObject>>,
}

/// What a start does when it goes on.
#[derive(Clone, Copy, Debug)]
enum How {
    Yield,
    Fail,
    Panic,
}

struct Controlled(Arc<Control>);

#[async_trait]
impl ServiceStarter for Controlled {
    async fn start(&self) -> Result<RemoteObject, Box<dyn std::error::Error + Send + Sync>> {
        self.0.starts.send_modify(|count| *count += 1);
        self.0.start.acquire().await?.forget();
        match *lock(&self.0.how) {
            How::Yield => {
                let (stub, _) = workbench();
                *lock(&self.0.stub) = Some(stub.clone());
                Ok(stub)
            }
            How::Fail => Err("out of order".into()),
            How::Panic => panic!("asked to"),
        }
    }

    async fn stop(&self) {
        self.0.stops.send_modify(|count| *count += 1);
        if let Ok(permit) = self.0.stop.acquire().await {
            permit.forget();
        }
    }
}

impl Control {
    fn how(&self, how: How) {
        *lock(&self.how) = how;
    }

    /// What was started last.
    fn stub(&self) -> RemoteObject {
        lock(&self.stub).clone().unwrap()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Offers a service on demand whose first `starts` starts and as many stops go on at once.
pub fn offer(
    device: &dyn Device,
    service: ServiceId,
    starts: usize,
    options: impl Into<OnDemandOptions>,
) -> Arc<Control> {
    let control = Arc::new(Control {
        starts: watch::Sender::default(),
        stops: watch::Sender::default(),
        start: Semaphore::new(starts),
        stop: Semaphore::new(starts),
        how: Mutex::new(How::Yield),
        stub: Mutex::default(),
    });
    let starter = Controlled(Arc::clone(&control));
    device
        .samgr()
        .add_on_demand(service, starter, options)
        .unwrap();
    control
}

/// Two devices, of which the second offers [`SERVICE`] on demand to all.
async fn offered(
    world: &mut dyn World,
    starts: usize,
) -> (Arc<dyn Device>, Arc<dyn Device>, Arc<Control>) {
    let (a, b) = (world.device().await, world.device().await);
    let control = offer(&*b, SERVICE, starts, for_all());
    (a, b, control)
}

async fn reaches(device: &dyn Device, wanted: ServiceState) {
    let reached = wait_until_async(SOON, async || device.samgr().state(SERVICE) == Some(wanted));
    assert!(reached.await, "{wanted:?}");
}

/// Row 131: everybody who asks meanwhile joins the one start, here and from elsewhere; what is there is got at once.
pub async fn a_load_starts_a_service_once(world: &mut dyn World) {
    let (a, b, control) = offered(world, 0).await;
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::NotLoaded));
    let id = b.id();
    let mut loads = JoinSet::new();
    for number in 0..8 {
        let (a, b) = (Arc::clone(&a), Arc::clone(&b));
        loads.spawn(async move {
            match number % 2 {
                0 => a.load_within(SERVICE, &id, limits::LOAD_TIME).await,
                _ => b.samgr().load(SERVICE).await,
            }
        });
    }
    reached(&control.starts, 1).await;
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::Loading));
    assert_eq!(b.check(SERVICE), None, "it is not there yet");
    control.start.add_permits(1);
    while let Some(loaded) = loads.join_next().await {
        let object = loaded.unwrap().unwrap();
        assert_eq!(reverse(&object, 2019).await, Ok(9102));
    }
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::Loaded));
    b.samgr().load(SERVICE).await.unwrap();
    a.load_within(SERVICE, &id, limits::LOAD_TIME)
        .await
        .unwrap();
    assert_eq!(*control.starts.borrow(), 1);
}

/// Row 129: get waits for a service that is started on demand, check looks once and starts nothing.
pub async fn a_get_starts_a_service_and_a_check_does_not(world: &mut dyn World) {
    let (a, b, control) = offered(world, 1).await;
    assert_eq!(b.check(SERVICE), None);
    let checked = a.check_of(SERVICE, &b.id()).await;
    assert_eq!(checked.unwrap_err(), GetServiceError::Absent);
    assert_eq!(a.list_of(&b.id()).await.unwrap(), [SERVICE]);
    assert_eq!(*control.starts.borrow(), 0);
    let proxy = a.get(SERVICE, &b.id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    assert_eq!(a.check_of(SERVICE, &b.id()).await.unwrap(), proxy);
    assert!(b.check(SERVICE).is_some());
    assert_eq!(*control.starts.borrow(), 1);
}

/// Row 132: a start that never ends is an error after its time, for callers here and elsewhere, and the next load starts
/// anew.
pub async fn a_start_that_takes_too_long_is_timed_out(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let options = OnDemandOptions::new(for_all());
    // Four seconds, where they cost nothing.
    let (options, time) = if world.time_is_virtual() {
        (options, Duration::from_secs(4))
    } else {
        let time = Duration::from_millis(300);
        (options.start_time(time), time)
    };
    let control = offer(&*b, SERVICE, 0, options);
    a.check_of(SERVICE, &b.id()).await.unwrap_err();
    let begun = Instant::now();
    let (here, there) = (b.samgr(), b.id());
    let (local, remote) = tokio::join!(here.get(SERVICE, SOON), a.get(SERVICE, &there));
    assert!(begun.elapsed() >= time);
    let timed_out = GetServiceError::TimedOut { after: time };
    assert_eq!(local.unwrap_err(), timed_out);
    assert_eq!(remote.unwrap_err(), timed_out);
    assert_eq!(*control.starts.borrow(), 1);
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::NotLoaded));
    control.start.add_permits(1);
    b.samgr().load(SERVICE).await.unwrap();
}

/// Rows 132 and 133: what cannot be loaded says why, to each caller what it may know; a starter that panics harms nobody.
pub async fn a_load_that_fails_says_why(world: &mut dyn World) {
    let (a, b, control) = offered(world, 8).await;
    let unknown = ServiceId::new(99).unwrap();
    let absent = b.samgr().load(unknown).await;
    assert_eq!(absent.unwrap_err(), GetServiceError::Absent);
    let refused = a.load_within(unknown, &b.id(), SOON).await;
    assert_eq!(refused.unwrap_err(), world.said_of_unknown());

    for how in [How::Fail, How::Panic] {
        control.how(how);
        let local = b.samgr().load(SERVICE).await.unwrap_err();
        let text = match how {
            How::Fail => "out of order",
            _ => "starter panicked",
        };
        assert_eq!(local, GetServiceError::StartFailed(text.to_owned()));
        assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::NotLoaded));
        let remote = a.load_within(SERVICE, &b.id(), SOON).await.unwrap_err();
        assert!(matches!(&remote, GetServiceError::StartFailed(t) if !t.contains(text)));
    }
    control.how(How::Yield);
    a.load_within(SERVICE, &b.id(), SOON).await.unwrap();

    let proxy = b.get(SERVICE, &b.id()).await.unwrap();
    let of_a = ServiceId::new(7).unwrap();
    let from_b = a.get(SERVICE, &b.id()).await.unwrap();
    let yields_a_proxy = move || std::future::ready(Ok::<_, String>(from_b.clone()));
    a.samgr()
        .add_on_demand(of_a, yields_a_proxy, ServiceOptions::local())
        .unwrap();
    let failed = a.samgr().load(of_a).await.unwrap_err();
    assert!(
        matches!(failed, GetServiceError::StartFailed(_)),
        "{failed:?}"
    );
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
}

/// Row 133: 256 loads of a caller wait at a time. The next is refused at once, and those of others are not.
pub async fn loads_of_one_caller_are_limited(world: &mut dyn World) {
    let (a, b, control) = offered(world, 0).await;
    let third = world.device().await;
    let mut loads = JoinSet::new();
    let id = b.id();
    for _ in 0..=256 {
        let a = Arc::clone(&a);
        loads.spawn(async move { a.load_within(SERVICE, &id, SOON).await });
    }
    // Which of them is the one too many is nobody's business.
    let first = loads.join_next().await.unwrap().unwrap();
    let limit = GetServiceError::TooManyLoads {
        limit: 256,
        value: 257,
    };
    assert_eq!(first.unwrap_err(), limit);
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::Loading));
    let (others, ()) = tokio::join!(third.load_within(SERVICE, &id, SOON), async {
        control.start.add_permits(1);
    });
    others.unwrap();
    while let Some(loaded) = loads.join_next().await {
        loaded.unwrap().unwrap();
    }
    assert_eq!(*control.starts.borrow(), 1);
}

/// Row 134: a load from elsewhere ends within its caller's deadline, whatever the start does; the start goes on.
pub async fn a_remote_load_ends_with_its_caller(world: &mut dyn World) {
    let (a, b, control) = offered(world, 0).await;
    // A session first: finding a device takes longer than this load has.
    a.check_of(SERVICE, &b.id()).await.unwrap_err();
    let moment = Duration::from_millis(100);
    let late = a.load_within(SERVICE, &b.id(), moment).await;
    assert_eq!(
        late.unwrap_err(),
        GetServiceError::TimedOut { after: moment }
    );
    reached(&control.starts, 1).await;
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::Loading));
    control.start.add_permits(1);
    reaches(&*b, ServiceState::Loaded).await;
    let proxy = a.load_within(SERVICE, &b.id(), SOON).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    assert_eq!(*control.starts.borrow(), 1);
}

/// Rows 134 and 142: only a distributed service is started from elsewhere.
pub async fn only_distributed_services_are_loaded_from_elsewhere(world: &mut dyn World) {
    let (a, b) = (world.device().await, world.device().await);
    let private = offer(&*b, SERVICE, 1, ServiceOptions::local());
    let refused = a.load_within(SERVICE, &b.id(), SOON).await;
    assert_eq!(refused.unwrap_err(), GetServiceError::Refused);
    offer(&*b, SERVICE, 1, for_all());
    let private_again = offer(&*b, SERVICE, 1, ServiceOptions::local());
    let known = a.load_within(SERVICE, &b.id(), SOON).await;
    assert_eq!(known.unwrap_err(), GetServiceError::NotDistributed);
    assert_eq!(*private.starts.borrow() + *private_again.starts.borrow(), 0);
    assert_eq!(a.list_of(&b.id()).await.unwrap(), []);
    b.samgr().load(SERVICE).await.unwrap();
    let known = a.get(SERVICE, &b.id()).await;
    assert_eq!(known.unwrap_err(), GetServiceError::NotDistributed);
}

/// Row 135: an unload stops the service, its proxies die, and it can be started again.
pub async fn an_unload_stops_and_unregisters(world: &mut dyn World) {
    let (a, b, control) = offered(world, 2).await;
    let proxy = a.get(SERVICE, &b.id()).await.unwrap();
    let (tell, mut told) = obituaries();
    let _link = proxy.link_to_death(tell).unwrap();
    b.samgr().unload(SERVICE).await.unwrap();
    assert_eq!(*control.stops.borrow(), 1);
    assert_eq!(next(&mut told).await, DeathReason::ServiceRemoved);
    assert_eq!(b.check(SERVICE), None);
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::NotLoaded));
    let again = a.get(SERVICE, &b.id()).await.unwrap();
    assert_eq!(reverse(&again, 2019).await, Ok(9102));
    assert_eq!(*control.starts.borrow(), 2);
}

/// Row 135: what is not loaded is not unloaded, and only what is offered on demand is.
pub async fn only_what_is_loaded_is_unloaded(world: &mut dyn World) {
    let (_, b, control) = offered(world, 0).await;
    let samgr = b.samgr();
    let unload = async || samgr.unload(SERVICE).await;
    assert_eq!(unload().await, Err(UnloadServiceError::NotLoaded));
    assert_eq!(
        samgr.cancel_unload(SERVICE),
        Err(UnloadServiceError::NotLoaded)
    );
    let (loaded, ()) = tokio::join!(samgr.load(SERVICE), async {
        reached(&control.starts, 1).await;
        assert_eq!(unload().await, Err(UnloadServiceError::NotLoaded));
        control.start.add_permits(1);
    });
    loaded.unwrap();
    let delay = limits::MAX_UNLOAD_DELAY + Duration::from_millis(1);
    let limit = limits::MAX_UNLOAD_DELAY;
    let too_long = Err(UnloadServiceError::DelayTooLong { delay, limit });
    assert_eq!(samgr.unload_after(SERVICE, delay), too_long);
    let (unloaded, ()) = tokio::join!(unload(), async {
        reached(&control.stops, 1).await;
        let late = samgr.cancel_unload(SERVICE);
        assert_eq!(late, Err(UnloadServiceError::TooLate));
        control.stop.add_permits(1);
    });
    unloaded.unwrap();
    let plain = ServiceId::new(5).unwrap();
    b.add(plain, &workbench().0, for_all()).unwrap();
    let not_on_demand = Err(UnloadServiceError::NotOnDemand);
    assert_eq!(samgr.unload(plain).await, not_on_demand);
    assert_eq!(samgr.cancel_unload(plain), not_on_demand);
}

/// Row 135: who wants a service while it is unloaded waits for its next start, up to 50 of one caller.
pub async fn loads_during_an_unload_are_queued(world: &mut dyn World) {
    let (a, b, control) = offered(world, 0).await;
    control.start.add_permits(2);
    let before = a.get(SERVICE, &b.id()).await.unwrap();
    b.samgr().unload_after(SERVICE, Duration::ZERO).unwrap();
    reached(&control.stops, 1).await;
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::Unloading));
    assert_eq!(b.check(SERVICE), None);
    assert_eq!(
        reverse(&before, 2019).await,
        Ok(9102),
        "until it has stopped"
    );
    let mut loads = JoinSet::new();
    let here = b.samgr();
    for _ in 0..=50 {
        let here = here.clone();
        loads.spawn(async move { here.load(SERVICE).await });
    }
    let first = loads.join_next().await.unwrap().unwrap();
    let limit = GetServiceError::TooManyLoads {
        limit: 50,
        value: 51,
    };
    assert_eq!(first.unwrap_err(), limit);
    let id = b.id();
    let (elsewhere, ()) = tokio::join!(a.get(SERVICE, &id), async {
        tokio::task::yield_now().await;
        control.stop.add_permits(1);
    });
    let after = elsewhere.unwrap();
    assert_ne!(after, before);
    while let Some(loaded) = loads.join_next().await {
        loaded.unwrap().unwrap();
    }
    assert_eq!(*control.starts.borrow(), 2);
}

/// Row 135: whoever has given up has left the queue, and for nobody the service is not started again.
pub async fn loads_given_up_during_an_unload_do_not_count(world: &mut dyn World) {
    let (_a, b, control) = offered(world, 0).await;
    control.start.add_permits(1);
    let samgr = b.samgr();
    samgr.load(SERVICE).await.unwrap();
    samgr.unload_after(SERVICE, Duration::ZERO).unwrap();
    reached(&control.stops, 1).await;
    for _ in 0..=limits::LOADS_WHILE_UNLOADING {
        let load = samgr.load(SERVICE);
        let given_up = tokio::time::timeout(Duration::from_millis(1), load).await;
        assert!(given_up.is_err(), "{given_up:?}");
    }
    assert_eq!(samgr.state(SERVICE), Some(ServiceState::Unloading));
    control.stop.add_permits(1);
    reaches(&*b, ServiceState::NotLoaded).await;
    assert_eq!(*control.starts.borrow(), 1);
    control.start.add_permits(1);
    samgr.load(SERVICE).await.unwrap();
    assert_eq!(*control.starts.borrow(), 2);
}

/// Row 136: a service that is to be unloaded later stays when somebody wants it, or its owner after all.
pub async fn an_unload_later_is_taken_back_by_who_wants_the_service(world: &mut dyn World) {
    let (a, b, control) = offered(world, 1).await;
    let delay = if world.time_is_virtual() {
        Duration::from_secs(300)
    } else {
        Duration::from_millis(300)
    };
    let samgr = b.samgr();
    let proxy = a.get(SERVICE, &b.id()).await.unwrap();
    let later = || {
        samgr.unload_after(SERVICE, delay).unwrap();
        assert_eq!(samgr.state(SERVICE), Some(ServiceState::Unloadable));
    };
    later();
    samgr.cancel_unload(SERVICE).unwrap();
    assert_eq!(samgr.state(SERVICE), Some(ServiceState::Loaded));
    later();
    assert_eq!(a.get(SERVICE, &b.id()).await.unwrap(), proxy);
    assert_eq!(samgr.state(SERVICE), Some(ServiceState::Loaded));
    later();
    assert!(b.check(SERVICE).is_some());
    assert_eq!(
        samgr.state(SERVICE),
        Some(ServiceState::Unloadable),
        "a look is no use"
    );
    let begun = Instant::now();
    later();
    let (tell, mut told) = obituaries();
    let _link = proxy.link_to_death(tell).unwrap();
    let death = tokio::time::timeout(delay + SOON, told.recv()).await;
    assert_eq!(death.unwrap(), Some(DeathReason::ServiceRemoved));
    assert!(begun.elapsed() >= delay);
    assert_eq!(*control.stops.borrow(), 1);
}

/// Row 136: after 5 s a service that does not stop is unloaded all the same.
pub async fn a_stop_that_takes_too_long_is_not_waited_for(world: &mut dyn World) {
    let (_, b, control) = offered(world, 0).await;
    control.start.add_permits(1);
    b.samgr().load(SERVICE).await.unwrap();
    let begun = Instant::now();
    let after = Duration::from_secs(5);
    let unloaded = b.samgr().unload(SERVICE).await;
    assert_eq!(unloaded, Err(UnloadServiceError::TimedOut { after }));
    assert!(begun.elapsed() >= after);
    assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::NotLoaded));
    assert_eq!(b.check(SERVICE), None);
}

/// Row 136: a service that fails is started again four times, and then not before 20 s have passed.
pub async fn restarts_are_limited(world: &mut dyn World) {
    let (a, b, control) = offered(world, 100).await;
    control.how(How::Fail);
    for _ in 0..5 {
        let failed = b.samgr().load(SERVICE).await.unwrap_err();
        assert!(
            matches!(failed, GetServiceError::StartFailed(_)),
            "{failed:?}"
        );
    }
    let local = b.samgr().load(SERVICE).await.unwrap_err();
    let remote = a.load_within(SERVICE, &b.id(), SOON).await.unwrap_err();
    for refused in [local, remote] {
        let GetServiceError::TooManyRestarts { limit, retry_after } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(limit, 4);
        assert!(retry_after <= Duration::from_secs(20) && !retry_after.is_zero());
    }
    assert_eq!(*control.starts.borrow(), 5);
    if world.time_is_virtual() {
        tokio::time::sleep(limits::RESTART_TIME).await;
        control.how(How::Yield);
        b.samgr().load(SERVICE).await.unwrap();
    }
}

/// Rows 127 and 136: a service whose stub is revoked is there no more, and the next who wants it starts it again, four
/// times. An unload in good order is not counted.
pub async fn a_service_that_dies_is_started_again(world: &mut dyn World) {
    let (a, b, control) = offered(world, 100).await;
    for _ in 0..8 {
        b.samgr().load(SERVICE).await.unwrap();
        b.samgr().unload(SERVICE).await.unwrap();
    }
    for _ in 0..5 {
        let proxy = a.get(SERVICE, &b.id()).await.unwrap();
        let (tell, mut told) = obituaries();
        let _link = proxy.link_to_death(tell).unwrap();
        assert!(b.revoke(&control.stub()));
        assert_eq!(next(&mut told).await, DeathReason::Revoked);
        assert_eq!(b.samgr().state(SERVICE), Some(ServiceState::NotLoaded));
    }
    let refused = a.get(SERVICE, &b.id()).await.unwrap_err();
    assert!(matches!(
        refused,
        GetServiceError::TooManyRestarts { limit: 4, .. }
    ));
}

/// Who waits for a start is told when the service is removed, or gets what is registered instead; what the start yields
/// is nobody's then.
pub async fn who_waits_for_a_start_hears_of_its_end(world: &mut dyn World) {
    let (a, b, control) = offered(world, 0).await;
    let id = b.id();
    let here = b.samgr();
    let removed = async {
        reached(&control.starts, 1).await;
        // Both wait: the remote one began the start or joined it.
        wait_until_async(SOON, async || {
            here.state(SERVICE) == Some(ServiceState::Loading)
        })
        .await;
        b.remove(SERVICE).unwrap();
    };
    let (local, ()) = tokio::join!(here.load(SERVICE), removed);
    assert_eq!(local.unwrap_err(), GetServiceError::Absent);
    assert_eq!(here.state(SERVICE), None);

    let control = offer(&*b, SERVICE, 0, for_all());
    let (stub, _) = workbench();
    let (remote, ()) = tokio::join!(a.get(SERVICE, &id), async {
        reached(&control.starts, 1).await;
        b.add(SERVICE, &stub, for_all()).unwrap();
    });
    let proxy = remote.unwrap();
    assert_eq!(b.check(SERVICE), Some(stub));
    control.start.add_permits(1);
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    assert_eq!(
        a.get(SERVICE, &id).await.unwrap(),
        proxy,
        "the late start changes nothing"
    );
}
