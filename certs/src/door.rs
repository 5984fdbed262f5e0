//! Who may begin a handshake: what strangers can cost us before anything is known of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How much strangers are given. All of it is per process that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DoorLimits {
    /// Handshakes under way at one time; more are refused.
    pub handshakes: usize,
    /// From as many on, who comes has to prove its address first, which costs us nothing.
    pub unproven_handshakes: usize,
    /// Of one source at one time; more are refused.
    pub handshakes_per_source: usize,
    /// From as many of one source on, it has to prove its address first.
    pub unproven_per_source: usize,
    /// Handshakes that one source may begin at once.
    pub burst: u32,
    /// Handshakes that one source may begin in a second, in the long run.
    pub per_second: u32,
    /// How long one may take, from its first packet to its device's Hello, for which it has 5 s at most; then it is closed.
    pub time: Duration,
}

impl DoorLimits {
    /// 128 and 16 at one time, 16 and 4 of one source; 10 at once and 5 a second; 5 s.
    pub const DEFAULT: Self = Self {
        handshakes: 128,
        unproven_handshakes: 16,
        handshakes_per_source: 16,
        unproven_per_source: 4,
        burst: 10,
        per_second: 5,
        time: Duration::from_secs(5),
    };
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is done with somebody who wants to begin a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Knock {
    /// It may. [`Door::left`] is to be said when the handshake has ended, however it did.
    Enter,
    /// It is to prove its address and come again.
    Prove,
    /// Not now: it is told so and nothing is kept of it.
    Refuse {
        /// Which limit it is over.
        limit: &'static str,
        /// How much is given.
        value: u64,
    },
}

/// Counts handshakes: at one time, and of one source, which is an IPv4 address or an IPv6 network of 64 bits.
///
/// Pure: time comes in. What is remembered is bounded; a source is remembered only once it has proven its address or
/// while its handshake is under way, so addresses that are made up fill nothing.
#[derive(Debug)]
pub struct Door {
    limits: DoorLimits,
    open: usize,
    sources: HashMap<IpAddr, Source>,
}

#[derive(Debug)]
struct Source {
    open: usize,
    /// When its bucket is full again, had it not come since.
    full_at: Instant,
}

impl Door {
    /// Of as many sources it is remembered how often they came; of more only while they are inside.
    pub const REMEMBERED: usize = 1024;

    /// Nobody is inside.
    pub fn new(limits: DoorLimits) -> Self {
        Self {
            limits,
            open: 0,
            sources: HashMap::new(),
        }
    }

    /// Somebody wants to begin a handshake. `proven`: its address is known to be its own.
    pub fn knock(&mut self, from: IpAddr, proven: bool, now: Instant) -> Knock {
        let limits = self.limits;
        let refuse = |limit, value| Knock::Refuse { limit, value };
        if self.open >= limits.handshakes {
            return refuse("handshakes at one time", limits.handshakes as u64);
        }
        let source = source_of(from);
        let (inside, full_at) = match self.sources.get(&source) {
            Some(known) => (known.open, known.full_at.max(now)),
            None => (0, now),
        };
        if !proven
            && (self.open >= limits.unproven_handshakes || inside >= limits.unproven_per_source)
        {
            return Knock::Prove;
        }
        if inside >= limits.handshakes_per_source {
            let value = limits.handshakes_per_source as u64;
            return refuse("handshakes of one source at one time", value);
        }
        let interval = Duration::from_secs(1) / limits.per_second.max(1);
        if full_at + interval > now + interval * limits.burst.max(1) {
            // An address that is not proven is not kept from coming by what came in its name.
            if !proven {
                return Knock::Prove;
            }
            return refuse(
                "handshakes of one source in a second",
                limits.per_second.into(),
            );
        }
        self.make_room(now);
        let entry = self.sources.entry(source).or_insert(Source {
            open: 0,
            full_at: now,
        });
        entry.open += 1;
        entry.full_at = full_at + interval;
        self.open += 1;
        Knock::Enter
    }

    /// A handshake of this source has ended.
    pub fn left(&mut self, from: IpAddr) {
        self.open = self.open.saturating_sub(1);
        if let Some(known) = self.sources.get_mut(&source_of(from)) {
            known.open = known.open.saturating_sub(1);
        }
    }

    /// What is given.
    pub const fn limits(&self) -> &DoorLimits {
        &self.limits
    }

    /// How many handshakes are under way.
    pub const fn open(&self) -> usize {
        self.open
    }

    /// Forgets those of whom nothing is left to remember, or everybody who is not inside.
    fn make_room(&mut self, now: Instant) {
        if self.sources.len() < Self::REMEMBERED {
            return;
        }
        self.sources
            .retain(|_, source| source.open > 0 || source.full_at > now);
        if self.sources.len() >= Self::REMEMBERED {
            self.sources.retain(|_, source| source.open > 0);
        }
    }
}

/// Who has a network of 64 bits has all its addresses.
fn source_of(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const LIMITS: DoorLimits = DoorLimits {
        handshakes: 6,
        unproven_handshakes: 4,
        handshakes_per_source: 3,
        unproven_per_source: 2,
        burst: 3,
        per_second: 2,
        time: Duration::from_secs(5),
    };

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn refused(knock: Knock) -> Option<(&'static str, u64)> {
        match knock {
            Knock::Refuse { limit, value } => Some((limit, value)),
            _ => None,
        }
    }

    #[test]
    fn so_many_at_one_time_and_not_one_more() {
        let now = Instant::now();
        let mut door = Door::new(LIMITS);
        for number in 0..4 {
            assert_eq!(door.knock(address(number), false, now), Knock::Enter);
        }
        assert_eq!(door.knock(address(4), false, now), Knock::Prove);
        assert_eq!(door.knock(address(4), true, now), Knock::Enter);
        assert_eq!(door.knock(address(5), true, now), Knock::Enter);
        assert_eq!(door.open(), 6);
        for proven in [false, true] {
            let over = refused(door.knock(address(6), proven, now));
            assert_eq!(over, Some(("handshakes at one time", 6)));
        }
        door.left(address(0));
        assert_eq!(door.knock(address(6), true, now), Knock::Enter);
    }

    #[test]
    fn one_source_takes_only_its_share() {
        let now = Instant::now();
        let mut door = Door::new(LIMITS);
        assert_eq!(door.knock(V4, false, now), Knock::Enter);
        assert_eq!(door.knock(V4, false, now), Knock::Enter);
        assert_eq!(door.knock(V4, false, now), Knock::Prove);
        assert_eq!(door.knock(V4, true, now), Knock::Enter);
        let over = refused(door.knock(V4, true, now));
        assert_eq!(over, Some(("handshakes of one source at one time", 3)));
        // Another one is as welcome as before.
        assert_eq!(door.knock(address(1), false, now), Knock::Enter);
    }

    #[test]
    fn who_comes_too_often_waits_and_nobody_else_does() {
        let start = Instant::now();
        let mut door = Door::new(LIMITS);
        let mut come = |from, proven, after| {
            let knock = door.knock(from, proven, start + Duration::from_millis(after));
            if knock == Knock::Enter {
                door.left(from);
            }
            knock
        };
        for _ in 0..3 {
            assert_eq!(come(V4, true, 0), Knock::Enter);
        }
        let over = Some(("handshakes of one source in a second", 2));
        assert_eq!(refused(come(V4, true, 0)), over);
        assert_eq!(come(V4, false, 0), Knock::Prove);
        assert_eq!(come(address(1), false, 0), Knock::Enter);
        assert_eq!(refused(come(V4, true, 499)), over);
        assert_eq!(come(V4, true, 500), Knock::Enter);
        assert_eq!(refused(come(V4, true, 500)), over);
        // In the long run two a second, and never more than three at once.
        for after in [60_000, 60_000, 60_000] {
            assert_eq!(come(V4, true, after), Knock::Enter);
        }
        assert_eq!(refused(come(V4, true, 60_000)), over);
    }

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let now = Instant::now();
        let mut door = Door::new(LIMITS);
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(door.knock(v6("2001:db8::1"), false, now), Knock::Enter);
        assert_eq!(door.knock(v6("2001:db8::2"), false, now), Knock::Enter);
        assert_eq!(door.knock(v6("2001:db8::ffff:3"), false, now), Knock::Prove);
        assert_eq!(door.knock(v6("2001:db8:0:1::1"), false, now), Knock::Enter);
        // The same address on a socket for both.
        assert_eq!(door.knock(v6("::ffff:192.0.2.1"), false, now), Knock::Enter);
        door.left(V4);
        assert_eq!(door.knock(V4, false, now), Knock::Enter);
        assert_eq!(door.knock(V4, true, now), Knock::Enter);
        let mapped = refused(door.knock(v6("::ffff:192.0.2.1"), true, now));
        assert_eq!(mapped, Some(("handshakes of one source in a second", 2)));
    }

    #[test]
    fn sources_without_end_fill_no_memory() {
        let mut now = Instant::now();
        let mut door = Door::new(DoorLimits::DEFAULT);
        let stays = address(u32::MAX);
        assert_eq!(door.knock(stays, true, now), Knock::Enter);
        for number in 0..10 * Door::REMEMBERED as u32 {
            assert_eq!(door.knock(address(number), true, now), Knock::Enter);
            door.left(address(number));
            assert!(door.sources.len() <= Door::REMEMBERED);
            now += Duration::from_micros(1);
        }
        assert_eq!(door.sources[&stays].open, 1);
        // Those whose time is over go first.
        let mut door = Door::new(DoorLimits::DEFAULT);
        for number in 0..Door::REMEMBERED as u32 - 1 {
            assert_eq!(door.knock(address(number), true, now), Knock::Enter);
            door.left(address(number));
        }
        let later = now + Duration::from_secs(1);
        assert_eq!(door.knock(V4, true, later), Knock::Enter);
        door.left(V4);
        assert_eq!(door.knock(stays, true, later), Knock::Enter);
        assert_eq!(door.sources.len(), 2);
    }
}
