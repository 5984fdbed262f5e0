//! Frames: what travels on a lane, each behind a length of four bytes.
//!
//! ```text
//! u32 length | u8 kind | u8 flags | .. fixed header .. | bulk part? | grants | extensions | body
//! ```
//!
//! All numbers are little-endian. Headers are fixed so that reading one costs a few loads; what a later version adds
//! comes as an extension. `docs/protocol.md` has every offset and test vectors.

mod call;
mod extension;
mod grant;
mod introduction;
mod reader;
mod small;

pub use call::{BulkPart, Call, Reply, Status};
pub use extension::{ExtensionKind, Extensions};
pub use grant::{Grant, Grants, ObjectKind};
pub use introduction::{Introduction, Token};
pub use reader::FrameReader;
pub use small::{Ack, Bind, Cancel, MethodHash, Release};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{DecodeError, message::Control};

/// The longest frame without its length field, in bytes. A body over [`MAX_INLINE_BODY`] travels beside the lane.
pub const MAX_FRAME_LEN: usize = 64 * 1024;
/// The longest body inside a frame, in bytes; a longer one takes a bulk stream so that it delays no other call.
pub const MAX_INLINE_BODY: usize = 32 * 1024;
/// The most objects one parcel may carry.
pub const MAX_GRANTS: usize = 64;
/// How many of them may be file descriptors.
pub const MAX_DESCRIPTORS: usize = 16;

/// Set in the kind of a frame or extension that a receiver may skip when it does not know it.
const IGNORABLE: u8 = 0x80;

/// One frame, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A request, two-way or one-way.
    Call(Call),
    /// The one terminal frame of a two-way call.
    Reply(Reply),
    /// The caller no longer waits.
    Cancel(Cancel),
    /// The importer gives grants back.
    Release(Release),
    /// The interface that later calls of a proxy speak.
    Bind(Bind),
    /// How many one-way calls of this lane have ended.
    Ack(Ack),
    /// A control message; on the control lane only.
    Control(Control),
}

impl Frame {
    /// Reads a frame without its length field. `None` is a frame of an unknown kind that may be skipped.
    ///
    /// # Errors
    /// [`DecodeError`]; the session cannot go on.
    pub fn decode(frame: Bytes) -> Result<Option<Self>, DecodeError> {
        let Some(&kind) = frame.first() else {
            return Err(DecodeError::Truncated("frame"));
        };
        Ok(Some(match kind {
            kind::CALL => Self::Call(Call::decode(frame)?),
            kind::REPLY => Self::Reply(Reply::decode(frame)?),
            kind::CANCEL => Self::Cancel(Cancel::decode(&frame)?),
            kind::RELEASE => Self::Release(Release::decode(&frame)?),
            kind::BIND => Self::Bind(Bind::decode(frame)?),
            kind::ACK => Self::Ack(Ack::decode(&frame)?),
            kind::CONTROL => Self::Control(Control::decode(&frame[1..])?),
            unknown if unknown & IGNORABLE != 0 => return Ok(None),
            unknown => {
                return Err(DecodeError::Unsupported {
                    what: "frame kind",
                    value: unknown.into(),
                });
            }
        }))
    }

    /// Appends the frame with its length field.
    ///
    /// # Panics
    /// When the frame is longer than [`MAX_FRAME_LEN`]: its maker has not kept to the limits above.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Call(call) => call.encode_with([&call.body, &[]], out),
            Self::Reply(reply) => reply.encode_with([&reply.body, &[]], out),
            Self::Cancel(cancel) => cancel.encode(out),
            Self::Release(release) => release.encode(out),
            Self::Bind(bind) => bind.encode(out),
            Self::Ack(ack) => ack.encode(out),
            Self::Control(control) => {
                framed(out, |out| {
                    out.put_u8(kind::CONTROL);
                    control.encode(out);
                });
            }
        }
    }
}

mod kind {
    pub(super) const CALL: u8 = 0x01;
    pub(super) const REPLY: u8 = 0x02;
    pub(super) const CANCEL: u8 = 0x03;
    pub(super) const RELEASE: u8 = 0x04;
    pub(super) const BIND: u8 = 0x05;
    pub(super) const ACK: u8 = 0x06;
    pub(super) const CONTROL: u8 = 0x10;
}

/// Writes a length field, what `write` appends, and then the length.
fn framed(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32_le(0);
    write(out);
    let len = out.len() - start - 4;
    assert!(
        len <= MAX_FRAME_LEN,
        "a frame of {len} bytes was made, limit {MAX_FRAME_LEN}"
    );
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
}

/// A cursor over a header that says what is missing instead of panicking.
struct Fields<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated(self.what))?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A reserved byte: zero in this version.
    fn reserved(&mut self) -> Result<(), DecodeError> {
        match self.u8()? {
            0 => Ok(()),
            value => Err(DecodeError::Unsupported {
                what: "reserved byte",
                value: value.into(),
            }),
        }
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Invalid(self.what))
        }
    }
}
