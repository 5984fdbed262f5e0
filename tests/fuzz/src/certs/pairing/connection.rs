//! One connection, with an end of the pairing at each end of it.

use std::time::Instant;

use proto::DeviceId;
use softbus_certs::pairing::{
    Initiator, MAX_NAME_LEN, PairingChannel, PairingError, PairingMode, PairingSecret,
    PairingWindow, Responder, SessionNumber, Step,
};

use super::Input;

const PHONE: DeviceId = DeviceId::from_bytes([1; 32]);
const TV: DeviceId = DeviceId::from_bytes([2; 32]);

/// Messages that answer an attempt: of the key exchange, and the nonce of compare mode.
const ANSWERS: [u8; 2] = [4, 9];

pub(super) struct Connection {
    pub(super) session: SessionNumber,
    mode: PairingMode,
    /// Its user was told what the window shows.
    knows: bool,
    initiator: Initiator,
    responder: Responder,
    phone: Seen,
    tv: Seen,
}

/// What one end has sent and received, and how far it has come.
#[derive(Default)]
struct Seen {
    sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
    digits: Option<String>,
    agreed: bool,
    asked_to_store: bool,
    stored: bool,
    failed: bool,
}

type Steps = Result<Vec<Step>, PairingError>;

impl Connection {
    /// `number` is of this connection alone, as what TLS exports.
    pub(super) fn new(
        number: u8,
        window: &PairingWindow,
        session: SessionNumber,
        input: &mut Input<'_>,
    ) -> Self {
        let kind = input.u8();
        let name = String::from_utf8_lossy(input.bytes(usize::from(kind / 8) * 4)).into_owned();
        let channel = || PairingChannel::new(PHONE, TV, [number; 32]);
        let told = kind & 4 == 0;
        let (mode, knows, begun) = match kind % 4 {
            0 | 1 => {
                let shown = window.code().filter(|_| told);
                let other = window.code().map_or("", |code| code.reveal()) == "000000";
                let wrong = ["000000", "000001"][usize::from(other)].parse();
                let wrong = wrong.expect("six digits");
                let begun = Initiator::by_code(channel(), &name, shown.unwrap_or(&wrong));
                (PairingMode::Code, shown.is_some(), begun)
            }
            2 => {
                let shown = window.secret().filter(|_| told);
                let wrong = PairingSecret::generate().expect("random numbers");
                let begun = Initiator::by_secret(channel(), &name, shown.unwrap_or(&wrong));
                (PairingMode::Qr, shown.is_some(), begun)
            }
            _ => {
                let begun = Initiator::by_comparing(channel(), &name);
                (PairingMode::Compare, false, begun)
            }
        };
        let (initiator, hello) = begun.expect("random numbers");
        Self {
            session,
            mode,
            knows,
            initiator,
            responder: Responder::new(channel(), session, &name),
            phone: Seen {
                sent: vec![hello],
                ..Seen::default()
            },
            tv: Seen::default(),
        }
    }

    /// Whether the window's end has taken an attempt, and goes on.
    pub(super) fn is_at_work(&self) -> bool {
        !self.tv.failed && self.answered_attempts() > 0
    }

    pub(super) fn answered_attempts(&self) -> usize {
        let answers = self.tv.sent.iter();
        answers.filter(|sent| ANSWERS.contains(&sent[0])).count()
    }

    pub(super) fn is_stored_by_the_tv(&self) -> bool {
        self.tv.stored
    }

    /// A message arrives at one of the ends, or its user or its disk is done.
    pub(super) fn step(
        &mut self,
        what: u8,
        window: &mut PairingWindow,
        now: Instant,
        input: &mut Input<'_>,
    ) {
        match what {
            // As both want it.
            0..=3 => {
                let next = self.phone.sent.get(self.tv.received.len()).cloned();
                self.tv_hears(next, window, now);
            }
            4..=5 => {
                let next = self.tv.sent.get(self.phone.received.len()).cloned();
                self.phone_hears(next);
            }
            6 => {
                self.tv.agreed = true;
                let steps = self.responder.agreed(window);
                self.tv_goes_on(steps, window);
            }
            7 => {
                self.phone.agreed = true;
                let steps = self.initiator.agreed();
                self.phone_goes_on(steps);
            }
            8 => {
                let steps = self.responder.stored(window);
                self.tv.stored |= steps.is_ok();
                self.tv_goes_on(steps, window);
            }
            9 => {
                let steps = self.initiator.stored();
                self.phone.stored |= steps.is_ok();
                self.phone_goes_on(steps);
            }
            // As somebody in between likes it.
            _ => {
                let made_up = self.made_up(input);
                match input.bool() {
                    true => self.tv_hears(Some(made_up), window, now),
                    false => self.phone_hears(Some(made_up)),
                }
            }
        }
    }

    /// Something that was sent, as it was or with other bits, or something else.
    fn made_up(&self, input: &mut Input<'_>) -> Vec<u8> {
        let how = input.u8();
        let sent = [&self.phone.sent, &self.tv.sent][usize::from(how % 2)];
        let mut message = match sent.get(input.below(sent.len())) {
            Some(sent) if how & 2 == 0 => sent.clone(),
            _ => input.bytes(usize::from(how)).to_vec(),
        };
        let len = message.len();
        if let Some(byte) = message.get_mut(input.below(len)) {
            *byte ^= input.u8();
        }
        message
    }

    fn tv_hears(&mut self, message: Option<Vec<u8>>, window: &mut PairingWindow, now: Instant) {
        let Some(message) = message else { return };
        let steps = self.responder.receive(window, &message, now);
        self.tv.received.push(message);
        self.tv_goes_on(steps, window);
        assert!(self.responder.peer_name().len() <= MAX_NAME_LEN);
    }

    fn phone_hears(&mut self, message: Option<Vec<u8>>) {
        let Some(message) = message else { return };
        let steps = self.initiator.receive(&message);
        self.phone.received.push(message);
        self.phone_goes_on(steps);
        assert!(self.initiator.peer_name().len() <= MAX_NAME_LEN);
    }

    fn tv_goes_on(&mut self, steps: Steps, window: &mut PairingWindow) {
        if steps.is_err() {
            window.over(self.session);
        }
        let asked = self.tv.take(steps);
        if !asked {
            return;
        }
        if self.mode_is_compare_at_the_tv() {
            assert!(
                self.tv.agreed || !self.tv.asked_to_store,
                "our user says yes first"
            );
        } else {
            // Whoever is asked about, or stored, has proven the code, over all that both have said.
            assert!(self.knows, "who does not know the code is nobody");
            assert_eq!(
                self.tv.received[..],
                self.phone.sent[..self.tv.received.len()]
            );
            assert_eq!(self.phone.received[..2], self.tv.sent[..2]);
        }
        self.same_digits();
    }

    fn phone_goes_on(&mut self, steps: Steps) {
        if !self.phone.take(steps) {
            return;
        }
        if self.phone.asked_to_store {
            if self.mode == PairingMode::Compare {
                assert!(self.phone.agreed, "our user says yes first");
            } else {
                assert!(self.knows && self.tv.stored);
                assert_eq!(self.phone.received[..], self.tv.sent[..3]);
                assert_eq!(self.tv.received[..3], self.phone.sent[..3]);
            }
        }
        self.same_digits();
    }

    /// The tv goes by what it is told in the hello, which somebody in between may have changed.
    fn mode_is_compare_at_the_tv(&self) -> bool {
        self.responder.mode() == Some(PairingMode::Compare)
    }

    /// Where nobody was in between, both screens show the same.
    fn same_digits(&self) {
        let untouched = self.tv.received.iter().eq(self.phone.sent.iter().take(2))
            && self.phone.received.iter().eq(self.tv.sent.iter().take(2));
        if untouched && let (Some(here), Some(there)) = (&self.phone.digits, &self.tv.digits) {
            assert_eq!(here, there);
        }
    }
}

impl Seen {
    /// Whether our user or our disk is asked for something.
    fn take(&mut self, steps: Steps) -> bool {
        let Ok(steps) = steps else {
            self.failed = true;
            return false;
        };
        assert!(!self.failed, "an error ends it: {steps:?}");
        let mut asked = false;
        for step in steps {
            match step {
                Step::Send(message) => self.sent.push(message),
                Step::AskUser => asked = true,
                Step::Compare(digits) => {
                    asked = true;
                    self.digits = Some(digits.to_string());
                }
                Step::Store => {
                    asked = true;
                    assert!(!self.asked_to_store, "once");
                    self.asked_to_store = true;
                }
                Step::Done => assert!(self.stored, "nothing is stored"),
                other => panic!("{other:?}"),
            }
        }
        asked
    }
}
