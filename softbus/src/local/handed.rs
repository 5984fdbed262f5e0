//! Which sessions the host has handed to which two of its processes, and how many of them there may be.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{OPENING, desk::ConnectError};

/// For how long two processes have a session under way at most.
const UNDER_WAY: Duration = OPENING.saturating_mul(2);
/// How many sessions two processes are handed within that time: what they do not take waits in their sockets, where the system
/// counts it as the host's.
const MOST: u32 = 8;

/// By the numbers of the two, the lower one first.
#[derive(Debug, Default)]
pub(super) struct Handed {
    pairs: HashMap<(u64, u64), Pair>,
    /// The last session's number.
    last: u64,
}

#[derive(Debug)]
struct Pair {
    /// The number of the last one, 0 for none that could be under way, and when it was made.
    last: u64,
    made: Instant,
    /// How many since when.
    count: u32,
    since: Instant,
}

fn pair(a: u64, b: u64) -> (u64, u64) {
    (a.min(b), a.max(b))
}

impl Handed {
    /// The number of a new session of two processes; `None` if one is under way that `asker`, who knows of those up to `known`,
    /// does not know of.
    ///
    /// # Errors
    /// [`ConnectError::TooOften`].
    pub(super) fn next(
        &mut self,
        (asker, other): (u64, u64),
        known: u64,
        now: Instant,
    ) -> Result<Option<u64>, ConnectError> {
        let pair = self.pairs.entry(pair(asker, other)).or_insert(Pair {
            last: 0,
            made: now,
            count: 0,
            since: now,
        });
        if ![0, known].contains(&pair.last) && now - pair.made < UNDER_WAY {
            return Ok(None);
        }
        if now - pair.since >= UNDER_WAY {
            (pair.count, pair.since) = (0, now);
        }
        if pair.count >= MOST {
            return Err(ConnectError::TooOften);
        }
        self.last += 1;
        pair.count += 1;
        (pair.last, pair.made) = (self.last, now);
        Ok(Some(self.last))
    }

    /// A session could not be handed to both.
    pub(super) fn failed(&mut self, a: u64, b: u64, number: u64) {
        let pair = self.pairs.get_mut(&pair(a, b));
        if let Some(pair) = pair.filter(|pair| pair.last == number) {
            pair.last = 0;
        }
    }

    /// A process is gone.
    pub(super) fn forget(&mut self, process: u64) {
        self.pairs.retain(|(a, b), _| ![*a, *b].contains(&process));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: (u64, u64) = (7, 3);

    #[test]
    fn one_that_is_under_way_is_not_made_again() {
        let (mut handed, now) = (Handed::default(), Instant::now());
        assert_eq!(handed.next(TWO, 0, now), Ok(Some(1)));
        // Either of the two, before it has got it.
        assert_eq!(handed.next(TWO, 0, now), Ok(None));
        assert_eq!(handed.next((3, 7), 0, now), Ok(None));
        // It has come, and has ended.
        assert_eq!(handed.next((3, 7), 1, now), Ok(Some(2)));
        // It never comes.
        assert_eq!(handed.next(TWO, 1, now + UNDER_WAY), Ok(Some(3)));
        handed.failed(3, 7, 3);
        assert_eq!(handed.next(TWO, 1, now + UNDER_WAY), Ok(Some(4)));
    }

    #[test]
    fn two_are_handed_so_many_within_a_time_and_others_are_not_hindered() {
        let (mut handed, now) = (Handed::default(), Instant::now());
        for known in 0..u64::from(MOST) {
            assert_eq!(handed.next(TWO, known, now), Ok(Some(known + 1)));
        }
        let last = u64::from(MOST);
        assert_eq!(handed.next(TWO, last, now), Err(ConnectError::TooOften));
        assert_eq!(handed.next((7, 4), 0, now), Ok(Some(last + 1)));
        let later = now + UNDER_WAY;
        assert_eq!(handed.next(TWO, last, later), Ok(Some(last + 2)));
        handed.forget(3);
        assert_eq!(handed.pairs.len(), 1);
        handed.forget(4);
        assert!(handed.pairs.is_empty());
    }
}
