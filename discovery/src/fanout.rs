//! One writer of events, many readers, bounded.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use proto::DeviceId;

use crate::{Candidate, Event, Snapshot, Source, Status};

/// Events one subscription may hold unread; beyond it they are dropped for a snapshot.
const CAPACITY: usize = 256;

/// What a backend writes its events to: remembers the present state, and hands every [`Watch`] a copy of each event.
/// Writing never waits; a subscription that is read too slowly gets a snapshot in place of what it missed.
///
/// For authors of a [`Discovery`](crate::Discovery) backend. Clones write to the same subscriptions.
#[derive(Clone)]
pub struct Fanout {
    source: Source,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    candidates: HashMap<DeviceId, Candidate>,
    status: Option<Status>,
    slots: HashMap<u64, Slot>,
    next_slot: u64,
    closed: bool,
}

#[derive(Default)]
struct Slot {
    queue: VecDeque<Event>,
    lagged: bool,
    waker: Option<Waker>,
}

impl Slot {
    fn push(&mut self, event: Event) {
        if self.lagged {
            return;
        }
        if self.queue.len() >= CAPACITY {
            self.queue.clear();
            self.lagged = true;
        } else {
            self.queue.push_back(event);
        }
    }
}

impl Fanout {
    /// A fan-out without subscriptions, for the events of `source`.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            state: Arc::default(),
        }
    }

    /// Reports a candidate; its `source` is set to that of this fan-out. How many are remembered is for the backend
    /// to bound.
    pub fn upsert(&self, mut candidate: Candidate) {
        candidate.source = self.source;
        self.change(|state| {
            state.candidates.insert(candidate.id, candidate.clone());
            Some(Event::Upsert(candidate))
        });
    }

    /// Reports that a device left. Says nothing if it was not there.
    pub fn withdraw(&self, id: DeviceId) {
        let source = self.source;
        self.change(|state| {
            state.candidates.remove(&id)?;
            Some(Event::Withdrawn { id, source })
        });
    }

    /// Reports that a device was not heard of for too long. Says nothing if it was not there.
    pub fn expire(&self, id: DeviceId) {
        let source = self.source;
        self.change(|state| {
            state.candidates.remove(&id)?;
            Some(Event::Expired { id, source })
        });
    }

    /// Reports how the backend is. Says nothing if that was said last.
    pub fn set_status(&self, status: Status) {
        let source = self.source;
        self.change(|state| {
            if state.status.as_ref() == Some(&status) {
                return None;
            }
            state.status = Some(status.clone());
            Some(Event::Status { source, status })
        });
    }

    /// Ends every subscription once it is read to its end, and those made later at once.
    pub fn close(&self) {
        self.change(|state| {
            state.closed = true;
            None
        });
    }

    /// Everything known at present.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot(self.source)
    }

    /// A new subscription, which first says what is known.
    pub fn watch(&self) -> Watch {
        let mut state = self.lock();
        let mut slot = Slot::default();
        if let Some(status) = state.status.clone() {
            slot.push(Event::Status {
                source: self.source,
                status,
            });
        }
        for candidate in state.candidates.values() {
            slot.push(Event::Upsert(candidate.clone()));
        }
        let number = state.next_slot;
        state.next_slot += 1;
        state.slots.insert(number, slot);
        drop(state);
        Watch {
            fanout: self.clone(),
            number,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State) -> Option<Event>) {
        let mut state = self.lock();
        let event = change(&mut state);
        if event.is_none() && !state.closed {
            return;
        }
        let mut wakers = Vec::new();
        for slot in state.slots.values_mut() {
            if let Some(event) = &event {
                slot.push(event.clone());
            }
            wakers.extend(slot.waker.take());
        }
        // A waker may run anything, this type included.
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement that may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn snapshot(&self, source: Source) -> Snapshot {
        Snapshot {
            source,
            status: self.status.clone(),
            candidates: self.candidates.values().cloned().collect(),
        }
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A subscription to the events of one backend; also a [`Stream`]. Holds at most 256 unread events. Dropping it ends
/// it.
#[derive(Debug)]
#[must_use = "events are lost unless the subscription is read"]
pub struct Watch {
    fanout: Fanout,
    number: u64,
}

impl Watch {
    /// The next event, or `None` when the backend is closed and everything was read. May be dropped and called again
    /// without losing an event.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.fanout.lock();
        let closed = state.closed;
        let Some(slot) = state.slots.get_mut(&self.number) else {
            return Poll::Ready(None);
        };
        if slot.lagged {
            slot.lagged = false;
            // Under the lock: no event can fall between the snapshot and the queue.
            return Poll::Ready(Some(Event::Lagged(state.snapshot(self.fanout.source))));
        }
        if let Some(event) = slot.queue.pop_front() {
            return Poll::Ready(Some(event));
        }
        if closed {
            return Poll::Ready(None);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Stream for Watch {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(context)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.fanout.lock().slots.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn id(n: u32) -> DeviceId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        DeviceId::from_bytes(bytes)
    }

    fn candidate(n: u32) -> Candidate {
        Candidate::new(id(n), Source::STATIC, Vec::new())
    }

    fn next(watch: &mut Watch) -> Option<Event> {
        watch.next().now_or_never().expect("an event is there")
    }

    #[test]
    fn every_subscription_gets_every_event() {
        let fanout = Fanout::new(Source::STATIC);
        let (mut a, mut b) = (fanout.watch(), fanout.watch());
        fanout.upsert(candidate(1));
        fanout.withdraw(id(1));
        fanout.withdraw(id(1));
        for watch in [&mut a, &mut b] {
            assert_eq!(next(watch), Some(Event::Upsert(candidate(1))));
            let source = Source::STATIC;
            assert_eq!(next(watch), Some(Event::Withdrawn { id: id(1), source }));
            assert_eq!(watch.next().now_or_never(), None, "the second is no news");
        }
    }

    #[test]
    fn a_late_subscription_is_told_what_is_known() {
        let fanout = Fanout::new(Source::STATIC);
        fanout.set_status(Status::Up);
        fanout.set_status(Status::Up);
        fanout.upsert(candidate(1));
        let mut watch = fanout.watch();
        let status = Status::Up;
        let source = Source::STATIC;
        assert_eq!(next(&mut watch), Some(Event::Status { source, status }));
        assert_eq!(next(&mut watch), Some(Event::Upsert(candidate(1))));
        assert_eq!(watch.next().now_or_never(), None);
    }

    #[test]
    fn a_slow_subscription_gets_a_snapshot_and_goes_on() {
        let fanout = Fanout::new(Source::STATIC);
        let mut slow = fanout.watch();
        let mut quick = fanout.watch();
        for n in 0..1000 {
            fanout.upsert(candidate(n));
            assert_eq!(next(&mut quick), Some(Event::Upsert(candidate(n))));
        }
        fanout.withdraw(id(5));
        let Some(Event::Lagged(snapshot)) = next(&mut slow) else {
            panic!("it lagged");
        };
        assert_eq!(snapshot.candidates.len(), 999);
        assert!(snapshot.candidates.iter().all(|c| c.id != id(5)));
        assert_eq!(slow.next().now_or_never(), None);
        fanout.upsert(candidate(5));
        assert_eq!(next(&mut slow), Some(Event::Upsert(candidate(5))));
    }

    #[test]
    fn close_lets_the_rest_be_read() {
        let fanout = Fanout::new(Source::STATIC);
        let mut watch = fanout.watch();
        fanout.upsert(candidate(1));
        fanout.close();
        assert_eq!(next(&mut watch), Some(Event::Upsert(candidate(1))));
        assert_eq!(next(&mut watch), None);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let fanout = Fanout::new(Source::STATIC);
        let mut watch = fanout.watch();
        let reader = tokio::spawn(async move { watch.next().await });
        tokio::task::yield_now().await;
        fanout.upsert(candidate(1));
        assert_eq!(reader.await.unwrap(), Some(Event::Upsert(candidate(1))));
    }
}
