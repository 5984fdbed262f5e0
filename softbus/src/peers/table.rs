//! What is known of each device, and who may have a session. Pure, as what is known of one (`contact`).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use proto::{BootId, DeviceId};

use super::{
    contact::{Began, Contact, Talk},
    decisions::{Due, Ghost, Hello, ghost},
};

/// All devices that something is known of.
#[derive(Debug)]
pub struct Table<S: Talk, N> {
    me: DeviceId,
    /// With how many devices there may be a session.
    limit: usize,
    contacts: BTreeMap<DeviceId, Contact<S, N>>,
    closing: bool,
}

/// Why who has said Hello gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another process of it is the one to talk to.
    Ghost(Ghost),
    /// There are sessions with so many devices already.
    Full(usize),
}

impl<S: Talk, N: Default> Table<S, N> {
    /// That of a device, which has a session with so many others at most.
    pub const fn new(me: DeviceId, limit: usize) -> Self {
        Self {
            me,
            limit,
            contacts: BTreeMap::new(),
            closing: false,
        }
    }

    /// What is known of a device.
    pub fn get(&self, device: &DeviceId) -> Option<&Contact<S, N>> {
        self.contacts.get(device)
    }

    /// The same, to say what has happened.
    pub fn get_mut(&mut self, device: &DeviceId) -> Option<&mut Contact<S, N>> {
        self.contacts.get_mut(device)
    }

    /// All that something is known of, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&DeviceId, &Contact<S, N>)> {
        self.contacts.iter()
    }

    /// Something is heard of a device.
    pub fn contact(&mut self, device: DeviceId) -> &mut Contact<S, N> {
        self.contacts.entry(device).or_default()
    }

    /// The session with a device.
    pub fn session(&self, device: &DeviceId) -> Option<&S> {
        self.contacts.get(device)?.session()
    }

    /// No session begins from here on.
    pub const fn close(&mut self) {
        self.closing = true;
    }

    /// Whether it was closed.
    pub const fn is_closing(&self) -> bool {
        self.closing
    }

    /// This device is on other networks than before: what did not answer is worth another try at once, and so is who has a session whose
    /// end here is `lost`.
    pub fn network_changed(
        &mut self,
        lost: impl Fn(&S) -> bool,
    ) -> impl Iterator<Item = (DeviceId, &mut Contact<S, N>)> {
        self.contacts.iter_mut().map(move |(device, contact)| {
            contact.network_changed(&lost);
            (*device, contact)
        })
    }

    /// No source knows the device any more. A session with it is not touched. Whether anything was known of it.
    pub fn not_a_candidate(&mut self, device: &DeviceId, now: Instant) -> bool {
        let Some(contact) = self.contacts.get_mut(device) else {
            return false;
        };
        contact.forget_addrs(now);
        self.forget_if_unknown(device);
        true
    }

    /// A device that nobody tells of any more and that never was here is forgotten, once nothing is under way with it.
    fn forget_if_unknown(&mut self, device: &DeviceId) {
        if self.get(device).is_some_and(Contact::is_unknown) {
            self.contacts.remove(device);
        }
    }

    /// Something suggests to dial. Whether a dial begins.
    pub fn begin_dial(&mut self, device: &DeviceId, trusted: bool) -> bool {
        let contact = self.contacts.get_mut(device);
        !self.closing && trusted && contact.is_some_and(Contact::begin_dial)
    }

    /// A round of dialling has ended, and the pause before the next if there is to be one. `chance` is a random byte.
    pub fn dial_ended(
        &mut self,
        device: &DeviceId,
        trusted: bool,
        chance: impl FnOnce() -> u8,
        now: Instant,
    ) -> Option<Duration> {
        let wanted = trusted && !self.closing;
        let contact = self.contacts.get_mut(device)?;
        let pause = contact.dial_ended(wanted, chance, now);
        if pause.is_none() {
            self.forget_if_unknown(device);
        }
        pause
    }

    /// Whether who has said Hello may have a session at all.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, device: &DeviceId, boot: BootId) -> Result<(), Refusal> {
        let known = self.session(device).map(|session| session.current().boot);
        if let Some(ghost) = ghost(known, boot) {
            return Err(Refusal::Ghost(ghost));
        }
        // A device that has a session already is always taken.
        let others = self.iter().filter(|(id, _)| *id != device);
        match others
            .filter(|(_, other)| other.session().is_some())
            .count()
            >= self.limit
        {
            true => Err(Refusal::Full(self.limit)),
            false => Ok(()),
        }
    }

    /// Whether Welcome may be withheld from a device: the smaller id does that for a while, and the other never.
    pub fn withholds(&self, device: &DeviceId) -> bool {
        self.me < *device
    }

    /// When a device that has said Hello is to hear Welcome. If that is now, or it has waited long enough, its connection is being
    /// welcomed from here on until [`Table::welcomed`].
    pub fn welcome(&mut self, device: DeviceId, hello: Hello, waited: bool) -> Due {
        let due = match self.withholds(&device) && !waited {
            true => {
                let contact = self.get(&device);
                contact.map_or(Due::Now, |contact| contact.welcome_due(hello))
            }
            false => Due::Now,
        };
        if due == Due::Now {
            self.contact(device).begin_welcome();
        }
        due
    }

    /// A connection has a session or will have none.
    pub fn welcomed(&mut self, device: &DeviceId) {
        if let Some(contact) = self.contacts.get_mut(device) {
            contact.end_welcome();
        }
        self.forget_if_unknown(device);
    }

    /// A session has begun, and replaces what there was.
    ///
    /// # Errors
    /// The session, when there are to be none any more.
    pub fn begin(&mut self, device: DeviceId, session: S) -> Result<Began<S>, S> {
        match self.closing {
            true => Err(session),
            false => Ok(self.contact(device).begin(session)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Session(BootId);

    impl Talk for Session {
        type Address = u8;

        fn current(&self) -> super::super::decisions::Current {
            super::super::decisions::Current {
                boot: self.0,
                name: 1,
                confirmed: true,
            }
        }

        fn address(&self) -> Option<u8> {
            None
        }
    }

    const BOOT: BootId = BootId {
        epoch: 3,
        random: 3,
    };
    const HELLO: Hello = Hello {
        boot: BOOT,
        replaces: 0,
    };

    fn id(number: u8) -> DeviceId {
        DeviceId::from_bytes([number; 32])
    }

    fn table() -> Table<Session, ()> {
        Table::new(id(5), 2)
    }

    #[test]
    fn one_device_more_than_the_limit_is_refused_and_one_that_is_here_is_not() {
        let mut table = table();
        for device in [1, 2] {
            assert_eq!(table.judge(&id(device), BOOT), Ok(()));
            table.begin(id(device), Session(BOOT)).expect("it is open");
        }
        assert_eq!(table.judge(&id(3), BOOT), Err(Refusal::Full(2)));
        assert_eq!(table.judge(&id(2), BOOT), Ok(()));
        let older = BootId { epoch: 2, ..BOOT };
        let ghost = Err(Refusal::Ghost(Ghost::Older));
        assert_eq!(table.judge(&id(2), older), ghost);
    }

    #[test]
    fn the_smaller_id_withholds_welcome_while_it_dials_and_the_other_does_not() {
        let mut table = table();
        for device in [1, 9] {
            table.contact(id(device)).found(vec![1]);
            assert!(table.begin_dial(&id(device), true));
        }
        assert_eq!(table.welcome(id(1), HELLO, false), Due::Now);
        assert_eq!(table.welcome(id(9), HELLO, false), Due::WhenDialEnds);
        assert_eq!(table.welcome(id(9), HELLO, true), Due::Now);
    }

    #[test]
    fn no_dial_begins_beside_another_a_welcome_or_a_session() {
        let mut table = table();
        assert!(!table.begin_dial(&id(9), true), "nobody knows where it is");
        table.contact(id(9)).found(vec![1]);
        assert!(!table.begin_dial(&id(9), false));
        assert_eq!(table.welcome(id(9), HELLO, false), Due::Now);
        assert!(!table.begin_dial(&id(9), true));
        table.welcomed(&id(9));
        assert!(table.begin_dial(&id(9), true));
        assert!(!table.begin_dial(&id(9), true));
        table.begin(id(9), Session(BOOT)).expect("it is open");
        let pause = table.dial_ended(&id(9), true, || 0, Instant::now());
        assert_eq!(pause, None);
        assert!(!table.begin_dial(&id(9), true));
    }

    #[test]
    fn who_leaves_takes_no_session_and_dials_nobody() {
        let mut table = table();
        table.contact(id(9)).found(vec![1]);
        table.close();
        assert!(!table.begin_dial(&id(9), true));
        assert_eq!(table.begin(id(9), Session(BOOT)).err(), Some(Session(BOOT)));
    }

    #[test]
    fn who_never_was_here_is_forgotten_when_nobody_names_it() {
        let mut table = table();
        table.contact(id(9)).found(vec![1]);
        assert!(table.begin_dial(&id(9), true));
        assert!(table.not_a_candidate(&id(9), Instant::now()));
        assert!(table.get(&id(9)).is_some(), "it is being dialled");
        let pause = table.dial_ended(&id(9), true, || 0, Instant::now());
        assert_eq!(pause, None);
        assert!(table.get(&id(9)).is_none());
    }
}
