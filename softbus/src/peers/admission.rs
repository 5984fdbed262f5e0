//! Who is talked to: the trust store, the fleet, and how many there are already.

use certs::{AdmitError, AuditEvent, AuthenticatedPeer, CloseCode};
use proto::{DeviceId, message::DeathReason};
use rustls::pki_types::CertificateDer;

use rpc::Peer;

use super::{Connection, Peers};

impl Peers {
    /// Whether a device is talked to: it is in the store, or here as a member of a fleet.
    pub(crate) fn trusts(&self, device: &DeviceId) -> bool {
        self.trust.is_trusted(device) || self.members.name(device).is_some()
    }

    /// Whether it is worth dialling: whoever is not blocked may turn out to be a member of a fleet.
    pub(super) fn may_trust(&self, device: &DeviceId) -> bool {
        let blocked = || self.trust.get(device).is_some_and(|entry| entry.blocked);
        self.trust.is_trusted(device) || (self.members.fleet().is_some() && !blocked())
    }

    /// Decides about who is at the other end of a connection, as things are now.
    pub(super) fn admit(
        &self,
        certificates: &[CertificateDer<'_>],
    ) -> Result<AuthenticatedPeer, AdmitError> {
        let fleet = self.members.fleet();
        certs::admit(certificates, &self.me(), &self.trust, fleet.as_deref())
    }

    /// A connection of a device brought no session.
    pub(super) fn no_member_without_session(&self, device: DeviceId) {
        let table = self.lock();
        if table.session(&device).is_none() {
            self.members.left(device);
        }
    }

    /// Other CAs are listed, or time has passed: sessions of those who are members no longer end.
    pub(crate) fn admit_again(&self) {
        for (device, session) in self.sessions() {
            self.admit_still(device, &session.connection, &session.peer);
        }
        // Who is a member is trusted.
        self.tell();
    }

    /// A session whose device would not be let in any more ends.
    pub(super) fn admit_still(&self, device: DeviceId, connection: &Connection, peer: &Peer) {
        match self.admit(&connection.certificates()) {
            Ok(admitted) => self.members.admitted(device, admitted.member()),
            Err(error) => {
                tracing::info!(?device, %error, "let in no longer");
                self.audit.tell(AuditEvent::TrustWithdrawn { device });
                let code = CloseCode::Revoked.code();
                peer.close(DeathReason::AccessRevoked, code, "revoked");
            }
        }
    }
}
