//! From a proven key to a peer.

use std::fmt;
use std::time::SystemTime;

use proto::DeviceId;
use rustls::pki_types::CertificateDer;

use crate::fleet::{Fleet, VerifyMemberError};
use crate::policy::MemberName;
use crate::trust::TrustStore;
use crate::verifier::{VerifyPeerError, peer_device_id};

/// Decides whether the device at the other end of a finished handshake is one we talk to.
///
/// `peer_certificates` are what TLS verified on that connection, `own` is this device, `fleet` the CAs whose members are
/// trusted without an entry in the store. Ask once per connection, and
/// watch the store ([`TrustStore::subscribe`]) for as long as it lives.
///
/// # Errors
///
/// [`AdmitError`]; [`AdmitError::close_code`] is what to close the connection with.
pub fn admit(
    peer_certificates: &[CertificateDer<'_>],
    own: &DeviceId,
    trust: &TrustStore,
    fleet: Option<&Fleet>,
) -> Result<AuthenticatedPeer, AdmitError> {
    let device = peer_device_id(peer_certificates)?;
    if device == *own {
        return Err(AdmitError::Oneself);
    }
    let entry = trust.get(&device);
    if entry.as_ref().is_some_and(|entry| entry.blocked) {
        return Err(AdmitError::Blocked { device });
    }
    let member = match (fleet, peer_certificates) {
        (Some(fleet), [certificate]) => fleet.member(certificate, SystemTime::now()),
        _ => Err(VerifyMemberError::NoMember),
    };
    match (entry, member) {
        // Who is trusted by its id is, whatever a CA says.
        (Some(_), member) => Ok(AuthenticatedPeer {
            device,
            member: member.ok(),
        }),
        (None, Ok(member)) => Ok(AuthenticatedPeer {
            device,
            member: Some(member),
        }),
        (None, Err(VerifyMemberError::NoMember)) => Err(AdmitError::NotTrusted { device }),
        (None, Err(error)) => Err(AdmitError::Member { device, error }),
    }
}

/// A device that proved its key and is trusted. Only [`admit()`] makes one, so whoever asks for this type cannot be
/// reached by a connection that was not checked.
#[derive(Clone)]
pub struct AuthenticatedPeer {
    device: DeviceId,
    member: Option<MemberName>,
}

impl AuthenticatedPeer {
    /// Which member of a fleet it is, if it is one now.
    pub const fn member(&self) -> Option<&MemberName> {
        self.member.as_ref()
    }

    /// Who it is.
    pub const fn device_id(&self) -> &DeviceId {
        &self.device
    }
}

impl fmt::Debug for AuthenticatedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthenticatedPeer")
            .field(&self.device)
            .finish()
    }
}

/// Why a device was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// The certificates do not say who it is.
    #[error("peer's certificate refused")]
    Certificate(#[from] VerifyPeerError),
    /// This device reached itself, most likely by an address that is its own.
    #[error("connected to oneself")]
    Oneself,
    /// Our user blocked the device. Forget it to make it a stranger again.
    #[error("device {} is blocked", .device.short())]
    Blocked {
        /// Who it is.
        device: DeviceId,
    },
    /// A stranger whose certificate names a member of a fleet, and does not make it one.
    #[error("device {} is no member: {error}", .device.short())]
    Member {
        /// Who it is.
        device: DeviceId,
        /// Why not.
        error: VerifyMemberError,
    },
    /// A stranger. Pair with it, or import its id, on both sides.
    #[error("device {} is not trusted", .device.short())]
    NotTrusted {
        /// Who it is.
        device: DeviceId,
    },
}

impl AdmitError {
    /// Whom it is about, if the certificate said.
    pub const fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Blocked { device }
            | Self::NotTrusted { device }
            | Self::Member { device, .. } => Some(device),
            Self::Certificate(_) | Self::Oneself => None,
        }
    }

    /// What to close the connection with.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::Certificate(_) => CloseCode::BadCertificate,
            Self::Oneself => CloseCode::Oneself,
            Self::Blocked { .. } => CloseCode::Revoked,
            Self::NotTrusted { .. } | Self::Member { .. } => CloseCode::NotTrusted,
        }
    }
}

/// Why a device closed a connection: the application error code of the QUIC close. The numbers are part of the protocol
/// and are never given another meaning. What the peer says with one is a hint for its error message, never a reason to
/// change what we trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum CloseCode {
    /// Orderly: the node leaves the bus.
    Leaving = 0x100,
    /// The device does not trust us: pair with it first.
    NotTrusted = 0x101,
    /// The device trusted us once and does no more, or has blocked us.
    Revoked = 0x102,
    /// We are the device.
    Oneself = 0x103,
    /// Our certificate was refused.
    BadCertificate = 0x104,
    /// No version of the protocol is spoken by both.
    Version = 0x105,
    /// The device has as many peers or connections as it takes.
    Limit = 0x106,
    /// There is another connection between the two, and that one stays.
    Duplicate = 0x107,
    /// The same identity is in use by another process that was started from a copy of it.
    IdentityInUse = 0x108,
    /// A younger process of this device has taken our place.
    Replaced = 0x109,
    /// We broke the protocol.
    Protocol = 0x10a,
    /// We took too long where the protocol sets a time.
    Timeout = 0x10b,
    /// The device cannot take this connection now: come back later.
    Busy = 0x10c,
    /// Pairing was asked for and the device's user did not open it.
    PairingClosed = 0x10d,
    /// Something failed in the device that is not our fault.
    Internal = 0x10e,
    /// Pairing: the code did not match this device.
    WrongCode = 0x10f,
    /// Pairing: the code came too late.
    CodeExpired = 0x110,
    /// Pairing: the device's user said no.
    Declined = 0x111,
}

impl CloseCode {
    const ALL: [Self; 18] = [
        Self::Leaving,
        Self::NotTrusted,
        Self::Revoked,
        Self::Oneself,
        Self::BadCertificate,
        Self::Version,
        Self::Limit,
        Self::Duplicate,
        Self::IdentityInUse,
        Self::Replaced,
        Self::Protocol,
        Self::Timeout,
        Self::Busy,
        Self::PairingClosed,
        Self::Internal,
        Self::WrongCode,
        Self::CodeExpired,
        Self::Declined,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The meaning of a number from the wire; `None` for one that only a later version knows.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| u64::from(known.code()) == code)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leaving => "leaving the bus",
            Self::NotTrusted => "not trusted",
            Self::Revoked => "trust was withdrawn",
            Self::Oneself => "connected to oneself",
            Self::BadCertificate => "bad certificate",
            Self::Version => "no common version",
            Self::Limit => "too many connections",
            Self::Duplicate => "another connection stays",
            Self::IdentityInUse => "identity in use elsewhere",
            Self::Replaced => "replaced by a younger process",
            Self::Protocol => "protocol broken",
            Self::Timeout => "too slow",
            Self::Busy => "busy",
            Self::PairingClosed => "pairing is not open",
            Self::Internal => "internal error",
            Self::WrongCode => "code did not match this device",
            Self::CodeExpired => "code has expired",
            Self::Declined => "refused by the user",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_numbered_without_gaps_and_found_again() {
        for (number, code) in (0x100..).zip(CloseCode::ALL) {
            assert_eq!(code.code(), number);
            assert_eq!(CloseCode::from_code(number.into()), Some(code));
        }
        assert_eq!(CloseCode::from_code(0xff), None);
        assert_eq!(CloseCode::from_code(0x112), None);
        assert_eq!(CloseCode::from_code(u64::MAX), None);
    }

    #[test]
    fn each_code_says_something_of_its_own() {
        let texts: HashSet<_> = CloseCode::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), CloseCode::ALL.len());
        assert!(texts.iter().all(|text| text.len() > 3), "{texts:?}");
    }

    #[test]
    fn errors_name_the_device_once_it_is_known() {
        let device = DeviceId::from_bytes([7; 32]);
        let error = VerifyMemberError::NoMember;
        for (error, code) in [
            (AdmitError::Blocked { device }, CloseCode::Revoked),
            (AdmitError::NotTrusted { device }, CloseCode::NotTrusted),
            (AdmitError::Member { device, error }, CloseCode::NotTrusted),
        ] {
            assert_eq!(error.device(), Some(&device));
            assert!(error.to_string().contains(&device.short().to_string()));
            assert_eq!(error.close_code(), code);
        }
        let unreadable = AdmitError::Certificate(VerifyPeerError::BadCertificate);
        for (error, code) in [
            (AdmitError::Oneself, CloseCode::Oneself),
            (unreadable, CloseCode::BadCertificate),
        ] {
            assert_eq!((error.device(), error.close_code()), (None, code));
        }
    }

    #[test]
    fn a_peer_is_printed_as_its_device() {
        let device = DeviceId::from_bytes([7; 32]);
        let peer = AuthenticatedPeer {
            device,
            member: None,
        };
        assert_eq!(
            format!("{peer:?}"),
            format!("AuthenticatedPeer({device:?})")
        );
    }
}
