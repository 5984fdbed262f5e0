//! What other devices may ask of this one's system ability manager.

use std::sync::Weak;

use async_trait::async_trait;
use proto::{ServiceId, openharmony::samgr as code};

use super::answer;
use crate::{
    Parcel,
    bus::Bus,
    call::Caller,
    error::{GetServiceError, HandlerError},
    limits,
    remote::{Execution, RemoteObject, RemoteStub, StubOptions},
};

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
