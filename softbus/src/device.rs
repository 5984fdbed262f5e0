//! Devices as a user of a node sees them.

use std::{collections::HashMap, net::SocketAddr};

use proto::DeviceId;
use tokio::sync::watch;

use crate::{
    presence::{DeviceEvent, OfflineReason, Presence},
    side::Side,
    transport::Transport,
};

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
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) device: Device,
    /// How often it came online.
    pub(crate) times_online: u64,
    /// Why it went last, whatever has been tried since.
    pub(crate) last_offline: Option<OfflineReason>,
}

/// Devices coming and going, in order and without gaps. Begins with the devices that are online.
///
/// Holds what each device was last told to be, not a queue: a reader that is slow sees fewer events, never too many,
/// and a device that went and came meanwhile is told as both.
#[derive(Debug)]
pub struct DeviceEvents {
    side: Side,
    changed: watch::Receiver<u64>,
    /// How often each device that was told to be online had come online.
    told: HashMap<DeviceId, u64>,
}

impl DeviceEvents {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            changed: side.devices_changed(),
            side,
            told: HashMap::new(),
        }
    }

    /// The next event; pending while nothing changes. Cancel safe.
    pub async fn next(&mut self) -> DeviceEvent {
        loop {
            self.changed.mark_unchanged();
            if let Some(event) = self.look() {
                return event;
            }
            if self.changed.changed().await.is_err() {
                // The node is gone; nothing changes any more.
                std::future::pending::<()>().await;
            }
        }
    }

    fn look(&mut self) -> Option<DeviceEvent> {
        for known in self.side.known() {
            let id = known.device.id;
            let told = self.told.get(&id).copied();
            let now = known.device.is_online().then_some(known.times_online);
            if told == now {
                continue;
            }
            if told.is_some() {
                self.told.remove(&id);
                // Not what it is now: it may be dialled again already, or be back.
                let reason = known.last_offline;
                let reason = reason.unwrap_or(OfflineReason::Restarted);
                return Some(DeviceEvent::Offline(id, reason));
            }
            if let Some(times) = now {
                self.told.insert(id, times);
                return Some(DeviceEvent::Online(id));
            }
        }
        None
    }
}
