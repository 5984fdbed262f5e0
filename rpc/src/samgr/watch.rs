//! Who wants to know when a service of this process comes and goes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use proto::ServiceId;
use tokio::sync::watch;

use crate::{error::WatchServiceError, limits};

/// What stands under an id since a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Current {
    /// The number of the change: two that are told the wrong way round are put right by it.
    change: u64,
    /// The registration that stands there; `None` when none does.
    registration: Option<u64>,
}

/// A change of what stands under an id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) service: ServiceId,
    pub(crate) number: u64,
    pub(crate) registration: Option<u64>,
}

/// What happened to a watched service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceEvent {
    /// It is there.
    Added,
    /// It is gone.
    Removed,
}

/// What is watched. Holds the newest state of each id, not a list of what happened: a watcher that is slow sees fewer
/// events, never too many.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    ids: Mutex<BTreeMap<ServiceId, watch::Sender<Current>>>,
    places: WatchPlaces,
    /// Nobody shall wait any more.
    closed: watch::Sender<bool>,
}

impl Watches {
    /// Watches for the application, which may have so many watches.
    pub(super) fn watch(&self, change: Change) -> Result<ServiceWatch, WatchServiceError> {
        let place = self.places.take()?;
        Ok(ServiceWatch {
            current: self.follow(change),
            told: None,
            _place: Some(place),
        })
    }

    /// Watches for somebody who has a place already.
    pub(super) fn watch_uncounted(&self, change: Change) -> ServiceWatch {
        ServiceWatch {
            current: self.follow(change),
            told: None,
            _place: None,
        }
    }

    /// Watches for a caller who waits, and of whom somebody else has counted that. What stands there now is to be taken
    /// from the registry and no change missed since.
    pub(super) fn follow(&self, now: Change) -> watch::Receiver<Current> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|_, sender| sender.receiver_count() > 0);
        let current = Current {
            change: now.number,
            registration: now.registration,
        };
        let sender = ids
            .entry(now.service)
            .or_insert_with(|| watch::Sender::new(current));
        sender.subscribe()
    }

    pub(crate) fn changed(&self, change: Change) {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = ids.get(&change.service) else {
            return;
        };
        sender.send_if_modified(|current| {
            let newer = change.number > current.change;
            if newer {
                *current = Current {
                    change: change.number,
                    registration: change.registration,
                };
            }
            newer
        });
    }

    /// The places of watches, for those of other devices' services too.
    /// Ends all waits: the bus is taking leave, and is not to be kept waiting by them.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(super) async fn closed(&self) {
        // The sender is ours, so this ends only when it says so.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    pub(super) fn places(&self) -> &WatchPlaces {
        &self.places
    }
}

/// How many watches there may be in a process.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchPlaces(Arc<AtomicUsize>);

impl WatchPlaces {
    /// Takes one of [`limits::WATCHES`].
    pub(super) fn take(&self) -> Result<WatchPlace, WatchServiceError> {
        let limit = limits::WATCHES;
        let place = WatchPlace(Arc::clone(&self.0));
        let value = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        if value > limit {
            return Err(WatchServiceError::LimitReached { limit, value });
        }
        Ok(place)
    }
}

/// A place among the [`limits::WATCHES`] watches of a process, given back when dropped.
#[derive(Debug)]
pub struct WatchPlace(Arc<AtomicUsize>);

impl Drop for WatchPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells of a service's coming and going. Dropping it ends the watch.
#[derive(Debug)]
pub struct ServiceWatch {
    current: watch::Receiver<Current>,
    told: Option<u64>,
    _place: Option<WatchPlace>,
}

impl ServiceWatch {
    /// The next event; pending while nothing changes. A service that was replaced is removed and then added.
    ///
    /// Cancel safe: an event is lost with no dropped future.
    pub async fn next(&mut self) -> ServiceEvent {
        loop {
            let current = self.current.borrow_and_update().registration;
            match (self.told, current) {
                (Some(told), Some(now)) if told == now => {}
                (Some(_), _) => {
                    self.told = None;
                    // What came instead is told next.
                    self.current.mark_changed();
                    return ServiceEvent::Removed;
                }
                (None, Some(_)) => {
                    self.told = current;
                    return ServiceEvent::Added;
                }
                (None, None) => {}
            }
            if self.current.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
