//! Proxies: references to stubs at the other end of a session.

use std::sync::Arc;

use proto::{DeviceId, ObjectId, ServiceId, frame::ObjectKind};

use crate::{
    death::{DeathLink, DeathReason, Recipient},
    error::LinkToDeathError,
    peer::PeerShared,
    relay::RelayPlace,
    session::{ImportKey, LinkId, passing_rules::Party},
};

/// A reference to a stub of another process, on this device or another. Clones are the same proxy; when the last one
/// goes, the other side is told that it is no longer needed.
#[derive(Clone)]
pub struct RemoteProxy(pub(crate) Arc<ProxyInner>);

pub(crate) struct ProxyInner {
    pub(crate) peer: Arc<PeerShared>,
    pub(crate) key: ImportKey,
    pub(crate) kind: ObjectKind,
    pub(crate) id: ObjectId,
    /// The device of the stub, when the peer relays for it.
    pub(crate) beyond: Option<DeviceId>,
    /// Whether its owner lets others hand it to other devices, as far as we are told: by processes of our device.
    pub(crate) re_exportable: bool,
    /// What forwards to it, while somebody holds that.
    pub(crate) relay: RelayPlace,
}

impl RemoteProxy {
    /// The device of the stub.
    pub fn device(&self) -> DeviceId {
        self.home().device
    }

    /// Whether the stub is on this device, in another process.
    pub fn is_on_this_device(&self) -> bool {
        self.device() == self.0.peer.own().device
    }

    /// Under which id the stub was registered, if it was found through a system ability manager.
    pub fn service(&self) -> Option<ServiceId> {
        match self.0.kind {
            ObjectKind::Named(service) => Some(service),
            ObjectKind::Anonymous => None,
        }
    }

    pub(crate) fn home(&self) -> Party {
        match self.0.beyond {
            Some(device) => Party::host_of(device),
            None => self.0.peer.remote(),
        }
    }

    pub(crate) fn death(&self) -> Option<DeathReason> {
        self.0.peer.import_death(self.0.key)
    }

    pub(crate) fn link_to_death(&self, to: Recipient) -> Result<DeathLink, LinkToDeathError> {
        let link = self.0.peer.link_to_death(self.0.key, to)?;
        Ok(DeathLink::new(self.clone(), link))
    }

    pub(crate) fn unlink_to_death(&self, link: LinkId) -> bool {
        self.0.peer.unlink_to_death(self.0.key, link)
    }
}

impl PartialEq for RemoteProxy {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for RemoteProxy {}

impl std::fmt::Debug for RemoteProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteProxy")
            .field("device", &self.device())
            .field("kind", &self.0.kind)
            .field("number", &self.0.id.number)
            .finish()
    }
}

impl Drop for ProxyInner {
    fn drop(&mut self) {
        self.peer.drop_proxy(self.key);
    }
}
