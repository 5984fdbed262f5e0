//! The three things a reference may not do; each refusal has an error of its own.

use std::time::Instant;

use softbus::{
    CallOption, Parcel, RemoteObject, SendRequestError,
    rpc::{LinkToDeathError, parcel::PassObjectError},
};

use super::Steps;
use crate::{
    order::{Done, Failure, OrFail, Outcome, refused},
    services::{STORE, store},
};

impl Steps {
    /// An object of the tablet that is not registered: whoever holds it was given it.
    async fn open(&self) -> Result<RemoteObject, Failure> {
        let service = self.get(STORE, "tablet").await?;
        let reply = service
            .send_request(store::OPEN, &Parcel::new(), CallOption::two_way())
            .await;
        let object = reply.or_fail("a reply")?.read_remote_object();
        object.or_fail("an object in the reply")
    }

    /// Passes an object to a device.
    async fn pass(&self, object: &RemoteObject, to: &str) -> Result<(), SendRequestError> {
        let internal = |text: String| SendRequestError::Internal(text);
        let service = self
            .get(STORE, to)
            .await
            .map_err(|failure| internal(failure.came))?;
        let mut data = Parcel::new();
        data.write_remote_object(object)
            .map_err(|error| internal(error.to_string()))?;
        data.write_i32(0)
            .map_err(|error| internal(error.to_string()))?;
        service
            .send_request(store::CALL_BACK, &data, CallOption::two_way())
            .await
            .map(drop)
    }

    pub(super) async fn back_to_origin(&self) -> Outcome {
        let object = self.open().await?;
        let began = Instant::now();
        let reason = PassObjectError::BackToOrigin;
        let error = SendRequestError::Pass { index: 0, reason };
        refused(
            "passing a proxy to its own device",
            self.pass(&object, "tablet").await,
            &error,
        )?;
        Ok(Done::new(
            began.elapsed(),
            format!("a proxy passed to the device of its stub: {error}"),
        ))
    }

    pub(super) async fn third_party(&self) -> Outcome {
        let object = self.open().await?;
        let began = Instant::now();
        let reason = PassObjectError::NotReExportable;
        let error = SendRequestError::Pass { index: 0, reason };
        refused(
            "passing a proxy to a third device",
            self.pass(&object, "tv").await,
            &error,
        )?;
        Ok(Done::new(
            began.elapsed(),
            format!("an object that the tablet gave to us alone, passed to the tv: {error}"),
        ))
    }

    pub(super) async fn anonymous_death(&self) -> Outcome {
        let object = self.open().await?;
        let began = Instant::now();
        let error = LinkToDeathError::AnonymousStub;
        refused(
            "watching an anonymous stub",
            object.link_to_death(|_| {}),
            &error,
        )?;
        let took = began.elapsed();
        object
            .ping(CallOption::two_way())
            .await
            .or_fail("the object to be of use all the same")?;
        Ok(Done::new(
            took,
            format!("link_to_death on a stub that is no service: {error}; it can be called"),
        ))
    }
}
