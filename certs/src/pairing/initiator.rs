//! The end that dials, and whose user types, scans or compares.

use std::fmt;

use zeroize::Zeroizing;

use super::kex::{PairingKex, Side, Spake2Ed25519};
use super::message::{Hello, Message, cut_name};
use super::transcript::{Hellos, NONCE_LEN, Proofs};
use super::{
    PairingChannel, PairingCode, PairingError, PairingMode, PairingSecret, Step, password,
};

/// One pairing, seen from the end that dialled.
///
/// An error ends it: close the connection with its code.
pub struct Initiator {
    channel: PairingChannel,
    mode: PairingMode,
    /// What the key exchange is given; empty in compare mode.
    password: Zeroizing<Vec<u8>>,
    hello: Vec<u8>,
    peer_name: String,
    state: State,
}

enum State {
    Hello,
    Kex {
        hellos: Hellos,
        kex: Spake2Ed25519,
        ours: Vec<u8>,
    },
    Proof {
        proofs: Box<Proofs>,
        ours: Vec<u8>,
    },
    Nonce {
        hellos: Hellos,
        commitment: [u8; 32],
        nonce: [u8; NONCE_LEN],
    },
    Compared {
        we: bool,
        they: bool,
    },
    Storing,
    Over,
}

impl Initiator {
    /// By the code that the other device shows. The message is to be sent.
    ///
    /// # Errors
    ///
    /// [`PairingError::Random`].
    pub fn by_code(
        channel: PairingChannel,
        our_name: &str,
        code: &PairingCode,
    ) -> Result<(Self, Vec<u8>), PairingError> {
        let secret = code.reveal().as_bytes();
        Self::start(channel, our_name, PairingMode::Code, secret)
    }

    /// By the secret from the other device's QR code. Whoever dialled made sure that this *is* the device the QR code names.
    ///
    /// # Errors
    ///
    /// [`PairingError::Random`].
    pub fn by_secret(
        channel: PairingChannel,
        our_name: &str,
        secret: &PairingSecret,
    ) -> Result<(Self, Vec<u8>), PairingError> {
        Self::start(channel, our_name, PairingMode::Qr, secret.bytes())
    }

    /// By digits that both devices are going to show.
    ///
    /// # Errors
    ///
    /// [`PairingError::Random`].
    pub fn by_comparing(
        channel: PairingChannel,
        our_name: &str,
    ) -> Result<(Self, Vec<u8>), PairingError> {
        Self::start(channel, our_name, PairingMode::Compare, &[])
    }

    fn start(
        channel: PairingChannel,
        our_name: &str,
        mode: PairingMode,
        secret: &[u8],
    ) -> Result<(Self, Vec<u8>), PairingError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let hello = Message::InitiatorHello(Hello {
            mode,
            kex: Spake2Ed25519::VERSION,
            nonce,
            name: cut_name(our_name),
        })
        .encode();
        let me = Self {
            channel,
            mode,
            password: password(mode, secret),
            hello: hello.clone(),
            peer_name: String::new(),
            state: State::Hello,
        };
        Ok((me, hello))
    }

    /// What the other device calls itself. Untrusted: escape it before it is shown.
    pub fn peer_name(&self) -> &str {
        &self.peer_name
    }

    /// Whether the next message depends on the other side's user, who may take [`CONSENT_TIME`](super::CONSENT_TIME).
    pub const fn waits_for_their_user(&self) -> bool {
        matches!(
            self.state,
            State::Proof { .. } | State::Compared { they: false, .. }
        )
    }

    /// A message has arrived.
    ///
    /// # Errors
    ///
    /// [`PairingError`]; the pairing has failed, and nothing may be stored.
    pub fn receive(&mut self, message: &[u8]) -> Result<Vec<Step>, PairingError> {
        // Whatever fails leaves nothing that could go on.
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, Message::decode(message)?) {
            (State::Hello, Message::ResponderHello(hello)) => self.hello(message, hello),
            (State::Kex { hellos, kex, ours }, Message::ResponderKex(theirs)) => {
                let key = kex.finish(&theirs)?;
                let proofs = Box::new(hellos.proofs(&ours, message, &key));
                let ours = Message::InitiatorProof(proofs.of_initiator()).encode();
                self.state = State::Proof {
                    proofs,
                    ours: ours.clone(),
                };
                Ok(vec![Step::Send(ours)])
            }
            (State::Proof { proofs, ours }, Message::ResponderProof(proof)) => {
                proofs.check_responder(&ours, &proof)?;
                Ok(self.store())
            }
            (
                State::Nonce {
                    hellos,
                    commitment,
                    nonce,
                },
                Message::ResponderNonce(theirs),
            ) => {
                if self.channel.commitment(&theirs) != commitment {
                    return Err(PairingError::Protocol("not what was committed to"));
                }
                self.state = State::Compared {
                    we: false,
                    they: false,
                };
                let digits = hellos.digits(&self.channel, &nonce, &theirs);
                Ok(vec![Step::Compare(digits)])
            }
            (State::Compared { we, they: false }, Message::ResponderYes) => {
                Ok(self.compared(we, true))
            }
            _ => Err(PairingError::Protocol("message out of order")),
        }
    }

    fn hello(&mut self, message: &[u8], hello: Hello) -> Result<Vec<Step>, PairingError> {
        if hello.mode != self.mode || hello.kex != Spake2Ed25519::VERSION {
            return Err(PairingError::Protocol("another mode than asked for"));
        }
        self.peer_name = hello.name;
        let hellos = self.channel.hellos(&self.hello, message);
        if self.mode == PairingMode::Compare {
            return self.send_nonce(hellos, hello.nonce);
        }
        let (initiator, responder) = hellos.identities(&self.channel);
        let (kex, ours) =
            Spake2Ed25519::start(Side::Initiator, &self.password, &initiator, &responder);
        let ours = Message::kex(Side::Initiator, &ours)
            .ok_or(PairingError::Protocol("key exchange message"))?
            .encode();
        self.state = State::Kex {
            hellos,
            kex,
            ours: ours.clone(),
        };
        Ok(vec![Step::Send(ours)])
    }

    /// Now that the responder cannot change its nonce any more, it may know ours.
    fn send_nonce(
        &mut self,
        hellos: Hellos,
        commitment: [u8; 32],
    ) -> Result<Vec<Step>, PairingError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        self.state = State::Nonce {
            hellos,
            commitment,
            nonce,
        };
        Ok(vec![Step::Send(Message::InitiatorNonce(nonce).encode())])
    }

    /// Our user said yes to the digits.
    ///
    /// # Errors
    ///
    /// [`PairingError::Protocol`] if nobody was asked.
    pub fn agreed(&mut self) -> Result<Vec<Step>, PairingError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Compared { we: false, they } => {
                let mut steps = vec![Step::Send(Message::InitiatorYes.encode())];
                steps.extend(self.compared(true, they));
                Ok(steps)
            }
            _ => Err(PairingError::Protocol("nobody was asked")),
        }
    }

    fn compared(&mut self, we: bool, they: bool) -> Vec<Step> {
        if we && they {
            return self.store();
        }
        self.state = State::Compared { we, they };
        Vec::new()
    }

    fn store(&mut self) -> Vec<Step> {
        self.state = State::Storing;
        vec![Step::Store]
    }

    /// The device is in our trust store, on disk.
    ///
    /// # Errors
    ///
    /// [`PairingError::Protocol`] if that was not asked for.
    pub fn stored(&mut self) -> Result<Vec<Step>, PairingError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Storing => Ok(vec![Step::Send(Message::Done.encode()), Step::Done]),
            _ => Err(PairingError::Protocol("nothing was to be stored")),
        }
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator")
            .field("channel", &self.channel)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
