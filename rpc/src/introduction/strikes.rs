//! How often a session brought tokens that were never made, and for how long nothing of the kind is taken from it.

use std::time::{Duration, Instant};

use crate::limits::{MAX_WRONG_TOKENS, WRONG_TOKENS_WINDOW};

/// Wrong tokens of one session, on one side of it.
///
/// Who presents a forged token need not be who forged it: it may have got it from a third. So the session goes on, and only
/// introductions are refused for a while.
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    recent: Vec<Instant>,
    out_until: Option<Instant>,
}

impl Strikes {
    /// Whether nothing is taken now.
    pub(crate) fn is_out(&self, now: Instant) -> bool {
        self.out_until.is_some_and(|until| now < until)
    }

    /// One more wrong token; the third within the window is the last that is looked at for `out`. Whether it was that.
    pub(crate) fn count(&mut self, now: Instant, out: Duration) -> bool {
        self.recent
            .retain(|strike| now.saturating_duration_since(*strike) < WRONG_TOKENS_WINDOW);
        self.recent.push(now);
        let last = self.recent.len() >= MAX_WRONG_TOKENS;
        if last {
            self.recent.clear();
            self.out_until = Some(now + out);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: Duration = Duration::from_secs(60);

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant has no other beginning"
    )]
    fn the_third_within_the_window_is_out_for_a_while() {
        let mut strikes = Strikes::default();
        let now = Instant::now();
        assert!(!strikes.count(now, OUT));
        assert!(!strikes.count(now, OUT));
        // The window has passed: these count anew.
        let later = now + WRONG_TOKENS_WINDOW;
        assert!(!strikes.count(later, OUT) && !strikes.count(later, OUT));
        assert!(!strikes.is_out(later));
        assert!(strikes.count(later, OUT));
        assert!(strikes.is_out(later + OUT - Duration::from_millis(1)));
        assert!(!strikes.is_out(later + OUT));
        assert!(!strikes.count(later + OUT, OUT));
    }
}
