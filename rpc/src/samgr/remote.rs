//! Asking the system ability manager of another device.

use std::time::Duration;

use proto::{ServiceId, openharmony::samgr as code};

use super::answer;
use crate::{
    Parcel,
    call::CallOption,
    error::{GetServiceError, SendRequestError},
    peer::Peer,
    remote::RemoteObject,
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
