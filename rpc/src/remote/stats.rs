//! What a stub has done, for its owner.

use std::time::Duration;

/// A look at a stub: what is in it now, and what it has done since it was made. Counts of one look need not fit each
/// other to the last request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StubStats {
    /// Requests whose handlers run.
    pub running: u64,
    /// Requests that wait for their turn.
    pub waiting: u64,
    /// Bytes of both, raw data included.
    pub bytes: u64,
    /// Requests whose handlers have ended, whichever way.
    pub served: u64,
    /// Requests that had no handler.
    pub refused: Refused,
    /// How long handlers take: a moving average in which the last one has an eighth of the say. Where requests do not
    /// take turns, one in eight is timed. `None` before the first.
    pub average: Option<Duration>,
}

/// Requests that a stub turned away, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// As many ran or waited as may, or as many of that caller as is its share.
    pub queue: u64,
    /// Their bytes would have been too many.
    pub budget: u64,
    /// The caller called too often.
    pub rate: u64,
    /// The access rule does not name the caller.
    pub rule: u64,
    /// They waited when the service was removed, or came too late.
    pub dead: u64,
}

impl Refused {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self {
            queue,
            budget,
            rate,
            rule,
            dead,
        } = self;
        queue + budget + rate + rule + dead
    }
}
