//! What a node knows of one device, and what it decides about connections with it. Pure: no clock, socket, lock or random number.

use std::time::{Duration, Instant};

use proto::BootId;
use rpc::peer::SessionEnd;

use super::decisions::{Current, Due, Hello, backoff, offline_reason, welcome_due};
use crate::presence::{Machine, OfflineReason};

/// How long a device that fell silent is missed.
const MISSED: Duration = Duration::from_secs(600);
/// How much later the next address is tried.
const STAGGER: Duration = Duration::from_millis(250);

/// What has to be known of a session to decide about another one.
pub trait Talk: Clone {
    /// Where devices are dialled.
    type Address: Copy + PartialEq + std::fmt::Debug;

    /// What there is to say of it to who dials meanwhile.
    fn current(&self) -> Current;

    /// Where the device can be dialled, as far as the connection tells.
    fn address(&self) -> Option<Self::Address>;
}

/// A device: where it may be, the session with it, and what is under way. `N` is what its node keeps beside that.
#[derive(Debug)]
pub struct Contact<S: Talk, N> {
    /// What the node keeps of it that decides nothing.
    pub notes: N,
    machine: Machine,
    addrs: Vec<S::Address>,
    /// The address that worked last.
    worked: Option<S::Address>,
    session: Option<S>,
    /// Our end of the session is at an address that this device has no more: nothing gets through, and another session replaces it.
    stranded: bool,
    /// A dial is open.
    dialling: bool,
    /// Connections of the device that are being welcomed.
    welcoming: u32,
    /// How often this device was on other networks than before: then every address is worth another try.
    networks: u64,
    /// When it fell silent, as what is behind a cut cable does: it may be back at any moment, and where it was.
    missed: Option<Instant>,
    /// No source names it any more; `addrs` is where it was when it fell silent.
    forgotten: bool,
    /// Dials that failed since something worked or something new was heard.
    failures: u32,
    /// What `offline` is told instead of what the connection says.
    verdict: Option<OfflineReason>,
    /// The last session's name, for a peer that still believes in it.
    lost_session: u64,
}

/// A session has begun.
#[derive(Debug)]
pub struct Began<S> {
    /// The one that it replaces, and why the device was offline in between.
    pub before: Option<(S, OfflineReason)>,
    /// There was one before.
    pub again: bool,
}

impl<S: Talk, N: Default> Default for Contact<S, N> {
    fn default() -> Self {
        Self {
            notes: N::default(),
            machine: Machine::new(),
            addrs: Vec::new(),
            worked: None,
            session: None,
            stranded: false,
            dialling: false,
            welcoming: 0,
            networks: 0,
            missed: None,
            forgotten: false,
            failures: 0,
            verdict: None,
            lost_session: 0,
        }
    }
}

impl<S: Talk, N> Contact<S, N> {
    /// Where it stands.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Where it may be.
    pub fn addrs(&self) -> &[S::Address] {
        &self.addrs
    }

    /// The session with it.
    pub const fn session(&self) -> Option<&S> {
        self.session.as_ref()
    }

    /// The session that a Hello of ours replaces, by name: the last that ended, or the one that is stranded.
    pub fn replaces(&self) -> u64 {
        let stranded = self.session.as_ref().filter(|_| self.stranded);
        stranded.map_or(self.lost_session, |session| session.current().name)
    }

    /// Whether there is a session, and nothing gets through on it any more.
    pub const fn is_stranded(&self) -> bool {
        self.stranded
    }

    /// The address of our end of the session is there again.
    pub(super) const fn is_back(&mut self) {
        self.stranded = false;
    }

    /// Somebody says where it is. A sign of life: what failed before is worth another try at once.
    pub fn found(&mut self, addrs: Vec<S::Address>) {
        self.addrs = addrs;
        self.forgotten = false;
        self.failures = 0;
    }

    /// It has answered there.
    pub fn met(&mut self, addr: S::Address) {
        self.forgotten = false;
        if !self.addrs.contains(&addr) {
            self.addrs.push(addr);
        }
    }

    /// This device is on other networks than before. `lost` says of a session whether our end of it is nowhere now: then the other
    /// end is dialled where it was, too.
    pub(super) fn network_changed(&mut self, lost: impl FnOnce(&S) -> bool) {
        self.failures = 0;
        self.networks += 1;
        self.stranded = self.session.as_ref().is_some_and(lost);
        if self.stranded {
            self.dial_where_it_was();
        }
    }

    /// No source names the device any more. Where it was when it fell silent is dialled for as long as it is missed.
    pub(super) fn forget_addrs(&mut self, now: Instant) {
        let (missed, worked) = (self.is_missed(now), self.worked);
        self.addrs.retain(|addr| missed && Some(*addr) == worked);
        self.forgotten = true;
    }

    /// Nobody tells of it any more, it never was here, and nothing is under way with it.
    pub(super) fn is_unknown(&self) -> bool {
        self.may_dial() && self.addrs.is_empty() && self.machine.times_online == 0
    }

    /// Whether a dial would bring a session that there is not, and that is not about to be.
    const fn may_dial(&self) -> bool {
        !self.dialling && self.welcoming == 0 && !self.has_session_to_keep()
    }

    const fn has_session_to_keep(&self) -> bool {
        self.session.is_some() && !self.stranded
    }

    /// A dial is useful. Whether it begins.
    pub(super) fn begin_dial(&mut self) -> bool {
        let begins = self.may_dial() && !self.addrs.is_empty();
        if begins {
            self.dialling = true;
            self.machine.dialling();
        }
        begins
    }

    /// A round of dialling has ended, and the pause before the next if there is to be one. Between two rounds no dial is open, and
    /// a connection of the peer's is welcome.
    pub(super) fn dial_ended(
        &mut self,
        wanted: bool,
        chance: impl FnOnce() -> u8,
        now: Instant,
    ) -> Option<Duration> {
        if self.forgotten {
            self.forget_addrs(now);
        }
        self.dialling = false;
        if self.has_session_to_keep() || !wanted || self.addrs.is_empty() {
            self.machine.dial_failed();
            return None;
        }
        self.failures += 1;
        Some(backoff(self.failures_that_count(now), chance()))
    }

    /// The pause is over. Whether another round begins.
    pub fn dial_again(&mut self) -> bool {
        let begins = self.may_dial();
        self.dialling |= begins;
        begins
    }

    /// What becomes of a connection that the device has dialled, as the smaller id decides.
    pub(super) fn welcome_due(&self, hello: Hello) -> Due {
        welcome_due(
            self.session.as_ref().map(Talk::current),
            self.dialling,
            hello,
        )
    }

    /// A connection is being welcomed: meanwhile no dial is begun, whose session would replace this one.
    pub(super) const fn begin_welcome(&mut self) {
        self.welcoming += 1;
    }

    pub(super) const fn end_welcome(&mut self) {
        self.welcoming -= 1;
    }

    /// A session has begun. What there was before is replaced.
    pub(super) fn begin(&mut self, session: S) -> Began<S> {
        let boot = session.current().boot;
        self.worked = session.address().or(self.worked);
        self.failures = 0;
        self.verdict = None;
        self.missed = None;
        self.stranded = false;
        let before = self.session.replace(session);
        let again = before.is_some() || self.lost_session != 0;
        let before = before.map(|before| {
            let reason = replaced(before.current().boot, boot);
            self.machine.offline(reason.clone());
            (before, reason)
        });
        self.machine.online(boot);
        Began { before, again }
    }

    /// A session goes on elsewhere, if it is the one there is.
    pub(crate) fn moved<R>(
        &mut self,
        is: impl FnOnce(&S) -> bool,
        change: impl FnOnce(&mut S) -> R,
    ) -> Option<R> {
        let session = self.session.as_mut()?;
        if !is(session) {
            return None;
        }
        let changed = change(session);
        self.worked = session.address();
        self.stranded = false;
        Some(changed)
    }

    /// A session has ended. It and why the device is offline, if it was the one there is.
    pub fn ended(
        &mut self,
        is: impl FnOnce(&S) -> bool,
        end: &SessionEnd,
        now: Instant,
    ) -> Option<(S, OfflineReason)> {
        let session = self.session.take_if(|session| is(session))?;
        self.stranded = false;
        self.lost_session = session.current().name;
        let verdict = self.verdict.take();
        let reason = verdict.unwrap_or_else(|| offline_reason(end));
        self.machine.offline(reason.clone());
        if reason == OfflineReason::TimedOut {
            self.fell_silent(now);
        }
        Some((session, reason))
    }

    /// Its process is gone, its host is there. Whether that is about the session there is, which then has to be closed.
    pub fn crashed(&mut self, is: impl FnOnce(&S) -> bool) -> bool {
        let current = self.session.as_ref().is_some_and(is);
        if current {
            self.verdict = Some(OfflineReason::Crashed);
        }
        current
    }

    /// Nothing has been heard of it for a while.
    pub fn suspect(&mut self) {
        self.machine.suspect();
    }

    /// Something has been heard of it again.
    pub fn heard(&mut self) {
        self.machine.heard();
    }

    fn fell_silent(&mut self, now: Instant) {
        self.missed = Some(now);
        self.dial_where_it_was();
    }

    /// It is dialled where it was, too.
    fn dial_where_it_was(&mut self) {
        if let Some(worked) = self.worked.filter(|worked| !self.addrs.contains(worked)) {
            self.addrs.push(worked);
        }
    }

    /// Whether it fell silent not long ago.
    fn is_missed(&self, now: Instant) -> bool {
        let since = self.missed.map(|missed| now.duration_since(missed));
        since.is_some_and(|since| since < MISSED)
    }

    /// The failures that make the pause between two dials longer: of a device that is missed no more than make it a second. With a
    /// round of three seconds it is dialled within four of when it can be reached.
    fn failures_that_count(&self, now: Instant) -> u32 {
        match self.is_missed(now) {
            true => self.failures.min(3),
            false => self.failures,
        }
    }
}

/// Why a device was offline whose session another one replaces. The same start comes back when it has missed this device, which has
/// not noticed anything yet.
fn replaced(before: BootId, now: BootId) -> OfflineReason {
    match before == now {
        true => OfflineReason::TimedOut,
        false => OfflineReason::Restarted,
    }
}

/// One round of dialling, over all addresses: those that become known meanwhile too.
#[derive(Debug)]
pub struct Round<A> {
    tried: Vec<A>,
    networks: Option<u64>,
}

impl<A> Default for Round<A> {
    fn default() -> Self {
        Self {
            tried: Vec::new(),
            networks: None,
        }
    }
}

impl<A: Copy + PartialEq> Round<A> {
    /// The addresses to try that were not tried yet, the one that worked last first, and how much later each.
    pub fn due<S: Talk<Address = A>, N>(&mut self, contact: &Contact<S, N>) -> Vec<(A, Duration)> {
        if self.networks.replace(contact.networks) != Some(contact.networks) {
            // What was sent before from nowhere to nowhere is repeated later and later.
            self.tried.clear();
        }
        let mut addrs = contact.addrs.clone();
        addrs.retain(|addr| !self.tried.contains(addr));
        if let Some(index) = addrs.iter().position(|addr| Some(*addr) == contact.worked) {
            addrs[..=index].rotate_right(1);
        }
        self.tried.extend_from_slice(&addrs);
        let later = |(index, addr)| (addr, STAGGER * index as u32);
        addrs.into_iter().enumerate().map(later).collect()
    }
}

#[cfg(test)]
mod tests {
    use rpc::link::LinkClosed;

    use super::*;

    const SILENCE: SessionEnd = SessionEnd::Link(LinkClosed::TimedOut);

    /// A start, a name, and an address.
    #[derive(Clone, Debug, PartialEq)]
    struct Session(u64, u64, Option<u8>);

    impl Talk for Session {
        type Address = u8;

        fn current(&self) -> Current {
            let boot = BootId {
                epoch: self.0,
                random: 0,
            };
            Current {
                boot,
                name: self.1,
                confirmed: true,
            }
        }

        fn address(&self) -> Option<u8> {
            self.2
        }
    }

    fn contact(addrs: &[u8]) -> Contact<Session, ()> {
        let mut contact = Contact::default();
        contact.found(addrs.to_vec());
        contact
    }

    fn pause_after(contact: &mut Contact<Session, ()>, failures: u32, now: Instant) -> u128 {
        contact.failures = failures - 1;
        assert!(contact.dial_again());
        let pause = contact.dial_ended(true, || 0, now);
        pause.expect("there is no session").as_millis()
    }

    #[test]
    fn a_device_that_fell_silent_is_dialled_often_for_a_while() {
        let now = Instant::now();
        let mut contact = contact(&[1]);
        assert_eq!(pause_after(&mut contact, 7, now), 16_000);
        contact.begin(Session(1, 1, None));
        contact.ended(|_| true, &SILENCE, now);
        assert_eq!(pause_after(&mut contact, 1, now), 250);
        assert_eq!(pause_after(&mut contact, 7, now), 1000);
        assert_eq!(pause_after(&mut contact, 7, now + MISSED), 16_000);
    }

    #[test]
    fn where_a_device_was_when_it_fell_silent_outlives_what_is_said_of_it() {
        let now = Instant::now();
        let mut contact = contact(&[1]);
        contact.begin(Session(1, 1, Some(2)));
        contact.ended(|_| true, &SILENCE, now);
        assert_eq!(contact.addrs(), [1, 2]);
        contact.forget_addrs(now);
        assert_eq!(contact.addrs(), [2]);
        contact.forget_addrs(now + MISSED);
        assert_eq!(contact.addrs(), [0; 0]);
    }

    #[test]
    fn a_round_tries_each_address_once_and_what_worked_first() {
        let mut contact = contact(&[1, 2, 3]);
        contact.begin(Session(1, 1, Some(3)));
        let (mut round, later) = (Round::default(), |index| STAGGER * index);
        assert_eq!(
            round.due(&contact),
            [(3, later(0)), (1, later(1)), (2, later(2))]
        );
        contact.found(vec![4, 1]);
        assert_eq!(round.due(&contact), [(4, later(0))]);
        contact.network_changed(|_| false);
        assert_eq!(round.due(&contact), [(4, later(0)), (1, later(1))]);
    }

    #[test]
    fn a_session_whose_end_here_is_nowhere_is_dialled_for_and_named() {
        let mut contact = contact(&[1]);
        contact.begin(Session(1, 7, Some(2)));
        contact.network_changed(|session| session.1 != 7);
        assert!(!contact.begin_dial(), "it is where it was");
        contact.network_changed(|session| session.1 == 7);
        assert_eq!(contact.addrs(), [1, 2]);
        assert_eq!(contact.replaces(), 7);
        assert!(contact.begin_dial());
        assert!(
            contact.machine().is_online(),
            "nobody is told before it is replaced"
        );
        assert!(contact.dial_ended(true, || 0, Instant::now()).is_some());
        assert!(contact.dial_again());
        let began = contact.begin(Session(1, 8, None));
        assert_eq!(began.before.expect("it is replaced").0.1, 7);
        assert_eq!(contact.dial_ended(true, || 0, Instant::now()), None);
        assert_eq!(contact.replaces(), 0);
    }

    #[test]
    fn an_address_that_is_there_again_leaves_the_session_as_it_is() {
        let mut contact = contact(&[1]);
        contact.begin(Session(1, 7, None));
        contact.network_changed(|_| true);
        assert!(contact.begin_dial());
        contact.network_changed(|_| false);
        assert_eq!(contact.dial_ended(true, || 0, Instant::now()), None);
        assert!(!contact.begin_dial());
    }

    #[test]
    fn a_session_that_was_replaced_ends_nothing() {
        let now = Instant::now();
        let mut contact = contact(&[1]);
        contact.begin(Session(1, 7, None));
        let began = contact.begin(Session(2, 8, None));
        let before = Some((Session(1, 7, None), OfflineReason::Restarted));
        assert_eq!(began.before, before);
        let is_first = |session: &Session| session.1 == 7;
        assert_eq!(contact.ended(is_first, &SILENCE, now), None);
        assert!(!contact.crashed(is_first));
        assert!(contact.machine().is_online());
        let (ended, reason) = contact.ended(|_| true, &SILENCE, now).expect("it is there");
        assert_eq!((ended.1, reason), (8, OfflineReason::TimedOut));
        assert_eq!(contact.replaces(), 8);
    }

    #[test]
    fn the_same_start_that_comes_again_had_missed_this_device() {
        let mut contact = contact(&[1]);
        contact.begin(Session(1, 7, None));
        let (_, reason) = contact
            .begin(Session(1, 8, None))
            .before
            .expect("it was there");
        assert_eq!(reason, OfflineReason::TimedOut);
    }

    #[test]
    fn what_the_host_said_is_said_of_the_end() {
        let mut contact = contact(&[1]);
        contact.begin(Session(1, 7, None));
        assert!(contact.crashed(|_| true));
        let (_, reason) = contact
            .ended(|_| true, &SILENCE, Instant::now())
            .expect("it is there");
        assert_eq!(reason, OfflineReason::Crashed);
    }
}
