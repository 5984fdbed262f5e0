//! What generated code calls. Not for people: it changes without notice.

use std::time::Duration;

pub use std::{
    borrow::Cow,
    string::String,
    sync::{Arc, LazyLock},
    vec::Vec,
};

pub use async_trait::async_trait;
pub use bytes::Bytes;

pub use super::{CallError, Proxy};
pub use crate::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    StubOptions,
    describe::{Description, MethodDescription},
    dispatch::blocking,
    interface::{Interface, MethodHash, method_hash},
    parcel::{Marshal, Parcelable, ReadParcelError, WriteParcelError, type_text},
};

/// A call while its arguments are written.
#[derive(Debug)]
pub struct Request<'a> {
    object: &'a RemoteObject,
    interface: &'static Interface,
    code: u32,
    option: CallOption,
    /// An error ends the writing, not the chain of calls that writes.
    data: Result<Parcel, WriteParcelError>,
}

impl<'a> Request<'a> {
    /// Calls method `code`. `asked` is what the user of the proxy wants for its calls: how long, not which way.
    pub fn two_way<P: Proxy>(proxy: &'a P, code: u32, asked: CallOption) -> Self {
        Self::new(proxy, code, asked, CallOption::two_way())
    }

    /// As [`two_way`](Self::two_way), without waiting for an answer.
    pub fn one_way<P: Proxy>(proxy: &'a P, code: u32, asked: CallOption) -> Self {
        let option = CallOption::one_way();
        let waits = !asked.is_one_way() || asked.waits_for_credit();
        Self::new(
            proxy,
            code,
            asked,
            if waits { option } else { option.no_wait() },
        )
    }

    fn new<P: Proxy>(proxy: &'a P, code: u32, asked: CallOption, mut option: CallOption) -> Self {
        if let Some(wait) = asked.wait_time() {
            option = option.wait(wait);
        }
        if asked.is_idempotent() {
            option = option.idempotent();
        }
        let mut data = Parcel::new();
        data.raise_to_transport_limit();
        Self {
            object: proxy.as_object(),
            interface: P::interface(),
            code,
            option,
            data: Ok(data),
        }
    }

    /// The method may be repeated.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.option = self.option.idempotent();
        self
    }

    /// How long the method takes, unless the user of the proxy has said so.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        if self.option.wait_time().is_none() {
            self.option = self.option.wait(wait);
        }
        self
    }

    /// The next argument.
    #[must_use]
    pub fn arg<T: Marshal + ?Sized>(mut self, value: &T) -> Self {
        if let Ok(data) = &mut self.data
            && let Err(error) = value.marshal(data)
        {
            self.data = Err(error);
        }
        self
    }

    /// Sends, and reads the answer.
    pub async fn call<T: Parcelable>(self) -> Result<T, SendRequestError> {
        let mut reply = self.transact().await?;
        T::unmarshal(&mut reply).map_err(|error| match error {
            ReadParcelError::BrokenObject => SendRequestError::ReplyPassRefused,
            ReadParcelError::Introduction(reason) => SendRequestError::ReplyIntroduction(reason),
            _ => SendRequestError::MalformedReply,
        })
    }

    /// Sends.
    pub async fn send(self) -> Result<(), SendRequestError> {
        self.transact().await.map(drop)
    }

    async fn transact(self) -> Result<Parcel, SendRequestError> {
        let data = self.data.map_err(|error| match error {
            WriteParcelError::CapacityExceeded { limit, size } => {
                SendRequestError::RequestTooLarge { size, limit }
            }
            error => SendRequestError::Arguments(error),
        })?;
        self.object
            .send_typed(self.interface, self.code, &data, self.option)
            .await
    }
}

/// Reads an argument.
pub fn read<T: Parcelable>(data: &mut Parcel) -> Result<T, HandlerError> {
    Ok(T::unmarshal(data)?)
}

/// Writes a result.
pub fn answer<T: Marshal>(reply: &mut Parcel, result: &T) -> Result<(), HandlerError> {
    reply.raise_to_transport_limit();
    Ok(result.marshal(reply)?)
}

/// Looks into aliases of `Result`.
pub trait Outcome {
    /// The value.
    type Value;
    /// The error.
    type Error;
    /// The `Result` itself.
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl<T, E> Outcome for Result<T, E> {
    type Value = T;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}
