//! `softbus-pair/1`: how two devices that know nothing of each other come to trust one another because their users stand
//! in front of both.
//!
//! The *responder* opens a [`PairingWindow`] and shows a code, a QR text or, in compare mode, nothing yet; the *initiator*
//! dials it. Everything here is a value: no socket, no clock, no task. [`Initiator`] and [`Responder`] take messages and
//! what the user decides, and say in [`Step`]s what to do next.
//!
//! | # | direction | message | content |
//! |---|---|---|---|
//! | 1 | I→R | hello | version, mode, key exchange, nonce, name |
//! | 2 | R→I | hello | the same; in compare mode a commitment instead of the nonce |
//! | 3, 4 | both | key exchange | 33 bytes of SPAKE2 each |
//! | 5 | I→R | confirmation | proves that I knows the code |
//! | 6 | R→I | confirmation | proves that R knows it, and that R has stored its trust |
//! | 7 | I→R | done | I has stored its own |
//!
//! The code itself is never sent, and nothing that is sent helps to guess it: a guess costs one of the window's attempts,
//! which is counted when it *arrives*. Both ends bind what they prove to both device ids, to both hellos and to the TLS
//! connection, so that neither a relay nor a recording is of use.
//!
//! In compare mode messages 3 to 6 are a nonce of the initiator, the nonce that the responder had committed to, and a
//! *yes* of each side once its user has seen the same six digits on both screens. The initiator's nonce is sent after the
//! commitment and not in its hello: a machine in the middle that knew it could choose its own so that the digits agree.

mod code;
mod freeze;
mod initiator;
mod invitation;
mod kex;
mod message;
mod responder;
mod transcript;
mod window;

#[cfg(test)]
mod tests;

pub use code::{CompareDigits, PairingCode, PairingSecret, ParsePairingCodeError};
pub use freeze::{OpenFreezeError, PairingFreeze};
pub use initiator::Initiator;
pub use invitation::{PairingInvitation, ParseInvitationError};
pub use message::MAX_MESSAGE_LEN;
pub use responder::Responder;
pub use transcript::PairingChannel;
pub use window::{PairingOptions, PairingWindow, SessionNumber, WindowEnd};

use std::time::Duration;

use zeroize::Zeroizing;

use crate::CloseCode;

/// The longest name a device may give itself while it pairs, in bytes.
pub const MAX_NAME_LEN: usize = 64;
/// How long a peer may take for one message.
pub const MESSAGE_TIME: Duration = Duration::from_secs(10);
/// How long a pairing may take, without what the user takes.
pub const SESSION_TIME: Duration = Duration::from_secs(60);
/// How long a user may take to say yes.
pub const CONSENT_TIME: Duration = Duration::from_secs(60);
/// The most a peer may send during one pairing, in bytes.
pub const MAX_SESSION_LEN: usize = 8 * 1024;

/// What both ends know, or compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PairingMode {
    /// Six digits, shown by one device and typed into the other.
    Code,
    /// 128 bits, shown as a QR code by one device and scanned by the other.
    Qr,
    /// Six digits that both devices show and both users find to be the same.
    Compare,
}

impl PairingMode {
    const fn number(self) -> u8 {
        match self {
            Self::Code => 1,
            Self::Qr => 2,
            Self::Compare => 3,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Code),
            2 => Some(Self::Qr),
            3 => Some(Self::Compare),
            _ => None,
        }
    }
}

/// What to do next in a pairing.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Send this message.
    Send(Vec<u8>),
    /// Ask our user whether this device may be paired; then call `agreed`, or end the connection.
    AskUser,
    /// Show these digits and ask our user whether the other device shows the same; then call `agreed`, or end the
    /// connection.
    Compare(CompareDigits),
    /// The other end has proven itself: write it into the trust store, and call `stored` when it is on disk.
    Store,
    /// Paired, on both ends as far as can be known.
    Done,
}

/// Why a pairing failed. Nothing was trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairingError {
    /// The code did not match this device: it was mistyped, or somebody is in between. Ask for a new code.
    #[error("code did not match this device")]
    WrongCode,
    /// The window's time was over. Open another.
    #[error("code has expired")]
    CodeExpired,
    /// No window is open for this: nobody asked for it, another way was opened, or its attempts are used up.
    #[error("pairing is not open")]
    Closed,
    /// Another pairing is under way, or too many knock. Try again in a moment.
    #[error("another pairing is under way")]
    Busy,
    /// A user said no.
    #[error("refused by the user")]
    Declined,
    /// The other end speaks another version of the protocol.
    #[error("pairing version {theirs} is not {ours}")]
    Version {
        /// What we speak.
        ours: u8,
        /// What it speaks.
        theirs: u8,
    },
    /// The other end sent what has no place in the protocol: it is broken, or up to something.
    #[error("pairing protocol broken: {0}")]
    Protocol(&'static str),
    /// The system gave no random numbers.
    #[error("no random numbers from the system")]
    Random,
}

impl PairingError {
    /// What to close the connection with.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::WrongCode => CloseCode::WrongCode,
            Self::CodeExpired => CloseCode::CodeExpired,
            Self::Closed => CloseCode::PairingClosed,
            Self::Busy => CloseCode::Busy,
            Self::Declined => CloseCode::Declined,
            Self::Version { .. } => CloseCode::Version,
            Self::Protocol(_) => CloseCode::Protocol,
            Self::Random => CloseCode::Internal,
        }
    }
}

impl From<getrandom::Error> for PairingError {
    fn from(_: getrandom::Error) -> Self {
        Self::Random
    }
}

/// What the key exchange is given, for each mode another.
fn password(mode: PairingMode, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    const LABEL: &[u8] = b"softbus-pair-v1";
    let mut password = Zeroizing::new(Vec::with_capacity(LABEL.len() + 1 + secret.len()));
    password.extend_from_slice(LABEL);
    password.push(mode.number());
    password.extend_from_slice(secret);
    password
}
