//! Who a device of the soft-bus is: identity, trust, TLS.
//!
//! - [`Identity`]: the key and certificate of this device, kept in a directory nobody else may read.
//! - [`TrustStore`]: which other devices this one has been told to trust, and who wants to know when that changes.
//! - [`Fleet`]: devices that are trusted because a private CA vouches for them, and [`CertificateAuthority`], such a CA.
//! - [`Policy`]: which devices may call which services and methods, and [`PolicyStore`], the one in force.
//! - [`Door`]: what strangers can cost before anything is known of them.
//! - [`AuditEvent`]: what an owner may want to know of who came and what was refused.
//! - [`tls`]: configurations for a connection on which both sides prove that they hold the key they name. The dialler
//!   says whom it expects and sends nothing to anybody else.
//! - [`pairing`]: how two strangers come to trust each other, with their users in front of both.
//! - [`admit()`]: the one place where a proven key becomes a peer we talk to. Only it makes an [`AuthenticatedPeer`].
//!
//! TLS proves *possession of a key*, never trust: the server's verifier lets every well-formed device finish the
//! handshake, so that a stranger with somebody's certificate learns nothing about whom we know.

mod admit;
mod audit;
mod display;
mod door;
mod files;
mod fleet;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
pub mod pairing;
mod policy;
pub mod tls;
mod trust;
mod verifier;

pub use admit::{AdmitError, AuthenticatedPeer, CloseCode, admit};
pub use audit::{AuditEvent, AuditFold, Hidden};
pub use display::escape_untrusted;
pub use door::{Door, DoorLimits, Knock};
pub use files::FileError;
pub use fleet::{
    AuthorityError, CertificateAuthority, Fleet, Issued, OpenFleetError, VerifyMemberError,
};
pub use identity::{GenerateIdentityError, Identity, OpenIdentityError};
pub use policy::{
    Access, Explanation, FleetPattern, MemberName, ParseSubjectError, Policy, PolicyBuilder,
    PolicyError, PolicyFault, PolicyStore, Principal, ReadPolicyError, Reason, RegisterRule, Rule,
    RuleName, Subject,
};
pub use trust::{
    AddedVia, ChangeTrustError, ImportSummary, ImportTrustError, OpenTrustError, Subscription,
    TrustChange, TrustEntry, TrustEvent, TrustStore,
};
pub use verifier::{VerifyPeerError, peer_device_id};
