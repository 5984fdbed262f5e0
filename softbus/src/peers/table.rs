//! What is known of each device.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use proto::DeviceId;
use rpc::Peer;
use tokio::sync::Notify;

use super::{Connection, DialError};
use crate::presence::{Machine, OfflineReason};

#[derive(Default)]
pub(super) struct Table {
    pub(super) entries: HashMap<DeviceId, Entry>,
    pub(super) closing: bool,
}

impl Table {
    /// A device that nobody tells of any more and that never was here is forgotten, once nothing is under way with it.
    pub(super) fn forget_if_unknown(&mut self, id: &DeviceId) {
        let unknown = |entry: &Entry| {
            entry.may_dial() && entry.addrs.is_empty() && entry.machine.times_online == 0
        };
        if self.entries.get(id).is_some_and(unknown) {
            self.entries.remove(id);
        }
    }
}

pub(super) struct Entry {
    pub(super) machine: Machine,
    pub(super) name: Option<String>,
    pub(super) addrs: Vec<SocketAddr>,
    /// The address that worked last.
    pub(super) worked: Option<SocketAddr>,
    pub(super) session: Option<Session>,
    /// A dial is open.
    pub(super) dialling: bool,
    /// Connections of the device that are being welcomed.
    pub(super) welcoming: u32,
    /// Told when something new is known of the device.
    pub(super) news: Arc<Notify>,
    /// Dials that failed since something worked or something new was heard.
    pub(super) failures: u32,
    /// The last dial that failed, and how many there have been.
    pub(super) last_error: Option<(u64, DialError)>,
    pub(super) dials: u64,
    /// What `offline` is told instead of what the connection says.
    pub(super) verdict: Option<OfflineReason>,
    /// The last session's name, for a peer that still believes in it.
    pub(super) lost_session: u64,
}

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) peer: Peer,
    pub(crate) connection: Connection,
}

impl Entry {
    pub(super) fn new() -> Self {
        Self {
            machine: Machine::new(),
            name: None,
            addrs: Vec::new(),
            worked: None,
            session: None,
            dialling: false,
            welcoming: 0,
            news: Arc::new(Notify::new()),
            failures: 0,
            last_error: None,
            dials: 0,
            verdict: None,
            lost_session: 0,
        }
    }

    /// Whether a dial would bring a session that there is not, and that is not about to be.
    pub(super) fn may_dial(&self) -> bool {
        !self.dialling && self.welcoming == 0 && self.session.is_none()
    }

    /// The addresses to dial that were not tried yet, the one that worked last first.
    pub(super) fn addrs_to_try(&self, tried: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut addrs = self.addrs.clone();
        addrs.retain(|addr| !tried.contains(addr));
        if let Some(index) = addrs.iter().position(|addr| Some(*addr) == self.worked) {
            addrs[..=index].rotate_right(1);
        }
        addrs
    }
}
