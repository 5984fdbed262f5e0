//! The services that are started on demand, and who waits for them: pure but for what it hands out.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use proto::ServiceId;
use tokio::{runtime::Handle, sync::watch};

use super::{
    life::{ServiceState, Step},
    starter::{OnDemandOptions, ServiceStarter},
};
use crate::{
    error::{AddServiceError, GetServiceError, UnloadServiceError},
    limits,
    registry::ServiceOptions,
    session::passing_rules::Party,
};

/// How a start ended; `None` while it runs.
pub(super) type Outcome = Option<Result<(), GetServiceError>>;

/// Whether an unload ended in time; `None` while it is under way.
pub(super) type Unloaded = Option<bool>;

/// What somebody registered to be started on demand.
pub(crate) struct Offer {
    pub(super) starter: Box<dyn ServiceStarter>,
    pub(super) options: OnDemandOptions,
    /// Where it runs.
    pub(super) runtime: Handle,
}

impl Offer {
    /// How the service is registered once it is started.
    pub(crate) fn service_options(&self) -> &ServiceOptions {
        &self.options.service
    }
}

/// A start that is to be made, or an unload.
pub(crate) struct Run {
    pub(super) offer: Arc<Offer>,
    /// What ends late is known by it.
    pub(super) number: u64,
}

/// What somebody who wants a service has to do.
pub(super) enum Load {
    /// Nothing, it is there.
    There,
    /// Wait for the start that is under way.
    Join(watch::Receiver<Outcome>),
    /// Wait for the start that follows the unload of this number, and [leave](OnDemandTable::leave) when done.
    Queue(u64, watch::Receiver<Outcome>),
    /// Start it, and wait.
    Start(Run, watch::Receiver<Outcome>),
}

/// What somebody who unloads a service has to do.
pub(super) enum Unload {
    /// Wait, with this to be told of the end.
    Join(watch::Receiver<Unloaded>),
    /// Stop it and wait.
    Now(Run, watch::Receiver<Unloaded>),
    /// Stop it later.
    Later(Run),
}

/// One service.
pub(crate) struct Entry {
    offer: Arc<Offer>,
    state: ServiceState,
    /// The start, the delay or the unload that is under way.
    run: u64,
    /// Of the start that is under way, or of the one that follows the unload.
    outcome: Option<watch::Sender<Outcome>>,
    /// Loads that wait for the end of an unload, by who asked.
    queued: HashMap<Party, usize>,
    unloaded: watch::Sender<Unloaded>,
    /// It failed to start, or died: the next start is a restart.
    failed: bool,
    restarts: VecDeque<Instant>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct OnDemandTable {
    entries: BTreeMap<ServiceId, Entry>,
    /// Who waits, and how often.
    waiting: HashMap<Party, usize>,
    runs: u64,
}

impl Entry {
    fn step(&mut self, step: Step) -> bool {
        let after = self.state.after(step);
        self.state = after.unwrap_or(self.state);
        after.is_some()
    }

    /// Refuses a restart that is one too many. The first start after an orderly end is none.
    fn count_start(&mut self, now: Instant) -> Result<(), GetServiceError> {
        if !self.failed {
            return Ok(());
        }
        let limit = limits::RESTARTS;
        let within = limits::RESTART_TIME;
        while let Some(first) = self.restarts.front()
            && now.saturating_duration_since(*first) >= within
        {
            self.restarts.pop_front();
        }
        if let Some(first) = self.restarts.front()
            && self.restarts.len() >= limit
        {
            let retry_after = within.saturating_sub(now.saturating_duration_since(*first));
            return Err(GetServiceError::TooManyRestarts { limit, retry_after });
        }
        self.restarts.push_back(now);
        Ok(())
    }

    fn join(&mut self) -> watch::Receiver<Outcome> {
        self.outcome
            .get_or_insert_with(|| watch::Sender::new(None))
            .subscribe()
    }

    /// Tells those who wait for a start how it ended, and for an unload that it has. Not under a lock.
    pub(crate) fn settle(&self, result: Result<(), GetServiceError>) {
        if let Some(outcome) = &self.outcome {
            outcome.send_replace(Some(result));
        }
        self.unloaded.send_replace(Some(true));
    }
}

impl OnDemandTable {
    /// Offers a service; what was offered under the id before is returned.
    pub(crate) fn add(
        &mut self,
        service: ServiceId,
        offer: Arc<Offer>,
    ) -> Result<Option<Entry>, AddServiceError> {
        let limit = limits::MAX_SERVICES;
        if !self.entries.contains_key(&service) && self.entries.len() >= limit {
            let value = self.entries.len() + 1;
            return Err(AddServiceError::LimitReached { limit, value });
        }
        let entry = Entry {
            offer,
            state: ServiceState::NotLoaded,
            run: 0,
            outcome: None,
            queued: HashMap::new(),
            unloaded: watch::Sender::new(None),
            failed: false,
            restarts: VecDeque::new(),
        };
        Ok(self.entries.insert(service, entry))
    }

    pub(crate) fn remove(&mut self, service: ServiceId) -> Option<Entry> {
        self.entries.remove(&service)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ServiceId> {
        self.entries.keys().copied()
    }

    pub(crate) fn state(&self, service: ServiceId) -> Option<ServiceState> {
        Some(self.entries.get(&service)?.state)
    }

    pub(crate) fn offer(&self, service: ServiceId) -> Option<&Offer> {
        Some(&self.entries.get(&service)?.offer)
    }

    /// Takes a place among those who wait on behalf of somebody.
    pub(super) fn wait(&mut self, caller: Party) -> Result<(), GetServiceError> {
        let limit = limits::WAITING_PER_CALLER;
        let waiting = self.waiting.entry(caller).or_default();
        if *waiting >= limit {
            let value = *waiting + 1;
            return Err(GetServiceError::TooManyLoads { limit, value });
        }
        *waiting += 1;
        Ok(())
    }

    /// Gives it back.
    pub(super) fn wait_no_longer(&mut self, caller: Party) {
        if let Some(waiting) = self.waiting.get_mut(&caller) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&caller);
            }
        }
    }

    /// Somebody wants a service.
    pub(super) fn load(
        &mut self,
        service: ServiceId,
        caller: Party,
        now: Instant,
    ) -> Result<Load, GetServiceError> {
        let run = self.next_run();
        let entry = self
            .entries
            .get_mut(&service)
            .ok_or(GetServiceError::Absent)?;
        match entry.state {
            ServiceState::Loaded => Ok(Load::There),
            ServiceState::Unloadable => {
                entry.step(Step::Keep);
                Ok(Load::There)
            }
            ServiceState::Loading => Ok(Load::Join(entry.join())),
            ServiceState::NotLoaded => {
                entry.count_start(now)?;
                Ok(Load::Start(entry.begin(run), entry.join()))
            }
            ServiceState::Unloading => {
                let limit = limits::LOADS_WHILE_UNLOADING;
                let queued = entry.queued.entry(caller).or_default();
                if *queued >= limit {
                    let value = *queued + 1;
                    return Err(GetServiceError::TooManyLoads { limit, value });
                }
                *queued += 1;
                Ok(Load::Queue(entry.run, entry.join()))
            }
        }
    }

    /// Who waited for the end of an unload does so no more: it was told, or gave up.
    pub(super) fn leave(&mut self, service: ServiceId, caller: Party, unload: u64) {
        let entry = self.entries.get_mut(&service);
        let Some(entry) = entry.filter(|entry| entry.run == unload) else {
            return;
        };
        if let Some(queued) = entry.queued.get_mut(&caller) {
            *queued -= 1;
            if *queued == 0 {
                entry.queued.remove(&caller);
            }
        }
    }

    /// Somebody wants a service that is there: it is not unloaded later.
    pub(crate) fn keep(&mut self, service: ServiceId) {
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.step(Step::Keep);
        }
    }

    /// Whether a start is the one that is under way, and for how it is registered.
    pub(crate) fn starting(&self, service: ServiceId, run: u64) -> Option<&Arc<Offer>> {
        let entry = self.entries.get(&service)?;
        (entry.run == run && entry.state == ServiceState::Loading).then_some(&entry.offer)
    }

    /// A start has ended; who waits is to be told by what is returned.
    pub(crate) fn started(
        &mut self,
        service: ServiceId,
        done: bool,
    ) -> Option<watch::Sender<Outcome>> {
        let entry = self.entries.get_mut(&service)?;
        entry.failed = !done;
        entry.step(if done {
            Step::Started
        } else {
            Step::StartFailed
        });
        entry.outcome.take()
    }

    /// The owner wants a service unloaded.
    pub(super) fn unload(
        &mut self,
        service: ServiceId,
        delay: Duration,
    ) -> Result<Unload, UnloadServiceError> {
        let limit = limits::MAX_UNLOAD_DELAY;
        if delay > limit {
            return Err(UnloadServiceError::DelayTooLong { delay, limit });
        }
        let run = self.next_run();
        let entry = self
            .entries
            .get_mut(&service)
            .ok_or(UnloadServiceError::NotOnDemand)?;
        if entry.state == ServiceState::Unloading {
            return Ok(Unload::Join(entry.unloaded.subscribe()));
        }
        if delay.is_zero() {
            let run = entry.unload(run).ok_or(UnloadServiceError::NotLoaded)?;
            return Ok(Unload::Now(run, entry.unloaded.subscribe()));
        }
        if !entry.step(Step::UnloadLater) {
            return Err(UnloadServiceError::NotLoaded);
        }
        Ok(Unload::Later(entry.run(run)))
    }

    /// The time has come to unload a service later, unless somebody wanted it meanwhile.
    pub(super) fn unload_due(&mut self, service: ServiceId, run: u64) -> Option<Run> {
        let next = self.next_run();
        let entry = self.entries.get_mut(&service)?;
        let due = entry.run == run && entry.state == ServiceState::Unloadable;
        due.then(|| entry.unload(next)).flatten()
    }

    /// The owner has changed its mind.
    pub(super) fn cancel_unload(&mut self, service: ServiceId) -> Result<(), UnloadServiceError> {
        let entry = self
            .entries
            .get_mut(&service)
            .ok_or(UnloadServiceError::NotOnDemand)?;
        match entry.state {
            ServiceState::Loaded => Ok(()),
            ServiceState::Unloadable => {
                entry.step(Step::Keep);
                Ok(())
            }
            ServiceState::Unloading => Err(UnloadServiceError::TooLate),
            ServiceState::NotLoaded | ServiceState::Loading => Err(UnloadServiceError::NotLoaded),
        }
    }

    /// Whether an unload is the one that is under way.
    pub(crate) fn unloading(&self, service: ServiceId, run: u64) -> bool {
        let entry = self.entries.get(&service);
        entry.is_some_and(|entry| entry.run == run && entry.state == ServiceState::Unloading)
    }

    /// An unload has ended: the start that somebody still waits for, and who waits for the end.
    pub(crate) fn unloaded(
        &mut self,
        service: ServiceId,
    ) -> Option<(Option<Run>, watch::Sender<Unloaded>)> {
        let run = self.next_run();
        let entry = self.entries.get_mut(&service)?;
        entry.step(Step::Unloaded);
        entry.failed = false;
        let wanted = !std::mem::take(&mut entry.queued).is_empty();
        if !wanted {
            entry.outcome = None;
        }
        let next = wanted.then(|| entry.begin(run));
        Some((next, entry.unloaded.clone()))
    }

    /// The stub of a service was revoked.
    pub(crate) fn died(&mut self, service: ServiceId) {
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.failed |= entry.step(Step::Died);
        }
    }

    fn next_run(&mut self) -> u64 {
        self.runs += 1;
        self.runs
    }
}

impl Entry {
    fn run(&mut self, number: u64) -> Run {
        self.run = number;
        Run {
            offer: Arc::clone(&self.offer),
            number,
        }
    }

    fn begin(&mut self, run: u64) -> Run {
        self.step(Step::Load);
        self.run(run)
    }

    fn unload(&mut self, run: u64) -> Option<Run> {
        self.step(Step::Unload).then(|| {
            self.unloaded = watch::Sender::new(None);
            self.run(run)
        })
    }
}

impl std::fmt::Debug for OnDemandTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.entries.iter().map(|(id, entry)| (id, entry.state)))
            .finish()
    }
}
