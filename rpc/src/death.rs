//! Who is told when an object dies.

use std::sync::Arc;

pub use proto::message::DeathReason;

use crate::{
    remote::{RebindingLink, RemoteProxy},
    session::LinkId,
};

/// Told that an object died: once, or of a rebinding object each time. A closure `Fn(DeathReason)` is one.
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
/// the recipient will not start afterwards. It keeps the object.
#[must_use = "dropping the link takes the registration back"]
#[derive(Debug)]
pub struct DeathLink(Linked);

#[derive(Debug)]
enum Linked {
    Once(RemoteProxy, LinkId),
    Each(RebindingLink),
}

impl DeathLink {
    pub(crate) fn new(proxy: RemoteProxy, link: LinkId) -> Self {
        Self(Linked::Once(proxy, link))
    }

    /// Told of each death of what a rebinding object calls.
    pub(crate) fn each(link: RebindingLink) -> Self {
        Self(Linked::Each(link))
    }

    /// Takes the registration back. `true` if the recipient would have been told, and now will not be.
    pub fn unlink(self) -> bool {
        self.take_back()
    }

    fn take_back(&self) -> bool {
        match &self.0 {
            Linked::Once(proxy, link) => proxy.unlink_to_death(*link),
            Linked::Each(link) => link.unlink(),
        }
    }
}

impl Drop for DeathLink {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// Who is to be told of one death.
pub(crate) type Recipient = Arc<dyn DeathRecipient>;
