//! What will happen and when, in milliseconds since the beginning. Nothing happens in the simulated world but what stands
//! here, and what the code under test does about it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Mutex, PoisonError},
};

use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

/// What is due, in its order.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    began: Instant,
    due: Mutex<Due<T>>,
    /// Something stands first that did not.
    earlier: Notify,
}

#[derive(Debug)]
struct Due<T> {
    heap: BinaryHeap<Reverse<Item<T>>>,
    count: u64,
}

#[derive(Debug)]
struct Item<T> {
    at: u64,
    /// What is due at the same time happens in a random order.
    tie: u64,
    number: u64,
    what: T,
}

impl<T> Item<T> {
    const fn key(&self) -> (u64, u64, u64) {
        (self.at, self.tie, self.number)
    }
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Item<T> {}

impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Item<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> Agenda<T> {
    /// An empty one, whose time begins now.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            due: Mutex::new(Due {
                heap: BinaryHeap::new(),
                count: 0,
            }),
            earlier: Notify::new(),
        }
    }

    fn due(&self) -> std::sync::MutexGuard<'_, Due<T>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// The time, for who has no other clock.
    pub(crate) fn time(&self) -> std::time::Instant {
        Instant::now().into_std()
    }

    /// A time as milliseconds since the beginning, or a little later.
    pub(crate) fn milliseconds(&self, time: std::time::Instant) -> u64 {
        let since = Instant::from_std(time).saturating_duration_since(self.began);
        since.as_micros().div_ceil(1000) as u64
    }

    /// Puts something on the agenda. `tie` orders what is due at the same time.
    pub(crate) fn add(&self, at: u64, tie: u64, what: T) {
        let mut due = self.due();
        due.count += 1;
        let number = due.count;
        let item = Item {
            at,
            tie,
            number,
            what,
        };
        let first = due
            .heap
            .peek()
            .is_none_or(|Reverse(first)| item.key() < first.key());
        due.heap.push(Reverse(item));
        drop(due);
        if first {
            self.earlier.notify_one();
        }
    }

    /// What is due next, once it is: everything else has been done by then, because time stands still while anybody works.
    /// `None` when nothing is due before `until`.
    pub(crate) async fn next(&self, until: u64) -> Option<T> {
        loop {
            let first = self.due().heap.peek().map(|Reverse(first)| first.at);
            let due = first.unwrap_or(until).min(until);
            if due <= self.now() {
                let mut items = self.due();
                return match items.heap.peek() {
                    Some(Reverse(first)) if first.at <= due => {
                        items.heap.pop().map(|Reverse(item)| item.what)
                    }
                    _ => None,
                };
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.began + Duration::from_millis(due)) => {}
                () = self.earlier.notified() => {}
            }
        }
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self::new()
    }
}
