//! What two ends of a stream say to each other: `docs/protocol.md`, section 21.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// With what each end begins: these, and for how many milliseconds it bears silence.
const MAGIC: [u8; 4] = *b"SBT1";
pub(super) const PREAMBLE: usize = 8;
const HEADER: usize = 8;
/// Bytes of the longest payload: what goes before it holds up a call no longer than that.
pub(super) const MAX_PAYLOAD: usize = 16 * 1024;

const LANE: u8 = 1;
const LANE_END: u8 = 2;
const OPEN: u8 = 3;
const BULK: u8 = 4;
const END: u8 = 5;
const RESET: u8 = 6;
const DONE: u8 = 7;
const CREDIT: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const CLOSE: u8 = 11;

/// One frame. The number of a bulk stream is its sender's, one more than that of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Bytes of a lane.
    Lane(u32, Bytes),
    /// No more bytes of the lane come this way.
    LaneEnd(u32),
    /// A bulk stream, and the id that the session knows it by.
    Open(u32, u64),
    /// Bytes of a bulk stream.
    Bulk(u32, Bytes),
    /// That was all of it.
    End(u32),
    /// Its sender has given it up.
    Reset(u32),
    /// Its receiver has all of it, or does not want the rest.
    Done(u32),
    /// Its receiver takes so many bytes more.
    Credit(u32, u32),
    /// To be answered at once.
    Ping,
    /// The answer.
    Pong,
    /// The end, and why.
    Close(u32, Bytes),
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a frame: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) fn preamble(idle: Duration) -> [u8; PREAMBLE] {
    let idle = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
    let mut preamble = [0; PREAMBLE];
    preamble[..4].copy_from_slice(&MAGIC);
    preamble[4..].copy_from_slice(&idle.to_le_bytes());
    preamble
}

/// How long the other end bears silence; `None` as long as it has not said so.
pub(super) fn read_preamble(buffer: &mut BytesMut) -> Result<Option<Duration>, Malformed> {
    let Some(&[m0, m1, m2, m3, i0, i1, i2, i3]) = buffer.first_chunk::<PREAMBLE>() else {
        return Ok(None);
    };
    if [m0, m1, m2, m3] != MAGIC {
        return Err(Malformed("no preamble"));
    }
    buffer.advance(PREAMBLE);
    let idle = u32::from_le_bytes([i0, i1, i2, i3]);
    Ok(Some(Duration::from_millis(idle.into())))
}

/// Appends as much of the bytes of a lane as fits into one frame, and takes it away.
pub(super) fn put_lane(out: &mut BytesMut, lane: u32, bytes: &mut BytesMut) {
    let len = bytes.len().min(MAX_PAYLOAD);
    put(out, LANE, lane, &bytes[..len]);
    bytes.advance(len);
}

impl Frame {
    /// Appends it. What is in it is at most [`MAX_PAYLOAD`].
    pub(super) fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Lane(lane, bytes) => put(out, LANE, *lane, bytes),
            Self::LaneEnd(lane) => put(out, LANE_END, *lane, &[]),
            Self::Open(stream, id) => put(out, OPEN, *stream, &id.to_le_bytes()),
            Self::Bulk(stream, bytes) => put(out, BULK, *stream, bytes),
            Self::End(stream) => put(out, END, *stream, &[]),
            Self::Reset(stream) => put(out, RESET, *stream, &[]),
            Self::Done(stream) => put(out, DONE, *stream, &[]),
            Self::Credit(stream, bytes) => put(out, CREDIT, *stream, &bytes.to_le_bytes()),
            Self::Ping => put(out, PING, 0, &[]),
            Self::Pong => put(out, PONG, 0, &[]),
            Self::Close(code, text) => put(out, CLOSE, *code, text),
        }
    }

    /// Takes the first frame of what has come, if it is whole.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Self>, Malformed> {
        let Some(&[kind, zero, l0, l1, n0, n1, n2, n3]) = buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        let number = u32::from_le_bytes([n0, n1, n2, n3]);
        if zero != 0 || len > MAX_PAYLOAD {
            return Err(Malformed("header"));
        }
        if buffer.len() < HEADER + len {
            return Ok(None);
        }
        buffer.advance(HEADER);
        let payload = buffer.split_to(len).freeze();
        Self::decode(kind, number, payload).map(Some)
    }

    fn decode(kind: u8, number: u32, payload: Bytes) -> Result<Self, Malformed> {
        let frame = match (kind, payload.len()) {
            (LANE, 1..) => Self::Lane(number, payload),
            (BULK, 1..) => Self::Bulk(number, payload),
            (CLOSE, _) => Self::Close(number, payload),
            (OPEN, 8) => Self::Open(number, (&*payload).get_u64_le()),
            (CREDIT, 4) => Self::Credit(number, (&*payload).get_u32_le()),
            (LANE_END, 0) => Self::LaneEnd(number),
            (END, 0) => Self::End(number),
            (RESET, 0) => Self::Reset(number),
            (DONE, 0) => Self::Done(number),
            (PING, 0) => Self::Ping,
            (PONG, 0) => Self::Pong,
            _ => return Err(Malformed("kind or length")),
        };
        Ok(frame)
    }
}

fn put(out: &mut BytesMut, kind: u8, number: u32, payload: &[u8]) {
    debug_assert!(payload.len() <= MAX_PAYLOAD, "payloads are cut before");
    out.reserve(HEADER + payload.len());
    out.put_u8(kind);
    out.put_u8(0);
    out.put_u16_le(payload.len() as u16);
    out.put_u32_le(number);
    out.put_slice(payload);
}
