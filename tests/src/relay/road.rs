//! One direction between two devices: what passes, and when it arrives. Pure: decided by a seed, and by the time it is told.

use std::time::Duration;

use tokio::time::Instant;

/// What is on its way to a narrow road waits for its turn no longer than this.
pub(super) const LONGEST_QUEUE: Duration = Duration::from_millis(100);
/// When the system sends again what was lost of a stream, the first time.
const SENT_AGAIN: Duration = Duration::from_millis(200);
/// How often it may be lost again.
const LOSSES: u32 = 5;

/// What one direction is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Road {
    /// Nothing passes.
    pub blocked: bool,
    /// So much of what is sent is lost.
    pub lost_percent: u8,
    /// How long everything takes at least.
    pub delay: Duration,
    /// How much passes in a second.
    pub bytes_per_second: Option<u32>,
}

/// When what is sent arrives: nothing overtakes anything.
#[derive(Debug)]
pub(super) struct Pace {
    free: Option<Instant>,
    last: Option<Instant>,
    dice: Dice,
}

impl Pace {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            free: None,
            last: None,
            dice: Dice(seed),
        }
    }

    /// When a packet arrives that is sent now; `None` when it is lost, or has to wait for too long.
    pub(super) fn packet(&mut self, road: &Road, len: usize, now: Instant) -> Option<Instant> {
        let lost = road.blocked || self.dice.percent(road.lost_percent);
        if lost || self.ready(now) > now {
            return None;
        }
        Some(self.take(road, len, now, Duration::ZERO))
    }

    /// When a piece of a stream arrives that is sent now. What is lost of it the system sends again, later and later.
    pub(super) fn piece(&mut self, road: &Road, len: usize, now: Instant) -> Instant {
        let losses = (0..LOSSES).take_while(|_| self.dice.percent(road.lost_percent));
        let late = losses.map(|loss| SENT_AGAIN * 2_u32.pow(loss)).sum();
        self.take(road, len, now, late)
    }

    /// From when on there is room in the queue.
    pub(super) fn ready(&self, now: Instant) -> Instant {
        self.free
            .map_or(now, |free| now.max(free - LONGEST_QUEUE.min(free - now)))
    }

    fn take(&mut self, road: &Road, len: usize, now: Instant, late: Duration) -> Instant {
        let on_the_road = road.bytes_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(len as f64 / f64::from(rate.max(1)))
        });
        let free = self.free.map_or(now, |free| free.max(now)) + on_the_road;
        self.free = Some(free);
        let due = free + road.delay + late;
        let due = self.last.map_or(due, |last| last.max(due));
        self.last = Some(due);
        due
    }
}

/// A sequence of random numbers (SplitMix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    const fn percent(&mut self, chance: u8) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 100 < chance as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROAD: Road = Road {
        blocked: false,
        lost_percent: 0,
        delay: Duration::ZERO,
        bytes_per_second: None,
    };

    #[test]
    fn what_is_delayed_arrives_so_much_later_and_in_order() {
        let (mut pace, now) = (Pace::new(1), Instant::now());
        let delay = Duration::from_millis(20);
        let slow = Road { delay, ..ROAD };
        assert_eq!(pace.packet(&slow, 1200, now), Some(now + delay));
        // A road that is faster from now on is not faster for what was sent before.
        let later = now + Duration::from_millis(1);
        assert_eq!(pace.packet(&ROAD, 1200, later), Some(now + delay));
    }

    #[test]
    fn so_many_are_lost_and_the_same_with_the_same_seed() {
        let now = Instant::now();
        let road = Road {
            lost_percent: 20,
            ..ROAD
        };
        let arrive = |seed| {
            let mut pace = Pace::new(seed);
            (0..1000)
                .map(|_| pace.packet(&road, 1200, now).is_some())
                .collect::<Vec<_>>()
        };
        let arrived = arrive(7).into_iter().filter(|arrived| *arrived).count();
        // The standard deviation is 13.
        assert!((730..870).contains(&arrived), "{arrived}");
        assert_eq!(arrive(7), arrive(7));
        assert_ne!(arrive(7), arrive(8));
    }

    #[test]
    fn a_narrow_road_lets_so_much_pass_and_loses_what_would_wait_too_long() {
        let (mut pace, now) = (Pace::new(1), Instant::now());
        let road = Road {
            bytes_per_second: Some(100_000),
            ..ROAD
        };
        let due: Vec<_> = (0..100)
            .filter_map(|_| pace.packet(&road, 1000, now))
            .collect();
        assert_eq!(due[9], now + Duration::from_millis(100));
        // A queue of 100 ms, and the one that just got in.
        assert_eq!(due.len(), 11);
        let later = now + Duration::from_secs(1);
        let after = pace.packet(&road, 1000, later);
        assert_eq!(after, Some(later + Duration::from_millis(10)));
    }

    #[test]
    fn of_a_stream_nothing_is_lost() {
        let (mut pace, now) = (Pace::new(1), Instant::now());
        let road = Road {
            lost_percent: 20,
            ..ROAD
        };
        let due: Vec<_> = (0..100).map(|_| pace.piece(&road, 1000, now)).collect();
        assert!(due.is_sorted());
        assert!(due[99] >= now + SENT_AGAIN, "some of it came late");
    }

    #[test]
    fn nothing_passes_where_it_is_blocked() {
        let mut pace = Pace::new(1);
        let road = Road {
            blocked: true,
            ..ROAD
        };
        assert_eq!(pace.packet(&road, 1, Instant::now()), None);
    }
}
