//! Waiting for a turn: the queue under its lock, and who is woken when.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use proto::message::DeathReason;

use super::{
    queue::{Admission, Turn, TurnQueue, Visit},
    sync::{Mutex, MutexGuard, PoisonError},
};
use crate::session::passing_rules::Party;

/// The turns of a stub that runs only so many requests at a time.
#[derive(Debug)]
pub(crate) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    queue: TurnQueue<Party, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// What a ticket stands for.
#[derive(Debug)]
enum Slot {
    Free,
    Waiting(Option<Waker>),
    Granted(Turn),
    Gone(Gone),
}

/// Why a request that waited will not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Somebody with fewer requests needed the place.
    PushedOut,
    /// What was called is dead.
    Dead(DeathReason),
}

/// A request's place, to be given back with [`Turns::leave`].
#[must_use]
#[derive(Debug)]
pub(crate) enum Place {
    Running { turn: Turn, chain: u64, depth: u8 },
    Ticket { ticket: u32, visit: Visit<Party> },
}

/// Nobody can be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

impl Turns {
    pub(crate) fn new(at_most: usize, bound: usize) -> Self {
        Self(Mutex::new(State {
            queue: TurnQueue::new(at_most, bound),
            slots: Vec::new(),
            free: Vec::new(),
        }))
    }

    /// How many run and how many wait.
    pub(crate) fn count(&self) -> (usize, usize) {
        let state = self.lock();
        (state.queue.running(), state.queue.waiting())
    }

    /// Takes the place that a request has by the order in which it came.
    pub(crate) fn enter(&self, visit: Visit<Party>) -> Result<Place, NoPlace> {
        let mut state = self.lock();
        let State { queue, slots, free } = &mut *state;
        let mut ticket = 0;
        let admission = queue.enter(visit, || {
            ticket = free.pop().unwrap_or_else(|| {
                slots.push(Slot::Free);
                slots.len() as u32 - 1
            });
            ticket
        });
        match admission {
            Admission::Run(turn) => Ok(Place::Running {
                turn,
                chain: visit.chain,
                depth: visit.depth,
            }),
            Admission::Refused => Err(NoPlace),
            Admission::Wait { instead_of } => {
                slots[ticket as usize] = Slot::Waiting(None);
                let gone = instead_of.and_then(|other| {
                    let slot = &mut slots[other as usize];
                    slot.settle(Slot::Gone(Gone::PushedOut))
                });
                drop(state);
                wake(gone);
                Ok(Place::Ticket { ticket, visit })
            }
        }
    }

    /// Whether it is a request's turn.
    pub(crate) fn poll(&self, place: &Place, cx: &Context<'_>) -> Poll<Result<(), Gone>> {
        let Place::Ticket { ticket, .. } = place else {
            return Poll::Ready(Ok(()));
        };
        match &mut self.lock().slots[*ticket as usize] {
            Slot::Waiting(Some(known)) if known.will_wake(cx.waker()) => Poll::Pending,
            Slot::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Slot::Granted(_) | Slot::Free => Poll::Ready(Ok(())),
            Slot::Gone(gone) => Poll::Ready(Err(*gone)),
        }
    }

    /// Gives a place back, whatever became of the request; the next one's turn may begin.
    pub(crate) fn leave(&self, place: &Place) {
        let mut state = self.lock();
        let State { queue, slots, free } = &mut *state;
        match place {
            Place::Running { turn, chain, depth } => queue.leave(*turn, *chain, *depth),
            Place::Ticket { ticket, visit } => {
                let slot = std::mem::replace(&mut slots[*ticket as usize], Slot::Free);
                free.push(*ticket);
                match slot {
                    Slot::Granted(turn) => queue.leave(turn, visit.chain, visit.depth),
                    Slot::Waiting(_) => queue.cancel(visit.caller, *ticket),
                    Slot::Free | Slot::Gone(_) => {}
                }
            }
        }
        let mut grant = || {
            let (next, turn) = queue.next()?;
            Some(slots[next as usize].settle(Slot::Granted(turn)))
        };
        // Hardly ever more than one.
        let next = grant();
        let others: Vec<_> = std::iter::from_fn(grant).collect();
        drop(state);
        next.into_iter().chain(others).for_each(wake);
    }

    /// What waits for a registration, or for the stub at all, will not run.
    pub(crate) fn drain(&self, registration: Option<u64>, reason: DeathReason) -> usize {
        let mut state = self.lock();
        let State { queue, slots, .. } = &mut *state;
        let gone = queue.drain(registration);
        let wakers: VecDeque<_> = gone
            .iter()
            .map(|ticket| slots[*ticket as usize].settle(Slot::Gone(Gone::Dead(reason))))
            .collect();
        drop(state);
        wakers.into_iter().for_each(wake);
        gone.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Ends its waiting. Returns whom to wake, outside the lock.
    fn settle(&mut self, as_what: Self) -> Option<Waker> {
        match std::mem::replace(self, as_what) {
            Self::Waiting(waker) => waker,
            _ => None,
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
