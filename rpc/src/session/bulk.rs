//! Joins headers, which come on lanes, with bodies, which come on streams of their own, in either order.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque, btree_map::Entry},
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::{
    CallId,
    frame::{BulkPart, Extensions, Status},
};

use crate::quotas::Full;

use super::{
    event::{Delivered, Incoming, OutgoingBulk},
    fault::PeerFault,
    introductions::RedemptionId,
};

/// How long a body may be here without its header. A lane that loses packets holds a header up for much longer than a body takes,
/// while keep-alive packets keep the link: no time is long enough to say that it will not come, and this one ends only what a
/// peer sends that never meant to name it.
const ORPHAN_TIME: Duration = Duration::from_secs(60);
/// How many streams may wait to be opened.
const MAX_OUTGOING: usize = 1024;
/// How many bodies without headers, or headers without use for their bodies, are remembered. A peer that keeps to the
/// bounds of calls in flight and of waiting streams cannot get here.
const MAX_UNMATCHED: usize = 8192;

/// Why a body does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostBulk {
    /// Its sender gave it up.
    GivenUp,
    /// Its header did not come in time.
    Late,
    /// There was no room for it here.
    NoRoom(Full),
}

impl LostBulk {
    /// What the caller of a call it belonged to is told.
    pub(super) fn status(self) -> Status {
        match self {
            Self::GivenUp => Status::Cancelled,
            Self::Late => Status::Expired,
            Self::NoRoom(_) => Status::Busy,
        }
    }

    pub(super) fn extensions(self) -> Extensions {
        match self {
            Self::GivenUp | Self::Late => Extensions::default(),
            Self::NoRoom(full) => full.extensions(),
        }
    }
}

/// A header whose body is still on its way.
#[derive(Debug)]
pub(super) enum Pending {
    Call(Box<Incoming>, BulkPart),
    Reply {
        call: CallId,
        body: Bytes,
        objects: Vec<Delivered>,
        introductions: Option<RedemptionId>,
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

/// What came before its header.
#[derive(Debug)]
enum Early {
    /// A whole body, and when it is given up.
    Body(Bytes, Instant),
    /// A body that was reset, given up or had no room.
    Lost(LostBulk),
}

/// A header and what became of its body.
#[derive(Debug)]
pub(super) enum Met {
    Whole(Pending, Bytes),
    Lost(Pending, LostBulk),
}

#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// In order, so that the end of a session gives back what they carry in the order it was sent.
    pending: BTreeMap<u64, Pending>,
    early: HashMap<u64, Early>,
    /// Bytes of the bodies in `early`.
    early_bytes: usize,
    /// Bodies nobody wants: their headers were refused.
    unwanted: HashSet<u64>,
    outgoing: VecDeque<(OutgoingBulk, Of)>,
    /// How many of `outgoing` belong to replies.
    replies: u32,
    open: u32,
    last_id: u64,
}

/// What a bulk stream of ours belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Request,
    Reply,
}

impl Bulk {
    /// A header has come. Returns it when its body, or the news that there is none, was here before.
    pub(super) fn header(&mut self, pending: Pending) -> Result<Option<Met>, PeerFault> {
        let part = pending.part();
        match self.early.remove(&part.id) {
            Some(Early::Body(body, _)) => {
                self.early_bytes -= body.len();
                if !fits(part, &body) {
                    // Kept for the end of the session, which gives back what it carries.
                    self.pending.insert(part.id, pending);
                    return Err(PeerFault::InvalidBulk);
                }
                Ok(Some(Met::Whole(pending, body)))
            }
            Some(Early::Lost(why)) => Ok(Some(Met::Lost(pending, why))),
            None => {
                self.pending.insert(part.id, pending);
                Ok(None)
            }
        }
    }

    /// A body has come. Returns its header if that is here already; of those that come first, no more than `memory` is kept.
    pub(super) fn body(
        &mut self,
        now: Instant,
        id: u64,
        body: &Bytes,
        memory: usize,
    ) -> Result<Option<Pending>, PeerFault> {
        if self.unwanted.remove(&id) {
            return Ok(None);
        }
        match self.pending.entry(id) {
            Entry::Occupied(pending) if fits(pending.get().part(), body) => {
                Ok(Some(pending.remove()))
            }
            Entry::Occupied(_) => Err(PeerFault::InvalidBulk),
            Entry::Vacant(_) if self.early.contains_key(&id) => Err(PeerFault::InvalidBulk),
            Entry::Vacant(_) if self.early_bytes + body.len() > memory => {
                let full = Full {
                    limit: memory,
                    value: self.early_bytes + body.len(),
                };
                self.lose(id, LostBulk::NoRoom(full));
                Ok(None)
            }
            Entry::Vacant(_) => {
                if self.early.len() < MAX_UNMATCHED {
                    self.early_bytes += body.len();
                    self.early
                        .insert(id, Early::Body(body.clone(), now + ORPHAN_TIME));
                }
                Ok(None)
            }
        }
    }

    /// A body will never come. Returns its header, if that is here already.
    pub(super) fn reset(&mut self, id: u64, why: LostBulk) -> Option<Pending> {
        if self.unwanted.remove(&id) {
            return None;
        }
        let pending = self.pending.remove(&id);
        if pending.is_none() && !self.early.contains_key(&id) {
            self.lose(id, why);
        }
        pending
    }

    /// Remembers what to tell the header of a body that will not come.
    fn lose(&mut self, id: u64, why: LostBulk) {
        if self.early.len() < MAX_UNMATCHED {
            self.early.insert(id, Early::Lost(why));
        }
    }

    /// The header of this body was refused.
    pub(super) fn refuse(&mut self, id: u64) {
        match self.early.remove(&id) {
            Some(Early::Body(body, _)) => self.early_bytes -= body.len(),
            Some(Early::Lost(_)) => {}
            None if self.unwanted.len() < MAX_UNMATCHED => {
                self.unwanted.insert(id);
            }
            None => {}
        }
    }

    /// How long the body of a header will be.
    pub(super) fn announced(&self, id: u64) -> Option<usize> {
        let part = self.pending.get(&id)?.part();
        Some(part.body_len as usize + part.raw_len as usize)
    }

    /// Whether a header has named this stream already.
    pub(super) fn is_named(&self, id: u64) -> bool {
        self.pending.contains_key(&id) || self.unwanted.contains(&id)
    }

    /// Whether no more streams may wait to be opened.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() >= MAX_OUTGOING
    }

    /// How many replies wait for a stream.
    pub(super) fn waiting_replies(&self) -> u32 {
        self.replies
    }

    /// A number for a stream of ours.
    pub(super) fn send(&mut self, body: Bytes, raw: Bytes, of: Of) -> BulkPart {
        self.last_id += 1;
        let id = self.last_id;
        // Both are far below 4 GiB: the transport limit and the limit of raw data were checked.
        let part = BulkPart {
            id,
            body_len: body.len() as u32,
            raw_len: raw.len() as u32,
        };
        self.replies += u32::from(of == Of::Reply);
        self.outgoing
            .push_back((OutgoingBulk { id, body, raw }, of));
        part
    }

    /// The next stream to open, if one more may be open.
    pub(super) fn next(&mut self, limit: u32) -> Option<OutgoingBulk> {
        if self.open >= limit.max(1) {
            return None;
        }
        let (next, of) = self.outgoing.pop_front()?;
        self.replies -= u32::from(of == Of::Reply);
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
        if self.early.is_empty() {
            return None;
        }
        let deadline = |early: &Early| match early {
            Early::Body(_, deadline) => Some(*deadline),
            Early::Lost(_) => None,
        };
        self.early.values().filter_map(deadline).min()
    }

    /// Gives bodies up that nobody has asked for in time.
    pub(super) fn expire(&mut self, now: Instant) {
        for early in self.early.values_mut() {
            match early {
                Early::Body(body, deadline) if *deadline <= now => {
                    self.early_bytes -= body.len();
                    *early = Early::Lost(LostBulk::Late);
                }
                Early::Body(..) | Early::Lost(_) => {}
            }
        }
    }

    /// The session is over.
    pub(super) fn clear(&mut self) -> Vec<Pending> {
        let pending = std::mem::take(&mut self.pending);
        *self = Self::default();
        pending.into_values().collect()
    }

    /// Bytes of whole bodies that wait for their headers.
    pub(super) fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    /// How many headers and bodies wait for their other half.
    pub(super) fn len(&self) -> usize {
        self.pending.len() + self.early.len() + self.unwanted.len()
    }
}

fn fits(part: BulkPart, stream: &Bytes) -> bool {
    stream.len() as u64 == u64::from(part.body_len) + u64::from(part.raw_len)
}
