//! What generated code calls. Not for people: it changes without notice.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

pub use std::{
    borrow::Cow,
    string::String,
    sync::{Arc, LazyLock},
    vec::Vec,
};

pub use async_trait::async_trait;
pub use bytes::Bytes;

pub use super::{CallError, Proxy};
use crate::remote::Transact;
pub use crate::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    StubOptions,
    describe::{Description, MethodDescription},
    dispatch::blocking,
    interface::{Interface, MethodHash, method_hash},
    parcel::{Marshal, Parcelable, ReadParcelError, WriteParcelError, type_text},
};

/// A call while its arguments are written.
pub struct Request<'a> {
    call: Transact<'a>,
    /// An error ends the writing, not the chain of calls that writes.
    failed: Option<WriteParcelError>,
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
        if asked.is_long_poll() {
            option = option.long_poll();
        }
        let mut data = Parcel::new();
        data.raise_to_transport_limit();
        let interface = Some(P::interface());
        Self {
            call: Transact::new(proxy.as_object(), code, interface, Cow::Owned(data), option),
            failed: None,
        }
    }

    /// The method may be repeated.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        let option = self.call.option_mut();
        *option = option.idempotent();
        self
    }

    /// How long the method takes, unless the user of the proxy has said so.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        let option = self.call.option_mut();
        if option.wait_time().is_none() {
            *option = option.wait(wait);
        }
        self
    }

    /// The next argument.
    #[must_use]
    #[inline]
    pub fn arg<T: Marshal + ?Sized>(mut self, value: &T) -> Self {
        if self.failed.is_none() {
            self.failed = value.marshal(self.call.data_mut()).err();
        }
        self
    }

    /// Sends, and reads the answer.
    #[inline]
    pub fn call<T: Parcelable>(self) -> Answer<'a, T> {
        Answer {
            request: self,
            read: |reply| T::unmarshal(reply),
        }
    }

    /// Sends.
    #[inline]
    pub fn send(self) -> Answer<'a, ()> {
        Answer {
            request: self,
            read: |_| Ok(()),
        }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// A request and then its answer. A future by hand for the reason that `Transact` is one.
#[derive(Debug)]
pub struct Answer<'a, T> {
    request: Request<'a>,
    read: fn(&mut Parcel) -> Result<T, ReadParcelError>,
}

impl<T> Future for Answer<'_, T> {
    type Output = Result<T, SendRequestError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let request = &mut self.request;
        if let Some(error) = request.failed.take() {
            return Poll::Ready(Err(match error {
                WriteParcelError::CapacityExceeded { limit, size } => {
                    SendRequestError::RequestTooLarge { size, limit }
                }
                error => SendRequestError::Arguments(error),
            }));
        }
        let mut reply = ready!(Pin::new(&mut request.call).poll(cx))?;
        Poll::Ready((self.read)(&mut reply).map_err(|error| match error {
            ReadParcelError::BrokenObject => SendRequestError::ReplyPassRefused,
            ReadParcelError::Introduction(reason) => SendRequestError::ReplyIntroduction(reason),
            _ => SendRequestError::MalformedReply,
        }))
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
