//! Who wants to know when a service of this process comes and goes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use proto::ServiceId;
use tokio::sync::watch;

/// The registration that stands under an id; `None` when none does.
type Current = Option<u64>;

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
pub(crate) struct Watches(Mutex<HashMap<ServiceId, watch::Sender<Current>>>);

impl Watches {
    pub(crate) fn watch(&self, service: ServiceId, current: Current) -> ServiceWatch {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|_, sender| sender.receiver_count() > 0);
        let sender = watches
            .entry(service)
            .or_insert_with(|| watch::Sender::new(current));
        ServiceWatch {
            current: sender.subscribe(),
            told: None,
        }
    }

    pub(crate) fn changed(&self, service: ServiceId, current: Current) {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watches.get(&service) {
            sender.send_replace(current);
        }
    }
}

/// Tells of a service's coming and going. Dropping it ends the watch.
#[derive(Debug)]
pub struct ServiceWatch {
    current: watch::Receiver<Current>,
    told: Current,
}

impl ServiceWatch {
    /// The next event; pending while nothing changes. A service that was replaced is removed and then added.
    ///
    /// Cancel safe: an event is lost with no dropped future.
    pub async fn next(&mut self) -> ServiceEvent {
        loop {
            let current = *self.current.borrow_and_update();
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
