//! Which sessions the host has handed to which two of its processes, and how many of them there may be.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{OPENING, desk::ConnectError};

/// For how long two processes have a session under way at most.
const UNDER_WAY: Duration = OPENING.saturating_mul(2);
/// How many sessions two processes are handed within that time: what they do not take waits in their sockets, where the system
/// counts it as the host's.
const MOST: u32 = 8;
/// How many a process is handed that processes of one user ask for, whichever numbers these have: one that attaches anew has
/// another. One of each that may be attached.
const MOST_OF_HOSTS_USER: u32 = super::host::MAX_PROCESSES as u32;
const MOST_OF_ANOTHER_USER: u32 = super::host::MAX_OF_ANOTHER_USER as u32;

/// By the numbers of the two, the lower one first.
#[derive(Debug, Default)]
pub(super) struct Handed {
    pairs: HashMap<(u64, u64), Pair>,
    /// How many the first, a process, was handed that the second, a user, asked for.
    asked: HashMap<(u64, u32), Count>,
    /// The last session's number.
    last: u64,
}

#[derive(Debug)]
struct Pair {
    /// The number of the last one, 0 for none that could be under way, and when it was made.
    last: u64,
    made: Instant,
    count: Count,
}

/// How many since when.
#[derive(Clone, Copy, Debug)]
struct Count {
    count: u32,
    since: Instant,
}

impl Count {
    fn new(now: Instant) -> Self {
        Self {
            count: 0,
            since: now,
        }
    }

    /// How many within the time that is under way.
    fn at(self, now: Instant) -> Self {
        match now - self.since < UNDER_WAY {
            true => self,
            false => Self::new(now),
        }
    }

    fn one_more(self) -> Self {
        Self {
            count: self.count + 1,
            ..self
        }
    }
}

fn pair(a: u64, b: u64) -> (u64, u64) {
    (a.min(b), a.max(b))
}

impl Handed {
    /// The number of a new session of two processes; `None` if one is under way that `asker`, who is of `user` and knows of
    /// those up to `known`, does not know of.
    ///
    /// # Errors
    /// [`ConnectError::TooOften`].
    pub(super) fn next(
        &mut self,
        (asker, other): (u64, u64),
        user: u32,
        known: u64,
        now: Instant,
    ) -> Result<Option<u64>, ConnectError> {
        let pair = self
            .pairs
            .entry(pair(asker, other))
            .or_insert_with(|| Pair {
                last: 0,
                made: now,
                count: Count::new(now),
            });
        if ![0, known].contains(&pair.last) && now - pair.made < UNDER_WAY {
            return Ok(None);
        }
        let most = match user == rustix::process::getuid().as_raw() {
            true => MOST_OF_HOSTS_USER,
            false => MOST_OF_ANOTHER_USER,
        };
        let asked = self
            .asked
            .entry((other, user))
            .or_insert_with(|| Count::new(now));
        (pair.count, *asked) = (pair.count.at(now), asked.at(now));
        if pair.count.count >= MOST || asked.count >= most {
            return Err(ConnectError::TooOften);
        }
        self.last += 1;
        (pair.count, *asked) = (pair.count.one_more(), asked.one_more());
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
    pub(super) fn forget(&mut self, process: u64, now: Instant) {
        self.pairs.retain(|(a, b), _| ![*a, *b].contains(&process));
        let counts = |other, count: &Count| other != process && now - count.since < UNDER_WAY;
        self.asked.retain(|(other, _), count| counts(*other, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: (u64, u64) = (7, 3);
    const USER: u32 = 65534;

    #[test]
    fn one_that_is_under_way_is_not_made_again() {
        let (mut handed, now) = (Handed::default(), Instant::now());
        assert_eq!(handed.next(TWO, USER, 0, now), Ok(Some(1)));
        // Either of the two, before it has got it.
        assert_eq!(handed.next(TWO, USER, 0, now), Ok(None));
        assert_eq!(handed.next((3, 7), USER, 0, now), Ok(None));
        // It has come, and has ended.
        assert_eq!(handed.next((3, 7), USER, 1, now), Ok(Some(2)));
        // It never comes.
        assert_eq!(handed.next(TWO, USER, 1, now + UNDER_WAY), Ok(Some(3)));
        handed.failed(3, 7, 3);
        assert_eq!(handed.next(TWO, USER, 1, now + UNDER_WAY), Ok(Some(4)));
    }

    #[test]
    fn two_are_handed_so_many_within_a_time_and_others_are_not_hindered() {
        let (mut handed, now) = (Handed::default(), Instant::now());
        for known in 0..u64::from(MOST) {
            assert_eq!(handed.next(TWO, USER, known, now), Ok(Some(known + 1)));
        }
        let last = u64::from(MOST);
        assert_eq!(
            handed.next(TWO, USER, last, now),
            Err(ConnectError::TooOften)
        );
        assert_eq!(handed.next((7, 4), USER, 0, now), Ok(Some(last + 1)));
        let later = now + UNDER_WAY;
        assert_eq!(handed.next(TWO, USER, last, later), Ok(Some(last + 2)));
        handed.forget(3, later);
        assert_eq!(handed.pairs.len(), 1);
        handed.forget(4, later);
        assert!(handed.pairs.is_empty() && handed.asked.is_empty());
    }

    #[test]
    fn who_attaches_anew_is_the_same_user() {
        let (mut handed, now) = (Handed::default(), Instant::now());
        let ours = rustix::process::getuid().as_raw();
        let number = |session: Result<Option<u64>, _>| session.map(|number| number.is_some());
        for (user, most) in [(ours + 1, 64), (ours, 256), (ours + 2, 64)] {
            for asker in 1000..1000 + most {
                let next = handed.next((asker, 3), user, 0, now);
                assert_eq!(number(next), Ok(true), "{user} {asker}");
                handed.forget(asker, now);
            }
            let more = handed.next((7, 3), user, 0, now);
            assert_eq!(more, Err(ConnectError::TooOften));
            // Another process is no worse off.
            assert_eq!(number(handed.next((7, 4), user, 0, now)), Ok(true));
            handed.forget(7, now);
        }
        let later = now + UNDER_WAY;
        assert_eq!(number(handed.next((7, 3), ours + 1, 0, later)), Ok(true));
    }
}
