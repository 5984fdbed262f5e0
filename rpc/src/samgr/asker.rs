//! Getting a service on somebody's behalf, and waiting for it.

use std::sync::{Arc, Weak};

use proto::ServiceId;

use super::{loading, on_demand::Load, stub::tell_hidden};
use crate::{
    access::Permission,
    bus::Bus,
    error::GetServiceError,
    peer::now,
    registry::{Look, ServiceRegistry, Standing},
    session::passing_rules::Party,
};

/// On whose behalf a service is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// This process.
    Ours(Party),
    /// Another process of this device, which may have every service of it.
    Process(Party),
    /// Another device: what it may know depends on the rules.
    Remote(Party),
}

impl Asker {
    const fn party(self) -> Party {
        match self {
            Self::Ours(party) | Self::Process(party) | Self::Remote(party) => party,
        }
    }

    /// What the policy says of this asker. To be asked before the registry is locked.
    fn ruled(self, bus: &Bus, service: ServiceId) -> Option<Permission> {
        match self {
            Self::Ours(_) | Self::Process(_) => None,
            Self::Remote(party) => bus.access.permission(party.device, service),
        }
    }

    /// One look.
    fn look(
        self,
        registry: &ServiceRegistry,
        service: ServiceId,
        ruled: Option<&Permission>,
    ) -> Result<Look, GetServiceError> {
        match self {
            Self::Ours(_) | Self::Process(_) => registry.get(service),
            Self::Remote(party) => registry.get_remote(service, party.device, ruled),
        }
    }

    /// One look that starts nothing.
    pub(super) fn check(self, bus: &Bus, service: ServiceId) -> Result<Standing, GetServiceError> {
        let ruled = self.ruled(bus, service);
        match self.look(&bus.registry(), service, ruled.as_ref())? {
            Look::There(standing) => Ok(standing),
            Look::OnDemand => Err(GetServiceError::Absent),
        }
    }

    /// Gets a service, and starts one that is started on demand.
    pub(super) async fn get(
        self,
        bus: &Arc<Bus>,
        service: ServiceId,
    ) -> Result<Standing, GetServiceError> {
        if let Some(standing) = self.find(bus, service)? {
            return Ok(standing);
        }
        let _waiting = Waiting::begin(bus, self.party())?;
        self.start(bus, service).await
    }

    /// Gets a service as soon as it is there for this asker. An end without it is a start that failed.
    pub(super) async fn wait_for(
        self,
        bus: &Arc<Bus>,
        service: ServiceId,
    ) -> Result<Standing, GetServiceError> {
        let _waiting = Waiting::begin(bus, self.party())?;
        let mut changes = {
            // Under one lock, so that no change falls between the look and what follows.
            let registry = bus.registry();
            bus.watches.follow(registry.last_change(service))
        };
        let mut refused = false;
        loop {
            changes.mark_unchanged();
            let found = match self.find(bus, service) {
                Ok(None) => self.start(bus, service).await.map(Some),
                found => found,
            };
            match found {
                Ok(Some(standing)) => return Ok(standing),
                // Nobody is told which it is, or when: each of them may end. The owner's log has it once.
                Err(GetServiceError::Refused) => {
                    if !std::mem::replace(&mut refused, true) {
                        tell_hidden(bus, self.party().device, service);
                    }
                }
                Ok(None) | Err(GetServiceError::Absent | GetServiceError::NotDistributed) => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                biased;
                changed = changes.changed() => if changed.is_err() {
                    return Err(GetServiceError::Absent);
                },
                () = bus.watches.closed() => {
                    return Err(GetServiceError::Unreachable("shutting down".to_owned()));
                }
            }
        }
    }

    /// What is there, `None` if it is to be started.
    fn find(self, bus: &Bus, service: ServiceId) -> Result<Option<Standing>, GetServiceError> {
        let ruled = self.ruled(bus, service);
        let mut registry = bus.registry();
        match self.look(&registry, service, ruled.as_ref())? {
            Look::There(standing) => {
                // In the same moment, so that it is not unloaded in between.
                registry.on_demand.keep(service);
                Ok(Some(standing))
            }
            Look::OnDemand => Ok(None),
        }
    }

    async fn start(self, bus: &Arc<Bus>, service: ServiceId) -> Result<Standing, GetServiceError> {
        let load = bus
            .registry()
            .on_demand
            .load(service, self.party(), now())?;
        let (mut outcome, _queued) = match load {
            Load::There => return self.check(bus, service),
            Load::Join(outcome) => (outcome, None),
            Load::Queue(unload, outcome) => {
                let queued = Queued {
                    bus: Arc::downgrade(bus),
                    service,
                    caller: self.party(),
                    unload,
                };
                (outcome, Some(queued))
            }
            Load::Start(run, outcome) => {
                loading::start(bus, service, run);
                (outcome, None)
            }
        };
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(error))) => return Err(error.clone()),
            // The offer was dropped without a word, which is the end of the bus.
            Ok(None) | Err(_) => return Err(GetServiceError::Absent),
        }
        // Not what the start brought: the rules may have changed meanwhile, or it may be gone again.
        self.check(bus, service)
    }
}

/// A place among those who wait for the end of an unload, given back when dropped.
struct Queued {
    bus: Weak<Bus>,
    service: ServiceId,
    caller: Party,
    unload: u64,
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            let mut registry = bus.registry();
            registry
                .on_demand
                .leave(self.service, self.caller, self.unload);
        }
    }
}

/// A place among those who wait, given back when dropped.
struct Waiting {
    bus: Weak<Bus>,
    caller: Party,
}

impl Waiting {
    fn begin(bus: &Arc<Bus>, caller: Party) -> Result<Self, GetServiceError> {
        bus.registry().on_demand.wait(caller)?;
        let bus = Arc::downgrade(bus);
        Ok(Self { bus, caller })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.registry().on_demand.wait_no_longer(self.caller);
        }
    }
}
