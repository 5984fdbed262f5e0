//! The end that opened a window and is dialled.

use std::fmt;
use std::time::Instant;

use super::kex::{PairingKex, Side, Spake2Ed25519};
use super::message::{Hello, Message, cut_name};
use super::transcript::{Hellos, NONCE_LEN, Proofs};
use super::window::{PairingWindow, SessionNumber};
use super::{CompareDigits, PairingChannel, PairingError, PairingMode, Step, password};

/// One pairing, seen from the end that opened the window.
///
/// An error ends it: close the connection with its code, and tell the window that the session is
/// [`over`](PairingWindow::over).
pub struct Responder {
    channel: PairingChannel,
    session: SessionNumber,
    our_name: String,
    peer: Option<(PairingMode, String)>,
    state: State,
}

enum State {
    Hello,
    Kex {
        mode: PairingMode,
        hellos: Hellos,
    },
    Proof(Box<Proofs>),
    /// Our user is asked.
    Asked(Answer),
    Nonce {
        hellos: Hellos,
        nonce: [u8; NONCE_LEN],
    },
    /// Both users are asked.
    Compared {
        we: bool,
        they: bool,
    },
    /// Being written; what is sent then.
    Storing(Answer),
    Stored,
    /// Paired, or failed.
    Over,
}

/// The responder's confirmation; none in compare mode.
type Answer = Option<Vec<u8>>;

impl Responder {
    /// Begins on a connection that the window admitted as `session`.
    pub fn new(channel: PairingChannel, session: SessionNumber, our_name: &str) -> Self {
        Self {
            channel,
            session,
            our_name: cut_name(our_name),
            peer: None,
            state: State::Hello,
        }
    }

    /// What the other device calls itself. Untrusted: escape it before it is shown.
    pub fn peer_name(&self) -> &str {
        self.peer.as_ref().map_or("", |(_, name)| name)
    }

    /// How it wants to pair, once it has said so.
    pub fn mode(&self) -> Option<PairingMode> {
        self.peer.as_ref().map(|(mode, _)| *mode)
    }

    /// Whether the next message depends on the other side's user, who may take [`CONSENT_TIME`](super::CONSENT_TIME).
    pub const fn waits_for_their_user(&self) -> bool {
        matches!(self.state, State::Compared { they: false, .. })
    }

    /// A message has arrived.
    ///
    /// # Errors
    ///
    /// [`PairingError`]; the pairing has failed.
    pub fn receive(
        &mut self,
        window: &mut PairingWindow,
        message: &[u8],
        now: Instant,
    ) -> Result<Vec<Step>, PairingError> {
        // Whatever fails leaves nothing that could go on.
        let state = std::mem::replace(&mut self.state, State::Over);
        // An attempt is counted before it is looked at: one that is malformed, or given up, was one too.
        match &state {
            State::Kex { mode, .. } => window.attempt(self.session, *mode, now)?,
            State::Nonce { .. } => window.attempt(self.session, PairingMode::Compare, now)?,
            _ => {}
        }
        let decoded = Message::decode(message)?;
        match (state, decoded) {
            (State::Hello, Message::InitiatorHello(hello)) => {
                self.hello(window, message, hello, now)
            }
            (State::Kex { mode, hellos }, Message::InitiatorKex(kex)) => {
                self.exchange(window, mode, hellos, (&kex, message))
            }
            (State::Proof(proofs), Message::InitiatorProof(proof)) => {
                proofs.check_initiator(&proof)?;
                let answer = Message::ResponderProof(proofs.of_responder(message)).encode();
                if window.asks() {
                    self.state = State::Asked(Some(answer));
                    return Ok(vec![Step::AskUser]);
                }
                self.store(window, Some(answer))
            }
            (State::Nonce { hellos, nonce }, Message::InitiatorNonce(theirs)) => {
                let digits = hellos.digits(&self.channel, &theirs, &nonce);
                Ok(self.reveal(nonce, digits))
            }
            (State::Compared { we, they: false }, Message::InitiatorYes) => {
                self.compared(window, we, true)
            }
            (State::Stored, Message::Done) => Ok(vec![Step::Done]),
            _ => Err(PairingError::Protocol("message out of order")),
        }
    }

    fn hello(
        &mut self,
        window: &PairingWindow,
        message: &[u8],
        hello: Hello,
        now: Instant,
    ) -> Result<Vec<Step>, PairingError> {
        let mode = hello.mode;
        self.peer = Some((mode, hello.name));
        window.check_mode(mode, now)?;
        if mode != PairingMode::Compare && hello.kex != Spake2Ed25519::VERSION {
            return Err(PairingError::Protocol("unknown key exchange"));
        }
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let shown = match mode {
            PairingMode::Compare => self.channel.commitment(&nonce),
            _ => nonce,
        };
        let answer = Message::ResponderHello(Hello {
            mode,
            kex: hello.kex,
            nonce: shown,
            name: self.our_name.clone(),
        })
        .encode();
        let hellos = self.channel.hellos(message, &answer);
        self.state = match mode {
            PairingMode::Compare => State::Nonce { hellos, nonce },
            _ => State::Kex { mode, hellos },
        };
        Ok(vec![Step::Send(answer)])
    }

    fn exchange(
        &mut self,
        window: &PairingWindow,
        mode: PairingMode,
        hellos: Hellos,
        (theirs, message): (&[u8], &[u8]),
    ) -> Result<Vec<Step>, PairingError> {
        let (initiator, responder) = hellos.identities(&self.channel);
        let password = password(mode, window.password(mode)?);
        let (kex, ours) = Spake2Ed25519::start(Side::Responder, &password, &initiator, &responder);
        let key = kex.finish(theirs)?;
        let answer = Message::kex(Side::Responder, &ours)
            .ok_or(PairingError::Protocol("key exchange message"))?
            .encode();
        self.state = State::Proof(Box::new(hellos.proofs(message, &answer, &key)));
        Ok(vec![Step::Send(answer)])
    }

    fn reveal(&mut self, nonce: [u8; NONCE_LEN], digits: CompareDigits) -> Vec<Step> {
        self.state = State::Compared {
            we: false,
            they: false,
        };
        let nonce = Message::ResponderNonce(nonce).encode();
        vec![Step::Send(nonce), Step::Compare(digits)]
    }

    /// Our user said yes.
    ///
    /// # Errors
    ///
    /// [`PairingError::Closed`] if the window was closed meanwhile; [`PairingError::Protocol`] if nobody was asked.
    pub fn agreed(&mut self, window: &mut PairingWindow) -> Result<Vec<Step>, PairingError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asked(answer) => self.store(window, answer),
            State::Compared { we: false, they } => {
                let mut steps = vec![Step::Send(Message::ResponderYes.encode())];
                steps.extend(self.compared(window, true, they)?);
                Ok(steps)
            }
            _ => Err(PairingError::Protocol("nobody was asked")),
        }
    }

    fn compared(
        &mut self,
        window: &mut PairingWindow,
        we: bool,
        they: bool,
    ) -> Result<Vec<Step>, PairingError> {
        if we && they {
            return self.store(window, None);
        }
        self.state = State::Compared { we, they };
        Ok(Vec::new())
    }

    fn store(
        &mut self,
        window: &mut PairingWindow,
        answer: Answer,
    ) -> Result<Vec<Step>, PairingError> {
        window.check_working(self.session)?;
        self.state = State::Storing(answer);
        Ok(vec![Step::Store])
    }

    /// The device is in our trust store, on disk.
    ///
    /// # Errors
    ///
    /// [`PairingError::Protocol`] if that was not asked for.
    pub fn stored(&mut self, window: &mut PairingWindow) -> Result<Vec<Step>, PairingError> {
        let State::Storing(answer) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(PairingError::Protocol("nothing was to be stored"));
        };
        window.paired();
        self.state = State::Stored;
        Ok(answer.map(Step::Send).into_iter().collect())
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
