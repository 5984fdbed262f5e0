//! What a responder has opened: for how long, which ways, and how many may try.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::{PairingCode, PairingError, PairingMode, PairingSecret};

/// Which ways of pairing a window opens.
#[derive(Clone, Debug)]
pub struct PairingOptions {
    ways: Ways,
    time: Duration,
    ask: bool,
    despite_failures: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ways {
    Code,
    Qr,
    CodeAndQr,
    Compare,
}

impl PairingOptions {
    /// How long a window is open unless told otherwise.
    pub const DEFAULT_TIME: Duration = Duration::from_secs(120);
    /// The longest a window may be open.
    pub const MAX_TIME: Duration = Duration::from_secs(15 * 60);

    /// A code to be typed. Three attempts.
    pub const fn code() -> Self {
        Self::new(Ways::Code)
    }

    /// A QR code to be scanned. Twenty attempts.
    pub const fn qr() -> Self {
        Self::new(Ways::Qr)
    }

    /// Either. Each has its own secret and its own attempts.
    pub const fn code_and_qr() -> Self {
        Self::new(Ways::CodeAndQr)
    }

    /// Both devices show digits, and both users say whether they are the same. Three attempts.
    pub const fn compare() -> Self {
        Self::new(Ways::Compare)
    }

    const fn new(ways: Ways) -> Self {
        Self {
            ways,
            time: Self::DEFAULT_TIME,
            ask: true,
            despite_failures: false,
        }
    }

    /// Open for this long, at most [`MAX_TIME`](Self::MAX_TIME).
    #[must_use]
    pub fn open_for(mut self, time: Duration) -> Self {
        self.time = time.min(Self::MAX_TIME);
        self
    }

    /// How long it is open.
    pub const fn time(&self) -> Duration {
        self.time
    }

    /// Who proves to know the code is paired without asking our user again. Compare mode always asks.
    #[must_use]
    pub const fn without_asking(mut self) -> Self {
        self.ask = false;
        self
    }

    /// Opens although wrong codes were given lately: our user stands here and knows who it was.
    #[must_use]
    pub const fn despite_failures(mut self) -> Self {
        self.despite_failures = true;
        self
    }

    /// Whether the wait after wrong codes is waived.
    pub const fn is_despite_failures(&self) -> bool {
        self.despite_failures
    }
}

/// Why a window takes no more pairings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowEnd {
    /// A device was paired.
    Paired,
    /// Its time is over.
    Expired,
    /// Its attempts are used up. The next window has to wait: [`PairingFreeze`](super::PairingFreeze).
    Failed,
    /// Our user closed it.
    Closed,
}

/// One session of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionNumber(u64);

/// A way in, and how often it may still be tried.
#[derive(Debug)]
struct Way<S> {
    secret: S,
    attempts_left: u32,
}

impl<S> Way<S> {
    const fn new(secret: S, attempts_left: u32) -> Self {
        Self {
            secret,
            attempts_left,
        }
    }
}

/// What a responder has opened. One device is paired by it, then it is closed.
#[derive(Debug)]
pub struct PairingWindow {
    code: Option<Way<PairingCode>>,
    qr: Option<Way<PairingSecret>>,
    compare: Option<Way<()>>,
    closes: Instant,
    ask: bool,
    /// Sessions that have not tried anything yet.
    waiting: HashMap<SessionNumber, Instant>,
    /// The one session that may be past its attempt, and how it wants to pair.
    working: Option<(SessionNumber, PairingMode)>,
    /// When each address was last let in.
    sources: HashMap<IpAddr, Instant>,
    next: u64,
    end: Option<WindowEnd>,
}

impl PairingWindow {
    /// Attempts with a code, and in compare mode.
    pub const ATTEMPTS: u32 = 3;
    /// Attempts with the secret of a QR code.
    pub const QR_ATTEMPTS: u32 = 20;
    /// Sessions that have not tried anything yet.
    pub const MAX_WAITING: usize = 4;
    /// How long each of them may be there.
    const WAITING_TIME: Duration = super::MESSAGE_TIME;
    /// How often one address may begin.
    const SOURCE_TIME: Duration = Duration::from_secs(1);
    /// Addresses that are remembered.
    const MAX_SOURCES: usize = 256;

    /// Opens a window, with secrets of its own.
    ///
    /// # Errors
    ///
    /// [`PairingError::Random`].
    pub fn open(options: &PairingOptions, now: Instant) -> Result<Self, PairingError> {
        let ways = options.ways;
        let code = match ways {
            Ways::Code | Ways::CodeAndQr => Some(PairingCode::generate()?),
            Ways::Qr | Ways::Compare => None,
        };
        let qr = match ways {
            Ways::Qr | Ways::CodeAndQr => Some(PairingSecret::generate()?),
            Ways::Code | Ways::Compare => None,
        };
        Ok(Self {
            code: code.map(|code| Way::new(code, Self::ATTEMPTS)),
            qr: qr.map(|secret| Way::new(secret, Self::QR_ATTEMPTS)),
            compare: (ways == Ways::Compare).then(|| Way::new((), Self::ATTEMPTS)),
            closes: now + options.time,
            ask: options.ask,
            waiting: HashMap::new(),
            working: None,
            sources: HashMap::new(),
            next: 0,
            end: None,
        })
    }

    /// The code to show, if the window has one.
    pub fn code(&self) -> Option<&PairingCode> {
        self.code.as_ref().map(|way| &way.secret)
    }

    /// The secret for a QR code, if the window has one.
    pub fn secret(&self) -> Option<&PairingSecret> {
        self.qr.as_ref().map(|way| &way.secret)
    }

    /// When it closes by itself.
    pub const fn closes(&self) -> Instant {
        self.closes
    }

    /// Why it takes no more pairings; `None` while it does.
    pub fn end(&self, now: Instant) -> Option<WindowEnd> {
        self.end
            .or_else(|| (now >= self.closes).then_some(WindowEnd::Expired))
    }

    /// How often it may still be tried in this way.
    pub fn attempts_left(&self, mode: PairingMode) -> u32 {
        let left = match mode {
            PairingMode::Code => self.code.as_ref().map(|way| way.attempts_left),
            PairingMode::Qr => self.qr.as_ref().map(|way| way.attempts_left),
            PairingMode::Compare => self.compare.as_ref().map(|way| way.attempts_left),
        };
        left.unwrap_or(0)
    }

    /// How a session tries to pair, if it has made its attempt and is not over.
    pub fn mode_of(&self, session: SessionNumber) -> Option<PairingMode> {
        self.working
            .filter(|(working, _)| *working == session)
            .map(|(_, mode)| mode)
    }

    /// Whether a session has made its attempt and is not over.
    pub const fn is_working(&self) -> bool {
        self.working.is_some()
    }

    /// Closes it. A pairing that has made its attempt may still succeed, unless our user closed it.
    pub fn close(&mut self) {
        self.end.get_or_insert(WindowEnd::Closed);
        self.working = None;
        self.waiting.clear();
    }

    /// Somebody from `source` wants to pair. All addresses of one IPv6 network of 64 bits count as one.
    ///
    /// # Errors
    ///
    /// [`PairingError::Closed`] and [`PairingError::CodeExpired`]; [`PairingError::Busy`] if there are
    /// [`MAX_WAITING`](Self::MAX_WAITING) others, or this address was here less than a second ago.
    pub fn admit(&mut self, source: IpAddr, now: Instant) -> Result<SessionNumber, PairingError> {
        self.check_open(now)?;
        let source = subscriber(source);
        self.waiting
            .retain(|_, since| now.duration_since(*since) < Self::WAITING_TIME);
        self.sources
            .retain(|_, last| now.duration_since(*last) < Self::SOURCE_TIME);
        let crowded = self.waiting.len() >= Self::MAX_WAITING
            || self.sources.len() >= Self::MAX_SOURCES
            || self.sources.contains_key(&source);
        if crowded {
            return Err(PairingError::Busy);
        }
        self.sources.insert(source, now);
        self.next += 1;
        let session = SessionNumber(self.next);
        self.waiting.insert(session, now);
        Ok(session)
    }

    /// A session is over, however it ended.
    pub fn over(&mut self, session: SessionNumber) {
        self.waiting.remove(&session);
        if self.mode_of(session).is_some() {
            self.working = None;
        }
        let all_used_up = [PairingMode::Code, PairingMode::Qr, PairingMode::Compare]
            .into_iter()
            .all(|mode| self.attempts_left(mode) == 0);
        if all_used_up && self.working.is_none() {
            self.end.get_or_insert(WindowEnd::Failed);
        }
    }

    /// Whether this way is open, before anything is tried.
    pub(super) fn check_mode(&self, mode: PairingMode, now: Instant) -> Result<(), PairingError> {
        self.check_open(now)?;
        if self.attempts_left(mode) == 0 {
            return Err(PairingError::Closed);
        }
        Ok(())
    }

    /// An attempt has arrived: it is counted whatever becomes of it. Only one session at a time may be past this.
    pub(super) fn attempt(
        &mut self,
        session: SessionNumber,
        mode: PairingMode,
        now: Instant,
    ) -> Result<(), PairingError> {
        self.check_open(now)?;
        if self.working.is_some() {
            return Err(PairingError::Busy);
        }
        // One that took too long has lost its place, and maybe to another.
        self.waiting
            .remove(&session)
            .filter(|since| now.duration_since(*since) < Self::WAITING_TIME)
            .ok_or(PairingError::Busy)?;
        let left = match mode {
            PairingMode::Code => self.code.as_mut().map(|way| &mut way.attempts_left),
            PairingMode::Qr => self.qr.as_mut().map(|way| &mut way.attempts_left),
            PairingMode::Compare => self.compare.as_mut().map(|way| &mut way.attempts_left),
        };
        let left = left.filter(|left| **left > 0);
        *left.ok_or(PairingError::Closed)? -= 1;
        self.working = Some((session, mode));
        Ok(())
    }

    /// What the key exchange is given as password.
    pub(super) fn password(&self, mode: PairingMode) -> Result<&[u8], PairingError> {
        let secret = match mode {
            PairingMode::Code => self.code().map(|code| code.reveal().as_bytes()),
            PairingMode::Qr => self.secret().map(PairingSecret::bytes),
            PairingMode::Compare => None,
        };
        secret.ok_or(PairingError::Closed)
    }

    pub(super) const fn asks(&self) -> bool {
        self.ask
    }

    /// Whether a session may go on to trust: it is the one at work, and nobody closed the window meanwhile.
    pub(super) fn check_working(&self, session: SessionNumber) -> Result<(), PairingError> {
        self.mode_of(session).map(drop).ok_or(PairingError::Closed)
    }

    /// A device was paired: that was it.
    pub(super) fn paired(&mut self) {
        self.end = Some(WindowEnd::Paired);
        self.waiting.clear();
    }

    fn check_open(&self, now: Instant) -> Result<(), PairingError> {
        match self.end(now) {
            None => Ok(()),
            Some(WindowEnd::Expired) => Err(PairingError::CodeExpired),
            Some(_) => Err(PairingError::Closed),
        }
    }
}

/// What one subscriber has at least: an address, or of IPv6 a network of 64 bits.
fn subscriber(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
impl PairingWindow {
    /// A window that shows a code which was shown before.
    pub(super) fn set_code(&mut self, code: PairingCode) {
        self.code = Some(Way::new(code, Self::ATTEMPTS));
    }
}

#[cfg(test)]
impl SessionNumber {
    pub(super) const fn first() -> Self {
        Self(1)
    }
}
