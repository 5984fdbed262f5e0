//! Looking for what comes next instead of sleeping until it has come.
//!
//! A processor that is put to sleep takes some ten microseconds to be awake again, and one call wakes two of them twice: more
//! than all else that a small call takes. Where the next message comes within a moment, looking for it costs less time, and less
//! of the processor as well. Where it does not, looking is a waste; so a lane looks only after what it waits for came quickly some
//! times in a row, and each time that it looked for nothing it wants to see that twice as often. (KVM decides alike how long the
//! processor of a guest that has nothing to do is polled.)
//!
//! Looking is to let everybody else run and then to be asked again: the runtime asks the sockets between. Only a runtime
//! of one thread does. In one of several, another of them sleeps on the sockets, and is what has to be woken.

use std::{
    future::Future,
    pin::pin,
    task::Context,
    time::{Duration, Instant},
};

/// Waits in a row that have to have been short, at least, before a lane looks.
const FEWEST: u32 = 4;
/// And at most, after it has looked for nothing again and again.
const MOST: u32 = 1024;

/// A wait that was slept through is short up to so many times the longest look: the time that both ends took to be awake is in it, and would not be if they
/// looked.
const SLEPT: u32 = 2;

/// What one lane does when there is nothing to do.
#[derive(Debug)]
pub(super) struct BusyPoll {
    /// Longer it never looks. Nothing: it always sleeps.
    longest: Duration,
    /// Since when there is nothing to do.
    idle: Option<Instant>,
    looks: bool,
    /// Waits in a row that were short, and how many it wants.
    short: u32,
    wanted: u32,
}

impl BusyPoll {
    pub(super) const fn new(longest: Duration) -> Self {
        Self {
            longest,
            idle: None,
            looks: false,
            short: 0,
            wanted: FEWEST,
        }
    }

    /// Something came.
    fn received(&mut self, now: Instant) {
        let Some(idle) = self.idle.take() else {
            return;
        };
        if self.looks {
            self.wanted = (self.wanted / 2).max(FEWEST);
        } else if now.saturating_duration_since(idle) <= self.longest * SLEPT {
            self.short = self.short.saturating_add(1);
        } else {
            self.short = 0;
        }
    }

    /// Something was sent: that it was says nothing of how soon something comes.
    const fn sent(&mut self) {
        self.idle = None;
    }

    /// There is nothing to do. Whether to look again.
    fn looks_again(&mut self, now: Instant) -> bool {
        let Some(idle) = self.idle else {
            self.idle = Some(now);
            self.looks = self.short >= self.wanted;
            return self.looks;
        };
        if self.looks && now.saturating_duration_since(idle) >= self.longest {
            self.looks = false;
            self.short = 0;
            self.wanted = (self.wanted * 2).min(MOST);
        }
        self.looks
    }

    /// The end of a turn of its task, in which something came or was sent, or neither.
    #[expect(
        clippy::disallowed_methods,
        reason = "where the clock of sessions is a test's, it stands still while somebody looks"
    )]
    pub(super) fn end_turn(&mut self, moved: Moved, cx: &mut Context<'_>) {
        if self.longest.is_zero() {
            return;
        }
        let now = Instant::now();
        if moved.received {
            self.received(now);
        }
        if moved.sent {
            self.sent();
        }
        if self.looks_again(now) {
            // Behind everybody else and behind the sockets, where a task that just woke itself would come before them.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
    }
}

/// What a lane did in one turn of its task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) received: bool,
    pub(super) sent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(100);

    /// A lane that is asked once in a microsecond.
    struct Lane {
        busy_poll: BusyPoll,
        now: Instant,
    }

    impl Lane {
        fn new() -> Self {
            Self {
                busy_poll: BusyPoll::new(LONGEST),
                now: crate::peer::now(),
            }
        }

        /// Waits for what comes after so many microseconds. For how many of them it looked.
        fn wait(&mut self, micros: u64) -> u64 {
            let mut looked = 0;
            let mut awake = true;
            for _ in 0..micros {
                awake = awake && self.busy_poll.looks_again(self.now);
                looked += u64::from(awake);
                self.now += Duration::from_micros(1);
            }
            self.busy_poll.received(self.now);
            looked
        }

        /// How many short waits it takes until it looks.
        fn short_waits_until_it_looks(&mut self) -> u32 {
            let mut waits = 0;
            while self.busy_poll.short < self.busy_poll.wanted {
                self.wait(30);
                waits += 1;
            }
            waits
        }
    }

    #[test]
    fn a_lane_looks_after_some_short_waits() {
        let mut lane = Lane::new();
        assert_eq!(lane.short_waits_until_it_looks(), FEWEST);
        assert_eq!(lane.wait(30), 30);
        assert_eq!(lane.wait(99), 99);
    }

    #[test]
    fn a_wait_that_was_slept_through_is_short_although_both_ends_had_to_wake() {
        let mut lane = Lane::new();
        for _ in 0..FEWEST {
            assert_eq!(lane.wait(200), 0);
        }
        assert_eq!(lane.wait(30), 30);
    }

    #[test]
    fn a_lane_that_is_used_now_and_then_sleeps() {
        let mut lane = Lane::new();
        for _ in 0..100 {
            // A call, and its answer soon after.
            assert_eq!(lane.wait(16_000) + lane.wait(180), 0);
        }
    }

    #[test]
    fn a_lane_looks_no_longer_than_the_longest() {
        let mut lane = Lane::new();
        lane.short_waits_until_it_looks();
        assert_eq!(lane.wait(1_000_000), 100);
        assert_eq!(lane.wait(1_000_000), 0);
    }

    #[test]
    fn looking_for_nothing_makes_it_rarer_up_to_a_limit() {
        let mut lane = Lane::new();
        let mut before = lane.short_waits_until_it_looks();
        while before < MOST {
            lane.wait(1000);
            let waits = lane.short_waits_until_it_looks();
            assert_eq!(waits, before * 2);
            before = waits;
        }
        lane.wait(1000);
        assert_eq!(lane.short_waits_until_it_looks(), MOST);
    }

    #[test]
    fn looking_that_paid_makes_up_for_that() {
        let mut lane = Lane::new();
        for _ in 0..5 {
            lane.short_waits_until_it_looks();
            lane.wait(1000);
        }
        lane.short_waits_until_it_looks();
        for _ in 0..8 {
            lane.wait(30);
        }
        lane.wait(1000);
        assert_eq!(lane.short_waits_until_it_looks(), FEWEST * 2);
    }

    #[test]
    fn what_is_sent_neither_pays_nor_counts_as_a_wait() {
        let mut lane = Lane::new();
        for _ in 0..100 {
            lane.busy_poll.looks_again(lane.now);
            lane.busy_poll.sent();
        }
        assert_eq!(lane.short_waits_until_it_looks(), FEWEST);
    }
}
