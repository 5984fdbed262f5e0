//! The calls we wait for.

use std::time::{Duration, Instant};

use proto::CallId;

use super::{event::Outcome, slow::Slowness};

/// Two-way calls in flight. A slot is retired only by the terminal frame of its call, so that a reply is never taken
/// for that of another call, however late it comes.
#[derive(Debug, Default)]
pub(super) struct CallTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    open: u32,
    /// How many handlers wait for calls that they have made.
    nested: u32,
    /// Not later than the earliest deadline. Kept as a bound: calls end far more often than deadlines pass, and a
    /// bound that is too early costs one look at the table.
    earliest: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
    deadline: Option<Instant>,
    lane: u16,
    /// The chain that a handler makes the call in.
    chain: Option<u64>,
    code: u32,
    since: Instant,
    /// What was seen of it when somebody last looked.
    slow: Slowness,
}

#[derive(Debug)]
enum State {
    Free,
    /// The caller and the wire are both open.
    Waiting,
    /// Nobody waits; the terminal frame is still to come.
    Abandoned,
    /// The outcome is there before the terminal frame: the deadline passed here.
    Overdue(Outcome),
    /// The terminal frame has come; the outcome waits to be taken.
    Ended(Outcome),
}

/// What became of a terminal frame.
#[derive(Debug)]
pub(super) enum Completed {
    /// Somebody waits for the outcome.
    Told,
    /// Nobody waits any more; what it carries is to be given back.
    Late(Outcome),
}

impl CallTable {
    /// How many calls the peer has not ended.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// Whether a handler waits for a call that it made in this chain.
    pub(super) fn waits_for(&self, chain: u64) -> bool {
        let waits = |slot: &Slot| slot.chain == Some(chain) && matches!(slot.state, State::Waiting);
        self.nested > 0 && self.slots.iter().any(waits)
    }

    /// `chain` is that of the handler which makes the call, if one does. Of one that is `slow` as if told nobody is told.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        lane: u16,
        code: u32,
        deadline: Option<Instant>,
        chain: Option<u64>,
        slow: Slowness,
    ) -> CallId {
        self.open += 1;
        self.nested += u32::from(chain.is_some());
        if let Some(deadline) = deadline {
            self.earliest = Some(
                self.earliest
                    .map_or(deadline, |earliest| earliest.min(deadline)),
            );
        }
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            place.generation = place.generation.wrapping_add(1);
            place.state = State::Waiting;
            place.deadline = deadline;
            place.lane = lane;
            place.chain = chain;
            (place.code, place.since, place.slow) = (code, now, slow);
            return CallId {
                slot,
                generation: place.generation,
            };
        }
        let slot = self.slots.len() as u32;
        self.slots.push(Slot {
            generation: 1,
            state: State::Waiting,
            deadline,
            lane,
            chain,
            code,
            since: now,
            slow,
        });
        CallId {
            slot,
            generation: 1,
        }
    }

    /// The terminal frame of `id` has come.
    pub(super) fn complete(&mut self, id: CallId, outcome: Outcome) -> Completed {
        let Some(slot) = self.get_mut(id) else {
            return Completed::Late(outcome);
        };
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Waiting => {
                slot.state = State::Ended(outcome);
                self.nested -= u32::from(slot.chain.is_some());
                self.open -= 1;
                Completed::Told
            }
            State::Overdue(earlier) => {
                slot.state = State::Ended(earlier);
                self.open -= 1;
                Completed::Late(outcome)
            }
            State::Abandoned => {
                self.open -= 1;
                self.free.push(id.slot);
                Completed::Late(outcome)
            }
            other @ (State::Free | State::Ended(_)) => {
                slot.state = other;
                Completed::Late(outcome)
            }
        }
    }

    /// Whether `id` still waits for its terminal frame, and on which lane that must come.
    pub(super) fn lane_of(&self, id: CallId) -> Option<u16> {
        let slot = self.slots.get(id.slot as usize)?;
        let open = matches!(
            slot.state,
            State::Waiting | State::Abandoned | State::Overdue(_)
        );
        (slot.generation == id.generation && open).then_some(slot.lane)
    }

    /// When its caller stops waiting.
    pub(super) fn deadline_of(&self, id: CallId) -> Option<Instant> {
        self.slots.get(id.slot as usize)?.deadline
    }

    pub(super) fn take(&mut self, id: CallId) -> Option<Outcome> {
        let slot = self.get_mut(id)?;
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Ended(outcome) => {
                self.free.push(id.slot);
                Some(outcome)
            }
            State::Overdue(outcome) => {
                slot.state = State::Abandoned;
                Some(outcome)
            }
            other => {
                slot.state = other;
                None
            }
        }
    }

    /// The caller no longer waits. Returns the lane for a cancel frame, and an outcome that nobody will take.
    pub(super) fn abandon(&mut self, id: CallId) -> (Option<u16>, Option<Outcome>) {
        let Some(slot) = self.get_mut(id) else {
            return (None, None);
        };
        match std::mem::replace(&mut slot.state, State::Abandoned) {
            State::Waiting => {
                let lane = slot.lane;
                self.nested -= u32::from(slot.chain.is_some());
                (Some(lane), None)
            }
            State::Abandoned => (None, None),
            State::Overdue(outcome) => (None, Some(outcome)),
            State::Ended(outcome) => {
                slot.state = State::Free;
                self.free.push(id.slot);
                (None, Some(outcome))
            }
            State::Free => {
                slot.state = State::Free;
                (None, None)
            }
        }
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// Ends every call whose deadline has passed with `TimedOut`; each is told with the lane for its cancel frame.
    pub(super) fn expire(&mut self, now: Instant, mut ended: impl FnMut(CallId, u16)) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        let mut earliest: Option<Instant> = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let (State::Waiting, Some(deadline)) = (&slot.state, slot.deadline) else {
                continue;
            };
            if deadline <= now {
                slot.state = State::Overdue(Outcome::TimedOut);
                self.nested -= u32::from(slot.chain.is_some());
                ended(
                    CallId {
                        slot: index as u32,
                        generation: slot.generation,
                    },
                    slot.lane,
                );
            } else {
                earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            }
        }
        self.earliest = earliest;
    }

    /// Which method a call that has ended called and since when it waited, if that may be long and nobody was told.
    pub(super) fn suspect(&mut self, id: CallId) -> Option<(u32, Instant)> {
        let slot = self.get_mut(id)?;
        (slot.slow == Slowness::Suspect).then_some((slot.code, slot.since))
    }

    /// Looks for calls that wait long: those that have waited for `suspect` are remembered, and of those that have
    /// waited for `limit` the method is told, once.
    pub(super) fn find_slow(
        &mut self,
        now: Instant,
        suspect: Duration,
        limit: Duration,
        mut found: impl FnMut(u32, Duration),
    ) {
        let waiting = |slot: &&mut Slot| matches!(slot.state, State::Waiting);
        for slot in self.slots.iter_mut().filter(waiting) {
            let waited = now.saturating_duration_since(slot.since);
            if waited >= limit && slot.slow != Slowness::Told {
                slot.slow = Slowness::Told;
                found(slot.code, waited);
            } else if waited >= suspect && slot.slow == Slowness::No {
                slot.slow = Slowness::Suspect;
            }
        }
    }

    /// The session is over: every call that waits ends, and no terminal frame will come.
    pub(super) fn close(&mut self, mut ended: impl FnMut(CallId)) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            match std::mem::replace(&mut slot.state, State::Free) {
                State::Waiting => {
                    slot.state = State::Ended(Outcome::Indeterminate);
                    ended(CallId {
                        slot: index as u32,
                        generation: slot.generation,
                    });
                }
                State::Overdue(outcome) | State::Ended(outcome) => {
                    slot.state = State::Ended(outcome);
                }
                State::Abandoned => self.free.push(index as u32),
                State::Free => {}
            }
        }
        self.open = 0;
        self.nested = 0;
        self.earliest = None;
    }

    /// How many slots hold anything.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn get_mut(&mut self, id: CallId) -> Option<&mut Slot> {
        self.slots
            .get_mut(id.slot as usize)
            .filter(|slot| slot.generation == id.generation)
    }
}
