//! Asking the system ability manager of another device.

use std::time::Duration;

use proto::{ServiceId, openharmony::samgr as code};

use super::{answer, guests};
use crate::{
    Parcel,
    call::CallOption,
    error::{GetServiceError, SendRequestError},
    parcel::ReadParcelError,
    peer::Peer,
    remote::RemoteObject,
    telemetry::refusals,
};

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

    /// Starts a service of the peer that is started on demand, and gets it; one that is there is got at once. What the
    /// wait ends here does not end the start there.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn load_service(
        &self,
        service: ServiceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        self.look_up(code::LOAD_SYSTEM_ABILITY, service, wait).await
    }

    /// Gets a service of the peer as soon as it is there for this device: a get that the peer answers then. Whether it is
    /// absent meanwhile, or not for this device, the peer does not say.
    ///
    /// # Errors
    /// [`GetServiceError`], [`TimedOut`](GetServiceError::TimedOut) when it was not there in time.
    pub async fn wait_for_service(
        &self,
        service: ServiceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError> {
        self.look_up(code::WAIT_FOR_SYSTEM_ABILITY, service, wait)
            .await
    }

    /// The services of the peer that this device may call.
    ///
    /// # Errors
    /// [`GetServiceError`].
    pub async fn callable_services(
        &self,
        wait: Duration,
    ) -> Result<Vec<ServiceId>, GetServiceError> {
        let option = CallOption::two_way().wait(wait);
        let mut reply = self
            .root()
            .send_request(code::LIST_CALLABLE, &Parcel::new(), option)
            .await
            .map_err(failure)?;
        let ids = reply
            .read_u32_vec()
            .map_err(|_| GetServiceError::Call(SendRequestError::MalformedReply))?;
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
        let mut reply = reply.map_err(failure)?;
        match reply.read_i32().map_err(malformed)? {
            answer::FOUND => {
                let found = reply.read_remote_object().map_err(|error| match error {
                    ReadParcelError::Introduction(reason) => guests::not_introduced(&reason),
                    error => malformed(error),
                })?;
                // A registration of ours that we have ended, which who was asked had not heard of yet.
                let ended = found.local().is_some_and(|own| own.death().is_some());
                (!ended).then_some(found).ok_or(GetServiceError::Absent)
            }
            refusal => {
                let error = read_refusal(refusal, &mut reply).unwrap_or_else(malformed);
                refusals::look_up_at_caller(&self.shared, service, &error);
                Err(error)
            }
        }
    }
}

fn read_refusal(refusal: i32, reply: &mut Parcel) -> Result<GetServiceError, ReadParcelError> {
    Ok(match refusal {
        answer::ABSENT => GetServiceError::Absent,
        answer::NOT_DISTRIBUTED => GetServiceError::NotDistributed,
        answer::START_FAILED => {
            GetServiceError::StartFailed("the device does not say why".to_owned())
        }
        answer::START_TIMED_OUT => GetServiceError::TimedOut {
            after: Duration::from_millis(reply.read_u32()?.into()),
        },
        answer::TOO_MANY_LOADS => GetServiceError::TooManyLoads {
            limit: reply.read_u32()? as usize,
            value: reply.read_u32()? as usize,
        },
        answer::TOO_MANY_RESTARTS => GetServiceError::TooManyRestarts {
            limit: reply.read_u32()? as usize,
            retry_after: Duration::from_millis(reply.read_u32()?.into()),
        },
        answer::LEAVING => leaving(),
        _ => GetServiceError::Refused,
    })
}

fn leaving() -> GetServiceError {
    GetServiceError::Unreachable("shutting down".to_owned())
}

/// Why a look-up was not answered, from why its call was not.
pub fn failure(error: SendRequestError) -> GetServiceError {
    match error {
        SendRequestError::TimedOut { after } => GetServiceError::TimedOut { after },
        SendRequestError::Busy { .. } => GetServiceError::Busy,
        SendRequestError::Refused => GetServiceError::Refused,
        SendRequestError::ShuttingDown => leaving(),
        SendRequestError::DeadObject { reason } => GetServiceError::Unreachable(reason.to_string()),
        SendRequestError::Indeterminate => {
            GetServiceError::Unreachable("connection lost".to_owned())
        }
        // It was found, and had ended with its process when it was to be handed over: who was asked had not heard of that yet.
        SendRequestError::ReplyPassRefused => GetServiceError::Absent,
        other => GetServiceError::Call(other),
    }
}
