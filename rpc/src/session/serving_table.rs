//! The calls the peer waits for.

use std::time::{Duration, Instant};

use proto::{CallId, Handle};

use super::{event::ServingId, slow::Slowness};

/// A request whose handler has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    /// What the reply names; `None` for a one-way call.
    pub(super) call: Option<CallId>,
    /// Where the reply goes.
    pub(super) lane: u16,
    /// The export it runs on, for one-way order.
    pub(super) export: Handle,
    pub(super) deadline: Option<Instant>,
    /// The terminal frame has gone out before the handler ended.
    pub(super) replied: bool,
    /// The handler is to stop, or not to begin.
    pub(super) stopped: bool,
    /// The driver has been told to run the handler.
    pub(super) dispatched: bool,
    /// Bytes that count against the one-way credit.
    pub(super) bytes: u64,
    /// How many file descriptors it came with.
    pub(super) descriptors: u32,
    /// Which method.
    pub(super) code: u32,
    /// When the driver was told to run the handler.
    pub(super) since: Option<Instant>,
    /// What was seen of it when somebody last looked.
    pub(super) slow: Slowness,
}

/// Requests being served. A slot is freed when the handler has really ended, whatever the caller was told before: what
/// it still uses is in use.
#[derive(Debug, Default)]
pub(super) struct ServingTable {
    slots: Vec<(u32, Option<Serving>)>,
    free: Vec<u32>,
    /// Of the peer's call slots: who serves them.
    by_call: Vec<Option<u32>>,
    two_way: u32,
    /// How many calls the peer waits for: those in `by_call`.
    open: u32,
    descriptors: u32,
    earliest: Option<Instant>,
}

impl ServingTable {
    /// How many two-way handlers have not ended.
    pub(super) fn two_way(&self) -> u32 {
        self.two_way
    }

    /// How many calls have had no terminal frame.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// How many file descriptors came with requests whose handlers have not ended.
    pub(super) fn descriptors(&self) -> u32 {
        self.descriptors
    }

    /// Whether the peer already waits for a call in this slot of its table.
    pub(super) fn is_open(&self, call: CallId) -> bool {
        self.by_call
            .get(call.slot as usize)
            .is_some_and(Option::is_some)
    }

    pub(super) fn insert(&mut self, serving: Serving) -> ServingId {
        if let Some(deadline) = serving.deadline {
            self.earliest = Some(
                self.earliest
                    .map_or(deadline, |earliest| earliest.min(deadline)),
            );
        }
        self.descriptors += serving.descriptors;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        if let Some(call) = serving.call {
            let index = call.slot as usize;
            if self.by_call.len() <= index {
                self.by_call.resize(index + 1, None);
            }
            self.by_call[index] = Some(slot);
            self.two_way += 1;
            self.open += 1;
        }
        let place = &mut self.slots[slot as usize];
        place.0 = place.0.wrapping_add(1);
        place.1 = Some(serving);
        ServingId {
            slot,
            generation: place.0,
        }
    }

    pub(super) fn get_mut(&mut self, id: ServingId) -> Option<&mut Serving> {
        let (generation, serving) = self.slots.get_mut(id.slot as usize)?;
        if *generation == id.generation {
            serving.as_mut()
        } else {
            None
        }
    }

    /// Who serves a call of the peer's.
    pub(super) fn find(&self, call: CallId) -> Option<ServingId> {
        let slot = (*self.by_call.get(call.slot as usize)?)?;
        let (generation, serving) = &self.slots[slot as usize];
        let same = serving.is_some_and(|serving| serving.call == Some(call));
        same.then_some(ServingId {
            slot,
            generation: *generation,
        })
    }

    /// The terminal frame goes out: the peer may use its slot again.
    pub(super) fn mark_replied(&mut self, id: ServingId) {
        let Some(serving) = self.get_mut(id) else {
            return;
        };
        serving.replied = true;
        if let Some(call) = serving.call {
            self.by_call[call.slot as usize] = None;
            self.open -= 1;
        }
    }

    /// The handler has ended.
    pub(super) fn remove(&mut self, id: ServingId) -> Option<Serving> {
        let (generation, serving) = self.slots.get_mut(id.slot as usize)?;
        if *generation != id.generation {
            return None;
        }
        let serving = serving.take()?;
        self.free.push(id.slot);
        self.descriptors -= serving.descriptors;
        if serving.call.is_some() {
            self.two_way -= 1;
        }
        if let (Some(call), false) = (serving.call, serving.replied) {
            self.by_call[call.slot as usize] = None;
            self.open -= 1;
        }
        Some(serving)
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// Stops every request whose deadline has passed and that nobody has stopped yet.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<ServingId> {
        let mut expired = Vec::new();
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return expired;
        }
        let mut earliest: Option<Instant> = None;
        for (index, (generation, serving)) in self.slots.iter_mut().enumerate() {
            let Some(serving) = serving.as_mut().filter(|serving| !serving.stopped) else {
                continue;
            };
            let Some(deadline) = serving.deadline else {
                continue;
            };
            if deadline <= now {
                serving.stopped = true;
                expired.push(ServingId {
                    slot: index as u32,
                    generation: *generation,
                });
            } else {
                earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            }
        }
        self.earliest = earliest;
        expired
    }

    /// Looks for handlers that take long: those that have run for `suspect` are remembered, and of those that have run
    /// for `stuck` export and method are told, once.
    pub(super) fn find_slow(
        &mut self,
        now: Instant,
        suspect: Duration,
        stuck: Duration,
        mut found: impl FnMut(Handle, u32, Duration),
    ) {
        for serving in self.slots.iter_mut().filter_map(|(_, slot)| slot.as_mut()) {
            let Some(since) = serving.since else { continue };
            let running = now.saturating_duration_since(since);
            if running >= stuck && serving.slow != Slowness::Told {
                serving.slow = Slowness::Told;
                found(serving.export, serving.code, running);
            } else if running >= suspect && serving.slow == Slowness::No {
                serving.slow = Slowness::Suspect;
            }
        }
    }

    /// The session is over: no reply can go out. Returns what is to be stopped.
    pub(super) fn close(&mut self) -> Vec<ServingId> {
        let mut running = Vec::new();
        for (index, (generation, serving)) in self.slots.iter_mut().enumerate() {
            if let Some(serving) = serving {
                serving.replied = true;
                if !std::mem::replace(&mut serving.stopped, true) {
                    running.push(ServingId {
                        slot: index as u32,
                        generation: *generation,
                    });
                }
            }
        }
        self.by_call.clear();
        self.open = 0;
        self.earliest = None;
        running
    }

    /// How many handlers have not ended.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
