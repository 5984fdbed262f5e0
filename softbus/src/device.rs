//! Devices as a user of a node sees them.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use proto::DeviceId;
use tokio::sync::watch;

use crate::{
    peers::Peers,
    presence::{DeviceEvent, OfflineReason, Presence},
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

/// Devices coming and going, in order and without gaps. Begins with the devices that are online.
///
/// Holds what each device was last told to be, not a queue: a reader that is slow sees fewer events, never too many,
/// and a device that went and came meanwhile is told as both.
#[derive(Debug)]
pub struct DeviceEvents {
    peers: Arc<Peers>,
    changed: watch::Receiver<u64>,
    /// How often each device that was told to be online had come online.
    told: HashMap<DeviceId, u64>,
}

impl DeviceEvents {
    pub(crate) fn new(peers: Arc<Peers>) -> Self {
        Self {
            changed: peers.changed(),
            peers,
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
        for (id, machine) in self.peers.machines() {
            let told = self.told.get(&id).copied();
            let now = machine.is_online().then_some(machine.times_online);
            if told == now {
                continue;
            }
            if told.is_some() {
                self.told.remove(&id);
                // Not what it is now: it may be dialled again already, or be back.
                let reason = machine.last_offline().cloned();
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
