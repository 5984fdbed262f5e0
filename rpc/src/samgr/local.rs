//! The services of this process, as its own code sees them.

use std::sync::Arc;

use proto::ServiceId;

use super::ServiceWatch;
use crate::{
    bus::Bus,
    error::{AddServiceError, RemoveServiceError},
    registry::ServiceOptions,
    remote::{LocalObject, RemoteObject, StubStats},
};

/// The services of this process.
#[derive(Clone, Debug)]
pub struct LocalAbilityManager {
    bus: Arc<Bus>,
}

impl LocalAbilityManager {
    pub(crate) fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    /// Registers a stub of this process under an id. What stood there before is removed: its proxies die, and who
    /// watches the id is told of both.
    ///
    /// # Errors
    /// [`AddServiceError`].
    pub fn add(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError> {
        let local = object.local().ok_or(AddServiceError::NotOurs)?;
        local.stub.set_home(self.bus.party());
        let (before, number) = {
            let mut registry = self.bus.registry();
            let before = registry.add(service, Arc::clone(&local.stub), options)?;
            (before, registry.registration_number(service))
        };
        if let Some(before) = before {
            self.bus.kill_registration(service, &before);
        }
        self.bus.watches.changed(service, number);
        tracing::info!(%service, "service added");
        Ok(())
    }

    /// Removes a service: its proxies die with reason *service removed*.
    ///
    /// # Errors
    /// [`RemoveServiceError`].
    pub fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError> {
        let removed = self.bus.registry().remove(service)?;
        self.bus.watches.changed(service, None);
        self.bus.kill_registration(service, &removed);
        tracing::info!(%service, "service removed");
        Ok(())
    }

    /// One look at the services of this process.
    pub fn check(&self, service: ServiceId) -> Option<RemoteObject> {
        let found = self.bus.registry().get(service).cloned()?;
        Some(RemoteObject::from_local(LocalObject::anonymous(found.stub)))
    }

    /// What the stub behind a service has done and what waits for it; `None` if there is no such service. Only for this
    /// process: no other can ask.
    pub fn stats(&self, service: ServiceId) -> Option<StubStats> {
        let found = self.bus.registry().get(service).cloned()?;
        Some(found.stub.gate.stats())
    }

    /// The ids of all services of this process, ascending.
    pub fn list(&self) -> Vec<ServiceId> {
        self.bus.registry().list()
    }

    /// Watches an id: when a service is there already, that is the first event.
    pub fn watch(&self, service: ServiceId) -> ServiceWatch {
        // Under the registry's lock, so that no change falls between the look and the watch.
        let registry = self.bus.registry();
        self.bus
            .watches
            .watch(service, registry.registration_number(service))
    }
}
