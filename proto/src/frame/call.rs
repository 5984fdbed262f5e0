use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    Extensions, Fields, Grant, Grants, MAX_FRAME_LEN, MAX_GRANTS, MAX_INLINE_BODY,
    kind::{CALL, REPLY},
};
use crate::{CallId, DecodeError, Handle, message::DeathReason};

const ONE_WAY: u8 = 0x01;
const BULK: u8 = 0x02;
const IDEMPOTENT: u8 = 0x04;
/// Two bits kept for a priority; readers of this version take any value and make nothing of it.
const PRIORITY: u8 = 0x30;

/// What of a call or reply travels on a bulk stream: first the body, if it is too long for a lane, then raw data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkPart {
    /// The number at the head of the stream, never used twice by one sender on one session.
    pub id: u64,
    /// Bytes of the body on the stream; 0 when the body is in the frame.
    pub body_len: u32,
    /// Bytes of raw data behind it.
    pub raw_len: u32,
}

impl BulkPart {
    const LEN: usize = 16;

    fn decode(f: &mut Fields<'_>) -> Result<Self, DecodeError> {
        let part = Self {
            id: f.u64()?,
            body_len: f.u32()?,
            raw_len: f.u32()?,
        };
        if part.body_len == 0 && part.raw_len == 0 {
            return Err(DecodeError::Invalid("empty bulk part"));
        }
        Ok(part)
    }

    fn encode(self, out: &mut BytesMut) {
        out.put_u64_le(self.id);
        out.put_u32_le(self.body_len);
        out.put_u32_le(self.raw_len);
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The object called.
    pub handle: Handle,
    /// What names the call in its reply; `None` for a one-way call, which has none.
    pub id: Option<CallId>,
    /// `1..=0x00ff_ffff` for methods of the object's own; others are built in or refused.
    pub code: u32,
    /// The interface the caller speaks, as bound before on this lane; 0 for none.
    pub binding: u16,
    /// May be repeated by the bus when its fate is unknown.
    pub idempotent: bool,
    /// How deep in a chain of calls this one is; a call that a handler makes is one deeper than the handler's.
    pub depth: u8,
    /// What chain of calls this one belongs to.
    pub chain: u64,
    /// What is left of the deadline in microseconds; 0 for none.
    pub deadline_us: u32,
    /// What travels beside the lane.
    pub bulk: Option<BulkPart>,
    /// The objects of the parcel, at most [`MAX_GRANTS`].
    pub grants: Grants,
    /// What later versions add.
    pub extensions: Extensions,
    /// The parcel's bytes, unless they are in `bulk`.
    pub body: Bytes,
}

impl Call {
    /// Bytes of the fixed part, kind included.
    const HEADER: usize = 40;

    pub(super) fn decode(mut frame: Bytes) -> Result<Self, DecodeError> {
        let mut f = Fields::new(&frame, "call");
        f.u8()?;
        let flags = checked_flags(f.u8()?, ONE_WAY | BULK | IDEMPOTENT | PRIORITY)?;
        let grants = f.u8()?;
        let depth = f.u8()?;
        let id = CallId {
            slot: f.u32()?,
            generation: f.u32()?,
        };
        let code = f.u32()?;
        let handle = Handle::from_raw(f.u64()?);
        let chain = f.u64()?;
        let deadline_us = f.u32()?;
        let binding = f.u16()?;
        let ext_len = f.u16()?;
        let bulk = if flags & BULK != 0 {
            Some(BulkPart::decode(&mut f)?)
        } else {
            None
        };
        frame.advance(Self::HEADER + if bulk.is_some() { BulkPart::LEN } else { 0 });
        let (grants, extensions, body) = tail(frame, grants, ext_len, bulk)?;
        let id = if flags & ONE_WAY == 0 { Some(id) } else { None };
        let idempotent = flags & IDEMPOTENT != 0;
        Ok(Self {
            handle,
            id,
            code,
            binding,
            idempotent,
            depth,
            chain,
            deadline_us,
            bulk,
            grants,
            extensions,
            body,
        })
    }

    /// Appends the frame with its length field; the body is `parts`, one behind the other, and not `self.body`, so
    /// that a sender need not join them first.
    ///
    /// # Panics
    /// When the parts are longer than [`MAX_INLINE_BODY`] or there are more than [`MAX_GRANTS`] objects.
    pub fn encode_with(&self, parts: [&[u8]; 2], out: &mut BytesMut) {
        let mut flags = 0;
        if self.id.is_none() {
            flags |= ONE_WAY;
        }
        if self.bulk.is_some() {
            flags |= BULK;
        }
        if self.idempotent {
            flags |= IDEMPOTENT;
        }
        let id = self.id.unwrap_or(CallId {
            slot: 0,
            generation: 0,
        });
        let tail = Tail {
            bulk: self.bulk,
            grants: &self.grants,
            extensions: &self.extensions,
            body: parts,
        };
        // Put together first: one look at the room in `out` instead of one for each number.
        let mut header = [0; 4 + Self::HEADER];
        let mut at = &mut header[..];
        at.put_u32_le((Self::HEADER + tail.len()) as u32);
        at.put_u8(CALL);
        at.put_u8(flags);
        at.put_u8(self.grants.len() as u8);
        at.put_u8(self.depth);
        at.put_u32_le(id.slot);
        at.put_u32_le(id.generation);
        at.put_u32_le(self.code);
        at.put_u64_le(self.handle.raw());
        at.put_u64_le(self.chain);
        at.put_u32_le(self.deadline_us);
        at.put_u16_le(self.binding);
        at.put_u16_le(self.extensions.as_bytes().len() as u16);
        tail.append(&header, out);
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// The handler answered; the parcel is its result.
    Ok,
    /// The handler answered with a code of its own.
    App(i32),
    /// The handle names nothing the caller was granted.
    BadObject,
    /// The object died, and why.
    Dead(DeathReason),
    /// The object has no such method.
    UnknownMethod,
    /// The object speaks another interface, or another version of the method.
    InterfaceMismatch,
    /// A rule does not let the caller in.
    Refused,
    /// A queue or budget is full.
    Busy,
    /// The deadline passed before the handler ended.
    Expired,
    /// The caller cancelled.
    Cancelled,
    /// The reply is larger than the transport or the caller takes.
    ReplyTooLarge,
    /// The handler could not read the parcel.
    MalformedParcel,
    /// The handler panicked.
    Panicked,
    /// The chain of calls is too deep.
    TooDeep,
    /// The reply holds an object that may not be passed to the caller.
    PassRefused,
    /// The callee is going away and begins nothing new.
    ShuttingDown,
    /// Something the callee cannot put a better name to.
    Internal,
    /// The callee relayed the call, and lost the object's device before it answered: the call may have run.
    Indeterminate,
}

impl Status {
    const fn to_wire(self) -> (u16, i32) {
        match self {
            Self::Ok => (0, 0),
            Self::App(code) => (1, code),
            Self::BadObject => (2, 0),
            Self::Dead(reason) => (3, reason.to_wire() as i32),
            Self::UnknownMethod => (4, 0),
            Self::InterfaceMismatch => (5, 0),
            Self::Refused => (6, 0),
            Self::Busy => (7, 0),
            Self::Expired => (8, 0),
            Self::Cancelled => (9, 0),
            Self::ReplyTooLarge => (10, 0),
            Self::MalformedParcel => (11, 0),
            Self::Panicked => (12, 0),
            Self::TooDeep => (13, 0),
            Self::PassRefused => (14, 0),
            Self::ShuttingDown => (15, 0),
            Self::Internal => (16, 0),
            Self::Indeterminate => (17, 0),
        }
    }

    /// Unknown numbers of later versions are [`Status::Internal`]: the call has ended, and not well.
    const fn from_wire(status: u16, value: i32) -> Self {
        match status {
            0 => Self::Ok,
            1 => Self::App(value),
            2 => Self::BadObject,
            3 => Self::Dead(DeathReason::from_wire(value as u32)),
            4 => Self::UnknownMethod,
            5 => Self::InterfaceMismatch,
            6 => Self::Refused,
            7 => Self::Busy,
            8 => Self::Expired,
            9 => Self::Cancelled,
            10 => Self::ReplyTooLarge,
            11 => Self::MalformedParcel,
            12 => Self::Panicked,
            13 => Self::TooDeep,
            14 => Self::PassRefused,
            15 => Self::ShuttingDown,
            17 => Self::Indeterminate,
            _ => Self::Internal,
        }
    }
}

/// The one terminal frame of a two-way call. With any status but [`Status::Ok`] it carries no parcel and no grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The call that ended.
    pub id: CallId,
    /// How.
    pub status: Status,
    /// What travels beside the lane.
    pub bulk: Option<BulkPart>,
    /// The objects of the parcel.
    pub grants: Grants,
    /// Details of an error; what later versions add.
    pub extensions: Extensions,
    /// The parcel's bytes, unless they are in `bulk`.
    pub body: Bytes,
}

impl Reply {
    /// Bytes of the fixed part, kind included.
    const HEADER: usize = 20;

    pub(super) fn decode(mut frame: Bytes) -> Result<Self, DecodeError> {
        let mut f = Fields::new(&frame, "reply");
        f.u8()?;
        let flags = checked_flags(f.u8()?, BULK | PRIORITY)?;
        let grants = f.u8()?;
        f.reserved()?;
        let id = CallId {
            slot: f.u32()?,
            generation: f.u32()?,
        };
        let (status, value) = (f.u16()?, f.u32()? as i32);
        let ext_len = f.u16()?;
        let bulk = if flags & BULK != 0 {
            Some(BulkPart::decode(&mut f)?)
        } else {
            None
        };
        frame.advance(Self::HEADER + if bulk.is_some() { BulkPart::LEN } else { 0 });
        let status = Status::from_wire(status, value);
        let (grants, extensions, body) = tail(frame, grants, ext_len, bulk)?;
        if status != Status::Ok && (bulk.is_some() || !grants.is_empty() || !body.is_empty()) {
            return Err(DecodeError::Invalid("error reply with a parcel"));
        }
        Ok(Self {
            id,
            status,
            bulk,
            grants,
            extensions,
            body,
        })
    }

    /// Appends the frame with its length field; the body is `parts`, one behind the other, and not `self.body`.
    ///
    /// # Panics
    /// When the parts are longer than [`MAX_INLINE_BODY`] or there are more than [`MAX_GRANTS`] objects.
    pub fn encode_with(&self, parts: [&[u8]; 2], out: &mut BytesMut) {
        let (status, value) = self.status.to_wire();
        let tail = Tail {
            bulk: self.bulk,
            grants: &self.grants,
            extensions: &self.extensions,
            body: parts,
        };
        let mut header = [0; 4 + Self::HEADER];
        let mut at = &mut header[..];
        at.put_u32_le((Self::HEADER + tail.len()) as u32);
        at.put_u8(REPLY);
        at.put_u8(if self.bulk.is_some() { BULK } else { 0 });
        at.put_u8(self.grants.len() as u8);
        at.put_u8(0);
        at.put_u32_le(self.id.slot);
        at.put_u32_le(self.id.generation);
        at.put_u16_le(status);
        at.put_i32_le(value);
        at.put_u16_le(self.extensions.as_bytes().len() as u16);
        tail.append(&header, out);
    }
}

fn checked_flags(flags: u8, known: u8) -> Result<u8, DecodeError> {
    match flags & !known {
        0 => Ok(flags),
        unknown => Err(DecodeError::Unsupported {
            what: "flag",
            value: unknown.into(),
        }),
    }
}

/// Splits what follows the fixed header into its three parts.
fn tail(
    mut rest: Bytes,
    grants: u8,
    ext_len: u16,
    bulk: Option<BulkPart>,
) -> Result<(Grants, Extensions, Bytes), DecodeError> {
    if usize::from(grants) > MAX_GRANTS {
        return Err(DecodeError::Invalid("number of grants"));
    }
    let grants_len = usize::from(grants) * Grant::LEN;
    if rest.len() < grants_len + usize::from(ext_len) {
        return Err(DecodeError::Truncated("tables of a header"));
    }
    // Empty parts share nothing: a slice of no bytes would still hold the buffer of the whole frame.
    let grants = match grants_len {
        0 => None,
        len => Some(rest.split_to(len)),
    };
    let extensions = match ext_len {
        0 => Extensions::default(),
        len => Extensions::decode(rest.split_to(len.into()))?,
    };
    let grants = match grants {
        None => Grants::default(),
        Some(grants) => {
            let introductions = extensions.introductions().len();
            Grants::decode(grants, introductions, extensions.homes().len())?
        }
    };
    if rest.len() > MAX_INLINE_BODY {
        return Err(DecodeError::Invalid("length of a body in a frame"));
    }
    if !rest.is_empty() && bulk.is_some_and(|part| part.body_len > 0) {
        return Err(DecodeError::Invalid("body both in the frame and beside it"));
    }
    Ok((grants, extensions, rest))
}

/// What follows a fixed header.
struct Tail<'a> {
    bulk: Option<BulkPart>,
    grants: &'a Grants,
    extensions: &'a Extensions,
    body: [&'a [u8]; 2],
}

impl Tail<'_> {
    fn len(&self) -> usize {
        let bulk = if self.bulk.is_some() {
            BulkPart::LEN
        } else {
            0
        };
        let tables = self.grants.as_bytes().len() + self.extensions.as_bytes().len();
        bulk + tables + self.body[0].len() + self.body[1].len()
    }

    /// Appends a header, which begins with the length of the frame, and this.
    fn append(&self, header: &[u8], out: &mut BytesMut) {
        let len = header.len() - 4 + self.len();
        assert!(
            len <= MAX_FRAME_LEN,
            "a frame of {len} bytes was made, limit {MAX_FRAME_LEN}"
        );
        out.reserve(4 + len);
        out.put_slice(header);
        if let Some(part) = self.bulk {
            part.encode(out);
        }
        let tables = [self.grants.as_bytes(), self.extensions.as_bytes()];
        for part in tables.into_iter().chain(self.body) {
            if !part.is_empty() {
                out.put_slice(part);
            }
        }
    }
}
