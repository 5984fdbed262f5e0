//! Telling others that trust has changed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use proto::DeviceId;

/// One device's standing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustChange {
    /// Whose.
    pub device: DeviceId,
    /// How.
    pub event: TrustEvent,
}

impl TrustChange {
    /// Whether sessions with the device have to end.
    pub const fn withdraws(&self) -> bool {
        matches!(self.event, TrustEvent::Forgotten | TrustEvent::Blocked)
    }
}

/// How a device's standing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrustEvent {
    /// It may be talked to now.
    Trusted,
    /// Only what our user calls it, or how it came to be in the store.
    Renamed,
    /// It is a stranger now.
    Forgotten,
    /// It is refused now.
    Blocked,
}

type Listener = dyn Fn(&TrustChange) + Send + Sync;

/// Who wants to be told.
#[derive(Default)]
pub(super) struct Listeners {
    listening: Arc<Listening>,
    version: AtomicU64,
}

#[derive(Default)]
struct Listening {
    list: Mutex<Vec<(u64, Arc<Listener>)>>,
    next: AtomicU64,
}

impl Listeners {
    pub(super) fn add(&self, listener: Arc<Listener>) -> Subscription {
        let number = self.listening.next.fetch_add(1, Ordering::Relaxed);
        self.listening.list().push((number, listener));
        Subscription {
            listening: Arc::downgrade(&self.listening),
            number,
        }
    }

    pub(super) fn raise_version(&self, changes: usize) {
        self.version.fetch_add(changes as u64, Ordering::Release);
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The caller holds no lock: listeners may ask and change the store, subscribe and unsubscribe.
    pub(super) fn tell(&self, changes: &[TrustChange]) {
        if changes.is_empty() {
            return;
        }
        let listeners = self.listening.list().clone();
        for change in changes {
            for (number, listener) in &listeners {
                if self.listening.has(*number) {
                    listener(change);
                }
            }
        }
    }
}

impl Listening {
    fn list(&self) -> MutexGuard<'_, Vec<(u64, Arc<Listener>)>> {
        // The list is pushed to and filtered, neither of which a panic can leave half done.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, number: u64) -> bool {
        self.list().iter().any(|(other, _)| *other == number)
    }
}

/// Dropping it ends the calls of a listener. One that another thread has begun may still be running then.
#[must_use = "dropping the subscription ends it"]
pub struct Subscription {
    listening: Weak<Listening>,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(listening) = self.listening.upgrade() else {
            return;
        };
        let mut list = listening.list();
        let place = list.iter().position(|(number, _)| *number == self.number);
        let removed = place.map(|place| list.swap_remove(place));
        // What the listener holds may have a drop of its own that comes back here.
        drop(list);
        drop(removed);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
