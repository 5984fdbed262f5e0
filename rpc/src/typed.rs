//! Typed interfaces: what `#[remote_interface]` builds on.

#[doc(hidden)]
pub mod support;

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

/// The examples of the macro need this crate, so they are run here.
#[cfg(doctest)]
#[doc = include_str!("../macros/remote_interface.md")]
struct MacroExamples;
