//! How the places and bytes of a stub are shared between its callers.
//!
//! The first half of each is for whoever comes: entering it is one atomic addition. The second half is shared evenly
//! between the callers in it, and a 64th is kept for those who hold nothing of it: of the bytes the last, of the
//! places one beyond the bound. So one caller alone can use everything, and one more still finds room.

use super::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use crate::{limits, session::passing_rules::Party};

/// Requests are counted above this bit, bytes below it: one addition takes both.
const BYTES: u32 = 44;
/// So that additions which are about to be taken back never run from the bytes into the requests.
const MAX_BUDGET: u64 = 1 << 42;

/// What a request takes, and what is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

impl Load {
    /// One request.
    pub(crate) fn of(bytes: usize) -> Self {
        Self {
            requests: 1,
            bytes: (bytes as u64).min(MAX_BUDGET),
        }
    }

    fn pack(self) -> u64 {
        self.requests << BYTES | self.bytes
    }

    fn unpack(packed: u64) -> Self {
        Self {
            requests: packed >> BYTES,
            bytes: packed & ((1 << BYTES) - 1),
        }
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
    }

    fn sub(&mut self, other: Self) {
        self.requests -= other.requests;
        self.bytes -= other.bytes;
    }
}

/// Which bound there was no room under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Queue {
        limit: u64,
        value: u64,
    },
    /// `alone`: even if nothing else were there.
    Budget {
        limit: u64,
        value: u64,
        alone: bool,
    },
}

/// What one caller holds of the second half.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) caller: Party,
    pub(super) load: Load,
}

/// The places and bytes of one stub.
#[derive(Debug)]
pub(crate) struct Shares {
    capacity: Load,
    used: AtomicU64,
    holders: Mutex<Vec<Holder>>,
}

/// What was taken, to be given back.
#[must_use]
#[derive(Debug)]
pub(crate) struct Share {
    load: Load,
    /// Who holds it, where it is of the second half: seldom.
    holder: Option<Box<Party>>,
}

impl Shares {
    pub(crate) fn new(queue: usize, budget: usize) -> Self {
        let capacity = Load {
            requests: queue.min(limits::MAX_QUEUE) as u64,
            bytes: (budget as u64).min(MAX_BUDGET),
        };
        Self {
            capacity,
            used: AtomicU64::new(0),
            holders: Mutex::default(),
        }
    }

    /// What is taken now.
    pub(crate) fn used(&self) -> Load {
        Load::unpack(self.used.load(Ordering::Relaxed))
    }

    /// Takes room for a request, or says which bound does not have it.
    pub(crate) fn take(&self, caller: Party, load: Load) -> Result<Share, Full> {
        let before = Load::unpack(self.used.fetch_add(load.pack(), Ordering::Relaxed));
        let open = before.requests + load.requests <= self.capacity.requests / 2
            && before.bytes + load.bytes <= self.capacity.bytes / 2;
        if open {
            return Ok(Share { load, holder: None });
        }
        let taken = self.take_of_second_half(caller, load, before);
        if taken.is_err() {
            self.used.fetch_sub(load.pack(), Ordering::Relaxed);
        }
        taken
    }

    fn take_of_second_half(&self, caller: Party, load: Load, before: Load) -> Result<Share, Full> {
        let mut holders = self.holders();
        let known = holders.iter().position(|holder| holder.caller == caller);
        let callers = holders.len() as u64 + u64::from(known.is_none());
        let held = known.map(|index| holders[index].load).unwrap_or_default();
        let Load { requests, bytes } = self.capacity;
        let places = Bound {
            common: requests,
            all: requests + kept(requests),
        };
        if !places.admits(before.requests, load.requests, held.requests, callers) {
            return Err(Full::Queue {
                limit: requests,
                value: before.requests + load.requests,
            });
        }
        let budget = Bound {
            common: bytes - kept(bytes),
            all: bytes,
        };
        if !budget.admits(before.bytes, load.bytes, held.bytes, callers) {
            return Err(Full::Budget {
                limit: bytes,
                value: before.bytes + load.bytes,
                alone: load.bytes > bytes,
            });
        }
        match known {
            Some(index) => holders[index].load.add(load),
            None => holders.push(Holder { caller, load }),
        }
        Ok(Share {
            load,
            holder: Some(Box::new(caller)),
        })
    }

    pub(crate) fn give_back(&self, share: &Share) {
        if let Some(caller) = &share.holder {
            let mut holders = self.holders();
            if let Some(index) = holders.iter().position(|holder| holder.caller == **caller) {
                holders[index].load.sub(share.load);
                if holders[index].load.requests == 0 {
                    holders.swap_remove(index);
                }
            }
        }
        self.used.fetch_sub(share.load.pack(), Ordering::Relaxed);
    }

    pub(super) fn holders(&self) -> MutexGuard<'_, Vec<Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept for callers that hold nothing. A bound of a few is what it says.
fn kept(capacity: u64) -> u64 {
    if capacity < 8 {
        0
    } else {
        (capacity / 64).max(1)
    }
}

/// How far something may be used.
#[derive(Clone, Copy, Debug)]
struct Bound {
    /// By everybody.
    common: u64,
    /// By callers that hold nothing of the second half.
    all: u64,
}

impl Bound {
    /// Whether a caller that holds `held` of the second half may take `more`, when `used` is taken of all and
    /// `callers`, it among them, want some of that half.
    fn admits(self, used: u64, more: u64, held: u64, callers: u64) -> bool {
        let after = used + more;
        if held == 0 || more == 0 {
            return after <= self.all;
        }
        after <= self.common && (callers == 1 || held + more <= self.common / 2 / callers)
    }
}
