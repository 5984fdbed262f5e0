//! Following a service of another device: a task for each service that is watched, however many watch it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use proto::{DeviceId, ServiceId};
use rpc::{
    Binder, Binding, Bound, CallOption, DeathReason, GetServiceError, Parcel, Peer, RemoteObject,
    SendRequestError, ServiceEvent, WatchPlace,
};
use tokio::{
    sync::{oneshot, watch},
    task::AbortHandle,
    time::Instant,
};

#[cfg(target_os = "linux")]
use crate::local::{Attachment, Look};
use crate::{peers::Peers, side::Side};

/// How long the device is asked to wait for the service before it is asked again.
const ASK_TIME: Duration = Duration::from_secs(300);
/// How long after a failure it is asked again, twice as long each time. The first one is short: an answer that a change has overtaken is
/// a failure too, and the next answer is right.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// What happened to a watched service of another device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteServiceEvent {
    /// It is there; this is its proxy.
    Added(RemoteObject),
    /// The proxy told last is dead, for this reason.
    Removed(DeathReason),
}

/// Tells of the coming and going of a service of another device. Dropping it, and its [`object`](Self::object)s, ends the watch.
///
/// Holds the newest state, not a list of what happened: a watcher that is slow sees fewer events, never too many, and
/// one that comes and goes in turn.
#[derive(Debug)]
pub struct RemoteServiceWatch {
    bound: watch::Receiver<Bound>,
    /// The proxy that was told to be there.
    told: Option<u64>,
    object: RemoteObject,
}

/// What a watch and its objects keep.
#[derive(Debug)]
struct Kept {
    _follower: Arc<Follower>,
    _place: WatchPlace,
}

impl RemoteServiceWatch {
    /// The next event; pending while nothing changes, and for ever when the node is gone. Cancel safe.
    pub async fn next(&mut self) -> RemoteServiceEvent {
        loop {
            if let Some(event) = self.look() {
                return event;
            }
            if self.bound.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The service as an object that outlives every proxy of it, for typed proxies too: each call goes to whichever proxy is alive, and
    /// waits for one where there is none, across restarts of the service's process and across a network that was gone meanwhile. It
    /// keeps the watch going; clones share it.
    ///
    /// What was not sent because a proxy was dead is sent by the next one; what may have been done already is repeated only if that
    /// does no harm ([`CallOption::idempotent`]). All of it together takes no longer than the call is to wait, by default 8 s. Objects
    /// in the parcel are passed anew each time.
    ///
    /// A call fails as one of a proxy does. [`Indeterminate`](SendRequestError::Indeterminate): it may have been done, once or, where
    /// it may be repeated, several times. [`DeadObject`](SendRequestError::DeadObject): it was not done, because there has been no
    /// service since the last one died for that reason, or, at once, because this device may not call it any more; the next call may
    /// find it again. [`TimedOut`](SendRequestError::TimedOut): there was no answer, or never a service.
    pub fn object(&self) -> RemoteObject {
        self.object.clone()
    }

    /// Calls the service as its [`object`](Self::object) does.
    ///
    /// # Errors
    /// Those of [`RemoteObject::send_request`], as [`object`](Self::object) has them.
    pub async fn send_request(
        &self,
        code: u32,
        data: &Parcel,
        option: CallOption,
    ) -> Result<Parcel, SendRequestError> {
        self.object.send_request(code, data, option).await
    }

    fn look(&mut self) -> Option<RemoteServiceEvent> {
        let current = self.bound.borrow_and_update().clone();
        let now = current.object.as_ref().map(|_| current.times);
        if self.told == now {
            return None;
        }
        if self.told.take().is_some() {
            // What came instead is told next.
            self.bound.mark_changed();
            let death = current.death.unwrap_or(DeathReason::DeviceUnreachable);
            return Some(RemoteServiceEvent::Removed(death));
        }
        self.told = now;
        current.object.map(RemoteServiceEvent::Added)
    }
}

/// The services that are followed.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<HashMap<(ServiceId, DeviceId), Weak<Follower>>>);

/// A task, ended with the last watch.
#[derive(Debug)]
struct Follower {
    binding: Binding,
    task: AbortHandle,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Followers {
    pub(crate) fn watch(
        &self,
        side: &Side,
        service: ServiceId,
        device: DeviceId,
        place: WatchPlace,
    ) -> RemoteServiceWatch {
        let mut followers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|_, follower| follower.strong_count() > 0);
        let known = followers.get(&(service, device)).and_then(Weak::upgrade);
        let follower = known.unwrap_or_else(|| {
            let (binder, binding) = Binding::new();
            let task = match side {
                #[cfg(target_os = "linux")]
                Side::Host(attachment) => {
                    let attachment = Arc::downgrade(attachment);
                    side.spawn(follow_through_host(attachment, service, device, binder))
                }
                Side::Network(peers) if device == peers.bus.party().device => {
                    side.spawn(follow_own(Arc::downgrade(peers), service, binder))
                }
                Side::Network(peers) => {
                    peers.wanted.notify_one();
                    side.spawn(follow(Arc::downgrade(peers), service, device, binder))
                }
            };
            let task = task.abort_handle();
            let follower = Arc::new(Follower { binding, task });
            followers.insert((service, device), Arc::downgrade(&follower));
            follower
        });
        let binding = follower.binding.clone();
        let mut bound = binding.watch();
        bound.mark_changed();
        let kept = Kept {
            _follower: follower,
            _place: place,
        };
        RemoteServiceWatch {
            bound,
            told: None,
            object: binding.object(service, device, Arc::new(kept)),
        }
    }
}

/// Waits for the device, asks it for the service, waits for its end, and so on. What ends a round is an event, or a pause
/// that grows.
async fn follow(peers: Weak<Peers>, service: ServiceId, device: DeviceId, binder: Binder) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(peer) = online(&peers, device).await else {
            return;
        };
        let asked = Instant::now();
        match peer.wait_for_service(service, ASK_TIME).await {
            Ok(object) => {
                if until_death(&object, &binder).await {
                    pause = FIRST_PAUSE;
                    continue;
                }
            }
            Err(GetServiceError::TimedOut { .. }) if asked.elapsed() >= ASK_TIME => continue,
            Err(GetServiceError::Unreachable(_)) => {}
            Err(error) => tracing::debug!(?device, %service, %error, "watched service"),
        }
        // The end of a session is known a little before there can be another.
        tokio::select! {
            _ = peer.ended() => {}
            () = tokio::time::sleep(pause) => pause = LAST_PAUSE.min(pause * 2),
        }
    }
}

/// The same, asked of the host that this process is attached to, whose devices and processes it is told of.
#[cfg(target_os = "linux")]
async fn follow_through_host(
    attachment: Weak<Attachment>,
    service: ServiceId,
    device: DeviceId,
    binder: Binder,
) {
    let mut pause = FIRST_PAUSE;
    while let Some(attachment) = attachment.upgrade() {
        let asked = Instant::now();
        let waited = attachment.look_up(Look::WaitFor, service, &device, ASK_TIME);
        match waited.await {
            Ok(object) if object.as_proxy().is_none() => {
                let mut watch = attachment.bus.samgr().watch_without_place(service);
                drop(attachment);
                // Whoever is told that it is there may remove it at once, and a watch tells no end of what it never told of.
                let there = tokio::select! {
                    biased;
                    event = watch.next() => event == ServiceEvent::Added,
                    () = std::future::ready(()) => false,
                };
                if there {
                    binder.bind(object);
                    while watch.next().await != ServiceEvent::Removed {}
                    binder.unbind(DeathReason::ServiceRemoved);
                    pause = FIRST_PAUSE;
                    continue;
                }
                // The host has not heard yet that it is gone.
            }
            Ok(object) => {
                drop(attachment);
                if until_death(&object, &binder).await {
                    pause = FIRST_PAUSE;
                    continue;
                }
            }
            Err(GetServiceError::TimedOut { .. }) if asked.elapsed() >= ASK_TIME => continue,
            Err(error) => tracing::debug!(?device, %service, %error, "watched service"),
        }
        tokio::time::sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 2);
    }
}

/// The same of a service of this node.
async fn follow_own(peers: Weak<Peers>, service: ServiceId, binder: Binder) {
    let mut watch = match peers.upgrade() {
        Some(peers) => peers.bus.samgr().watch_without_place(service),
        None => return,
    };
    loop {
        let event = watch.next().await;
        let Some(peers) = peers.upgrade() else { return };
        match (event, peers.bus.samgr().check(service)) {
            (ServiceEvent::Added, Some(object)) => binder.bind(object),
            _ => binder.unbind(DeathReason::ServiceRemoved),
        }
    }
}

/// The session with a device as soon as there is one; `None` when the node is gone.
async fn online(peers: &Weak<Peers>, device: DeviceId) -> Option<Peer> {
    let mut changed = peers.upgrade()?.changed();
    loop {
        changed.mark_unchanged();
        if let Some(peer) = peers.upgrade()?.session_or_dial(device) {
            return Some(peer);
        }
        changed.changed().await.ok()?;
    }
}

/// Tells that the service is there, and after its death that it is gone. Whether it could be linked.
async fn until_death(object: &RemoteObject, binder: &Binder) -> bool {
    let (tell, died) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let link = object.link_to_death(move |reason| {
        let tell = tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tell) = tell {
            let _ = tell.send(reason);
        }
    });
    let Ok(_link) = link else {
        return false;
    };
    binder.bind(object.clone());
    binder.unbind(died.await.unwrap_or(DeathReason::DeviceUnreachable));
    true
}
