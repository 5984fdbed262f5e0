//! Pairing: two devices that know nothing of each other come to trust one another, with their users in front of both.
//!
//! One opens a window and shows what it gives; the other is told a code, scans the QR text, or shows digits that both users
//! compare. Nothing else makes a stranger trusted but [`TrustStore::trust`](crate::TrustStore::trust) and an import.
//!
//! ```no_run
//! use softbus::{Node, pairing::{PairWith, PairingEvent, PairingOptions}};
//!
//! # async fn shows(node: Node) -> Result<(), Box<dyn std::error::Error>> {
//! // The device that shows a code:
//! let mut window = node.open_pairing(PairingOptions::code()).await?;
//! if let Some(code) = window.code() {
//!     println!("type {} there", code.reveal());
//! }
//! while let Some(event) = window.next().await {
//!     match event {
//!         PairingEvent::Request(request) => request.accept_as("phone"),
//!         PairingEvent::Paired(paired) => println!("paired with {}", paired.device),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//!
//! # async fn types(node: Node, typed: &str) -> Result<(), Box<dyn std::error::Error>> {
//! // The device it is typed into:
//! let paired = node.pair(PairWith::code(["192.168.1.5:4000".parse()?], typed.parse()?)).await?;
//! println!("paired with {}", paired.device);
//! # Ok(()) }
//! ```
//!
//! The protocol, and what it withstands, is in [`certs::pairing`].

mod initiating;
mod listener;
mod responding;
mod slot;
mod wire;

use std::{fmt, net::SocketAddr, time::Duration};

pub use certs::pairing::{
    CompareDigits, PairingCode, PairingInvitation, PairingMode, PairingOptions, PairingSecret,
    WindowEnd,
};
use certs::{CloseCode, pairing::PairingError};
use proto::DeviceId;
use rpc::link::LinkClosed;
use tokio::sync::oneshot;

pub use listener::{PairingEvent, PairingListener};
pub(crate) use responding::{is_pairing, respond};
pub(crate) use slot::Slot;

/// A device that was paired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairedDevice {
    /// Who it is; proven.
    pub device: DeviceId,
    /// What it calls itself. Untrusted, escaped and cut; the trust store has what *our* user calls it.
    pub claimed_name: String,
    /// Whether it was a stranger before.
    pub added: bool,
}

/// Our user is asked whether a device may be paired. Dropped, the answer is no; so it is after 60 s.
#[derive(Debug)]
pub struct PairingRequest {
    device: DeviceId,
    claimed_name: String,
    digits: Option<CompareDigits>,
    answer: oneshot::Sender<String>,
}

impl PairingRequest {
    /// Who it is; proven.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// What it calls itself. Untrusted, escaped and cut: show the id beside it.
    pub fn claimed_name(&self) -> &str {
        &self.claimed_name
    }

    /// What both devices have to show: the user says yes only if the other device shows the same. `None` where a code was
    /// typed or scanned.
    pub const fn digits(&self) -> Option<CompareDigits> {
        self.digits
    }

    /// Yes.
    pub fn accept(self) {
        self.accept_as("");
    }

    /// Yes, and this is what our user calls it.
    pub fn accept_as(self, name: &str) {
        // Nobody waits any more where the other side has gone.
        let _ = self.answer.send(name.to_owned());
    }

    /// No.
    pub fn refuse(self) {}
}

/// Whom to pair with, and what proves that it is the right one.
pub struct PairWith {
    addresses: Vec<SocketAddr>,
    expected: Option<DeviceId>,
    proof: Proof,
    name: String,
}

enum Proof {
    Code(PairingCode),
    Secret(PairingSecret),
    Compare(Box<dyn FnOnce(PairingRequest) + Send>),
}

impl PairWith {
    /// The device at one of these addresses, which shows this code.
    pub fn code(addresses: impl IntoIterator<Item = SocketAddr>, code: PairingCode) -> Self {
        Self::new(addresses, Proof::Code(code))
    }

    /// The device whose QR code this was.
    pub fn invitation(invitation: &PairingInvitation) -> Self {
        let proof = Proof::Secret(invitation.secret.clone());
        Self::new(invitation.addresses.iter().copied(), proof).expecting(invitation.device)
    }

    /// The device at one of these addresses; both show digits. `ask` is given them, and asks our user.
    pub fn compare(
        addresses: impl IntoIterator<Item = SocketAddr>,
        ask: impl FnOnce(PairingRequest) + Send + 'static,
    ) -> Self {
        Self::new(addresses, Proof::Compare(Box::new(ask)))
    }

    fn new(addresses: impl IntoIterator<Item = SocketAddr>, proof: Proof) -> Self {
        Self {
            addresses: addresses.into_iter().collect(),
            expected: None,
            proof,
            name: String::new(),
        }
    }

    /// Nobody but this device, if our user knows its id: nothing is sent to another.
    #[must_use]
    pub const fn expecting(mut self, device: DeviceId) -> Self {
        self.expected = Some(device);
        self
    }

    /// Further addresses where it may be.
    #[must_use]
    pub fn at(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.addresses.extend(addresses);
        self
    }

    /// What our user calls it: at most 64 characters. Without this it has no name here, or keeps the one it has.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

impl fmt::Debug for PairWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairWith")
            .field("addresses", &self.addresses)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// Why no window was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenPairingError {
    /// Codes were guessed wrongly too often. Wait, or, if our user knows who it was, open with
    /// [`PairingOptions::despite_failures`].
    #[error("too many wrong codes: closed for {} s more", .left.as_secs())]
    Frozen {
        /// How long.
        left: Duration,
    },
    /// The node is attached to the host of this device's bus, which pairs for all of its processes.
    #[error("pairing is for the host of the bus")]
    Attached,
    /// A window is open already; drop it first.
    #[error("pairing is open already")]
    AlreadyOpen,
    /// What is remembered of failures cannot be read, or no random numbers were had; the text says what to do.
    #[error("{0}")]
    Failed(String),
}

/// Why two devices were not paired. Nothing was trusted, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The code did not match this device: it was mistyped, or somebody is in between.
    #[error("code did not match this device")]
    WrongCode,
    /// The code came too late.
    #[error("code has expired")]
    CodeExpired,
    /// The device has no window open for this way of pairing, or its attempts are used up.
    #[error("pairing is not open there")]
    NotOpen,
    /// The device is pairing with another one, or this address was there a moment ago. Try again in some seconds.
    #[error("the device is busy pairing")]
    Busy,
    /// A user said no, here or there, or did not answer.
    #[error("refused by the user")]
    Declined,
    /// The device speaks no version of the protocol that we speak.
    #[error("the device speaks another version of pairing")]
    Version,
    /// Another device answered than the one that was expected.
    #[error("another device answered")]
    SomebodyElse,
    /// The node is attached to the host of this device's bus, which pairs for all of its processes.
    #[error("pairing is for the host of the bus")]
    Attached,
    /// This device reached itself.
    #[error("this is the address of this device itself")]
    Oneself,
    /// Our user has blocked the device. Forget it first.
    #[error("the device is blocked here")]
    Blocked,
    /// The device's user has blocked this one.
    #[error("the device has blocked this one")]
    BlockedThere,
    /// Nobody answered at any of the addresses; the text says why not at the last.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// The device stopped answering.
    #[error("the device stopped answering")]
    TimedOut,
    /// The trust store could not be written: a full disk, say. The other side has taken back its own trust, if it heard of it.
    #[error("trust store: {0}")]
    Store(String),
    /// The other side could not store its trust, or failed in another way that is not ours.
    #[error("the device failed")]
    FailedThere,
    /// One side broke the protocol.
    #[error("pairing protocol broken: {0}")]
    Protocol(String),
}

impl From<PairingError> for PairError {
    fn from(error: PairingError) -> Self {
        match error {
            PairingError::WrongCode => Self::WrongCode,
            PairingError::CodeExpired => Self::CodeExpired,
            PairingError::Closed => Self::NotOpen,
            PairingError::Busy => Self::Busy,
            PairingError::Declined => Self::Declined,
            PairingError::Version { .. } => Self::Version,
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<LinkClosed> for PairError {
    /// What the end of the connection says.
    fn from(end: LinkClosed) -> Self {
        let LinkClosed::ByPeer { code, text } = end else {
            return Self::TimedOut;
        };
        match CloseCode::from_code(code.into()) {
            Some(CloseCode::WrongCode) => Self::WrongCode,
            Some(CloseCode::CodeExpired) => Self::CodeExpired,
            Some(CloseCode::PairingClosed) => Self::NotOpen,
            Some(CloseCode::Busy) => Self::Busy,
            Some(CloseCode::Declined) => Self::Declined,
            Some(CloseCode::Version) => Self::Version,
            Some(CloseCode::Oneself) => Self::Oneself,
            Some(CloseCode::Revoked) => Self::BlockedThere,
            Some(CloseCode::Internal) => Self::FailedThere,
            Some(CloseCode::Timeout) => Self::TimedOut,
            _ => Self::Protocol(text),
        }
    }
}

impl PairError {
    /// What to close the connection with.
    const fn close_code(&self) -> CloseCode {
        match self {
            Self::WrongCode => CloseCode::WrongCode,
            Self::CodeExpired => CloseCode::CodeExpired,
            Self::NotOpen => CloseCode::PairingClosed,
            Self::Busy => CloseCode::Busy,
            Self::Declined => CloseCode::Declined,
            Self::Version => CloseCode::Version,
            Self::Oneself => CloseCode::Oneself,
            Self::Blocked => CloseCode::Revoked,
            Self::TimedOut => CloseCode::Timeout,
            Self::Store(_) => CloseCode::Internal,
            _ => CloseCode::Protocol,
        }
    }
}

/// What a device says of itself, fit to be shown.
fn shown(name: &str) -> String {
    certs::escape_untrusted(name, certs::pairing::MAX_NAME_LEN)
}
