//! When to browse again. Pure.
//!
//! The library's own queries back off to one an hour, and an instance it removed wrongly is never asked for again by
//! the browse that removed it. A new browse repeats everything that is cached, and asks again.

use std::time::{Duration, Instant};

/// After the start, when packets are lost most: with 20 % loss the library alone takes up to 15 s.
const AFTER_START: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

const EVERY: Duration = Duration::from_secs(60);

/// Two browses are at least this far apart: a flood of forged goodbyes must not become a flood of queries.
pub(super) const MIN_SPACING: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct BrowseSchedule {
    started: Instant,
    /// How many of `AFTER_START` are over.
    step: usize,
    last: Option<Instant>,
    next: Instant,
}

impl BrowseSchedule {
    /// Due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            step: 0,
            last: None,
            next: now,
        }
    }

    /// As after a start, because the network may be another one.
    pub(super) fn restart(&mut self, now: Instant) {
        self.started = now;
        self.step = 0;
        self.request(now, Duration::ZERO);
    }

    /// Asks for a browse after `delay`, if none is due earlier.
    pub(super) fn request(&mut self, now: Instant, delay: Duration) {
        let earliest = self.last.map_or(now, |last| last + MIN_SPACING);
        self.next = self.next.min((now + delay).max(earliest));
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether to browse now; if so, plans the next.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.last = Some(now);
        while AFTER_START
            .get(self.step)
            .is_some_and(|after| self.started + *after <= now)
        {
            self.step += 1;
        }
        self.next = match AFTER_START.get(self.step) {
            Some(after) => self.started + *after,
            None => now + EVERY,
        };
        true
    }

    /// The browse did not happen.
    pub(super) fn failed(&mut self, now: Instant, retry: Duration) {
        self.next = self.next.min(now + retry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(schedule: &mut BrowseSchedule, start: Instant, seconds: u64) -> Vec<u64> {
        let mut fired = Vec::new();
        while schedule.next() <= start + Duration::from_secs(seconds) {
            let now = schedule.next();
            assert!(schedule.take_due(now));
            fired.push((now - start).as_millis() as u64);
        }
        fired
    }

    #[test]
    fn soon_after_the_start_then_every_minute() {
        let start = Instant::now();
        let mut schedule = BrowseSchedule::new(start);
        assert_eq!(
            fired(&mut schedule, start, 130),
            [0, 1000, 3000, 5000, 10_000, 70_000, 130_000]
        );
        schedule.restart(start + Duration::from_secs(140));
        assert_eq!(
            fired(&mut schedule, start, 155),
            [140_000, 141_000, 143_000, 145_000, 150_000]
        );
    }

    #[test]
    fn requests_are_joined() {
        let start = Instant::now();
        let mut schedule = BrowseSchedule::new(start);
        fired(&mut schedule, start, 20);
        let at = |ms| start + Duration::from_millis(ms);
        schedule.request(at(20_000), Duration::ZERO);
        assert!(schedule.take_due(at(20_000)));
        for ms in 20_001..20_900 {
            schedule.request(at(ms), Duration::ZERO);
            assert!(!schedule.take_due(at(ms)));
        }
        assert_eq!(schedule.next(), at(21_000));
    }
}
