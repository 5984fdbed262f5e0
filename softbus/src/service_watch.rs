//! Following a service of another device: a task for each service that is watched, however many watch it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use proto::{DeviceId, ServiceId};
use rpc::{
    CallOption, DeathReason, GetServiceError, Parcel, Peer, RemoteObject, SendRequestError,
    ServiceEvent, WatchPlace, limits,
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
/// How long after a failure it is asked again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
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

/// What is known of the service: which proxy, counted, and why the last one died.
#[derive(Clone, Debug, Default)]
struct Current {
    /// How many there have been.
    proxies: u64,
    proxy: Option<RemoteObject>,
    death: Option<DeathReason>,
}

/// Tells of the coming and going of a service of another device. Dropping it ends the watch.
///
/// Holds the newest state, not a list of what happened: a watcher that is slow sees fewer events, never too many, and
/// one that comes and goes in turn.
#[derive(Debug)]
pub struct RemoteServiceWatch {
    current: watch::Receiver<Current>,
    /// The proxy that was told to be there.
    told: Option<u64>,
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
            if self.current.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Calls the service by whichever proxy of it is alive, and waits for one where there is none: across restarts of its
    /// process, and across a network that was gone meanwhile. What was not sent because a proxy was dead is sent by the next one;
    /// what may have been done already is repeated only if that does no harm ([`CallOption::idempotent`]). All of it together
    /// takes no longer than the call is to wait, by default 8 s.
    ///
    /// Objects in the parcel are passed anew each time.
    ///
    /// # Errors
    /// Those of [`RemoteObject::send_request`]. [`Indeterminate`](SendRequestError::Indeterminate) if the call may have been done,
    /// once or, where it may be repeated, several times; [`DeadObject`](SendRequestError::DeadObject) or
    /// [`TimedOut`](SendRequestError::TimedOut) if there was no service for so long.
    pub async fn send_request(
        &self,
        code: u32,
        data: &Parcel,
        option: CallOption,
    ) -> Result<Parcel, SendRequestError> {
        let wait = option.wait_time().unwrap_or(limits::DEFAULT_WAIT);
        let deadline = Instant::now() + wait;
        let mut current = self.current.clone();
        // Of the proxy that was dead, and what the call has come to so far.
        let (mut dead, mut so_far) = (None, None);
        loop {
            let there = current.wait_for(|now| now.proxy.is_some() && Some(now.proxies) != dead);
            let Ok(Ok(found)) = tokio::time::timeout_at(deadline, there)
                .await
                .map(|found| found.map(|found| (found.proxies, found.proxy.clone())))
            else {
                return Err(so_far.unwrap_or(SendRequestError::TimedOut { after: wait }));
            };
            let (number, Some(proxy)) = found else {
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            // Zero would be the default.
            let left = left.max(Duration::from_millis(1));
            match proxy.send_request(code, data, option.wait(left)).await {
                Err(SendRequestError::Indeterminate) if option.is_idempotent() => {
                    so_far = Some(SendRequestError::Indeterminate);
                }
                Err(error @ SendRequestError::DeadObject { .. }) => {
                    so_far.get_or_insert(error);
                }
                other => return other,
            }
            dead = Some(number);
        }
    }

    fn look(&mut self) -> Option<RemoteServiceEvent> {
        let current = self.current.borrow_and_update().clone();
        let now = current.proxy.as_ref().map(|_| current.proxies);
        if self.told == now {
            return None;
        }
        if self.told.take().is_some() {
            // What came instead is told next.
            self.current.mark_changed();
            let death = current.death.unwrap_or(DeathReason::DeviceUnreachable);
            return Some(RemoteServiceEvent::Removed(death));
        }
        self.told = now;
        current.proxy.map(RemoteServiceEvent::Added)
    }
}

/// The services that are followed.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<HashMap<(ServiceId, DeviceId), Weak<Follower>>>);

/// A task, ended with the last watch.
#[derive(Debug)]
struct Follower {
    current: watch::Receiver<Current>,
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
            let (sender, current) = watch::channel(Current::default());
            let task = match side {
                #[cfg(target_os = "linux")]
                Side::Host(attachment) => {
                    let attachment = Arc::downgrade(attachment);
                    side.spawn(follow_through_host(attachment, service, device, sender))
                }
                Side::Network(peers) if device == peers.bus.party().device => {
                    side.spawn(follow_own(Arc::downgrade(peers), service, sender))
                }
                Side::Network(peers) => {
                    peers.wanted.notify_one();
                    side.spawn(follow(Arc::downgrade(peers), service, device, sender))
                }
            };
            let task = task.abort_handle();
            let follower = Arc::new(Follower { current, task });
            followers.insert((service, device), Arc::downgrade(&follower));
            follower
        });
        let mut current = follower.current.clone();
        current.mark_changed();
        RemoteServiceWatch {
            current,
            told: None,
            _follower: follower,
            _place: place,
        }
    }
}

/// Waits for the device, asks it for the service, waits for its end, and so on. What ends a round is an event, or a pause
/// that grows.
async fn follow(
    peers: Weak<Peers>,
    service: ServiceId,
    device: DeviceId,
    current: watch::Sender<Current>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(peer) = online(&peers, device).await else {
            return;
        };
        let asked = Instant::now();
        match peer.wait_for_service(service, ASK_TIME).await {
            Ok(object) => {
                if until_death(&object, &current).await {
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
    current: watch::Sender<Current>,
) {
    let mut pause = FIRST_PAUSE;
    while let Some(attachment) = attachment.upgrade() {
        let asked = Instant::now();
        let waited = attachment.look_up(Look::WaitFor, service, &device, ASK_TIME);
        match waited.await {
            Ok(object) if object.as_proxy().is_none() => {
                let mut watch = attachment.bus.samgr().watch_without_place(service);
                drop(attachment);
                added(&current, object);
                while watch.next().await != ServiceEvent::Removed {}
                removed(&current, DeathReason::ServiceRemoved);
                continue;
            }
            Ok(object) => {
                drop(attachment);
                if until_death(&object, &current).await {
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
async fn follow_own(peers: Weak<Peers>, service: ServiceId, current: watch::Sender<Current>) {
    let mut watch = match peers.upgrade() {
        Some(peers) => peers.bus.samgr().watch_without_place(service),
        None => return,
    };
    loop {
        let event = watch.next().await;
        let Some(peers) = peers.upgrade() else { return };
        match (event, peers.bus.samgr().check(service)) {
            (ServiceEvent::Added, Some(object)) => added(&current, object),
            _ => removed(&current, DeathReason::ServiceRemoved),
        }
    }
}

fn added(current: &watch::Sender<Current>, object: RemoteObject) {
    current.send_modify(|current| {
        current.proxies += 1;
        current.proxy = Some(object);
    });
}

fn removed(current: &watch::Sender<Current>, reason: DeathReason) {
    // Not dropped under the lock of the channel: it may be the last reference.
    let mut before = None;
    current.send_modify(|current| {
        before = current.proxy.take();
        current.death = Some(reason);
    });
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
async fn until_death(object: &RemoteObject, current: &watch::Sender<Current>) -> bool {
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
    added(current, object.clone());
    removed(
        current,
        died.await.unwrap_or(DeathReason::DeviceUnreachable),
    );
    true
}
