//! The tokens an origin has given out: a table with its own idea of expiry, no clock, no randomness, no objects' code.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Instant,
};

use proto::frame::Token;

use crate::{
    limits::{
        INTRODUCTION_TIME, MAX_INTRODUCTIONS, MAX_INTRODUCTIONS_PER_DEVICE, MAX_SPENT_TOKENS,
    },
    session::passing_rules::Party,
};

/// Tokens that nobody has redeemed, and for a while those that were used or have expired. Whatever leaves the table is
/// returned: dropping it may run its owner's code, and the table stands behind a lock.
#[derive(Debug)]
pub(crate) struct Tokens<T> {
    /// By number: in the order in which they were made, which is the one in which they expire, and end with the table.
    live: BTreeMap<u64, Live<T>>,
    numbers: HashMap<Token, u64>,
    made: u64,
    /// How many of the live ones a device asked for.
    asked: HashMap<Party, usize>,
    spent: HashMap<Token, Spent>,
    spent_order: VecDeque<(Instant, Token)>,
    counts: Counts,
}

#[derive(Debug)]
struct Live<T> {
    token: Token,
    asker: Party,
    receiver: Party,
    expires: Instant,
    object: T,
}

#[derive(Debug)]
struct Spent {
    receiver: Party,
    how: RedeemError,
}

/// Why a token brings no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedeemError {
    /// It was never made for this device.
    Unknown,
    Expired,
    Used,
}

/// What became of the tokens of a bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Tokens that can be redeemed now, each of which holds its object.
    pub live: usize,
    /// Tokens ever made.
    pub made: u64,
    /// Tokens that were redeemed.
    pub redeemed: u64,
    /// Tokens that nobody redeemed in time.
    pub expired: u64,
    /// Tokens that came back when they were used or expired already.
    pub late: u64,
    /// Tokens that were presented and never made for who presented them.
    pub wrong: u64,
}

impl<T> Default for Tokens<T> {
    fn default() -> Self {
        Self {
            live: BTreeMap::new(),
            numbers: HashMap::new(),
            made: 0,
            asked: HashMap::new(),
            spent: HashMap::new(),
            spent_order: VecDeque::new(),
            counts: Counts::default(),
        }
    }
}

impl<T> Tokens<T> {
    /// Whether a device may ask for so many more.
    pub(crate) fn has_room(&self, asker: Party, more: usize) -> bool {
        let asked = self.asked.get(&asker).copied().unwrap_or_default();
        asked + more <= MAX_INTRODUCTIONS_PER_DEVICE && self.live.len() + more <= MAX_INTRODUCTIONS
    }

    /// Makes a token good: for one use, by `receiver` only.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        token: Token,
        asker: Party,
        receiver: Party,
        object: T,
    ) {
        self.made += 1;
        self.counts.made += 1;
        let expires = now + INTRODUCTION_TIME;
        self.numbers.insert(token, self.made);
        *self.asked.entry(asker).or_default() += 1;
        let live = Live {
            token,
            asker,
            receiver,
            expires,
            object,
        };
        self.live.insert(self.made, live);
    }

    /// Takes the object of a token, once. A token that another device presents stays as good as it was.
    pub(crate) fn redeem(
        &mut self,
        now: Instant,
        token: Token,
        presenter: Party,
    ) -> Result<T, RedeemError> {
        let number = self.numbers.get(&token);
        let known = number.and_then(|number| self.live.get(number));
        let error = match known.filter(|live| live.receiver == presenter) {
            Some(live) if live.expires > now => None,
            // `expire` is about to come by.
            Some(_) => Some(RedeemError::Expired),
            None => {
                let spent = self.spent.get(&token);
                let spent = spent.filter(|spent| spent.receiver == presenter);
                Some(spent.map_or(RedeemError::Unknown, |spent| spent.how))
            }
        };
        match error {
            Some(error @ RedeemError::Unknown) => {
                self.counts.wrong += 1;
                Err(error)
            }
            Some(error) => {
                self.counts.late += 1;
                Err(error)
            }
            None => {
                let object = self.take(now, token, RedeemError::Used);
                self.counts.redeemed += u64::from(object.is_some());
                object.ok_or(RedeemError::Unknown)
            }
        }
    }

    /// Forgets what is over. Returns the objects of tokens that nobody redeemed.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<T> {
        let mut expired = Vec::new();
        while let Some((_, live)) = self.live.first_key_value()
            && live.expires <= now
        {
            let token = live.token;
            expired.extend(self.take(now, token, RedeemError::Expired));
            self.counts.expired += 1;
        }
        while let Some(&(until, token)) = self.spent_order.front()
            && until <= now
        {
            self.spent_order.pop_front();
            self.spent.remove(&token);
        }
        expired
    }

    /// When [`expire`](Self::expire) is next due; `None` when the table is empty.
    pub(crate) fn due(&self) -> Option<Instant> {
        let live = self.live.first_key_value().map(|(_, live)| live.expires);
        let spent = self.spent_order.front().map(|(due, _)| *due);
        live.into_iter().chain(spent).min()
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            live: self.live.len(),
            ..self.counts
        }
    }

    fn take(&mut self, now: Instant, token: Token, how: RedeemError) -> Option<T> {
        let number = self.numbers.remove(&token)?;
        let live = self.live.remove(&number)?;
        if let Some(asked) = self.asked.get_mut(&live.asker) {
            *asked -= 1;
            if *asked == 0 {
                self.asked.remove(&live.asker);
            }
        }
        if self.spent_order.len() >= MAX_SPENT_TOKENS
            && let Some((_, oldest)) = self.spent_order.pop_front()
        {
            self.spent.remove(&oldest);
        }
        let receiver = live.receiver;
        self.spent.insert(token, Spent { receiver, how });
        self.spent_order.push_back((now + INTRODUCTION_TIME, token));
        Some(live.object)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: Party = party(1);
    const C: Party = party(3);
    const D: Party = party(4);

    const fn party(device: u8) -> Party {
        Party {
            device: proto::DeviceId::from_bytes([device; 32]),
            process: 0,
        }
    }

    fn token(number: usize) -> Token {
        let mut bytes = [0; Token::LEN];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Token::from_bytes(bytes)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant has no other beginning"
    )]
    fn table(tokens: usize) -> (Tokens<usize>, Instant) {
        let mut table = Tokens::default();
        let now = Instant::now();
        for number in 0..tokens {
            table.insert(now, token(number), A, C, number);
        }
        (table, now)
    }

    #[test]
    fn a_token_is_for_one_use_by_one_device() {
        let (mut table, now) = table(2);
        assert_eq!(table.redeem(now, token(0), D), Err(RedeemError::Unknown));
        assert_eq!(table.redeem(now, token(9), C), Err(RedeemError::Unknown));
        assert_eq!(table.redeem(now, token(0), C), Ok(0));
        assert_eq!(table.redeem(now, token(0), C), Err(RedeemError::Used));
        // Who it was not made for is not told that it was there.
        assert_eq!(table.redeem(now, token(0), D), Err(RedeemError::Unknown));
        let counts = table.counts();
        assert_eq!((counts.live, counts.made, counts.redeemed), (1, 2, 1));
        assert_eq!((counts.wrong, counts.late), (3, 1));
    }

    #[test]
    fn a_token_lives_for_thirty_seconds_and_is_remembered_as_long() {
        let (mut table, now) = table(1);
        assert_eq!(table.due(), Some(now + INTRODUCTION_TIME));
        let before = now + INTRODUCTION_TIME - Duration::from_millis(1);
        assert_eq!(table.expire(before), Vec::<usize>::new());
        let late = now + INTRODUCTION_TIME;
        // Before and after the table has been told of the time.
        assert_eq!(table.redeem(late, token(0), C), Err(RedeemError::Expired));
        assert_eq!(table.expire(late), [0]);
        assert_eq!(table.redeem(late, token(0), C), Err(RedeemError::Expired));
        assert_eq!(table.redeem(late, token(0), D), Err(RedeemError::Unknown));
        let forgotten = late + INTRODUCTION_TIME;
        assert_eq!(table.due(), Some(forgotten));
        assert_eq!(table.expire(forgotten), Vec::<usize>::new());
        assert_eq!(table.due(), None);
        assert_eq!(
            table.redeem(forgotten, token(0), C),
            Err(RedeemError::Unknown)
        );
    }

    #[test]
    fn one_device_cannot_fill_the_table() {
        let (mut table, now) = table(MAX_INTRODUCTIONS_PER_DEVICE);
        assert!(!table.has_room(A, 1) && table.has_room(D, 64));
        assert_eq!(table.redeem(now, token(7), C), Ok(7));
        assert!(table.has_room(A, 1) && !table.has_room(A, 2));
    }

    #[test]
    fn all_devices_together_cannot_fill_more_than_the_table() {
        let (mut table, now) = table(0);
        for number in 0..MAX_INTRODUCTIONS {
            let asker = party((number / MAX_INTRODUCTIONS_PER_DEVICE) as u8);
            assert!(table.has_room(asker, 1));
            table.insert(now, token(number), asker, C, number);
        }
        assert!(!table.has_room(party(0xff), 1));
        assert_eq!(
            table.expire(now + INTRODUCTION_TIME).len(),
            MAX_INTRODUCTIONS
        );
        assert!(table.asked.is_empty() && table.numbers.is_empty());
    }

    #[test]
    fn tokens_that_are_made_and_used_again_and_again_leave_a_bounded_memory() {
        let (mut table, now) = table(0);
        for number in 0..3 * MAX_SPENT_TOKENS {
            table.insert(now, token(number), A, C, number);
            assert_eq!(table.redeem(now, token(number), C), Ok(number));
        }
        assert_eq!(table.spent.len(), MAX_SPENT_TOKENS);
        assert_eq!(table.spent_order.len(), MAX_SPENT_TOKENS);
        assert!(table.live.is_empty() && table.numbers.is_empty());
        // The oldest is taken for one that was never made.
        assert_eq!(table.redeem(now, token(0), C), Err(RedeemError::Unknown));
    }
}
