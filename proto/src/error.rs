/// Why bytes from a peer are not a frame or a message of this protocol.
///
/// Each of these ends the session they arrived on: after a frame that cannot be read nobody knows what its header
/// granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame says it is longer than any frame may be.
    #[error("frame of {len} bytes, limit {limit}")]
    FrameTooLong {
        /// What the length field claims, in bytes.
        len: usize,
        /// [`MAX_FRAME_LEN`](crate::MAX_FRAME_LEN).
        limit: usize,
    },
    /// The bytes end before the header or a table in it does.
    #[error("truncated {0}")]
    Truncated(&'static str),
    /// A field holds a value that no version of the protocol allows there.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// A frame, flag or extension this version does not know and may not skip.
    #[error("unsupported {what} {value:#x}")]
    Unsupported {
        /// What is unknown.
        what: &'static str,
        /// Its number.
        value: u32,
    },
    /// A control message that is no protobuf of the schema.
    #[error("malformed control message")]
    MalformedControl,
}
