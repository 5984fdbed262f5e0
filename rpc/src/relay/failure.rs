//! How a call that was passed on failed, for the one who made it: the same as if there had been nobody in between.

use proto::frame::{ExtensionKind, Extensions, Status};

use crate::{
    dispatch::{Failure, limit_reached, with_retry_after},
    error::SendRequestError,
    parcel::PassObjectError,
};

impl Failure {
    /// A bound was reached.
    pub(super) fn busy(limit: u64, value: u64) -> Self {
        Self {
            status: Status::Busy,
            extensions: limit_reached(limit, value),
        }
    }

    /// An object of the request may not be passed on.
    pub(super) fn pass_refused(index: usize, reason: &PassObjectError) -> Self {
        let details = [u8::try_from(index).unwrap_or(u8::MAX), reason.to_wire()];
        Self {
            status: Status::PassRefused,
            extensions: Extensions::default().with(ExtensionKind::PassRefused, &details),
        }
    }
}

impl From<SendRequestError> for Failure {
    fn from(error: SendRequestError) -> Self {
        let mut extensions = Extensions::default();
        let status = match error {
            SendRequestError::Service(code) => Status::App(code),
            SendRequestError::BadObject => Status::BadObject,
            SendRequestError::DeadObject { reason } => Status::Dead(reason),
            SendRequestError::UnknownMethod { .. } => Status::UnknownMethod,
            SendRequestError::InterfaceMismatch => Status::InterfaceMismatch,
            SendRequestError::Refused => Status::Refused,
            SendRequestError::Busy {
                limit,
                value,
                retry_after,
            } => {
                if let Some(limit) = limit {
                    extensions = limit_reached(limit, value.unwrap_or(0));
                }
                extensions = with_retry_after(extensions, retry_after);
                Status::Busy
            }
            SendRequestError::TimedOut { .. } => Status::Expired,
            SendRequestError::Cancelled => Status::Cancelled,
            SendRequestError::ReplyTooLarge => Status::ReplyTooLarge,
            SendRequestError::MalformedRequest => Status::MalformedParcel,
            SendRequestError::Panicked => Status::Panicked,
            SendRequestError::TooDeep { .. } => Status::TooDeep,
            SendRequestError::ReplyPassRefused => Status::PassRefused,
            SendRequestError::ShuttingDown => Status::ShuttingDown,
            SendRequestError::Indeterminate => Status::Indeterminate,
            SendRequestError::Pass { index, reason } => return Self::pass_refused(index, &reason),
            SendRequestError::Internal(text) => {
                extensions = extensions.with(ExtensionKind::Text, text.as_bytes());
                Status::Internal
            }
            other => {
                extensions = extensions.with(ExtensionKind::Text, other.to_string().as_bytes());
                Status::Internal
            }
        };
        Self { status, extensions }
    }
}
