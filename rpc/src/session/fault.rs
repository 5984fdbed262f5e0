use proto::DecodeError;

/// What a peer did that no peer may do. Ends the session with it; other sessions go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// Bytes that are no frame of the protocol.
    #[error("undecodable frame: {0}")]
    Decode(#[from] DecodeError),
    /// A frame on a lane that its kind or its object does not use.
    #[error("frame on the wrong lane")]
    WrongLane,
    /// A handle that was never issued, or too many wrong tags: somebody is guessing.
    #[error("handles that were never granted")]
    ForgedHandle,
    /// Replies to calls that were never made.
    #[error("replies to no call")]
    ForgedReply,
    /// A call id that is still in use, or over the agreed number of calls.
    #[error("invalid call id")]
    InvalidCallId,
    /// More one-way calls under way than the agreed credit.
    #[error("one-way credit exceeded")]
    CreditExceeded,
    /// More grants given back than were received.
    #[error("released more than granted")]
    OverRelease,
    /// A binding that was never made, or too many of them.
    #[error("invalid binding")]
    InvalidBinding,
    /// A bulk stream that does not fit its header.
    #[error("invalid bulk stream")]
    InvalidBulk,
    /// More dead objects told of than the agreed number of objects.
    #[error("too many obituaries")]
    TooManyObituaries,
    /// An object of a third device, on a session that did not agree on introductions.
    #[error("introduction that was not agreed on")]
    UnexpectedIntroduction,
    /// An object of another device, or a call on behalf of one, from who does not relay for us.
    #[error("relayed by who is not the host")]
    UnexpectedRelay,
    /// A file descriptor, on a session that did not agree on them.
    #[error("file descriptor that was not agreed on")]
    UnexpectedDescriptor,
    /// More or fewer file descriptors than the frames name, or some were lost because this process has no room for more.
    #[error("file descriptors that do not fit their frames")]
    Descriptors,
    /// A control message out of turn.
    #[error("unexpected control message")]
    UnexpectedControl,
}
