//! Devices as a user of a node sees them.

mod told;

use std::net::SocketAddr;

use proto::DeviceId;
use tokio::sync::watch;

use crate::{
    presence::{DeviceEvent, OfflineReason, Presence},
    side::Side,
    transport::Transport,
};
use told::Told;

/// A device this node knows of, as it stands at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Who it is; proven if it is or was online, a claim otherwise.
    pub id: DeviceId,
    /// What it calls itself, if it says so. Untrusted, escaped and cut.
    pub name: Option<String>,
    /// Whether it is there.
    pub presence: Presence,
    /// What its session is on; `None` without one.
    pub transport: Option<Transport>,
    /// Whether this node trusts it.
    pub trusted: bool,
    /// Where it is connected, or where it may be.
    pub addresses: Vec<SocketAddr>,
}

impl Device {
    /// Whether it has proven itself and answers.
    pub fn is_online(&self) -> bool {
        matches!(self.presence, Presence::Online | Presence::Suspect)
    }
}

/// A device, and what its coming and going is told from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) device: Device,
    /// How often it came online.
    pub(crate) times_online: u64,
    /// Why it went last, whatever has been tried since.
    pub(crate) last_offline: Option<OfflineReason>,
}

/// The devices a node knows of and what changes of them, in order and without gaps: a list that keeps itself.
///
/// [`devices`](Self::devices) is the list as the events up to now make it: at first as it was when the watch began, and after
/// each event with that applied. Between them nothing is missed; when there is nothing more to tell it is
/// [`Node::devices`](crate::Node::devices), but for a device that is being dialled, which is here what it was before.
///
/// Holds what was told, and at most one newer state of each device, not a queue of what happened: a reader that is slow sees fewer
/// events, never too many. A device that went and came meanwhile is told as both, and no device is told of twice before all
/// others that are different were told of once.
#[derive(Debug)]
pub struct DeviceWatch {
    side: Side,
    changed: watch::Receiver<u64>,
    told: Told,
}

impl DeviceWatch {
    /// Begins with what there is now.
    pub(crate) fn new(side: Side) -> Self {
        // Before the look: what changes after it is told.
        let changed = side.devices_changed();
        let told = Told::of(side.known());
        Self {
            side,
            changed,
            told,
        }
    }

    /// Begins with nothing: what there is now is told first.
    fn from_nothing(side: Side) -> Self {
        let mut changed = side.devices_changed();
        changed.mark_changed();
        Self {
            side,
            changed,
            told: Told::default(),
        }
    }

    /// The devices, by id, as the events up to now make them.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.told.devices()
    }

    /// One of them.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.told.device(id)
    }

    /// The next event; pending while nothing changes. Cancel safe.
    pub async fn next(&mut self) -> DeviceEvent {
        loop {
            if let Some(event) = self.told.next() {
                return event;
            }
            if self.changed.changed().await.is_err() {
                // The node is gone; nothing changes any more.
                std::future::pending::<()>().await;
            }
            self.told.look(self.side.known());
        }
    }
}

/// Devices coming and going, in order and without gaps: of what a [`DeviceWatch`] tells, that they come online and go offline.
/// Begins with the devices that are online.
#[derive(Debug)]
pub struct DeviceEvents(DeviceWatch);

impl DeviceEvents {
    pub(crate) fn new(side: Side) -> Self {
        Self(DeviceWatch::from_nothing(side))
    }

    /// The next event; pending while nothing changes. Cancel safe.
    pub async fn next(&mut self) -> DeviceEvent {
        loop {
            let event = self.0.next().await;
            if matches!(event, DeviceEvent::Online(_) | DeviceEvent::Offline(..)) {
                return event;
            }
        }
    }
}
