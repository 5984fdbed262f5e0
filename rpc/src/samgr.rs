//! The system ability manager of a process: its services, who asks for them from elsewhere, and who waits for them here.

mod watch;

pub(crate) use watch::Watches;
pub use watch::{ServiceEvent, ServiceWatch};

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use proto::{ServiceId, openharmony::samgr as code};

use crate::{
    Parcel,
    bus::Bus,
    call::{CallOption, Caller},
    error::{AddServiceError, GetServiceError, HandlerError, RemoveServiceError, SendRequestError},
    limits,
    peer::Peer,
    registry::ServiceOptions,
    remote::{Execution, LocalObject, RemoteObject, RemoteStub, StubOptions},
};

/// What a look-up answers on the wire, before the object.
mod answer {
    pub(super) const FOUND: i32 = 0;
    pub(super) const ABSENT: i32 = 1;
    pub(super) const NOT_DISTRIBUTED: i32 = 2;
    pub(super) const REFUSED: i32 = 3;
}

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

impl Peer {
    /// Asks the peer's system ability manager for a service.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn get_service(
        &self,
        service: ServiceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        self.look_up(code::GET_SYSTEM_ABILITY, service, wait).await
    }

    /// As [`get_service`](Self::get_service), without waiting for a service that would be started on demand.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn check_service(
        &self,
        service: ServiceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        self.look_up(code::CHECK_SYSTEM_ABILITY, service, wait)
            .await
    }

    /// The services of the peer that this device may call.
    ///
    /// # Errors
    /// [`SendRequestError`].
    pub async fn callable_services(
        &self,
        wait: Duration,
    ) -> Result<Vec<ServiceId>, SendRequestError> {
        let option = CallOption::two_way().wait(wait);
        let mut reply = self
            .root()
            .send_request(code::LIST_CALLABLE, &Parcel::new(), option)
            .await?;
        let ids = reply
            .read_u32_vec()
            .map_err(|_| SendRequestError::MalformedReply)?;
        Ok(ids.into_iter().filter_map(ServiceId::new).collect())
    }

    async fn look_up(
        &self,
        code: u32,
        service: ServiceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        let malformed = |_| GetServiceError::Call(SendRequestError::MalformedReply);
        let mut data = Parcel::new();
        data.write_u32(service.get()).map_err(|error| {
            GetServiceError::Call(SendRequestError::Internal(error.to_string()))
        })?;
        let option = CallOption::two_way().wait(wait);
        let reply = self.root().send_request(code, &data, option).await;
        let mut reply = reply.map_err(|error| match error {
            SendRequestError::TimedOut { after } => GetServiceError::TimedOut { after },
            SendRequestError::Busy { .. } => GetServiceError::Busy,
            SendRequestError::Refused => GetServiceError::Refused,
            SendRequestError::DeadObject { reason } => {
                GetServiceError::Unreachable(reason.to_string())
            }
            SendRequestError::Indeterminate => {
                GetServiceError::Unreachable("connection lost".to_owned())
            }
            other => GetServiceError::Call(other),
        })?;
        match reply.read_i32().map_err(malformed)? {
            answer::FOUND => reply.read_remote_object().map_err(malformed),
            answer::ABSENT => Err(GetServiceError::Absent),
            answer::NOT_DISTRIBUTED => Err(GetServiceError::NotDistributed),
            _ => Err(GetServiceError::Refused),
        }
    }
}

/// What other devices may ask of this process's system ability manager: get, check and load, and which services they
/// may call. Everything else is refused.
pub(crate) struct SamgrStub {
    bus: Weak<Bus>,
}

impl SamgrStub {
    pub(crate) fn new(bus: Weak<Bus>) -> Self {
        Self { bus }
    }
}

#[async_trait]
impl RemoteStub for SamgrStub {
    fn descriptor(&self) -> &str {
        "ohos.samgr.accessToken"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Inline).queue(limits::MAX_SERVICES)
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let bus = self.bus.upgrade().ok_or(HandlerError::Refused)?;
        match code {
            code::GET_SYSTEM_ABILITY | code::CHECK_SYSTEM_ABILITY | code::LOAD_SYSTEM_ABILITY => {
                let id = data.read_u32()?;
                let found = match ServiceId::new(id) {
                    Some(service) => bus.registry().get_remote(service, caller.device()).cloned(),
                    None => Err(GetServiceError::Refused),
                };
                match found {
                    Ok(object) => {
                        reply.write_i32(answer::FOUND)?;
                        reply.write_remote_object(&RemoteObject::from_local(object))?;
                    }
                    Err(error) => {
                        tracing::info!(device = ?caller.device(), service = id, %error, "look-up");
                        reply.write_i32(match error {
                            GetServiceError::Absent => answer::ABSENT,
                            GetServiceError::NotDistributed => answer::NOT_DISTRIBUTED,
                            _ => answer::REFUSED,
                        })?;
                    }
                }
                Ok(())
            }
            code::LIST_CALLABLE => {
                let ids = bus.registry().list_remote(caller.device());
                let ids: Vec<u32> = ids.into_iter().map(ServiceId::get).collect();
                reply.write_u32_vec(&ids)?;
                Ok(())
            }
            code::ADD_SYSTEM_ABILITY
            | code::REMOVE_SYSTEM_ABILITY
            | code::LIST_SYSTEM_ABILITY
            | code::SUBSCRIBE_SYSTEM_ABILITY => Err(HandlerError::Refused),
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}
