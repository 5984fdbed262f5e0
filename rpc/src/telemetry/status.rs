//! How a call ended, in one word: what labels, attributes and log lines say.

use proto::frame::Status;

use crate::error::{GetServiceError, SendRequestError};

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// How a call ended. Few values, so that they can be labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub(crate) enum CallStatus { $($(#[$doc])* $name,)* }

        impl CallStatus {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];
            pub(crate) const COUNT: usize = [$($text,)*].len();

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

statuses! {
    Ok = "ok",
    /// The service's own code.
    Service = "service",
    Refused = "refused",
    NotDistributed = "not_distributed",
    Absent = "absent",
    NotTrusted = "not_trusted",
    Unreachable = "unreachable",
    StartFailed = "start_failed",
    Busy = "busy",
    TimedOut = "timed_out",
    Dead = "dead_object",
    Indeterminate = "indeterminate",
    Cancelled = "cancelled",
    RequestTooLarge = "request_too_large",
    ReplyTooLarge = "reply_too_large",
    PassRefused = "pass_refused",
    UnknownMethod = "unknown_method",
    InterfaceMismatch = "interface_mismatch",
    BadObject = "bad_object",
    Malformed = "malformed",
    TooDeep = "too_deep",
    ShuttingDown = "shutting_down",
    Panicked = "panicked",
    Internal = "internal",
}

impl CallStatus {
    /// Whether a rule or a bound of the callee's kept the call from being served: worth a warning there.
    pub(crate) const fn is_guarded(self) -> bool {
        matches!(
            self,
            Self::Refused | Self::NotDistributed | Self::Busy | Self::PassRefused
        )
    }
}

impl From<&SendRequestError> for CallStatus {
    fn from(error: &SendRequestError) -> Self {
        match error {
            SendRequestError::InvalidCode { .. } | SendRequestError::UnknownMethod { .. } => {
                Self::UnknownMethod
            }
            SendRequestError::RequestTooLarge { .. } => Self::RequestTooLarge,
            SendRequestError::Arguments(_)
            | SendRequestError::MalformedRequest
            | SendRequestError::MalformedReply => Self::Malformed,
            SendRequestError::Pass { .. }
            | SendRequestError::ReplyPassRefused
            | SendRequestError::ReplyIntroduction(_) => Self::PassRefused,
            SendRequestError::DeadObject { .. } => Self::Dead,
            SendRequestError::TimedOut { .. } => Self::TimedOut,
            SendRequestError::Busy { .. } => Self::Busy,
            SendRequestError::Refused => Self::Refused,
            SendRequestError::InterfaceMismatch => Self::InterfaceMismatch,
            SendRequestError::BadObject => Self::BadObject,
            SendRequestError::ReplyTooLarge => Self::ReplyTooLarge,
            SendRequestError::Panicked => Self::Panicked,
            SendRequestError::TooDeep { .. } => Self::TooDeep,
            SendRequestError::ShuttingDown => Self::ShuttingDown,
            SendRequestError::Indeterminate => Self::Indeterminate,
            SendRequestError::Cancelled => Self::Cancelled,
            SendRequestError::Service(_) => Self::Service,
            SendRequestError::Internal(_) | SendRequestError::Forked => Self::Internal,
        }
    }
}

impl From<&GetServiceError> for CallStatus {
    fn from(error: &GetServiceError) -> Self {
        match error {
            GetServiceError::Absent => Self::Absent,
            GetServiceError::NotDistributed => Self::NotDistributed,
            GetServiceError::Refused => Self::Refused,
            GetServiceError::DeviceNotTrusted | GetServiceError::NotTrustedByDevice => {
                Self::NotTrusted
            }
            GetServiceError::Unreachable(_) | GetServiceError::NoCommonVersion { .. } => {
                Self::Unreachable
            }
            GetServiceError::TimedOut { .. } => Self::TimedOut,
            GetServiceError::Busy
            | GetServiceError::TooManyLoads { .. }
            | GetServiceError::TooManyRestarts { .. } => Self::Busy,
            GetServiceError::StartFailed(_) => Self::StartFailed,
            GetServiceError::Call(error) => error.into(),
        }
    }
}

impl From<Status> for CallStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => Self::Ok,
            Status::App(_) => Self::Service,
            Status::BadObject => Self::BadObject,
            Status::Dead(_) => Self::Dead,
            Status::UnknownMethod => Self::UnknownMethod,
            Status::InterfaceMismatch => Self::InterfaceMismatch,
            Status::Refused => Self::Refused,
            Status::Busy => Self::Busy,
            Status::Expired => Self::TimedOut,
            Status::Cancelled => Self::Cancelled,
            Status::ReplyTooLarge => Self::ReplyTooLarge,
            Status::MalformedParcel => Self::Malformed,
            Status::Panicked => Self::Panicked,
            Status::TooDeep => Self::TooDeep,
            Status::PassRefused => Self::PassRefused,
            Status::ShuttingDown => Self::ShuttingDown,
            Status::Indeterminate => Self::Indeterminate,
            _ => Self::Internal,
        }
    }
}
