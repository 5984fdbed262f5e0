//! Who is told when an object dies.

use std::sync::Arc;

pub use proto::message::DeathReason;

use crate::{remote::RemoteProxy, session::LinkId};

/// Told, once, that an object died. A closure `Fn(DeathReason)` is one.
///
/// Runs on the node's runtime, outside every lock; a panic in it is caught. What takes long belongs in a task of its
/// own.
pub trait DeathRecipient: Send + Sync + 'static {
    /// The object is dead: every call of it fails at once from now on.
    fn on_remote_died(&self, reason: DeathReason);
}

impl<F: Fn(DeathReason) + Send + Sync + 'static> DeathRecipient for F {
    fn on_remote_died(&self, reason: DeathReason) {
        self(reason);
    }
}

/// A registration with [`RemoteObject::link_to_death`](crate::RemoteObject::link_to_death). Dropping it takes it back:
/// the recipient will not start afterwards. It keeps the proxy.
#[must_use = "dropping the link takes the registration back"]
#[derive(Debug)]
pub struct DeathLink {
    proxy: RemoteProxy,
    link: LinkId,
}

impl DeathLink {
    pub(crate) fn new(proxy: RemoteProxy, link: LinkId) -> Self {
        Self { proxy, link }
    }

    /// Takes the registration back. `true` if the recipient had not been told and now never will be.
    pub fn unlink(self) -> bool {
        self.proxy.unlink_to_death(self.link)
    }
}

impl Drop for DeathLink {
    fn drop(&mut self) {
        self.proxy.unlink_to_death(self.link);
    }
}

/// Who is to be told of one death.
pub(crate) type Recipient = Arc<dyn DeathRecipient>;
