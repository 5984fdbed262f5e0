//! What of a peer is under its lock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    task::Waker,
    time::Instant,
};

use tokio::task::AbortHandle;

use super::PeerShared;
use crate::{
    death::Recipient,
    introduction::{Redemptions, Strikes},
    parcel::{BrokenObject, Item, Slot},
    relay::RelayPlace,
    remote::{RemoteObject, RemoteProxy},
    session::{About, Delivered, ImportKey, LinkId, RedemptionId, Session},
};

/// What the lock guards: the session, and what belongs to its places. Nobody's code runs under it, and nothing is
/// dropped under it that could run somebody's.
pub(crate) struct State {
    pub(crate) session: Session,
    /// Who waits for a call, by its slot.
    pub(super) call_wakers: Vec<Option<Waker>>,
    /// Who writes a lane, while it has nothing to write.
    pub(super) lane_wakers: Vec<Option<Waker>>,
    /// Tasks of handlers, by their slot.
    pub(super) handlers: Vec<Option<AbortHandle>>,
    pub(super) proxies: HashMap<ImportKey, Weak<crate::remote::ProxyInner>>,
    pub(super) recipients: BTreeMap<LinkId, Recipient>,
    /// What third devices are asked for.
    pub(crate) redemptions: Redemptions,
    /// Tokens it presented that we never made.
    pub(crate) as_origin: Strikes,
    /// Introductions it sent that their origins never made.
    pub(crate) as_receiver: Strikes,
    /// What the timer waits for.
    pub(super) armed: Option<Instant>,
    /// Bytes that stay reserved for bodies which wait for their headers.
    pub(super) early: usize,
}

impl State {
    pub(super) fn add_tags(&mut self) {
        let wanted = self.session.tags_wanted();
        if wanted == 0 {
            return;
        }
        let mut bytes = vec![0; wanted * 8];
        if getrandom::fill(&mut bytes).is_err() {
            // Without tags nothing new is exported, and that is said where it is tried.
            return;
        }
        for tag in bytes.chunks_exact(8) {
            let tag = tag.iter().fold(0, |tag, byte| tag << 8 | u64::from(*byte));
            self.session.add_tag(tag & 0xff_ffff_ffff);
        }
    }

    /// How many more bytes wait for their headers than before: their reservation is kept until those come.
    pub(crate) fn keep_early(&mut self) -> usize {
        let early = self.session.early_bytes();
        let more = early.saturating_sub(self.early);
        self.early += more;
        more
    }

    /// The proxy of an object that was delivered: the one we have, or a new one.
    pub(crate) fn import(
        &mut self,
        peer: &Arc<PeerShared>,
        key: ImportKey,
        about: About,
    ) -> RemoteProxy {
        if let Some(known) = self.proxies.get(&key).and_then(Weak::upgrade) {
            // It has a hold of its own.
            self.session.drop_hold(key);
            return RemoteProxy(known);
        }
        let proxy = Arc::new(crate::remote::ProxyInner {
            peer: Arc::clone(peer),
            key,
            kind: about.kind,
            id: about.object,
            beyond: about.home,
            re_exportable: about.re_exportable,
            relay: RelayPlace::default(),
        });
        self.proxies.insert(key, Arc::downgrade(&proxy));
        RemoteProxy(proxy)
    }

    /// The objects of a parcel that has arrived; `relayed` when it is only to be passed on.
    pub(crate) fn take_objects(
        &mut self,
        peer: &PeerShared,
        objects: Vec<Delivered>,
        introductions: Option<RedemptionId>,
        relayed: bool,
    ) -> Vec<Slot> {
        if objects.is_empty() {
            return Vec::new();
        }
        // Nobody is left to whom a proxy could belong when this fails, and the session ends with what it holds.
        let Some(peer) = &peer.me.upgrade() else {
            return objects.iter().map(|_| Err(BrokenObject::Null)).collect();
        };
        let mut introduced = match introductions {
            Some(id) => self.redemptions.take(id),
            None => Vec::new().into_iter(),
        };
        objects
            .into_iter()
            .map(|object| match object {
                Delivered::Null => Err(BrokenObject::Null),
                Delivered::Introduced => introduced.next().unwrap_or(Err(BrokenObject::Null)),
                Delivered::Descriptor(descriptor) => Ok(Item::Descriptor(descriptor)),
                Delivered::Home(own) => match own.stub.as_relay() {
                    None => Ok(RemoteObject::from_local(own).into()),
                    Some(relay) if relayed => Ok(relay.object().into()),
                    // An object of another device, for this process: the second pass.
                    Some(_) => Err(BrokenObject::Null),
                },
                Delivered::Import { key, about, .. } => {
                    let proxy = self.import(peer, key, about);
                    Ok(RemoteObject::from(proxy).into())
                }
            })
            .collect()
    }
}
