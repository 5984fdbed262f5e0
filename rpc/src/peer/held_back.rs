//! Calls that may not be sent yet: one that introduces waits for its tokens, and no later one of its proxy may overtake
//! it. Nothing is in here, and a call looks at one number, while nobody waits.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{limits::MAX_HELD_BACK, session::ImportKey};

/// The calls of one session that wait before they are sent.
#[derive(Default)]
pub(crate) struct HeldBack {
    /// How many there are. Whoever has seen an earlier call begin sees it counted.
    count: AtomicUsize,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    next: u64,
    /// By proxy; none is empty.
    waiting: HashMap<ImportKey, VecDeque<Waiting>>,
}

struct Waiting {
    number: u64,
    one_way: bool,
    waker: Option<Waker>,
}

impl Waiting {
    /// Two-way calls have no order among themselves: an origin that is slow to answer holds up no more than it has to.
    fn holds(&self, one_way: bool) -> bool {
        self.one_way || one_way
    }
}

impl HeldBack {
    /// Whether a call would overtake one that waits.
    pub(crate) fn holds(&self, target: ImportKey, one_way: bool) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self
                .queues()
                .waiting
                .get(&target)
                .is_some_and(|queue| queue.iter().any(|earlier| earlier.holds(one_way)))
    }

    /// Takes a place behind the calls that wait; `None` when too many do.
    pub(crate) fn enter(&self, target: ImportKey, one_way: bool) -> Option<Turn<'_>> {
        let mut queues = self.queues();
        if self.count.load(Ordering::Relaxed) >= MAX_HELD_BACK {
            return None;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let number = queues.next;
        queues.next += 1;
        let queue = queues.waiting.entry(target).or_default();
        queue.push_back(Waiting {
            number,
            one_way,
            waker: None,
        });
        Some(Turn {
            held_back: self,
            target,
            number,
        })
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a queue. Given up when dropped: once the call was sent, or when it will not be.
pub(crate) struct Turn<'a> {
    held_back: &'a HeldBack,
    target: ImportKey,
    number: u64,
}

impl Turn<'_> {
    /// Waits until no earlier call is left that this one must not overtake.
    pub(crate) async fn comes(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut queues = self.held_back.queues();
        let Some(queue) = queues.waiting.get_mut(&self.target) else {
            return Poll::Ready(());
        };
        let Some(place) = queue.iter().position(|one| one.number == self.number) else {
            return Poll::Ready(());
        };
        let one_way = queue[place].one_way;
        if queue.range(..place).any(|earlier| earlier.holds(one_way)) {
            queue[place].waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self.held_back.queues();
        let Some(queue) = queues.waiting.get_mut(&self.target) else {
            return;
        };
        queue.retain(|one| one.number != self.number);
        // Those at the front that one-way calls do not hold up: the first, and with it the two-way calls behind it.
        let two_way = queue.iter().take_while(|one| !one.one_way).count();
        let wakers: Vec<_> = queue
            .iter_mut()
            .take(two_way.max(1))
            .filter_map(|one| one.waker.take())
            .collect();
        if queue.is_empty() {
            queues.waiting.remove(&self.target);
        }
        self.held_back.count.fetch_sub(1, Ordering::Relaxed);
        drop(queues);
        // Outside the lock: a waker is somebody's code.
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Wake};

    use super::*;

    const HERE: ImportKey = ImportKey::for_tests(1);
    const ELSEWHERE: ImportKey = ImportKey::for_tests(2);

    fn come(turn: &Turn<'_>) -> bool {
        turn.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn one_way_calls_overtake_nothing_and_nothing_overtakes_them() {
        let held_back = HeldBack::default();
        assert!(!held_back.holds(HERE, true));
        let first = held_back.enter(HERE, true).unwrap();
        assert!(come(&first));
        assert!(held_back.holds(HERE, true) && held_back.holds(HERE, false));
        assert!(!held_back.holds(ELSEWHERE, true));
        let second = held_back.enter(HERE, false).unwrap();
        let third = held_back.enter(HERE, true).unwrap();
        assert!(!come(&second) && !come(&third));
        drop(first);
        assert!(come(&second) && !come(&third));
        drop(second);
        assert!(come(&third));
        drop(third);
        assert!(!held_back.holds(HERE, true));
        assert!(held_back.queues().waiting.is_empty());
    }

    #[test]
    fn two_way_calls_do_not_wait_for_each_other() {
        let held_back = HeldBack::default();
        let _first = held_back.enter(HERE, false).unwrap();
        assert!(!held_back.holds(HERE, false) && held_back.holds(HERE, true));
        assert!(come(&held_back.enter(HERE, false).unwrap()));
    }

    #[test]
    fn one_that_gives_up_its_place_lets_those_behind_it_go_on() {
        let held_back = HeldBack::default();
        let turns: Vec<_> = (0..4).map(|_| held_back.enter(HERE, true)).collect();
        let [first, second, third, fourth] = turns.try_into().ok().unwrap();
        drop(second);
        let third = third.unwrap();
        assert!(!come(&third));
        drop(first);
        assert!(come(&third) && !come(&fourth.unwrap()));
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_is_woken() {
        let held_back = HeldBack::default();
        let first = held_back.enter(HERE, true).unwrap();
        let second = held_back.enter(HERE, true).unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(second.poll(&Context::from_waker(&waker)).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        drop(first);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(come(&second));
    }

    #[test]
    fn not_more_wait_than_may() {
        let held_back = HeldBack::default();
        let mut turns: Vec<_> = (0..MAX_HELD_BACK)
            .map(|_| held_back.enter(HERE, true).unwrap())
            .collect();
        assert!(held_back.enter(ELSEWHERE, false).is_none());
        turns.pop();
        assert!(held_back.enter(ELSEWHERE, false).is_some());
    }
}
