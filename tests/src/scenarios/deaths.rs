//! Who is told of a death, and what is left of the dead.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use softbus::{
    CallOption, DeathReason, Parcel, SendRequestError,
    rpc::{DeathRecipient, LinkToDeathError, limits},
};
use tokio::sync::{mpsc, watch};

use super::{
    SERVICE, for_all, next, obituaries, pair, reached,
    workbench::{anonymous, code, reverse, workbench},
};
use crate::world::World;

/// Row 76: a recipient can be added to a proxy, and not to a stub of one's own.
pub async fn only_proxies_have_recipients(world: &mut dyn World) {
    let pair = pair(world).await;
    assert!(pair.proxy.link_to_death(|_| {}).is_ok());
    let refused = pair.stub.link_to_death(|_| {});
    assert_eq!(refused.unwrap_err(), LinkToDeathError::LocalStub);
}

/// Row 77: each recipient is told once, and once only, whatever comes after.
pub async fn each_recipient_is_told_once(world: &mut dyn World) {
    let pair = pair(world).await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let links: Vec<_> = (0..3)
        .map(|number| {
            let sender = sender.clone();
            let tell = move |reason| {
                let _ = sender.send((number, reason));
            };
            pair.proxy.link_to_death(tell).unwrap()
        })
        .collect();
    pair.b.remove(SERVICE).unwrap();
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let (number, reason) = next(&mut told).await;
        assert_eq!(reason, DeathReason::ServiceRemoved);
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2]);
    pair.b.vanish().await;
    drop((links, sender));
    assert_eq!(told.recv().await, None, "nobody is told twice");
}

/// Row 153: an object takes 64 recipients and not one more, and each of them is told.
pub async fn recipients_of_an_object_are_bounded(world: &mut dyn World) {
    let pair = pair(world).await;
    let (tell, mut told) = obituaries();
    let limit = limits::DEATH_LINKS_PER_OBJECT;
    let link = || pair.proxy.link_to_death(tell.clone());
    let mut links: Vec<_> = (0..limit).map(|_| link().unwrap()).collect();
    let refused = LinkToDeathError::LimitReached {
        limit,
        value: limit + 1,
    };
    assert_eq!(link().unwrap_err(), refused);
    links.pop();
    links.push(link().unwrap());
    assert_eq!(link().unwrap_err(), refused);
    pair.b.remove(SERVICE).unwrap();
    for _ in &links {
        assert_eq!(next(&mut told).await, DeathReason::ServiceRemoved);
    }
    drop((links, tell));
    assert_eq!(told.recv().await, None, "and once");
}

/// Row 78: a recipient that was removed is not told, and the others are.
pub async fn a_removed_recipient_is_not_told(world: &mut dyn World) {
    let pair = pair(world).await;
    let (first, mut first_told) = obituaries();
    let (second, mut second_told) = obituaries();
    let first = pair.proxy.link_to_death(first).unwrap();
    let second = pair.proxy.link_to_death(second).unwrap();
    assert!(first.unlink(), "it was there");
    pair.b.remove(SERVICE).unwrap();
    next(&mut second_told).await;
    assert_eq!(first_told.recv().await, None);
    assert!(!second.unlink(), "it has been told");
}

/// Rows 12, 80 and 159: a dead object is an error of each call, at once, and stays dead.
pub async fn a_dead_object_is_a_result_and_stays_dead(world: &mut dyn World) {
    let pair = pair(world).await;
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    assert!(!pair.proxy.is_dead());
    pair.b.remove(SERVICE).unwrap();
    let reason = next(&mut told).await;
    assert_eq!(pair.proxy.death(), Some(reason));
    let dead = SendRequestError::DeadObject { reason };
    assert_eq!(reverse(&pair.proxy, 1).await, Err(dead.clone()));
    let ping = pair.proxy.ping(CallOption::two_way()).await;
    assert_eq!(ping, Err(dead.clone()));
    let (nothing, one_way) = (Parcel::new(), CallOption::one_way());
    let noted = pair.proxy.send_request(code::NOTE, &nothing, one_way).await;
    assert_eq!(noted.unwrap_err(), dead);
    let late = pair.proxy.link_to_death(|_| {});
    assert_eq!(late.unwrap_err(), LinkToDeathError::DeadObject);
}

/// Row 81: a service that is there again is a new proxy; the old one stays dead.
pub async fn a_service_that_comes_back_is_a_new_proxy(world: &mut dyn World) {
    let pair = pair(world).await;
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    pair.b.vanish().await;
    let reason = next(&mut told).await;
    let again = world.restart(&pair.b).await;
    let (stub, _) = workbench();
    again.add(SERVICE, &stub, for_all()).unwrap();
    let proxy = pair.a.get(SERVICE, &again.id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    assert_eq!(pair.proxy.death(), Some(reason));
    let dead = SendRequestError::DeadObject { reason };
    assert_eq!(reverse(&pair.proxy, 1).await, Err(dead));
}

/// What a recipient holds is dropped once.
struct Held {
    told: Arc<AtomicUsize>,
    dropped: Arc<watch::Sender<u64>>,
}

impl DeathRecipient for Held {
    fn on_remote_died(&self, _reason: DeathReason) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.dropped.send_modify(|count| *count += 1);
    }
}

/// Rows 22 and 82: a recipient's own data is destroyed once: after it was told, or when it was removed.
pub async fn a_recipient_is_dropped_once_with_what_it_holds(world: &mut dyn World) {
    let pair = pair(world).await;
    let (told, dropped) = (Arc::default(), Arc::default());
    let held = || Held {
        told: Arc::clone(&told),
        dropped: Arc::clone(&dropped),
    };
    let removed = pair.proxy.link_to_death(held()).unwrap();
    let _link = pair.proxy.link_to_death(held()).unwrap();
    assert_eq!(*dropped.borrow(), 0);
    removed.unlink();
    assert_eq!(*dropped.borrow(), 1);
    pair.b.remove(SERVICE).unwrap();
    reached(&dropped, 2).await;
    assert_eq!(told.load(Ordering::Relaxed), 1);
    assert_eq!(*dropped.borrow(), 2);
}

/// Row 83, the half about recipients.
pub async fn a_panicking_recipient_harms_nobody(world: &mut dyn World) {
    let pair = pair(world).await;
    let (tell, mut told) = obituaries();
    let _first = pair.proxy.link_to_death(|_| panic!("asked to")).unwrap();
    let _second = pair.proxy.link_to_death(tell).unwrap();
    pair.b.remove(SERVICE).unwrap();
    next(&mut told).await;
    pair.b.add(SERVICE, &pair.stub, for_all()).unwrap();
    let again = pair.a.get(SERVICE, &pair.b.id()).await.unwrap();
    assert_eq!(reverse(&again, 2019).await, Ok(9102));
}

/// Row 108: OpenHarmony prohibits it, and here it is an error of its own.
pub async fn an_anonymous_stub_of_another_device_cannot_be_watched(world: &mut dyn World) {
    let pair = pair(world).await;
    let anonymous = anonymous(&pair.proxy).await.unwrap();
    let refused = anonymous.link_to_death(|_| {});
    assert_eq!(refused.unwrap_err(), LinkToDeathError::AnonymousStub);
    assert_eq!(reverse(&anonymous, 2019).await, Ok(9102));
}

/// A stub that its owner revokes is dead for whoever has a proxy, however he came by it.
pub async fn a_revoked_stub_dies_everywhere(world: &mut dyn World) {
    let pair = pair(world).await;
    let third = world.device().await;
    let theirs = third.get(SERVICE, &pair.b.id()).await.unwrap();
    let (ours, mut we) = obituaries();
    let (tell_them, mut they) = obituaries();
    let _links = [
        pair.proxy.link_to_death(ours).unwrap(),
        theirs.link_to_death(tell_them).unwrap(),
    ];
    assert!(pair.b.revoke(&pair.stub));
    assert!(!pair.b.revoke(&pair.stub), "it is dead already");
    assert_eq!(next(&mut we).await, DeathReason::Revoked);
    assert_eq!(next(&mut they).await, DeathReason::Revoked);
    assert!(pair.stub.is_dead());
}

/// Row 110, with a goodbye.
pub async fn a_device_that_leaves_takes_its_proxies_along(world: &mut dyn World) {
    let pair = pair(world).await;
    let anonymous = anonymous(&pair.proxy).await.unwrap();
    let (tell, mut told) = obituaries();
    let _link = pair.proxy.link_to_death(tell).unwrap();
    pair.b.leave().await;
    let reason = next(&mut told).await;
    let gone = match world.is_one_device() {
        true => DeathReason::ProcessDied,
        false => DeathReason::DeviceUnreachable,
    };
    assert_eq!(reason, gone);
    assert_eq!(anonymous.death(), Some(reason));
    assert!(reverse(&anonymous, 1).await.is_err());
}

/// Rows 79, 109 and 110, without one: every proxy dies once, every subscriber hears it within 10 s.
pub async fn a_device_that_vanishes_takes_its_proxies_along(world: &mut dyn World) {
    let pair = pair(world).await;
    let anonymous = anonymous(&pair.proxy).await.unwrap();
    let (first, mut first_told) = obituaries();
    let (second, mut second_told) = obituaries();
    let _links = [
        pair.proxy.link_to_death(first).unwrap(),
        pair.proxy.link_to_death(second).unwrap(),
    ];
    let begun = tokio::time::Instant::now();
    pair.b.vanish().await;
    let reason = next(&mut first_told).await;
    assert_eq!(next(&mut second_told).await, reason);
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert!(
        [DeathReason::DeviceUnreachable, DeathReason::ProcessDied].contains(&reason),
        "{reason}"
    );
    assert_eq!(anonymous.death(), Some(reason));
    let dead = SendRequestError::DeadObject { reason };
    assert_eq!(reverse(&anonymous, 1).await, Err(dead));
}

/// Whether a handler ran whose device vanished nobody knows, and the caller is told just that. The call is not made
/// again by anybody but the caller, also if he said that it might be.
pub async fn a_call_under_way_is_indeterminate_when_its_device_vanishes(world: &mut dyn World) {
    let pair = pair(world).await;
    let plain = CallOption::two_way();
    let under_way = [plain, plain.idempotent()].map(|option| {
        let proxy = pair.proxy.clone();
        let nothing = Parcel::new();
        tokio::spawn(async move { proxy.send_request(code::HOLD, &nothing, option).await })
    });
    reached(&pair.bench.entered, 2).await;
    pair.b.vanish().await;
    for call in under_way {
        let lost = call.await.unwrap().unwrap_err();
        assert_eq!(lost, SendRequestError::Indeterminate);
    }
    // The same service on the device that is there again: a call of now reaches it, and none of before.
    let again = world.restart(&pair.b).await;
    again.add(SERVICE, &pair.stub, for_all()).unwrap();
    let proxy = pair.a.get(SERVICE, &again.id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    assert_eq!(*pair.bench.entered.borrow(), 3, "each handler ran once");
}
