//! What other devices, and other processes of this one, may ask of this one's system ability manager.

use std::{sync::Weak, time::Duration};

use async_trait::async_trait;
use proto::{DeviceId, ServiceId, openharmony::samgr as code};

use super::{
    answer,
    asker::Asker,
    guests,
    wire::{self, Add},
};
use crate::{
    Parcel,
    access::Denied,
    bus::Bus,
    call::Caller,
    error::{GetServiceError, HandlerError},
    parcel::{ReadParcelError, WriteParcelError},
    remote::{Execution, RemoteStub, StubOptions},
    telemetry::refusals,
};

/// What other devices may ask of this process's system ability manager: get, check and load, and which services they
/// may call. Processes of this device may also register services with the one that hosts the bus. Everything else is refused.
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
        // Who waits holds a place here, and one device must not take those of others: each session has a limit of its
        // own, and so have the waits of a caller.
        let options = StubOptions::execution(Execution::Inline).queue(usize::MAX);
        // It waits for services: that is what it is for.
        options.long_poll()
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let bus = self.bus.upgrade().ok_or(HandlerError::Refused)?;
        let asker = match caller.is_local() {
            true => Asker::Process(caller.party()),
            false => Asker::Remote(caller.party()),
        };
        let mut wanted = None;
        let mut id = |data| Ok::<_, HandlerError>(*wanted.insert(read_id(data)?));
        let found = match code {
            code::GET_SYSTEM_ABILITY | code::LOAD_SYSTEM_ABILITY => {
                asker.get(&bus, id(data)?).await
            }
            code::CHECK_SYSTEM_ABILITY => asker.check(&bus, id(data)?),
            code::WAIT_FOR_SYSTEM_ABILITY => asker.wait_for(&bus, id(data)?).await,
            code::ADD_SYSTEM_ABILITY => {
                guests::hosts(&bus, caller)?;
                let Add {
                    service,
                    object,
                    options,
                } = wire::read_add(data)?;
                let added = guests::add(&bus, caller, service, options, &object);
                return Ok(wire::write_added(reply, &added)?);
            }
            code::REGISTRATION_ENDED => return guests::ended(&bus, caller, data),
            code::HOST_DESK => {
                guests::hosts(&bus, caller)?;
                let desk = bus.desk().ok_or(HandlerError::Refused)?;
                return Ok(reply.write_remote_object(desk)?);
            }
            code::LIST_CALLABLE => {
                let ids = match asker {
                    Asker::Remote(party) => callable(&bus, party.device),
                    Asker::Process(_) | Asker::Ours(_) => {
                        let all = bus.registry().list();
                        all.into_iter().map(ServiceId::get).collect()
                    }
                };
                return Ok(reply.write_u32_vec(&ids)?);
            }
            // OpenHarmony's others: add, remove, list, subscribe, unload and so on.
            ..=code::LAST_CODE => return Err(HandlerError::Refused),
            _ => return Err(HandlerError::UnknownMethod),
        };
        match found {
            Ok(standing) => {
                reply.write_i32(answer::FOUND)?;
                let object = match caller.is_local() {
                    true => standing.object(),
                    false => standing.object_for_devices(),
                };
                reply.write_remote_object(&object)?;
            }
            Err(error) => {
                if let (GetServiceError::Refused, Some(service)) = (&error, wanted) {
                    tell_hidden(&bus, caller.device(), service);
                }
                refusals::look_up_at_callee(&bus, caller.device(), code, &error);
                write_refusal(&error, reply)?;
            }
        }
        Ok(())
    }
}

/// Tells the owner's log of a device that was not told of a service.
pub(super) fn tell_hidden(bus: &Bus, device: DeviceId, service: ServiceId) {
    let hidden = bus.registry().hidden(service);
    bus.access.refused(device, service, Denied::LookUp(hidden));
}

/// The services that a device may call.
fn callable(bus: &Bus, device: DeviceId) -> Vec<u32> {
    let mut ids = bus.registry().list();
    ids.retain(|service| {
        let ruled = bus.access.permission(device, *service);
        let found = bus.registry().get_remote(*service, device, ruled.as_ref());
        found.is_ok()
    });
    ids.into_iter().map(ServiceId::get).collect()
}

fn read_id(data: &mut Parcel) -> Result<ServiceId, HandlerError> {
    let invalid = ReadParcelError::InvalidValue("service id");
    ServiceId::new(data.read_u32()?).ok_or_else(|| invalid.into())
}

fn write_refusal(error: &GetServiceError, reply: &mut Parcel) -> Result<(), WriteParcelError> {
    let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    match error {
        GetServiceError::Absent => reply.write_i32(answer::ABSENT),
        GetServiceError::NotDistributed => reply.write_i32(answer::NOT_DISTRIBUTED),
        // Why is for the owner to know.
        GetServiceError::StartFailed(_) => reply.write_i32(answer::START_FAILED),
        GetServiceError::TimedOut { after } => {
            reply.write_i32(answer::START_TIMED_OUT)?;
            reply.write_u32(millis(*after))
        }
        GetServiceError::TooManyLoads { limit, value } => {
            reply.write_i32(answer::TOO_MANY_LOADS)?;
            reply.write_u32(*limit as u32)?;
            reply.write_u32(*value as u32)
        }
        GetServiceError::TooManyRestarts { limit, retry_after } => {
            reply.write_i32(answer::TOO_MANY_RESTARTS)?;
            reply.write_u32(*limit as u32)?;
            reply.write_u32(millis(*retry_after))
        }
        GetServiceError::Unreachable(_) => reply.write_i32(answer::LEAVING),
        _ => reply.write_i32(answer::REFUSED),
    }
}
