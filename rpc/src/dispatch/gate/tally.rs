//! What a stub has done, and what can be expected of it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::remote::Refused;

/// What a handler is taken to last while none has ended.
const ASSUMED: Duration = Duration::from_millis(10);
/// The longest time to ask a caller to stay away.
const LONGEST_HINT: Duration = Duration::from_secs(60);
/// Each time has an eighth of the say in the average.
const WEIGHT: u64 = 8;

/// Why a stub took no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Queue,
    Budget,
    Rate,
    Rule,
    Dead,
}

/// Counts of one stub.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    served: AtomicU64,
    refused: [AtomicU64; 5],
    /// Moving average of the handlers' times, in nanoseconds and at least one; 0 before the first.
    average: AtomicU64,
}

impl Tally {
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(crate) fn all_refused(&self) -> Refused {
        let refused = |cause: Cause| self.refused[cause as usize].load(Ordering::Relaxed);
        Refused {
            queue: refused(Cause::Queue),
            budget: refused(Cause::Budget),
            rate: refused(Cause::Rate),
            rule: refused(Cause::Rule),
            dead: refused(Cause::Dead),
        }
    }

    pub(crate) fn average(&self) -> Option<Duration> {
        let average = self.average.load(Ordering::Relaxed);
        (average > 0).then(|| Duration::from_nanos(average))
    }

    /// A request ended; how long its handler took, if somebody looked.
    pub(crate) fn ended(&self, took: Option<Duration>) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let Some(took) = took else { return };
        let took = u64::try_from(took.as_nanos())
            .unwrap_or(u64::MAX / WEIGHT)
            .max(1);
        // Two that end at once may cost one of them its say.
        let before = self.average.load(Ordering::Relaxed);
        let average = match before {
            0 => took,
            _ => (before - before / WEIGHT)
                .saturating_add(took / WEIGHT)
                .max(1),
        };
        self.average.store(average, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, cause: Cause) {
        self.refused[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// When a caller that found no room should come again: when `ahead` handlers have run, `at_most` at a time, each
    /// for as long as the last ones took.
    pub(crate) fn retry_after(&self, ahead: usize, at_most: usize) -> Duration {
        let each = self.average().unwrap_or(ASSUMED);
        let rounds = ahead.div_ceil(at_most.max(1)).max(1);
        let hint = each.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        hint.clamp(Duration::from_millis(1), LONGEST_HINT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_average_follows_what_handlers_take() {
        let tally = Tally::default();
        assert_eq!(tally.average(), None);
        tally.ended(None);
        tally.ended(Some(80 * MS));
        assert_eq!((tally.served(), tally.average()), (2, Some(80 * MS)));
        tally.ended(Some(Duration::ZERO));
        assert_eq!(tally.average(), Some(70 * MS));
        for _ in 0..500 {
            tally.ended(Some(Duration::ZERO));
        }
        assert!(tally.average().unwrap() < MS / 1000);
        tally.ended(Some(Duration::MAX));
        tally.ended(Some(Duration::MAX));
    }

    #[test]
    fn the_hint_is_what_waits_times_what_each_takes() {
        let tally = Tally::default();
        assert_eq!(tally.retry_after(1, 1), ASSUMED);
        tally.ended(Some(4 * MS));
        assert_eq!(tally.retry_after(0, 1), 4 * MS);
        assert_eq!(tally.retry_after(10, 1), 40 * MS);
        assert_eq!(tally.retry_after(10, 4), 12 * MS);
        assert_eq!(tally.retry_after(usize::MAX, 1), LONGEST_HINT);
        tally.ended(Some(Duration::MAX));
        assert_eq!(tally.retry_after(1, 0), LONGEST_HINT);
    }
}
