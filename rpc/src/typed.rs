//! Typed interfaces: what `#[remote_interface]` builds on.

use std::{convert::Infallible, fmt};

use crate::{RemoteObject, error::SendRequestError, interface::Interface, parcel::Marshal};

/// The client of an interface: what `#[remote_interface]` makes of a trait `Echo` as `EchoProxy`.
///
/// Whoever hands out objects can hand them out typed:
///
/// ```
/// use softbus_rpc::{RemoteObject, typed::Proxy};
///
/// fn first<P: Proxy>(objects: &[RemoteObject]) -> Option<P> {
///     objects.first().cloned().map(P::from)
/// }
/// ```
///
/// Making a proxy asks nobody: an object with another interface answers the first call
/// [`InterfaceMismatch`](SendRequestError::InterfaceMismatch).
pub trait Proxy:
    From<RemoteObject> + Into<RemoteObject> + Clone + fmt::Debug + Send + Sync + 'static
{
    /// The interface descriptor, for example `org.example.Echo`.
    const DESCRIPTOR: &'static str;

    /// The interface: its descriptor, and codes and hashes of its methods.
    fn interface() -> &'static Interface;

    /// The object that is called.
    fn as_object(&self) -> &RemoteObject;
}

/// Why a typed call has no result: the service's own error `E`, or the bus's.
///
/// With `?`, a [`SendRequestError`] and the error of a method without errors of its own become that of one with.
///
/// ```
/// use softbus_rpc::{CallError, Never, SendRequestError};
///
/// fn plain() -> Result<u32, CallError> {
///     Err(SendRequestError::Refused)?
/// }
///
/// fn with_error() -> Result<u32, CallError<String>> {
///     Ok(plain()? + 1)
/// }
///
/// match with_error() {
///     Ok(_) => unreachable!(),
///     Err(CallError::App(error)) => panic!("the service said {error}"),
///     Err(CallError::Send(error)) => assert_eq!(error, SendRequestError::Refused),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E = Never> {
    /// The service's answer: the call was made, and this is its outcome.
    App(E),
    /// The call was not made, or its outcome is not known; the variants say which.
    Send(SendRequestError),
}

impl<E> CallError<E> {
    /// The service's error, if it is one.
    pub fn app(self) -> Option<E> {
        match self {
            Self::App(error) => Some(error),
            Self::Send(_) => None,
        }
    }

    /// The bus's error, if it is one.
    pub fn send_error(&self) -> Option<&SendRequestError> {
        match self {
            Self::App(_) => None,
            Self::Send(error) => Some(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

/// Stands for the error in it, which can be anything that is readable, a `String` too.
impl<E: fmt::Debug + fmt::Display> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::App(_) => None,
            Self::Send(error) => error.source(),
        }
    }
}

impl<E> From<SendRequestError> for CallError<E> {
    fn from(error: SendRequestError) -> Self {
        Self::Send(error)
    }
}

/// `E` can be sent and [`Never`] cannot, so this is never from a type to itself.
impl<E: Marshal> From<CallError> for CallError<E> {
    fn from(error: CallError) -> Self {
        Self::Send(error.into())
    }
}

impl From<CallError> for SendRequestError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::App(never) => match never {},
            CallError::Send(error) => error,
        }
    }
}

/// The error of a method that has none of its own. There is no value of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl From<Never> for Infallible {
    fn from(never: Never) -> Self {
        match never {}
    }
}

/// What generated code calls. Not for people: it changes without notice.
#[doc(hidden)]
pub mod support {
    use std::time::Duration;

    pub use std::{
        string::String,
        sync::{Arc, LazyLock},
        vec::Vec,
    };

    pub use async_trait::async_trait;
    pub use bytes::Bytes;

    pub use super::{CallError, Proxy};
    pub use crate::{
        CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError, StubOptions,
        dispatch::blocking,
        interface::{Interface, MethodHash, method_hash},
        parcel::{Marshal, Parcelable, ReadParcelError, WriteParcelError},
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
            Self::new(proxy, code, asked, if waits { option } else { option.no_wait() })
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
            Self { object: proxy.as_object(), interface: P::interface(), code, option, data: Ok(data) }
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
            if let Ok(data) = &mut self.data {
                if let Err(error) = value.marshal(data) {
                    self.data = Err(error);
                }
            }
            self
        }

        /// Sends, and reads the answer.
        pub async fn call<T: Parcelable>(self) -> Result<T, SendRequestError> {
            let mut reply = self.transact().await?;
            T::unmarshal(&mut reply).map_err(|error| match error {
                ReadParcelError::BrokenObject => SendRequestError::ReplyPassRefused,
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
            self.object.send_typed(self.interface, self.code, &data, self.option).await
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
}
