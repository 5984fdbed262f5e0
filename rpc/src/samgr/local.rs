//! The services of this process, as its own code sees them.

use std::{sync::Arc, time::Duration};

use proto::ServiceId;

use super::{
    ServiceState, ServiceWatch, WatchPlace,
    asker::Asker,
    loading,
    on_demand::Offer,
    starter::{OnDemandOptions, ServiceStarter},
};
use crate::{
    bus::Bus,
    error::{
        AddServiceError, GetServiceError, RemoveServiceError, UnloadServiceError, WatchServiceError,
    },
    limits,
    registry::{Removed, ServiceOptions, own_user},
    remote::{RemoteObject, StubStats},
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

    /// Registers a stub of this process under an id. What stood there before, or was to be started on demand, is
    /// removed: its proxies die, and who watches the id is told of both.
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
        self.bus
            .access
            .may_register(service, own_user(), &options)?;
        local.stub.set_home(self.bus.party());
        let (before, change) = {
            let mut registry = self.bus.registry();
            let before = registry.add(service, Arc::clone(&local.stub), options)?;
            (before, registry.change(service))
        };
        self.bus.watches.changed(change);
        self.end(&before, &Ok(()));
        tracing::info!(%service, "service added");
        Ok(())
    }

    /// Offers a service that is started when somebody gets, loads or waits for it, and unloaded when this process says
    /// so ([`unload`](Self::unload)). What stood under the id before is removed. Nobody is told of a service that could
    /// be started: for watchers it is added when it is.
    ///
    /// Whoever asks while a start is under way joins it. One that fails, panics or takes too long is told to those who
    /// wait, and the next who asks starts it again: at most [`limits::RESTARTS`] times within
    /// [`limits::RESTART_TIME`]. A stub that is revoked is registered no more, and started again like that too.
    ///
    /// # Errors
    /// [`AddServiceError`].
    pub fn add_on_demand(
        &self,
        service: ServiceId,
        starter: impl ServiceStarter,
        options: impl Into<OnDemandOptions>,
    ) -> Result<(), AddServiceError> {
        let offer = Arc::new(Offer {
            starter: Box::new(starter),
            options: options.into(),
            runtime: self.bus.runtime().ok_or(AddServiceError::NoRuntime)?,
        });
        let access = &self.bus.access;
        access.may_register(service, own_user(), offer.service_options())?;
        let (before, change) = {
            let mut registry = self.bus.registry();
            let before = registry.add_on_demand(service, Arc::clone(&offer))?;
            (before, registry.change(service))
        };
        self.bus.watches.changed(change);
        self.end(&before, &Err(GetServiceError::Absent));
        tracing::info!(%service, "service offered on demand");
        Ok(())
    }

    /// Removes a service, also one that is started on demand: its proxies die with reason *service removed*, and who
    /// waits for a start of it is told that it is absent.
    ///
    /// # Errors
    /// [`RemoveServiceError`].
    pub fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError> {
        let (removed, change) = {
            let mut registry = self.bus.registry();
            let removed = registry.remove(service)?;
            (removed, registry.change(service))
        };
        self.bus.watches.changed(change);
        self.end(&removed, &Err(GetServiceError::Absent));
        tracing::info!(%service, "service removed");
        Ok(())
    }

    /// What stood under an id is gone; those who wait for it have this.
    fn end(&self, removed: &Removed, instead: &Result<(), GetServiceError>) {
        removed.end(&self.bus, instead);
    }

    /// What the stub behind a service of this process has done and what waits for it; `None` if there is no such service.
    /// Only for this process: no other can ask.
    pub fn stats(&self, service: ServiceId) -> Option<StubStats> {
        let found = self.ours().check(&self.bus, service).ok()?;
        Some(found.stub()?.gate.stats())
    }

    /// One look at the services of this process; nothing is started.
    pub fn check(&self, service: ServiceId) -> Option<RemoteObject> {
        let found = self.ours().check(&self.bus, service).ok()?;
        Some(found.object_for_us())
    }

    /// Gets a service, starting one that is started on demand. With `wait` that takes at most so long; an absent
    /// service is an error at once.
    ///
    /// OpenHarmony's samgr proxy asks 7 times, 200 ms apart; here the end of the start is waited for.
    ///
    /// # Errors
    /// [`GetServiceError`]: absent, not started, timed out, or too many wait already.
    pub async fn get(
        &self,
        service: ServiceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let get = self.ours().get(&self.bus, service);
        let found = within(wait, get).await?;
        Ok(found.object_for_us())
    }

    /// As [`get`](Self::get), with OpenHarmony's wait for a load: [`limits::LOAD_TIME`].
    ///
    /// # Errors
    /// Those of `get`, for OpenHarmony's callbacks: [`Absent`](GetServiceError::Absent) is its 1002,
    /// [`TooManyLoads`](GetServiceError::TooManyLoads) its 1004 and 1013, [`TimedOut`](GetServiceError::TimedOut) its
    /// 999. Its 1001, a bad id, is no [`ServiceId`].
    pub async fn load(&self, service: ServiceId) -> Result<RemoteObject, GetServiceError> {
        self.get(service, limits::LOAD_TIME).await
    }

    /// Gets a service as soon as it is there, and starts one that is started on demand.
    ///
    /// # Errors
    /// [`GetServiceError`]: it was not there in time, not started, or too many wait already.
    pub async fn wait_for(
        &self,
        service: ServiceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let wait_for = self.ours().wait_for(&self.bus, service);
        let found = within(wait, wait_for).await?;
        Ok(found.object_for_us())
    }

    /// Unloads a service that is started on demand: its starter is told to stop it, then it is unregistered and its
    /// proxies die. Who gets it meanwhile waits, and it is started again afterwards. Returns when it is unloaded, at the
    /// latest after [`limits::UNLOAD_TIME`].
    ///
    /// Only the process that offers a service can unload it (OpenHarmony's 1005 is what others are told); a request of
    /// another device is refused.
    ///
    /// # Errors
    /// [`UnloadServiceError`].
    pub async fn unload(&self, service: ServiceId) -> Result<(), UnloadServiceError> {
        loading::unload(&self.bus, service).await
    }

    /// As [`unload`](Self::unload), in a while, at most [`limits::MAX_UNLOAD_DELAY`], unless somebody gets or loads it
    /// before. Called again, it counts from then on. Does not wait.
    ///
    /// # Errors
    /// [`UnloadServiceError`].
    pub fn unload_after(
        &self,
        service: ServiceId,
        delay: Duration,
    ) -> Result<(), UnloadServiceError> {
        loading::unload_after(&self.bus, service, delay)
    }

    /// Takes [`unload_after`](Self::unload_after) back.
    ///
    /// # Errors
    /// [`UnloadServiceError`], [`TooLate`](UnloadServiceError::TooLate) when it is being unloaded already.
    pub fn cancel_unload(&self, service: ServiceId) -> Result<(), UnloadServiceError> {
        self.bus.registry().on_demand.cancel_unload(service)
    }

    /// Where a service that is started on demand stands; `None` for others.
    pub fn state(&self, service: ServiceId) -> Option<ServiceState> {
        self.bus.registry().on_demand.state(service)
    }

    /// What the host of the bus is told of a service that this process has registered: the registered stub itself, and how.
    pub(super) fn registered(&self, service: ServiceId) -> Option<(RemoteObject, ServiceOptions)> {
        let standing = self.ours().check(&self.bus, service).ok()?;
        let object = standing.own_object()?;
        Some((
            RemoteObject::from_local(object),
            standing.registration.options(),
        ))
    }

    /// The ids of all services of this process, ascending, those that are started on demand among them.
    pub fn list(&self) -> Vec<ServiceId> {
        self.bus.registry().list()
    }

    /// Watches an id: when a service is there already, that is the first event. Watching an id twice is harmless.
    ///
    /// # Errors
    /// [`WatchServiceError`]: there are [`limits::WATCHES`] already.
    pub fn watch(&self, service: ServiceId) -> Result<ServiceWatch, WatchServiceError> {
        // Under the registry's lock, so that no change falls between the look and the watch.
        let registry = self.bus.registry();
        self.bus.watches.watch(registry.last_change(service))
    }

    /// A place for a watch of another device's service, which counts like those of this process.
    ///
    /// # Errors
    /// [`WatchServiceError`]: there are [`limits::WATCHES`] already.
    pub fn watch_place(&self) -> Result<WatchPlace, WatchServiceError> {
        self.bus.watches.places().take()
    }

    /// As [`watch`](Self::watch), for who has a [`watch_place`](Self::watch_place) already.
    pub fn watch_without_place(&self, service: ServiceId) -> ServiceWatch {
        let registry = self.bus.registry();
        let change = registry.last_change(service);
        self.bus.watches.watch_uncounted(change)
    }

    pub(super) fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    fn ours(&self) -> Asker {
        Asker::Ours(self.bus.party())
    }
}

async fn within<T>(
    wait: Duration,
    work: impl Future<Output = Result<T, GetServiceError>>,
) -> Result<T, GetServiceError> {
    let ended = tokio::time::timeout(wait, work).await;
    ended.unwrap_or(Err(GetServiceError::TimedOut { after: wait }))
}
