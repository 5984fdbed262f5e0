//! Which services a bus offers and to whom: the pure core of its system ability manager.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proto::{DeviceId, ServiceId};

use crate::{
    error::{AddServiceError, GetServiceError, RemoveServiceError},
    limits,
    remote::{LocalObject, Registration, StubCell},
};

/// Which other devices may get and call a service. Every device that a session exists with is trusted; without a rule
/// none of them may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Trusted,
    Devices(Arc<BTreeSet<DeviceId>>),
}

impl Allow {
    /// Every device this one trusts.
    pub const fn trusted() -> Self {
        Self(Rule::Trusted)
    }

    /// These devices.
    pub fn devices(devices: impl IntoIterator<Item = DeviceId>) -> Self {
        Self(Rule::Devices(Arc::new(devices.into_iter().collect())))
    }

    pub(crate) fn admits(&self, device: DeviceId) -> bool {
        match &self.0 {
            Rule::Trusted => true,
            Rule::Devices(devices) => devices.contains(&device),
        }
    }
}

/// How a service is registered: for this device only, unless it is distributed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceOptions {
    allow: Option<Allow>,
}

impl ServiceOptions {
    /// For this device only.
    pub const fn local() -> Self {
        Self { allow: None }
    }

    /// For other devices too: those that `allow` names.
    pub const fn distributed(allow: Allow) -> Self {
        Self { allow: Some(allow) }
    }
}

/// Service id to stub.
#[derive(Debug, Default)]
pub(crate) struct ServiceRegistry {
    services: BTreeMap<ServiceId, LocalObject>,
    /// The last rule for an id: whom it names is told *absent* or *not distributed*, and nobody else is.
    rules: BTreeMap<ServiceId, Allow>,
}

impl ServiceRegistry {
    /// Registers a stub; what stood under the id before is returned.
    pub(crate) fn add(
        &mut self,
        service: ServiceId,
        stub: Arc<StubCell>,
        options: ServiceOptions,
    ) -> Result<Option<LocalObject>, AddServiceError> {
        if stub.death().is_some() {
            return Err(AddServiceError::DeadObject);
        }
        let limit = limits::MAX_SERVICES;
        if !self.services.contains_key(&service) && self.services.len() >= limit {
            return Err(AddServiceError::LimitReached { limit });
        }
        if let Some(allow) = &options.allow
            && (self.rules.len() < limit || self.rules.contains_key(&service))
        {
            self.rules.insert(service, allow.clone());
        }
        static REGISTRATIONS: AtomicU64 = AtomicU64::new(1);
        let number = REGISTRATIONS.fetch_add(1, Ordering::Relaxed);
        let registration = Registration::new(service, number, options.allow);
        let object = LocalObject {
            stub,
            registration: Some(Arc::new(registration)),
        };
        Ok(self.services.insert(service, object))
    }

    pub(crate) fn remove(&mut self, service: ServiceId) -> Result<LocalObject, RemoveServiceError> {
        self.services
            .remove(&service)
            .ok_or(RemoveServiceError::Absent)
    }

    /// Removes every registration of a stub that has died.
    pub(crate) fn remove_stub(&mut self, number: u64) -> Vec<LocalObject> {
        let services = std::mem::take(&mut self.services);
        let (removed, kept) = services
            .into_iter()
            .partition(|(_, object)| object.stub.number() == number);
        self.services = kept;
        BTreeMap::into_values(removed).collect()
    }

    /// For a caller of this device.
    pub(crate) fn get(&self, service: ServiceId) -> Option<&LocalObject> {
        self.services.get(&service)
    }

    /// For a caller of another device. Who no rule names hears one answer, whatever the reason.
    pub(crate) fn get_remote(
        &self,
        service: ServiceId,
        caller: DeviceId,
    ) -> Result<&LocalObject, GetServiceError> {
        let named = self
            .rules
            .get(&service)
            .is_some_and(|rule| rule.admits(caller));
        match self.services.get(&service) {
            Some(object) => match &object.registration {
                Some(registration) if registration.admits(caller) => Ok(object),
                _ if named => Err(GetServiceError::NotDistributed),
                _ => Err(GetServiceError::Refused),
            },
            None if named => Err(GetServiceError::Absent),
            None => Err(GetServiceError::Refused),
        }
    }

    /// The number of the registration that stands under an id.
    pub(crate) fn registration_number(&self, service: ServiceId) -> Option<u64> {
        let registration = self.services.get(&service)?.registration.as_ref()?;
        Some(registration.number)
    }

    pub(crate) fn list(&self) -> Vec<ServiceId> {
        self.services.keys().copied().collect()
    }

    /// What a caller of another device may call.
    pub(crate) fn list_remote(&self, caller: DeviceId) -> Vec<ServiceId> {
        self.services
            .iter()
            .filter(|(_, object)| {
                object
                    .registration
                    .as_ref()
                    .is_some_and(|r| r.admits(caller))
            })
            .map(|(service, _)| *service)
            .collect()
    }
}
