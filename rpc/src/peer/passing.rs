//! References on their way out: the passing rules, asked of this peer.

use std::sync::{Arc, Weak};

use proto::DeviceId;

use super::PeerShared;
use crate::{
    parcel::{Item, PassCheck, PassObjectError},
    relay,
    remote::RemoteProxy,
    session::{
        Outgoing,
        passing_rules::{self, Holding, Party, Passing},
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
    ///
    /// `beyond` is the device that gets it when the peer only relays.
    pub(crate) fn pass<'a>(
        &self,
        item: &'a Item,
        beyond: Option<&DeviceId>,
    ) -> Result<Passed<'a>, PassObjectError> {
        let object = match item {
            Item::Object(object) => object,
            Item::Descriptor(descriptor) if self.carries_descriptors && beyond.is_none() => {
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
        let receiver = beyond.map_or(self.remote, |device| Party::host_of(*device));
        let ours = std::ptr::eq(Arc::as_ptr(&proxy.0.peer), self);
        match passing_rules::decide(self.own, held, receiver)? {
            Passing::Home if ours => Ok(Passed::Now(Outgoing::Home(proxy.0.key))),
            // The host introduces what it relays, and grants what is its own.
            Passing::Introduce if ours && beyond.is_some() => {
                Ok(Passed::Now(Outgoing::Home(proxy.0.key)))
            }
            Passing::HandOut => {
                let bus = self.bus().ok_or(PassObjectError::DeadObject)?;
                let relay = relay::hand_out(&bus, proxy, receiver.device)?;
                Ok(Passed::Now(Outgoing::Own(relay)))
            }
            Passing::Introduce if self.introduces && proxy.0.peer.introduces => {
                Ok(Passed::Introduce(proxy))
            }
            // Two sessions with one process: only the one it came on can take it home.
            Passing::Home | Passing::Grant | Passing::Introduce => Err(PassObjectError::ThirdParty),
        }
    }

    /// The same question for reply parcels, which know their receiver while they are written.
    pub(crate) fn pass_check(&self, beyond: Option<DeviceId>) -> PassCheck {
        match beyond {
            None => Arc::clone(&self.pass_check),
            Some(_) => Self::make_pass_check(self.me.clone(), beyond),
        }
    }

    pub(super) fn make_pass_check(me: Weak<Self>, beyond: Option<DeviceId>) -> PassCheck {
        Arc::new(move |item: &Item| {
            let peer = me.upgrade().ok_or(PassObjectError::DeadObject)?;
            peer.pass(item, beyond.as_ref()).map(drop)
        })
    }
}
