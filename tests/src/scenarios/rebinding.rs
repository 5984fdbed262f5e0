//! Objects that outlive every proxy of their service.

use std::{sync::Arc, time::Duration};

use softbus::{
    CallError, CallOption, DeathReason, RemoteObject, SendRequestError, ServiceOptions,
    remote_interface, service_watch::RemoteServiceWatch,
};
use tokio::sync::{Semaphore, mpsc::UnboundedReceiver, watch};

use super::{SERVICE, SOON, for_all, next, obituaries, reached, settled, usage_of};
use crate::{
    wait::wait_until_async,
    world::{Device, World, faults::Cuts},
};

/// What is made a typed proxy of.
#[remote_interface(descriptor = "org.example.Lamp")]
trait Lamp {
    /// Which lamp it is.
    async fn number(&self) -> u32;
    /// The same, when it is released.
    async fn hold(&self) -> u32;
    /// The same, and twice does no harm.
    #[idempotent]
    async fn hold_or_repeat(&self) -> u32;
}

#[derive(Debug)]
struct Bulb {
    number: u32,
    entered: watch::Sender<u64>,
    release: Semaphore,
}

impl Bulb {
    /// A lamp with this number, through which as many calls that hold are let at once.
    fn new(number: u32, released: usize) -> (RemoteObject, Arc<Self>) {
        let bulb = Arc::new(Self {
            number,
            entered: watch::Sender::default(),
            release: Semaphore::new(released),
        });
        (LampStub::new(Arc::clone(&bulb)).into(), bulb)
    }
}

impl Lamp for Arc<Bulb> {
    async fn number(&self) -> u32 {
        self.number
    }

    async fn hold(&self) -> u32 {
        self.entered.send_modify(|entered| *entered += 1);
        let _released = self.release.acquire().await;
        self.number
    }

    async fn hold_or_repeat(&self) -> u32 {
        self.hold().await
    }
}

/// Two devices, the second with the first lamp, and the proxy that the first one has.
struct Lit {
    a: Arc<dyn Device>,
    b: Arc<dyn Device>,
    stub: RemoteObject,
    bulb: Arc<Bulb>,
    watch: RemoteServiceWatch,
    lamp: LampProxy,
}

async fn lit(world: &mut dyn World) -> Lit {
    let (a, b) = (world.device().await, world.device().await);
    let (stub, bulb) = Bulb::new(1, 0);
    b.add(SERVICE, &stub, for_all()).unwrap();
    let watch = a.watch_of(SERVICE, &b.id()).unwrap();
    let lamp = LampProxy::new(watch.object()).wait(2 * SOON);
    assert_eq!(lamp.number().await, Ok(1));
    Lit {
        a,
        b,
        stub,
        bulb,
        watch,
        lamp,
    }
}

/// A device with the next lamp, in place of one that is gone.
async fn another(
    world: &mut dyn World,
    gone: &Arc<dyn Device>,
    number: u32,
) -> (Arc<dyn Device>, RemoteObject) {
    let again = world.restart(gone).await;
    let (stub, _) = Bulb::new(number, 64);
    again.add(SERVICE, &stub, for_all()).unwrap();
    (again, stub)
}

async fn told(told: &mut UnboundedReceiver<DeathReason>) -> DeathReason {
    next(told).await
}

/// The proxy is made once. What it calls dies again and again, and whoever wants to know is told each time.
pub async fn a_typed_proxy_outlives_a_restart_of_the_device(world: &mut dyn World) {
    let Lit { a, b, lamp, .. } = lit(world).await;
    let plain = a.get(SERVICE, &b.id()).await.unwrap();
    let (tell, mut deaths) = obituaries();
    let _link = lamp.as_object().link_to_death(tell).unwrap();
    assert_eq!(lamp.as_object().bound(), Some(plain.clone()));

    b.vanish().await;
    told(&mut deaths).await;
    let (again, _) = another(world, &b, 2).await;
    assert_eq!(lamp.number().await, Ok(2));
    again.remove(SERVICE).unwrap();
    assert_eq!(told(&mut deaths).await, DeathReason::ServiceRemoved);
    again.add(SERVICE, &Bulb::new(3, 0).0, for_all()).unwrap();
    assert_eq!(lamp.number().await, Ok(3));
    assert!(plain.is_dead(), "what was not to be bound again stays dead");
    assert!(!lamp.as_object().is_dead());
    assert!(deaths.is_empty());
}

/// What is called while the network is gone is answered when it is back: the same lamp, and a proxy of another session.
pub async fn a_typed_proxy_outlives_a_cut(world: &mut impl Cuts) {
    let Lit { a: _a, b, lamp, .. } = lit(world).await;
    let (tell, mut deaths) = obituaries();
    let _link = lamp.as_object().link_to_death(tell).unwrap();
    world.cut(&b.id()).await;
    assert_eq!(told(&mut deaths).await, DeathReason::DeviceUnreachable);
    let cut_off = b.id();
    let (answer, ()) = tokio::join!(lamp.number(), world.heal(&cut_off));
    assert_eq!(answer, Ok(1));
    assert!(deaths.is_empty());
}

/// Of a call that was under way nobody knows whether it was made, so it is not made again, unless that does no harm.
pub async fn a_typed_call_is_repeated_only_if_that_does_no_harm(world: &mut dyn World) {
    let Lit {
        a: _a,
        b,
        bulb,
        lamp,
        ..
    } = lit(world).await;
    let (once, repeated, again) = tokio::join!(lamp.hold(), lamp.hold_or_repeat(), async {
        reached(&bulb.entered, 2).await;
        b.vanish().await;
        let again = world.restart(&b).await;
        let (stub, second) = Bulb::new(2, 64);
        again.add(SERVICE, &stub, for_all()).unwrap();
        (again, second)
    });
    assert_eq!(once, Err(CallError::Send(SendRequestError::Indeterminate)));
    assert_eq!(repeated, Ok(2));
    assert_eq!(*again.1.entered.borrow(), 1);
}

/// Whoever calls while the device is gone waits for one proxy, not for one each.
pub async fn many_callers_are_bound_again_at_once(world: &mut dyn World) {
    let Lit { a: _a, b, lamp, .. } = lit(world).await;
    b.vanish().await;
    let gone = wait_until_async(SOON, async || lamp.as_object().bound().is_none());
    assert!(gone.await);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let lamp = lamp.clone();
        callers.spawn(async move { lamp.number().await });
    }
    let (_again, stub) = another(world, &b, 2).await;
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap(), Ok(2));
    }
    let holders = stub.holders().unwrap();
    let references: Vec<_> = holders.iter().map(|holder| holder.references).collect();
    assert_eq!(references, [1]);
}

/// What is not there is said at the deadline, and what is refused at once: nobody waits for what will not come.
pub async fn what_cannot_be_bound_again_is_said(world: &mut dyn World) {
    let Lit { a, b, lamp, .. } = lit(world).await;
    b.remove(SERVICE).unwrap();
    let absent = lamp.wait(Duration::from_millis(50)).number().await;
    let dead = |reason| Err(CallError::Send(SendRequestError::DeadObject { reason }));
    assert_eq!(absent, dead(DeathReason::ServiceRemoved));
    let only_b = ServiceOptions::distributed(softbus::Allow::devices([b.id()]));
    b.add(SERVICE, &Bulb::new(2, 0).0, only_b).unwrap();
    let refused = lamp.wait(Duration::from_millis(50)).number().await;
    assert_eq!(refused, dead(DeathReason::ServiceRemoved));
    b.add(SERVICE, &Bulb::new(3, 0).0, for_all()).unwrap();
    assert_eq!(lamp.number().await, Ok(3));

    world.distrust(&b.id(), &a.id());
    let gone = wait_until_async(SOON, async || lamp.as_object().bound().is_none());
    assert!(gone.await);
    let patient = lamp.wait(Duration::from_secs(3000));
    let revoked = tokio::time::timeout(SOON, patient.number()).await;
    assert_eq!(revoked.unwrap(), dead(DeathReason::AccessRevoked));
}

/// With the last clone goes everything: the proxy, and what the device was asked for.
pub async fn a_rebinding_object_leaves_nothing_behind(world: &mut dyn World) {
    let Lit {
        a,
        b,
        stub,
        watch,
        lamp,
        ..
    } = lit(world).await;
    drop(watch);
    assert_eq!(
        lamp.number().await,
        Ok(1),
        "the object alone keeps it going"
    );
    drop(lamp);
    let mut holders = stub.watch_holders().unwrap();
    while holders.next().await.is_some_and(|held| held > 0) {}
    b.remove(SERVICE).unwrap();
    let quiet = wait_until_async(SOON, async || usage_of(&*b, &*a).serving == 0);
    assert!(quiet.await);
    let before = (usage_of(&*a, &*b), usage_of(&*b, &*a));

    let lamp = LampProxy::new(a.watch_of(SERVICE, &b.id()).unwrap().object());
    let asked = wait_until_async(SOON, async || usage_of(&*b, &*a).serving > 0);
    assert!(asked.await);
    let option = CallOption::two_way().wait(Duration::from_millis(50));
    lamp.with_option(option).number().await.unwrap_err();
    drop(lamp);
    settled(&*a, &*b, before.0).await;
    settled(&*b, &*a, before.1).await;
}
