//! Joins headers, which come on lanes, with bodies, which come on streams of their own, in either order.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::{CallId, frame::BulkPart};

use super::event::{Delivered, Incoming, OutgoingBulk};

/// How long a body may be here without its header.
const ORPHAN_TIME: Duration = Duration::from_secs(5);
/// How many bodies may be here without their headers, and how many refused ones are remembered.
const MAX_ORPHANS: usize = 64;

/// A header whose body is still on its way.
#[derive(Debug)]
pub(super) enum Pending {
    Call(Box<Incoming>, BulkPart),
    Reply {
        call: CallId,
        body: Bytes,
        objects: Vec<Delivered>,
        part: BulkPart,
    },
}

impl Pending {
    pub(super) fn part(&self) -> BulkPart {
        match self {
            Self::Call(_, part) | Self::Reply { part, .. } => *part,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Bulk {
    pending: HashMap<u64, Pending>,
    /// Whole bodies whose headers have not come, and when they are given up.
    orphans: HashMap<u64, (Bytes, Instant)>,
    /// Bodies nobody wants: their headers were refused.
    unwanted: HashSet<u64>,
    outgoing: VecDeque<OutgoingBulk>,
    open: u32,
    last_id: u64,
}

impl Bulk {
    /// A header has come. Returns it with its body if that is here already.
    pub(super) fn header(&mut self, pending: Pending) -> Option<(Pending, Bytes)> {
        let id = pending.part().id;
        match self.orphans.remove(&id) {
            Some((body, _)) => Some((pending, body)),
            None => {
                self.pending.insert(id, pending);
                None
            }
        }
    }

    /// A body has come. Returns its header if that is here already.
    pub(super) fn body(&mut self, now: Instant, id: u64, body: &Bytes) -> Option<Pending> {
        if self.unwanted.remove(&id) {
            return None;
        }
        let pending = self.pending.remove(&id);
        if pending.is_none() && self.orphans.len() < MAX_ORPHANS {
            self.orphans.insert(id, (body.clone(), now + ORPHAN_TIME));
        }
        pending
    }

    /// A body will never come.
    pub(super) fn reset(&mut self, id: u64) -> Option<Pending> {
        self.unwanted.remove(&id);
        self.pending.remove(&id)
    }

    /// The header of this body was refused.
    pub(super) fn refuse(&mut self, id: u64) {
        if self.orphans.remove(&id).is_none() && self.unwanted.len() < MAX_ORPHANS {
            self.unwanted.insert(id);
        }
    }

    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    /// A number for a stream of ours.
    pub(super) fn send(&mut self, body: Bytes, raw: Bytes) -> BulkPart {
        self.last_id += 1;
        let id = self.last_id;
        // Both are far below 4 GiB: the transport limit and the limit of raw data were checked.
        let part = BulkPart {
            id,
            body_len: body.len() as u32,
            raw_len: raw.len() as u32,
        };
        self.outgoing.push_back(OutgoingBulk { id, body, raw });
        part
    }

    /// The next stream to open, if one more may be open.
    pub(super) fn next(&mut self, limit: u32) -> Option<OutgoingBulk> {
        if self.open >= limit {
            return None;
        }
        let next = self.outgoing.pop_front()?;
        self.open += 1;
        Some(next)
    }

    pub(super) fn sent(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    pub(super) fn is_sending(&self) -> bool {
        self.open > 0 || !self.outgoing.is_empty()
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.orphans.values().map(|(_, deadline)| *deadline).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.orphans.retain(|_, (_, deadline)| *deadline > now);
    }

    /// The session is over.
    pub(super) fn clear(&mut self) -> Vec<Pending> {
        self.orphans.clear();
        self.unwanted.clear();
        self.outgoing.clear();
        self.pending.drain().map(|(_, pending)| pending).collect()
    }

    /// How many headers and bodies wait for their other half.
    pub(super) fn len(&self) -> usize {
        self.pending.len() + self.orphans.len()
    }
}
