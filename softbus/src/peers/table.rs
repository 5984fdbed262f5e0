//! What is known of each device.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use proto::DeviceId;
use rpc::Peer;
use tokio::{sync::Notify, time::Instant};

use super::{Connection, DialError, decisions::Current};
use crate::presence::{Machine, OfflineReason};

#[derive(Default)]
pub(super) struct Table {
    pub(super) entries: HashMap<DeviceId, Entry>,
    pub(super) closing: bool,
}

/// How long a device that fell silent is missed.
const MISSED: Duration = Duration::from_secs(600);

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
    /// How often this device was on other networks than before: then every address is worth another try.
    pub(super) networks: u64,
    /// When it fell silent, as what is behind a cut cable does: it may be back at any moment, and where it was.
    pub(super) missed: Option<Instant>,
    /// No source names it any more; `addrs` is where it was when it fell silent.
    pub(super) forgotten: bool,
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
    /// What had come when we said Welcome; `None` where the peer did. It may never have heard ours, as long as nothing more comes.
    welcomed: Option<u64>,
}

impl Session {
    /// On a connection that we dialled.
    pub(super) fn dialled(peer: Peer, connection: Connection) -> Self {
        Self {
            peer,
            connection,
            welcomed: None,
        }
    }

    /// On a connection that the peer dialled; `welcomed` is [`Connection::before_welcome`].
    pub(super) fn welcomed(peer: Peer, connection: Connection, welcomed: Option<u64>) -> Self {
        Self {
            peer,
            connection,
            welcomed,
        }
    }

    /// What there is to say of it to who dials meanwhile.
    pub(super) fn current(&self) -> Current {
        Current {
            boot: self.peer.boot(),
            name: self.peer.session_name(),
            confirmed: self.welcomed != Some(self.connection.received()),
        }
    }

    /// Goes on elsewhere. Returns where it was.
    pub(super) fn move_to(&mut self, connection: Connection) -> Connection {
        self.welcomed = None;
        std::mem::replace(&mut self.connection, connection)
    }
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
            networks: 0,
            missed: None,
            forgotten: false,
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

    /// It is dialled where it was, too.
    pub(super) fn fell_silent(&mut self, now: Instant) {
        self.missed = Some(now);
        if let Some(worked) = self.worked.filter(|worked| !self.addrs.contains(worked)) {
            self.addrs.push(worked);
        }
    }

    /// Whether it fell silent not long ago.
    pub(super) fn is_missed(&self, now: Instant) -> bool {
        let since = self.missed.map(|missed| now.duration_since(missed));
        since.is_some_and(|since| since < MISSED)
    }

    /// The failures that make the pause between two dials longer: of a device that is missed no more than make it a second. With a
    /// round of three seconds it is dialled within four of when it can be reached.
    pub(super) fn failures_that_count(&self, now: Instant) -> u32 {
        match self.is_missed(now) {
            true => self.failures.min(3),
            false => self.failures,
        }
    }

    /// No source names the device any more. Where it was when it fell silent is dialled for as long as it is missed.
    pub(super) fn forget_addrs(&mut self, now: Instant) {
        let (missed, worked) = (self.is_missed(now), self.worked);
        self.addrs.retain(|addr| missed && Some(*addr) == worked);
        self.forgotten = true;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::decisions::backoff;

    #[test]
    fn a_device_that_fell_silent_is_dialled_often_for_a_while() {
        let now = Instant::now();
        let mut entry = Entry::new();
        let pause_after = |entry: &mut Entry, failures, now| {
            entry.failures = failures;
            backoff(entry.failures_that_count(now), 0).as_millis()
        };
        assert_eq!(pause_after(&mut entry, 7, now), 16_000);
        entry.missed = Some(now);
        assert_eq!(pause_after(&mut entry, 1, now), 250);
        assert_eq!(pause_after(&mut entry, 7, now), 1000);
        assert_eq!(pause_after(&mut entry, 7, now + MISSED), 16_000);
    }

    #[test]
    fn where_a_device_was_when_it_fell_silent_outlives_what_is_said_of_it() {
        let now = Instant::now();
        let [here, there] = [1, 2].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        let mut entry = Entry::new();
        (entry.addrs, entry.worked) = (vec![here], Some(there));
        entry.fell_silent(now);
        assert_eq!(entry.addrs, [here, there]);
        entry.forget_addrs(now);
        assert_eq!(entry.addrs, [there]);
        entry.forget_addrs(now + MISSED);
        assert_eq!(entry.addrs, []);
    }
}
