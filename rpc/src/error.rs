//! What can go wrong, one type per operation.

use std::time::Duration;

use proto::message::{DeathReason, VersionRange};

use crate::introduction::IntroductionError;
use crate::parcel::{PassObjectError, ReadParcelError, WriteParcelError};

/// Why a request has no reply.
///
/// | what happened | variant |
/// |---|---|
/// | refused by a rule | [`Refused`](Self::Refused), [`Pass`](Self::Pass) |
/// | the object, its process or its device is gone | [`DeadObject`](Self::DeadObject) |
/// | gone while the call was under way | [`Indeterminate`](Self::Indeterminate) |
/// | too late | [`TimedOut`](Self::TimedOut) |
/// | full | [`Busy`](Self::Busy) |
/// | too large | [`RequestTooLarge`](Self::RequestTooLarge), [`ReplyTooLarge`](Self::ReplyTooLarge) |
/// | the service's own answer | [`Service`](Self::Service) |
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendRequestError {
    /// The code is outside `1..=0x00ff_ffff`. Use a code of the interface.
    #[error("code {code:#x} outside 1..=0xffffff")]
    InvalidCode {
        /// The code given.
        code: u32,
    },
    /// The parcel is larger than the transport takes. Send the bulk of it as raw data
    /// ([`Parcel::write_raw_data`](crate::Parcel::write_raw_data), up to 128 MiB), or to another process of this device as
    /// shared memory (`Parcel::write_ashmem`, up to 2 GiB, where nothing is copied).
    #[error("request of {size} bytes, limit {limit}: send raw data, or an Ashmem on one device")]
    RequestTooLarge {
        /// Bytes of body and object table.
        size: usize,
        /// What the transport takes.
        limit: usize,
    },
    /// An argument of a typed call cannot be written to a parcel. Nothing was sent.
    #[error("arguments cannot be written")]
    Arguments(#[source] WriteParcelError),
    /// An object in the parcel may not be passed to this receiver. Nothing was sent.
    #[error("object {index} may not be passed: {reason}")]
    Pass {
        /// Which of the parcel's objects, from 0.
        index: usize,
        /// The rule.
        reason: PassObjectError,
    },
    /// The object is dead and stays dead. Get the service again for a new proxy.
    #[error("dead object: {reason}")]
    DeadObject {
        /// Why it died.
        reason: DeathReason,
    },
    /// No reply within the wait. The handler has been told to stop; the proxy can still be used.
    #[error("timed out after {after:?}")]
    TimedOut {
        /// How long the call was to wait.
        after: Duration,
    },
    /// A queue, a budget, a rate or the number of calls in flight is exhausted. Try again, after the hint if there is
    /// one.
    #[error("busy{}", bound(*limit, *value))]
    Busy {
        /// The bound, if the callee named it.
        limit: Option<u64>,
        /// What there would have been with this call, if the callee named it.
        value: Option<u64>,
        /// When the callee expects to have room.
        retry_after: Option<Duration>,
    },
    /// A rule of the other side does not let this device call the object.
    #[error("refused")]
    Refused,
    /// The object has no method of this code: an older version of the interface, or another one.
    #[error("unknown method {code}")]
    UnknownMethod {
        /// The code.
        code: u32,
    },
    /// The object speaks another interface, or another version of this method.
    #[error("interface mismatch")]
    InterfaceMismatch,
    /// The other side does not know what this proxy points to.
    #[error("unknown object")]
    BadObject,
    /// The reply is larger than the transport takes; the service should send it as raw data, or as an Ashmem on one device.
    #[error("reply too large")]
    ReplyTooLarge,
    /// The service could not read the arguments: the two sides disagree about the method.
    #[error("arguments could not be read")]
    MalformedRequest,
    /// The reply could not be read.
    #[error("reply could not be read")]
    MalformedReply,
    /// The service put an object into its reply that may not be passed to us.
    #[error("reply holds an object that may not be passed")]
    ReplyPassRefused,
    /// The reply of a typed call is an object of a third device, which did not give it to us.
    #[error("reply holds an object of a third device: {0}")]
    ReplyIntroduction(IntroductionError),
    /// The handler panicked. Only this call is affected.
    #[error("handler panicked")]
    Panicked,
    /// Calls that call back are more than 16 deep.
    #[error("call chain too deep, limit {limit}")]
    TooDeep {
        /// The limit.
        limit: u8,
    },
    /// This process is a child that was forked and has not become another program: the sockets it has are its parent's. Start
    /// a program of its own, and have that attach.
    #[error("forked: the bus is the parent's")]
    Forked,
    /// The other side is shutting down and begins nothing new.
    #[error("peer is shutting down")]
    ShuttingDown,
    /// The connection was lost while the call was under way: the handler may have run or not. Ask the service before
    /// repeating what must not happen twice.
    #[error("connection lost, fate of the call unknown")]
    Indeterminate,
    /// The other side ended the call without an answer.
    #[error("cancelled by the other side")]
    Cancelled,
    /// The service's own code, unchanged.
    #[error("service answered code {0}")]
    Service(i32),
    /// The other side failed and says only this.
    #[error("internal error of the other side: {0}")]
    Internal(String),
}

fn bound(limit: Option<u64>, value: Option<u64>) -> String {
    match (limit, value) {
        (Some(limit), Some(value)) => format!(": {value}, limit {limit}"),
        (Some(limit), None) => format!(": limit {limit}"),
        _ => String::new(),
    }
}

/// What a handler may answer instead of a reply. Reading and writing parcels converts into it, so `?` works.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// A code of the service's own; arrives unchanged as [`SendRequestError::Service`].
    #[error("code {0}")]
    Code(i32),
    /// There is no such method.
    #[error("unknown method")]
    UnknownMethod,
    /// The caller speaks another interface.
    #[error("interface mismatch")]
    InterfaceMismatch,
    /// The caller may not do this.
    #[error("refused")]
    Refused,
    /// No room now.
    #[error("busy")]
    Busy {
        /// When there may be room.
        retry_after: Option<Duration>,
    },
    /// The arguments could not be read.
    #[error("arguments: {0}")]
    Arguments(#[from] ReadParcelError),
    /// The reply could not be written.
    #[error("reply: {0}")]
    Reply(#[from] WriteParcelError),
    /// Anything else; the text reaches the caller, up to 1,024 bytes.
    #[error("{0}")]
    Failed(String),
}

/// Why nobody will be told of a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkToDeathError {
    /// The stub is not registered with the system ability manager of its device, and the device is another one:
    /// OpenHarmony prohibits this in RPC. Watch the service that gave it to you instead.
    #[error("anonymous stub of another device")]
    AnonymousStub,
    /// It is a stub of this process. It is dead when you say so.
    #[error("local stub")]
    LocalStub,
    /// It is dead already.
    #[error("dead object")]
    DeadObject,
    /// Too many links on this object, or on objects of this device. Drop links that are not needed.
    #[error("{value} death links, limit {limit}")]
    LimitReached {
        /// The limit.
        limit: usize,
        /// How many it would have been.
        value: usize,
    },
}

/// Why a service was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddServiceError {
    /// The object is a proxy: a service is registered by the process that hosts its stub. Offer a stub of your own
    /// that forwards.
    #[error("proxy cannot be registered: second pass on the local device")]
    NotOurs,
    /// There are as many services as there may be.
    #[error("{value} services, limit {limit}")]
    LimitReached {
        /// The limit.
        limit: usize,
        /// How many it would have been.
        value: usize,
    },
    /// The stub has been revoked.
    #[error("dead object")]
    DeadObject,
    /// A process of another user has registered the id. Nothing was changed; choose another id, or have that process
    /// remove its service.
    #[error("id is held by a process of another user")]
    HeldByAnother,
    /// The policy of the device's owner does not let this user's processes register the id, or not for other devices.
    /// Nothing was changed; the owner adds a `[[register]]` rule.
    #[error("refused by the owner's policy")]
    Refused,
    /// The process that hosts this device's bus did not answer, or is not there. The service is registered when it is:
    /// nothing has to be repeated.
    #[error("host of the bus unreachable: {0}")]
    HostUnreachable(String),
    /// A service that is started on demand needs a tokio runtime to be started on, and there is none here.
    #[error("no tokio runtime")]
    NoRuntime,
}

/// Why a service was not unloaded, or its unload not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnloadServiceError {
    /// Nothing that is started on demand is offered under this id. A service that was added is removed instead.
    #[error("not a service that is started on demand")]
    NotOnDemand,
    /// It is not there yet, or not any more.
    #[error("not loaded")]
    NotLoaded,
    /// The delay is longer than it may be. Unload it later.
    #[error("delay of {delay:?}, limit {limit:?}")]
    DelayTooLong {
        /// The delay asked for.
        delay: Duration,
        /// The longest.
        limit: Duration,
    },
    /// It is being unloaded already. Getting it starts it again afterwards.
    #[error("too late: it is being unloaded")]
    TooLate,
    /// It did not stop in time. It is unregistered all the same.
    #[error("not stopped after {after:?}")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
}

/// Why a service is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchServiceError {
    /// There are as many watches in this process as there may be. Drop those that are not needed.
    #[error("{value} watches, limit {limit}")]
    LimitReached {
        /// The limit.
        limit: usize,
        /// How many it would have been.
        value: usize,
    },
}

/// Why a service was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveServiceError {
    /// Nothing is registered under this id.
    #[error("no such service")]
    Absent,
}

/// Why a service was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetServiceError {
    /// Nothing is registered under this id.
    #[error("no such service")]
    Absent,
    /// It is registered, for its own device only.
    #[error("service is not distributed")]
    NotDistributed,
    /// A rule does not let this device have it. To a device that no rule names for the id, this is all that is said,
    /// whether the service exists or not.
    #[error("refused")]
    Refused,
    /// This device does not trust the other one. Add its id to the trust store.
    #[error("device is not trusted here")]
    DeviceNotTrusted,
    /// The other device does not trust this one. Its user has to add this device's id.
    #[error("not trusted by the device")]
    NotTrustedByDevice,
    /// The device is there, and speaks no version of the protocol that this one speaks. Update the older of the two.
    #[error("no common protocol version: {ours} here, {theirs} there")]
    NoCommonVersion {
        /// What this device speaks.
        ours: VersionRange,
        /// What the other one speaks.
        theirs: VersionRange,
    },
    /// The device was not found, or does not answer on any address it is known by.
    #[error("device unreachable: {0}")]
    Unreachable(String),
    /// The device is there but did not answer in time, or the service was not there in time: its start took too long, or
    /// what was waited for did not come.
    #[error("timed out after {after:?}")]
    TimedOut {
        /// How long the look-up was to wait.
        after: Duration,
    },
    /// The device is busy.
    #[error("busy")]
    Busy,
    /// So many gets, loads and waits of this caller wait for a service already, or so many services are watched or rebound to. Wait
    /// for one of them, or drop one.
    #[error("{value} loads under way, limit {limit}")]
    TooManyLoads {
        /// The limit: [`WAITING_PER_CALLER`](crate::limits::WAITING_PER_CALLER), or
        /// [`LOADS_WHILE_UNLOADING`](crate::limits::LOADS_WHILE_UNLOADING).
        limit: usize,
        /// How many it would have been.
        value: usize,
    },
    /// The service is started on demand and could not be started; the text is for people. Of another device's service
    /// only that much is known.
    #[error("service not started: {0}")]
    StartFailed(String),
    /// The service failed or died too often in a short time. Try again after the hint.
    #[error("restarted {limit} times within {:?}", crate::limits::RESTART_TIME)]
    TooManyRestarts {
        /// The limit: [`RESTARTS`](crate::limits::RESTARTS).
        limit: usize,
        /// When it may be started again.
        retry_after: Duration,
    },
    /// The look-up failed in another way.
    #[error("look-up failed: {0}")]
    Call(SendRequestError),
}
