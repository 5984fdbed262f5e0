//! How often each caller may call. Pure: the time is an argument.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use crate::remote::RateLimit;

/// Below this many buckets it is not worth looking for full ones.
const FEW: usize = 64;

/// A token bucket for each caller. Kept as the time at which it will be full again, so that a bucket nobody uses costs
/// nothing, and one that is full is no different from one that is not there.
#[derive(Debug)]
pub(crate) struct Rate<K> {
    limit: RateLimit,
    full_at: HashMap<K, Instant>,
    /// How many buckets there may be before the full ones are thrown away.
    sweep_at: usize,
}

impl<K: Eq + Hash> Rate<K> {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            full_at: HashMap::new(),
            sweep_at: FEW,
        }
    }

    pub(crate) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub(crate) fn take(&mut self, now: Instant, caller: K) -> Result<(), Duration> {
        let interval = self.limit.interval();
        let burst = interval * self.limit.burst();
        if self.full_at.len() >= self.sweep_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = (self.full_at.len() * 2).max(FEW);
        }
        let full_at = self.full_at.entry(caller).or_insert(now);
        let after = (*full_at).max(now) + interval;
        match (after - now).checked_sub(burst) {
            Some(over) if !over.is_zero() => Err(over),
            _ => {
                *full_at = after;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::peer::now()
    }

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let mut rate = Rate::new(RateLimit::new(1000, 1500));
        let now = start();
        let burst = (0..2000).filter(|_| rate.take(now, 'a').is_ok()).count();
        assert_eq!(burst, 1500);
        let hint = rate.take(now, 'a').unwrap_err();
        assert_eq!(hint, Duration::from_millis(1));
        assert!(
            rate.take(now + hint - Duration::from_nanos(1), 'a')
                .is_err()
        );
        assert_eq!(rate.take(now + hint, 'a'), Ok(()), "the hint is kept");
        assert!(rate.take(now + hint, 'a').is_err());
    }

    #[test]
    fn the_long_run_is_the_rate() {
        let mut rate = Rate::new(RateLimit::new(1000, 1500));
        let now = start();
        let served = (0..100_000)
            .filter(|tick| {
                rate.take(now + Duration::from_micros(100) * *tick, 'a')
                    .is_ok()
            })
            .count();
        // Ten seconds' worth and the burst.
        assert!((11_499..=11_501).contains(&served), "{served}");
    }

    #[test]
    fn callers_have_buckets_of_their_own_and_full_ones_are_forgotten() {
        let mut rate = Rate::new(RateLimit::new(1, 1));
        let mut now = start();
        for caller in 0..10_000 {
            assert_eq!(rate.take(now, caller), Ok(()));
            assert!(rate.take(now, caller).is_err());
            now += Duration::from_millis(100);
        }
        assert!(rate.full_at.len() <= FEW, "{}", rate.full_at.len());
    }
}
