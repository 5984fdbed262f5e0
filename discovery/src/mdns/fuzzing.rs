//! What the fuzz target of announcements and the test of its inputs need beyond what users have: what is decided about that
//! which others say by mDNS, without a network. Not for people: it changes without notice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto::DeviceId;

use super::machine::{Action, EngineEvent, Machine, Resolved};
use crate::{Advertisement, Event, Hint, Source};

/// A TXT record as the library takes it apart.
pub type Txt = Vec<(String, Option<Vec<u8>>)>;

/// What is heard, on a clock of its own.
#[derive(Debug)]
pub struct Ear {
    machine: Machine,
    now: Instant,
}

impl Ear {
    /// It searches on one interface, and `own` is announced.
    pub fn new(own: &Advertisement) -> Self {
        let now = Instant::now();
        let mut ear = Self {
            machine: Machine::new(now),
            now,
        };
        ear.machine.publish(now, own);
        ear.searches(1);
        ear
    }

    /// An instance was resolved.
    pub fn resolved(&mut self, fullname: String, addrs: Vec<SocketAddr>, txt: Txt) {
        self.hears(EngineEvent::Resolved(Resolved {
            fullname,
            addrs,
            txt,
        }));
    }

    /// An instance said goodbye, or was not heard of.
    pub fn removed(&mut self, fullname: String) {
        self.hears(EngineEvent::Removed(fullname));
    }

    /// More came than was read.
    pub fn loses_count(&mut self) {
        self.hears(EngineEvent::BrowseClosed);
    }

    /// A query goes out on so many interfaces.
    pub fn searches(&mut self, interfaces: usize) {
        let text = format!("{} on {interfaces} interfaces []", super::SERVICE_TYPE);
        self.hears(EngineEvent::SearchStarted(text));
    }

    /// A device does not answer.
    pub fn suspects(&mut self, id: DeviceId) {
        self.machine.refresh(self.now, Some(id), Hint::Suspect);
    }

    fn hears(&mut self, event: EngineEvent) {
        self.machine.handle_event(self.now, event);
    }

    /// Time passes.
    pub fn passes(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
        }
        self.now = until;
    }

    /// The next thing that subscribers are told of devices.
    pub fn poll_event(&mut self) -> Option<Event> {
        let source = Source::MDNS;
        loop {
            return Some(match self.machine.poll_action()? {
                Action::Upsert(candidate) => Event::Upsert(candidate),
                Action::Withdrawn(id) => Event::Withdrawn { id, source },
                Action::Expired(id) => Event::Expired { id, source },
                _ => continue,
            });
        }
    }

    /// How many instances are remembered.
    pub fn instances(&self) -> usize {
        self.machine.instances()
    }
}
