use crate::{DeathReason, error::SendRequestError, parcel::ReadParcelError};

/// Why a stream did not end well. It is the last that comes of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The producer ended it with this error.
    #[error("{0}")]
    Failed(String),
    /// The producer could not send an item: it is too large, or holds an object that may not be passed.
    #[error("item could not be sent: {0}")]
    ItemNotSent(String),
    /// It could not be opened. [`Busy`](SendRequestError::Busy): as many streams are open with the producer's process
    /// as may be; drop some and ask for it again.
    #[error("stream could not be opened")]
    Open(#[source] SendRequestError),
    /// The producer's process or device is gone, or the connection to it. What was under way is lost.
    #[error("producer is gone: {reason}")]
    Dead {
        /// Why.
        reason: DeathReason,
    },
    /// The producer was dropped before it ended: its task has panicked, or its runtime was shut down.
    #[error("abandoned by the producer")]
    Abandoned,
    /// The producer sent more than it may, or items are missing: it is not what it claims to be.
    #[error("producer broke the rules: {0}")]
    Broken(&'static str),
    /// An item could not be read: the two ends disagree about its type.
    #[error("item could not be read")]
    Malformed(#[source] ReadParcelError),
}
