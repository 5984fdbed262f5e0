//! What an interface looks like, so that a client without its source can call it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use proto::DeviceId;

use crate::{
    CallOption, Parcel, RemoteObject,
    error::{HandlerError, SendRequestError},
    parcel::{Parcelable, ReadParcelError, WriteParcelError},
    remote::LocalObject,
};

/// The layout that follows.
const VERSION: u32 = 1;

/// An interface: what a stub answers to [`RemoteObject::describe`].
///
/// Every generated stub has one; it is made when it is asked for the first time.
/// [`dynamic`](crate::dynamic) makes calls of it.
#[derive(Clone, Debug, PartialEq, Eq, Parcelable)]
#[non_exhaustive]
pub struct Description {
    /// What the interface is called, for example `org.example.Echo`.
    pub descriptor: String,
    /// Its methods, in the order of the trait.
    pub methods: Vec<MethodDescription>,
}

/// One method.
#[derive(Clone, Debug, PartialEq, Eq, Parcelable)]
#[non_exhaustive]
pub struct MethodDescription {
    /// Its code, in `1..=0x00ff_ffff`.
    pub code: u32,
    /// Its name in the trait.
    pub name: String,
    /// What it takes, in order.
    pub arguments: Vec<ArgumentDescription>,
    /// The type it returns, with the definitions of all types in it, as
    /// [`Parcelable::type_name`] has it. That of a method that may fail is a `Result<T, E>`.
    pub result: String,
    /// Whether nothing comes back.
    pub one_way: bool,
    /// Whether running it twice does no harm.
    pub idempotent: bool,
    /// How long a call may take, where the interface says so.
    pub wait: Option<Duration>,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq, Parcelable)]
#[non_exhaustive]
pub struct ArgumentDescription {
    /// Its name in the trait.
    pub name: String,
    /// Its type, with the definitions of all types in it.
    pub type_name: String,
}

impl Description {
    /// An interface without methods.
    pub fn new(descriptor: impl Into<String>) -> Self {
        Self {
            descriptor: descriptor.into(),
            methods: Vec::new(),
        }
    }

    /// Adds a method.
    #[must_use]
    pub fn method(mut self, method: MethodDescription) -> Self {
        self.methods.push(method);
        self
    }

    pub(crate) fn write(&self, reply: &mut Parcel) -> Result<(), WriteParcelError> {
        reply.raise_to_transport_limit();
        reply.write_u32(VERSION)?;
        reply.write(self)
    }

    fn read(reply: &mut Parcel) -> Result<Self, ReadParcelError> {
        match reply.read_u32()? {
            VERSION => reply.read(),
            _ => Err(ReadParcelError::InvalidValue("version of a description")),
        }
    }
}

impl MethodDescription {
    /// A two-way method that takes and returns nothing.
    pub fn new(code: u32, name: impl Into<String>) -> Self {
        Self {
            code,
            name: name.into(),
            arguments: Vec::new(),
            result: "()".to_owned(),
            one_way: false,
            idempotent: false,
            wait: None,
        }
    }

    /// Adds an argument of type `T`.
    #[must_use]
    pub fn argument<T: Parcelable>(mut self, name: impl Into<String>) -> Self {
        self.arguments.push(ArgumentDescription {
            name: name.into(),
            type_name: T::type_name().into_owned(),
        });
        self
    }

    /// It returns a `T`.
    #[must_use]
    pub fn returns<T: Parcelable>(mut self) -> Self {
        self.result = T::type_name().into_owned();
        self
    }

    /// Nothing comes back.
    #[must_use]
    pub fn one_way(mut self) -> Self {
        self.one_way = true;
        self
    }

    /// Running it twice does no harm.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// How long a call may take.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }
}

/// Why there is no description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The stub was written by hand, and describes nothing, or is of a version that cannot. Call it by codes.
    #[error("interface is not described")]
    NotDescribed,
    /// Asking failed. [`Refused`](SendRequestError::Refused): the service lets this device call, but not look.
    #[error(transparent)]
    Call(#[from] SendRequestError),
}

impl RemoteObject {
    /// Asks the stub what its interface looks like.
    ///
    /// # Errors
    /// [`DescribeError`].
    pub async fn describe(&self, option: CallOption) -> Result<Description, DescribeError> {
        let code = proto::openharmony::code::DESCRIBE_TRANSACTION;
        match self.transact(code, None, &Parcel::new(), option).await {
            Ok(mut reply) => {
                Description::read(&mut reply).map_err(|_| SendRequestError::MalformedReply.into())
            }
            Err(SendRequestError::UnknownMethod { .. }) => Err(DescribeError::NotDescribed),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a stub answers to who asks: another device, or this one.
pub(crate) fn answer(
    target: &LocalObject,
    asker: Option<DeviceId>,
) -> Result<Parcel, HandlerError> {
    let registration = target.registration.as_ref().zip(asker);
    if registration.is_some_and(|(registration, asker)| !registration.describes(asker)) {
        tracing::debug!(device = ?asker, service = ?target.registration(), "not described");
        return Err(HandlerError::Refused);
    }
    let stub = target.stub.stub().ok_or(HandlerError::UnknownMethod)?;
    let described = catch_unwind(AssertUnwindSafe(|| stub.describe()));
    let description = described
        .map_err(|_| {
            HandlerError::Failed("the stub panicked while it described itself".to_owned())
        })?
        .ok_or(HandlerError::UnknownMethod)?;
    let mut reply = Parcel::new();
    description.write(&mut reply)?;
    Ok(reply)
}
