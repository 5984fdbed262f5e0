//! The way into a stub: who may enter, when it is whose turn, and what is told to who may not.
//!
//! A stub that runs as many requests as come is entered with one atomic addition. Only where it gets crowded, where
//! requests take turns, or where a rate is set, is there a lock.

mod queue;
#[cfg(test)]
mod queue_tests;
mod rate;
mod shares;
#[cfg(test)]
mod shares_tests;
mod tally;
mod turns;

/// What parts of the gate that threads share are made of. The test target `shuttle` builds them with its own, to try
/// the orders in which threads can go.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
}

pub(crate) use queue::Visit;
pub(crate) use tally::Cause;

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use proto::message::DeathReason;

use crate::{
    limits,
    peer::now,
    remote::{StubCell, StubOptions, StubStats},
    session::passing_rules::Party,
};
use rate::Rate;
use shares::{Full, Load, Share, Shares};
use tally::Tally;
use turns::{Gone, NoPlace, Place, Turns};

/// How long a handler may hold the task that reads requests.
const INLINE_TIME: Duration = Duration::from_millis(1);
/// How often in a row it may take longer.
const SLOW_POLLS: u32 = 5;
/// Where requests do not take turns, one in so many is timed: the clock costs more than the rest of the gate.
const TIMED: u64 = 8;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The way into a stub.
pub(crate) struct Gate {
    shares: Shares,
    /// How many may run or wait.
    queue: u64,
    /// How many may run at a time, and their turns; `None` if as many as come.
    turns: Option<(usize, Turns)>,
    rate: Option<Box<Mutex<Rate<Party>>>>,
    tally: Tally,
    /// How often in a row a handler that runs where its request arrives took longer than it may.
    slow: AtomicU32,
    /// One-way calls of this process: one at a time, in order. `None` while nobody works on them.
    one_way: Arc<Mutex<Option<VecDeque<Task>>>>,
}

/// Why a request will not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A bound is reached.
    Busy {
        cause: Cause,
        limit: u64,
        value: u64,
        /// `None` where waiting does not help.
        retry_after: Option<Duration>,
    },
    /// What was called is dead.
    Dead(DeathReason),
}

/// A request inside a stub. Gives everything back when dropped, which begins the turn of the next one.
pub(crate) struct Entry {
    stub: Arc<StubCell>,
    /// `None` once it has left.
    share: Option<Share>,
    place: Option<Place>,
    ran: bool,
    begun: Option<Instant>,
}

impl Gate {
    pub(crate) fn new(options: &StubOptions) -> Self {
        let queue = options.queue.min(limits::MAX_QUEUE);
        let turns = options.width().map(|width| {
            let width = width.get();
            (width, Turns::new(width, queue))
        });
        // Turns have a bound of their own.
        let places = if turns.is_some() {
            limits::MAX_QUEUE
        } else {
            queue
        };
        Self {
            shares: Shares::new(places, options.budget),
            queue: queue as u64,
            turns,
            rate: options
                .rate
                .map(|limit| Box::new(Mutex::new(Rate::new(limit)))),
            tally: Tally::default(),
            slow: AtomicU32::new(0),
            one_way: Arc::default(),
        }
    }

    /// Whether handlers may run where their requests arrive.
    pub(crate) fn runs_inline(&self) -> bool {
        self.slow.load(Ordering::Relaxed) < SLOW_POLLS
    }

    /// A handler has run where its request arrived. Whether it was the one too many: from here on this stub's requests
    /// get tasks, so that a handler with a wrong idea of itself does not hold up everybody's.
    pub(crate) fn ran_inline(&self, took: Duration) -> bool {
        if took <= INLINE_TIME {
            // A thread that was preempted once says nothing about its handlers.
            if self.runs_inline() && self.slow.load(Ordering::Relaxed) > 0 {
                self.slow.store(0, Ordering::Relaxed);
            }
            return false;
        }
        self.slow.fetch_add(1, Ordering::Relaxed) + 1 == SLOW_POLLS
    }

    /// Lets a request in, or says why not. Its place in the order is that of this call.
    pub(crate) fn enter(
        stub: Arc<StubCell>,
        visit: Visit<Party>,
        bytes: usize,
    ) -> Result<Entry, Refusal> {
        let gate = &stub.gate;
        let taken = gate.take(visit, bytes);
        match taken {
            Ok((share, place)) => Ok(Entry {
                stub,
                share: Some(share),
                place,
                ran: false,
                begun: None,
            }),
            Err(refusal) => Err(gate.refused(refusal)),
        }
    }

    fn take(&self, visit: Visit<Party>, bytes: usize) -> Result<(Share, Option<Place>), Refusal> {
        if let Some(rate) = &self.rate {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.take(now(), visit.caller).map_err(|until_next| {
                let burst = u64::from(rate.limit().burst());
                Refusal::Busy {
                    cause: Cause::Rate,
                    limit: burst,
                    value: burst + 1,
                    retry_after: Some(until_next),
                }
            })?;
        }
        let share = self.shares.take(visit.caller, Load::of(bytes));
        let share = share.map_err(|full| self.full(full))?;
        let Some((_, turns)) = &self.turns else {
            return Ok((share, None));
        };
        match turns.enter(visit) {
            Ok(place) => Ok((share, Some(place))),
            Err(NoPlace) => {
                self.shares.give_back(&share);
                Err(self.no_place())
            }
        }
    }

    fn no_place(&self) -> Refusal {
        self.busy(Cause::Queue, self.queue, self.queue + 1)
    }

    fn full(&self, full: Full) -> Refusal {
        match full {
            Full::Queue { limit, value } => self.busy(Cause::Queue, limit, value),
            Full::Budget {
                limit,
                value,
                alone: false,
            } => self.busy(Cause::Budget, limit, value),
            Full::Budget { limit, value, .. } => Refusal::Busy {
                cause: Cause::Budget,
                limit,
                value,
                retry_after: None,
            },
        }
    }

    fn busy(&self, cause: Cause, limit: u64, value: u64) -> Refusal {
        // Of requests that all run at once, some end soon.
        let (ahead, at_most) = self.turns.as_ref().map_or((1, 1), |(at_most, turns)| {
            let (_, waiting) = turns.count();
            (waiting, *at_most)
        });
        Refusal::Busy {
            cause,
            limit,
            value,
            retry_after: Some(self.tally.retry_after(ahead, at_most)),
        }
    }

    fn refused(&self, refusal: Refusal) -> Refusal {
        self.tally.refuse(match refusal {
            Refusal::Busy { cause, .. } => cause,
            Refusal::Dead(_) => Cause::Dead,
        });
        refusal
    }

    /// A rule of the registration turned a request away before it came here.
    pub(crate) fn refused_by_rule(&self) {
        self.tally.refuse(Cause::Rule);
    }

    /// A request came to what is dead, or waited when it died.
    pub(crate) fn refused_dead(&self) {
        self.tally.refuse(Cause::Dead);
    }

    pub(crate) fn stats(&self) -> StubStats {
        let Load { requests, bytes } = self.shares.used();
        let (running, waiting) = match &self.turns {
            None => (requests, 0),
            Some((_, turns)) => {
                let (_, waiting) = turns.count();
                let waiting = waiting as u64;
                (requests.saturating_sub(waiting), waiting)
            }
        };
        let tally = &self.tally;
        StubStats {
            running,
            waiting,
            bytes,
            served: tally.served(),
            refused: tally.all_refused(),
            average: tally.average(),
        }
    }

    /// What waits for a registration, or for the stub at all, is refused; what runs ends as it would.
    pub(crate) fn drain(&self, registration: Option<u64>, reason: DeathReason) {
        if let Some((_, turns)) = &self.turns {
            turns.drain(registration, reason);
        }
    }

    /// Runs a one-way call of this process after those before it. Bounded by the places inside.
    pub(crate) fn one_way(&self, task: Task) {
        let queue = Arc::clone(&self.one_way);
        let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waiting {
            Some(tasks) => tasks.push_back(task),
            None => {
                *waiting = Some(VecDeque::from([task]));
                drop(waiting);
                tokio::spawn(
                    WorkOff {
                        queue,
                        ended: false,
                    }
                    .run(),
                );
            }
        }
    }
}

/// Works on the one-way calls of this process until none is left. When the runtime it is on ends before, they end with
/// it, and the next one finds somebody to work on it.
struct WorkOff {
    queue: Arc<Mutex<Option<VecDeque<Task>>>>,
    ended: bool,
}

impl WorkOff {
    async fn run(mut self) {
        while let Some(task) = self.next() {
            task.await;
        }
    }

    fn next(&mut self) -> Option<Task> {
        let mut waiting = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let task = waiting.as_mut().and_then(VecDeque::pop_front);
        if task.is_none() {
            *waiting = None;
            self.ended = true;
        }
        task
    }
}

impl Drop for WorkOff {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let waiting = {
            let mut waiting = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.take()
        };
        // Outside the lock: what they hold may do anything when it goes.
        drop(waiting);
    }
}

impl Entry {
    /// What was entered.
    pub(crate) fn stub(&self) -> &Arc<StubCell> {
        &self.stub
    }

    /// Waits for its turn; at once where there are none.
    ///
    /// # Errors
    /// It will not have one.
    pub(crate) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<Result<(), Refusal>> {
        let gate = &self.stub.gate;
        if let (Some((_, turns)), Some(place)) = (&gate.turns, &self.place) {
            let turn = ready!(turns.poll(place, cx));
            turn.map_err(|gone| gate.gone(gone))?;
        }
        self.ran = true;
        if gate.turns.is_some() || gate.tally.served().is_multiple_of(TIMED) {
            self.begun = Some(now());
        }
        Poll::Ready(Ok(()))
    }

    /// Gives everything back, before it is dropped.
    pub(crate) fn leave(&mut self) {
        let Some(share) = self.share.take() else {
            return;
        };
        let gate = &self.stub.gate;
        if self.ran {
            gate.tally.ended(self.begun.map(|begun| now() - begun));
        }
        gate.shares.give_back(&share);
        if let (Some((_, turns)), Some(place)) = (&gate.turns, &self.place) {
            turns.leave(place);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Gate {
    fn gone(&self, gone: Gone) -> Refusal {
        self.refused(match gone {
            Gone::Dead(reason) => Refusal::Dead(reason),
            Gone::PushedOut => self.no_place(),
        })
    }
}

/// A name for a chain of calls that begins here: nobody can guess it who has not been called in it.
pub(crate) fn next_chain() -> u64 {
    thread_local! {
        /// Random bytes in stock, and how many of them are used up: one system call for many names.
        static STOCK: RefCell<([u8; 1024], usize)> = const { RefCell::new(([0; 1024], 1024)) };
    }
    let random = STOCK.with_borrow_mut(|(bytes, used)| {
        if *used == bytes.len() {
            getrandom::fill(bytes).ok()?;
            *used = 0;
        }
        let name = *bytes[*used..].first_chunk::<8>()?;
        *used += name.len();
        Some(u64::from_le_bytes(name))
    });
    // Where the system has no randomness, the seed of a hash table's keys is the best there is.
    random.unwrap_or_else(|| RandomState::new().hash_one(0))
}
