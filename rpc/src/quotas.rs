//! What one peer may make this end hold, beyond what both ends agree on.

mod descriptors;

pub(crate) use descriptors::{Counted, DescriptorShare, DescriptorsInUse};

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use proto::frame::{ExtensionKind, Extensions};

use crate::limits;

/// What one peer may make this end hold, beyond the [`PeerLimits`](proto::message::PeerLimits) that both ends agree on: these are
/// ours alone, and the peer learns of one only when it is over it.
///
/// ```
/// let mut quotas = softbus_rpc::Quotas::DEFAULT;
/// // A device with little memory.
/// quotas.bulk_memory = 16 << 20;
/// quotas.bulk_memory_in_all = 32 << 20;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quotas {
    /// Bytes of raw data and other large bodies of one peer that are arriving; what is over it is `Busy` to the caller.
    pub bulk_memory: usize,
    /// The same of all peers together.
    pub bulk_memory_in_all: usize,
    /// Death links on the objects of one peer; one more is
    /// [`LimitReached`](crate::error::LinkToDeathError::LimitReached).
    pub death_links: usize,
    /// Death links on one object of a peer; one more is [`LimitReached`](crate::error::LinkToDeathError::LimitReached).
    pub death_links_per_object: usize,
    /// File descriptors of one process's requests that wait or run; a two-way call with more is `Busy` to the caller.
    pub file_descriptors: u32,
    /// File descriptors that came from all processes and are still open, and never more than a quarter of what this process may have
    /// open (`RLIMIT_NOFILE`). Those of another user than ours have half of it together. What comes over it is closed at once, and
    /// its call is `Busy` to the caller.
    pub file_descriptors_in_all: u32,
    /// Streams open with one peer, both directions together; one more is `Busy`.
    pub streams: usize,
}

impl Quotas {
    /// 256 MiB of one peer and 512 MiB of all, 1,024 death links and 64 on one object, 128 file descriptors and 4,096 of all, 128 streams.
    pub const DEFAULT: Self = Self {
        bulk_memory: limits::BULK_MEMORY_PER_PEER,
        bulk_memory_in_all: limits::BULK_MEMORY_IN_ALL,
        death_links: limits::DEATH_LINKS_PER_PEER,
        death_links_per_object: limits::DEATH_LINKS_PER_OBJECT,
        file_descriptors: limits::DESCRIPTORS_PER_PEER,
        file_descriptors_in_all: limits::DESCRIPTORS_IN_ALL,
        streams: limits::STREAMS_PER_PEER,
    };
}

impl Default for Quotas {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// There is no room: what there may be, and what there would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// What there may be.
    pub limit: usize,
    /// What there would have been.
    pub value: usize,
}

impl Full {
    /// As a caller is told.
    pub(crate) fn extensions(self) -> Extensions {
        let numbers = [self.limit, self.value].map(|number| (number as u64).to_le_bytes());
        Extensions::default().with(ExtensionKind::Limit, numbers.as_flattened())
    }
}

/// Bytes that are reserved as they arrive, and given back.
#[derive(Debug, Default)]
pub(crate) struct InUse(AtomicUsize);

impl InUse {
    /// Takes so many more, if there is room.
    pub(crate) fn take(&self, bytes: usize, limit: usize) -> Result<(), Full> {
        let value = self.0.fetch_add(bytes, Ordering::Relaxed);
        let value = value.saturating_add(bytes);
        if value <= limit {
            return Ok(());
        }
        self.give_back(bytes);
        Err(Full { limit, value })
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the bulk bodies of one peer take while they arrive: of its own share, and of that of all peers.
#[derive(Debug)]
pub(crate) struct BulkMemory {
    here: InUse,
    limit: usize,
    in_all: Arc<InUse>,
    limit_in_all: usize,
}

impl BulkMemory {
    pub(crate) fn new(quotas: &Quotas, in_all: &Arc<InUse>) -> Self {
        Self {
            here: InUse::default(),
            limit: quotas.bulk_memory,
            in_all: Arc::clone(in_all),
            limit_in_all: quotas.bulk_memory_in_all,
        }
    }

    /// Takes so many more, if there is room.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Full> {
        self.here.take(bytes, self.limit)?;
        let taken = self.in_all.take(bytes, self.limit_in_all);
        taken.inspect_err(|_| self.here.give_back(bytes))
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.here.give_back(bytes);
        self.in_all.give_back(bytes);
    }

    /// What this peer takes now.
    pub(crate) fn get(&self) -> usize {
        self.here.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_takes_nothing() {
        let reserved = InUse::default();
        let full = |value| Err(Full { limit: 10, value });
        assert_eq!(reserved.take(6, 10), Ok(()));
        assert_eq!(reserved.take(5, 10), full(11));
        assert_eq!(reserved.get(), 6);
        assert_eq!(reserved.take(4, 10), Ok(()));
        reserved.give_back(10);
        assert_eq!(reserved.get(), 0);
        assert_eq!(reserved.take(usize::MAX, 10), full(usize::MAX));
    }
}
