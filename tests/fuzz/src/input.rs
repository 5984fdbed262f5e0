/// Bytes as a list of decisions. When they have run out every decision is the first.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    pub(super) fn bool(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// Below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.u8()) % limit.max(1)
    }

    /// Small most of the time, so that numbers meet.
    pub(super) fn number(&mut self) -> u64 {
        match self.u8() {
            small @ 0..=0xf0 => u64::from(small % 8),
            0xf1..=0xf8 => u64::from(self.u16()),
            0xf9..=0xfe => {
                let mut bytes = [0; 8];
                let some = self.bytes(8);
                bytes[..some.len()].copy_from_slice(some);
                u64::from_le_bytes(bytes)
            }
            0xff => u64::MAX,
        }
    }

    /// At most so many.
    pub(super) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
