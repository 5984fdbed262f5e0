use bytes::{Buf, Bytes, BytesMut};

use super::MAX_FRAME_LEN;
use crate::DecodeError;

/// Cuts the bytes of a lane into frames. Holds at most one frame that is not whole yet.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// A reader at the beginning of a lane.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a link appends received bytes to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether bytes of an unfinished frame are waiting.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole frame without its length field; `None` until more bytes are there.
    ///
    /// Nothing is allocated from the length a peer claims.
    ///
    /// # Errors
    /// [`DecodeError::FrameTooLong`] as soon as the length field has arrived.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*prefix) as usize;
        if len > MAX_FRAME_LEN {
            return Err(DecodeError::FrameTooLong {
                len,
                limit: MAX_FRAME_LEN,
            });
        }
        if self.buffer.len() < 4 + len {
            return Ok(None);
        }
        self.buffer.advance(4);
        let frame = self.buffer.split_to(len).freeze();
        Ok(Some(frame))
    }
}
