//! References on their way out: the passing rules, asked of this peer.

use std::sync::{Arc, Weak};

use super::PeerShared;
use crate::{
    parcel::{Item, PassCheck, PassObjectError},
    remote::RemoteProxy,
    session::{
        Outgoing,
        passing_rules::{self, Holding, Passing},
    },
};

/// How an object that may be passed to a peer gets there.
pub(crate) enum Passed<'a> {
    Now(Outgoing),
    /// When its device has been asked.
    Introduce(&'a RemoteProxy),
}

impl PeerShared {
    /// Puts a reference, or a file descriptor, into the form in which it travels to this peer, if a rule does not forbid it.
    pub(crate) fn pass<'a>(&self, item: &'a Item) -> Result<Passed<'a>, PassObjectError> {
        let object = match item {
            Item::Object(object) => object,
            Item::Descriptor(descriptor) if self.carries_descriptors => {
                return Ok(Passed::Now(Outgoing::Descriptor(descriptor.clone())));
            }
            Item::Descriptor(_) => return Err(PassObjectError::Descriptor),
        };
        if let Some(local) = object.local() {
            return match local.death() {
                Some(_) => Err(PassObjectError::DeadObject),
                None => Ok(Passed::Now(Outgoing::Own(local.clone()))),
            };
        }
        let Some(proxy) = object.as_proxy() else {
            return Ok(Passed::Now(Outgoing::Null));
        };
        let held = Holding::Proxy {
            home: proxy.home(),
            dead: proxy.death().is_some(),
        };
        match passing_rules::decide(self.own, held, self.remote)? {
            Passing::Home if std::ptr::eq(Arc::as_ptr(&proxy.0.peer), self) => {
                Ok(Passed::Now(Outgoing::Home(proxy.0.key)))
            }
            Passing::Introduce if self.introduces && proxy.0.peer.introduces => {
                Ok(Passed::Introduce(proxy))
            }
            // Two sessions with one process: only the one it came on can take it home.
            Passing::Home | Passing::Grant | Passing::Introduce => Err(PassObjectError::ThirdParty),
        }
    }

    /// The same question for reply parcels, which know their receiver while they are written.
    pub(crate) fn pass_check(&self) -> PassCheck {
        Arc::clone(&self.pass_check)
    }

    pub(super) fn make_pass_check(me: Weak<Self>) -> PassCheck {
        Arc::new(move |item: &Item| {
            let peer = me.upgrade().ok_or(PassObjectError::DeadObject)?;
            peer.pass(item).map(drop)
        })
    }
}
