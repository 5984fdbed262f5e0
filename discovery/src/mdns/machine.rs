//! Everything this backend decides. Pure: no clock, no socket, nothing of the library.
//!
//! Call `handle_*`, then take every action from `poll_action` and carry it out, then wait for an event or until
//! `poll_timeout`. The comments name the measured faults of the library that a piece is there for.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto::DeviceId;

use super::SERVICE_TYPE;
use super::instances::{Change, Instances};
use super::parse::{instance_label, interface_count};
use super::schedule::{BrowseSchedule, MIN_SPACING};
use crate::{Advertisement, Candidate, Hint, InstanceName, Status};

/// An engine that searches on no interface for this long has failed.
const NO_INTERFACE: Duration = Duration::from_secs(5);
/// The second goodbye of the library comes 120 ms after the first, and only if it still runs.
const GOODBYE: Duration = Duration::from_millis(200);
/// After the library said that its queue is full.
const RETRY: Duration = Duration::from_millis(200);
const BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// What is cached comes at once, what is not within the time of a query and its repeat.
const SNAPSHOT: Duration = Duration::from_secs(5);
/// Shorter ones, or more frequent, removed live peers: a responder repeats an answer once a second at most.
pub(super) const VERIFY_TIMEOUT: Duration = Duration::from_millis(2500);
const VERIFY_SPACING: Duration = Duration::from_secs(4);

/// What the engine reported.
#[derive(Clone, Debug)]
pub(super) enum EngineEvent {
    /// The library's text about a query it is about to send.
    SearchStarted(String),
    Resolved(Resolved),
    /// A full name.
    Removed(String),
    /// The browse ended without being asked to.
    BrowseClosed,
    Trouble(String),
}

/// An instance as the library resolved it. Its addresses may be a part only; more come in another.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) fullname: String,
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) txt: Vec<(String, Option<Vec<u8>>)>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make a new engine.
    Create,
    /// Throw the engine away.
    Discard,
    /// Browse, whether or not that was done before; keep reading what the browse before has to say.
    Browse,
    Register(Registration),
    /// By full name.
    Unregister(String),
    /// By full name.
    Verify(String),
    Upsert(Candidate),
    Withdrawn(DeviceId),
    Expired(DeviceId),
    Status(Status),
    /// Stop the engine. The last action.
    Stop,
}

/// What to announce, in the words of DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) instance: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// Empty: all.
    pub(super) addrs: Vec<std::net::IpAddr>,
    pub(super) txt: Vec<(&'static str, String)>,
}

impl Registration {
    fn new(advertisement: &Advertisement) -> Self {
        let instance = InstanceName::new(&advertisement.announcement.id);
        Self {
            // Never the name of the operating system's host: it belongs to another responder, and to a person.
            host: format!("{}.local.", &instance.as_str()[..16]),
            instance: instance.as_str().to_owned(),
            port: advertisement.port,
            addrs: advertisement.addrs.clone(),
            txt: advertisement.announcement.to_txt(),
        }
    }

    /// Whether what was resolved is another device's. The addresses do not tell, those of a device change.
    fn is_contradicted_by(&self, resolved: &Resolved) -> bool {
        // What is missing may still come.
        let denied = |(key, value): &(&str, String)| {
            let mut txt = resolved.txt.iter();
            let said = txt.find(|(said, _)| said == key);
            said.is_some_and(|(_, said)| said.as_deref() != Some(value.as_bytes()))
        };
        let another_port = |addr: &SocketAddr| addr.port() != self.port;
        self.txt.iter().any(denied) || resolved.addrs.iter().any(another_port)
    }
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Try again in a moment.
    Busy,
    /// The engine is of no use any more.
    Gone(String),
}

#[derive(Debug)]
enum Phase {
    /// No engine until then.
    Waiting(Instant),
    /// With an engine, which searches on no interface since then.
    Running(Option<Instant>),
    /// Goodbyes are under way until then.
    Closing(Instant),
    Stopped,
}

#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    schedule: BrowseSchedule,
    instances: Instances,
    published: BTreeMap<DeviceId, Registration>,
    /// What was published before, and may still be heard for a moment.
    replaced: BTreeMap<DeviceId, Registration>,
    pending: BTreeSet<DeviceId>,
    /// Full names.
    pending_goodbyes: BTreeSet<String>,
    retry_at: Option<Instant>,
    goodbye_until: Option<Instant>,
    back_off: Duration,
    /// When to drop what the new browse did not repeat.
    sweep_at: Option<Instant>,
    /// Where another device announces an id of ours.
    double: Option<Vec<SocketAddr>>,
    actions: VecDeque<Action>,
}

impl Machine {
    pub(super) fn new(now: Instant) -> Self {
        let mut machine = Self {
            phase: Phase::Waiting(now),
            schedule: BrowseSchedule::new(now),
            instances: Instances::default(),
            published: BTreeMap::new(),
            replaced: BTreeMap::new(),
            pending: BTreeSet::new(),
            pending_goodbyes: BTreeSet::new(),
            retry_at: None,
            goodbye_until: None,
            back_off: BACK_OFF,
            sweep_at: None,
            double: None,
            actions: VecDeque::new(),
        };
        machine.handle_timeout(now);
        machine
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let work = [self.instances.poll_timeout(), self.sweep_at, self.retry_at];
        let own = match self.phase {
            Phase::Stopped => return None,
            Phase::Waiting(at) | Phase::Closing(at) => Some(at),
            Phase::Running(idle) => {
                let failed = idle.map(|since| since + NO_INTERFACE);
                failed.into_iter().chain([self.schedule.next()]).min()
            }
        };
        work.into_iter().chain([own]).flatten().min()
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// How many instances are remembered.
    pub(super) fn instances(&self) -> usize {
        self.instances.len()
    }

    pub(super) fn is_published(&self, id: &DeviceId) -> bool {
        self.published.contains_key(id)
    }

    /// Announces a device, or announces it anew.
    pub(super) fn publish(&mut self, now: Instant, advertisement: &Advertisement) {
        let id = advertisement.announcement.id;
        let registration = Registration::new(advertisement);
        // A goodbye that waits would be for this.
        self.pending_goodbyes.remove(&fullname(&registration));
        if let Some(before) = self.published.insert(id, registration) {
            self.replaced.insert(id, before);
        }
        let own = self.instances.drop_own(now, id);
        self.report(own);
        self.pending.insert(id);
        self.work_off();
    }

    pub(super) fn withdraw(&mut self, now: Instant, id: &DeviceId) {
        let Some(registration) = self.published.remove(id) else {
            return;
        };
        self.replaced.remove(id);
        self.pending.remove(id);
        self.goodbye_until = Some(now + GOODBYE);
        self.pending_goodbyes.insert(fullname(&registration));
        self.work_off();
        if self.published.is_empty() && self.double.take().is_some() {
            self.set_up();
        }
    }

    pub(super) fn refresh(&mut self, now: Instant, who: Option<DeviceId>, hint: Hint) {
        if matches!(hint, Hint::NetworkChanged | Hint::Resumed) {
            self.schedule.restart(now);
            self.back_off = BACK_OFF;
            if let Phase::Waiting(at) = &mut self.phase {
                *at = now;
            }
        } else {
            self.schedule.request(now, Duration::ZERO);
        }
        if let (Hint::Suspect, Phase::Running(_), Some(id)) = (hint, &self.phase, who) {
            let names = self.instances.verify(now, &id, VERIFY_SPACING);
            self.actions.extend(names.into_iter().map(Action::Verify));
        }
        self.handle_timeout(now);
    }

    pub(super) fn pin(&mut self, ids: HashSet<DeviceId>) {
        self.instances.pin(ids);
    }

    /// Says goodbye, then stops: by `deadline` at the latest.
    pub(super) fn close(&mut self, now: Instant, deadline: Instant) {
        match self.phase {
            Phase::Closing(_) | Phase::Stopped => return,
            Phase::Waiting(_) => {
                self.phase = Phase::Stopped;
                return;
            }
            Phase::Running(_) => {}
        }
        let ids: Vec<_> = self.published.keys().copied().collect();
        for id in &ids {
            self.withdraw(now, id);
        }
        let until = self.goodbye_until.unwrap_or(now).min(deadline);
        self.phase = Phase::Closing(until);
        self.handle_timeout(now);
    }

    pub(super) fn handle_event(&mut self, now: Instant, event: EngineEvent) {
        let Phase::Running(idle) = &mut self.phase else {
            return;
        };
        match event {
            EngineEvent::SearchStarted(text) => match interface_count(&text) {
                Some(0) => {
                    idle.get_or_insert(now);
                    self.schedule.request(now, MIN_SPACING);
                }
                // A text that another version of the library changed says nothing bad.
                Some(_) | None => {
                    *idle = None;
                    self.back_off = BACK_OFF;
                    self.set_up();
                }
            },
            EngineEvent::Resolved(resolved) => {
                if self.double.is_none() && self.is_double(&resolved) {
                    self.double = Some(resolved.addrs.clone());
                    self.set_up();
                }
                let published = &self.published;
                let changes = self
                    .instances
                    .resolved(now, resolved, |id| published.contains_key(id));
                self.report(changes);
            }
            EngineEvent::Removed(fullname) => {
                // A running browse never asks again for what it removed, be it alive.
                if self.instances.removed(now, &fullname) {
                    self.schedule.request(now, Duration::ZERO);
                }
            }
            EngineEvent::BrowseClosed => {
                // Its queue was full: removals may be lost with it.
                self.instances.doubt_all();
                self.sweep_at = None;
                self.schedule.request(now, Duration::ZERO);
            }
            EngineEvent::Trouble(reason) => tracing::warn!(%reason, "mDNS engine reports trouble"),
        }
        self.handle_timeout(now);
    }

    /// An action could not be carried out.
    pub(super) fn handle_failure(&mut self, now: Instant, action: &Action, failure: Failure) {
        if self.is_stopped() {
            return;
        }
        match (failure, action) {
            (Failure::Gone(reason), _) => {
                if matches!(self.phase, Phase::Running(_)) {
                    self.restart(now, reason);
                }
            }
            (Failure::Busy, Action::Browse) => self.schedule.failed(now, RETRY),
            (Failure::Busy, Action::Register(registration)) => {
                let id = self.published.iter().find(|(_, r)| *r == registration);
                self.pending.extend(id.map(|(id, _)| *id));
                self.retry_at = Some(now + RETRY);
            }
            (Failure::Busy, Action::Unregister(fullname)) => {
                self.pending_goodbyes.insert(fullname.clone());
                self.retry_at = Some(now + RETRY);
            }
            (Failure::Busy, _) => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let removed = self.instances.handle_timeout(now);
        self.report(removed);
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            let doubted = self.instances.drop_doubted(now);
            self.report(doubted);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.work_off();
        }
        match self.phase {
            Phase::Waiting(at) if at <= now => self.start(now),
            Phase::Running(Some(since)) if since + NO_INTERFACE <= now => {
                self.restart(now, "no usable interface, or port 5353 is taken".to_owned());
            }
            Phase::Running(_) if self.schedule.take_due(now) => self.browse(now),
            Phase::Closing(at) if at <= now => {
                self.phase = Phase::Stopped;
                self.actions.push_back(Action::Stop);
            }
            _ => {}
        }
    }

    fn start(&mut self, now: Instant) {
        // Until it says otherwise: an engine that cannot even say that it searches has failed as well.
        self.phase = Phase::Running(Some(now));
        self.actions.push_back(Action::Create);
        self.instances.doubt_all();
        self.schedule.restart(now);
        self.pending.extend(self.published.keys());
        self.work_off();
        if self.schedule.take_due(now) {
            self.browse(now);
        }
    }

    fn restart(&mut self, now: Instant, reason: String) {
        // Actions meant for the old engine.
        self.actions.retain(|action| {
            !matches!(
                action,
                Action::Browse | Action::Register(_) | Action::Unregister(_) | Action::Verify(_)
            )
        });
        self.actions.push_back(Action::Discard);
        self.actions.push_back(Action::Status(Status::Down(reason)));
        self.phase = Phase::Waiting(now + self.back_off);
        self.back_off = (self.back_off * 2).min(MAX_BACK_OFF);
        self.pending_goodbyes.clear();
        self.retry_at = None;
        self.sweep_at = None;
        self.double = None;
    }

    fn browse(&mut self, now: Instant) {
        self.actions.push_back(Action::Browse);
        if self.sweep_at.is_none() && self.instances.any_doubted() {
            self.sweep_at = Some(now + SNAPSHOT);
        }
    }

    fn set_up(&mut self) {
        let status = match &self.double {
            None => Status::Up,
            Some(addrs) => Status::Degraded(format!("another device announces our id: {addrs:?}")),
        };
        self.actions.push_back(Action::Status(status));
    }

    /// Whether it is a device of ours by name, and another by what it says. Names are not probed, so the engine does not tell.
    fn is_double(&self, resolved: &Resolved) -> bool {
        let Some(label) = instance_label(&resolved.fullname) else {
            return false;
        };
        let all = self.published.values().chain(self.replaced.values());
        let mut ours = all.filter(|ours| ours.instance == label).peekable();
        ours.peek().is_some() && ours.all(|ours| ours.is_contradicted_by(resolved))
    }

    /// Carries out what waits, if there is an engine to do it.
    fn work_off(&mut self) {
        if !matches!(self.phase, Phase::Running(_) | Phase::Closing(_)) {
            self.pending_goodbyes.clear();
            return;
        }
        let goodbyes = std::mem::take(&mut self.pending_goodbyes);
        self.actions
            .extend(goodbyes.into_iter().map(Action::Unregister));
        for id in std::mem::take(&mut self.pending) {
            let registration = self.published.get(&id).cloned();
            self.actions.extend(registration.map(Action::Register));
        }
    }

    fn report(&mut self, changes: Vec<Change>) {
        self.actions
            .extend(changes.into_iter().map(|change| match change {
                Change::Upsert(candidate) => Action::Upsert(candidate),
                Change::Withdrawn(id) => Action::Withdrawn(id),
                Change::Expired(id) => Action::Expired(id),
            }));
    }
}

fn fullname(registration: &Registration) -> String {
    format!("{}.{SERVICE_TYPE}", registration.instance)
}

#[cfg(test)]
mod tests;
