//! Memory of large bodies that have been read, for those that come.
//!
//! What the allocator gives back to the system comes from there again page by page, each of them cleared, and for a body of 1 MiB
//! that takes longer than to copy it.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::{Bytes, BytesMut};

use crate::limits::SPARE_MEMORY;

/// Allocators keep what is smaller themselves.
const SMALLEST: usize = 64 * 1024;

/// What one bus keeps for all its sessions: at most [`SPARE_MEMORY`].
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<BytesMut>,
    bytes: usize,
}

impl Spare {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer for `least` bytes. One that is kept may be larger, up to twice of `most`: whoever has few bytes is not to
    /// hold much memory with them.
    pub(super) fn take(&self, least: usize, most: usize) -> BytesMut {
        let fits = least..=most.saturating_mul(2);
        let kept = {
            let mut kept = self.lock();
            // The last one is likeliest to be in the processor's caches.
            let found = kept
                .buffers
                .iter()
                .rposition(|buffer| fits.contains(&buffer.capacity()));
            found.map(|at| {
                let buffer = kept.buffers.remove(at);
                kept.bytes -= buffer.capacity();
                buffer
            })
        };
        kept.unwrap_or_else(|| BytesMut::with_capacity(least))
    }

    /// Takes a buffer back that nobody reads any more.
    pub(super) fn keep(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut kept = self.lock();
        let bytes = kept.bytes.saturating_add(buffer.capacity());
        if buffer.capacity() >= SMALLEST && bytes <= SPARE_MEMORY {
            kept.bytes = bytes;
            kept.buffers.push(buffer);
        }
    }

    /// A body to be read. Its memory comes back when the last part of it is dropped.
    pub(super) fn lend(self: &Arc<Self>, body: BytesMut) -> Bytes {
        if !(SMALLEST..=SPARE_MEMORY).contains(&body.capacity()) {
            return body.freeze();
        }
        let spare = Arc::downgrade(self);
        Bytes::from_owner(Lent { body, spare })
    }
}

struct Lent {
    body: BytesMut,
    spare: Weak<Spare>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(spare) = self.spare.upgrade() {
            spare.keep(mem::take(&mut self.body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn kept(spare: &Spare) -> usize {
        let kept = spare.lock();
        let bytes = kept.buffers.iter().map(BytesMut::capacity).sum();
        assert_eq!(kept.bytes, bytes);
        bytes
    }

    #[test]
    fn what_was_read_is_written_again() {
        let spare = Arc::<Spare>::default();
        let mut body = spare.take(MIB, MIB);
        let memory = body.as_ptr();
        body.extend_from_slice(&[7; MIB]);
        let mut read = spare.lend(body);
        let rest = read.split_off(MIB / 2);
        drop(read);
        assert_eq!(kept(&spare), 0);
        assert!(rest.iter().all(|byte| *byte == 7));
        drop(rest);
        assert_eq!(kept(&spare), MIB);
        let next = spare.take(MIB / 2, MIB);
        assert!(next.is_empty() && next.as_ptr() == memory);
        assert_eq!(kept(&spare), 0);
    }

    #[test]
    fn a_few_bytes_do_not_hold_much_memory() {
        let spare = Spare::default();
        spare.keep(BytesMut::with_capacity(4 * MIB));
        assert!(spare.take(MIB, MIB).capacity() < 2 * MIB);
        assert_eq!(kept(&spare), 4 * MIB);
        assert_eq!(spare.take(MIB, 2 * MIB).capacity(), 4 * MIB);
    }

    #[test]
    fn so_much_is_kept_and_no_more() {
        let spare = Arc::<Spare>::default();
        spare.keep(BytesMut::with_capacity(SMALLEST - 1));
        drop(spare.lend(BytesMut::with_capacity(SPARE_MEMORY + 1)));
        assert_eq!(kept(&spare), 0);
        for _ in 0..SPARE_MEMORY / MIB + 3 {
            spare.keep(BytesMut::with_capacity(MIB));
        }
        assert_eq!(kept(&spare), SPARE_MEMORY);
    }

    #[test]
    fn what_outlives_the_bus_is_freed() {
        let spare = Arc::<Spare>::default();
        let read = spare.lend(BytesMut::with_capacity(MIB));
        let gone = Arc::downgrade(&spare);
        drop(spare);
        assert!(gone.upgrade().is_none());
        drop(read);
    }
}
