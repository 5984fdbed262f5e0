//! Parcels that wait until the objects they introduce have been asked for at their homes, which is done outside: the
//! session only knows that they wait, and what may not overtake them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use proto::{
    CallId, ObjectId,
    frame::{Extensions, Grant, Grants, Introduction},
};

use super::{
    Session,
    event::{Arrived, Event, Incoming, Outcome},
    passing_rules::Party,
};
use crate::limits::REDEEM_TIME;

/// The introductions of one header, from its arrival until somebody has taken what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedemptionId(u64);

/// An object that a header introduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// Where it is to be had.
    pub introduction: Introduction,
    /// What the sender says it is.
    pub object: ObjectId,
}

impl Introduced {
    /// Who is to be asked for it.
    pub(crate) const fn home(&self) -> Party {
        Party {
            device: self.introduction.home,
            process: self.introduction.process,
        }
    }
}

/// A parcel whose bytes are all here.
#[derive(Debug)]
pub(super) enum Whole {
    Call(Box<Incoming>),
    Reply(CallId, Arrived),
}

#[derive(Debug, Default)]
pub(super) struct Introductions {
    last: u64,
    waiting: BTreeMap<RedemptionId, Waiting>,
}

#[derive(Debug)]
enum Waiting {
    /// Nobody has said what became of the introductions; the parcel may be whole already.
    Redeeming(Option<Whole>),
    /// That is known, and some of the parcel is still on a bulk stream.
    Redeemed,
}

impl Session {
    /// Begins to redeem what a header introduces, if it does.
    pub(super) fn begin_redemption(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        grants: &Grants,
        extensions: &Extensions,
    ) -> Option<RedemptionId> {
        if extensions.is_empty() || grants.is_empty() {
            return None;
        }
        let entries: Vec<_> = extensions.introductions().collect();
        let introduced = |grant| match grant {
            Grant::Introduced { entry, object } => Some(Introduced {
                // The frame was checked when it was decoded.
                introduction: *entries.get(usize::from(entry))?,
                object,
            }),
            _ => None,
        };
        let objects: Vec<_> = grants.iter().filter_map(introduced).collect();
        if objects.is_empty() {
            return None;
        }
        self.introductions.last += 1;
        let id = RedemptionId(self.introductions.last);
        let waiting = &mut self.introductions.waiting;
        waiting.insert(id, Waiting::Redeeming(None));
        self.events.push_back(Event::Redeem {
            id,
            objects,
            until: now + patience(now, deadline),
        });
        Some(id)
    }

    /// It is known what became of the introductions: the parcel goes on as soon as it is whole.
    pub fn redeemed(&mut self, id: RedemptionId) {
        match self.introductions.waiting.remove(&id) {
            Some(Waiting::Redeeming(Some(whole))) => self.go_on(whole),
            Some(Waiting::Redeeming(None)) => {
                let waiting = &mut self.introductions.waiting;
                waiting.insert(id, Waiting::Redeemed);
            }
            Some(Waiting::Redeemed) | None => {}
        }
    }

    /// A parcel is whole, and goes on unless it waits for introductions.
    pub(super) fn whole(&mut self, whole: Whole) {
        let redemption = match &whole {
            Whole::Call(incoming) => incoming.parcel.introductions,
            Whole::Reply(_, arrived) => arrived.introductions,
        };
        if let Some(id) = redemption {
            match self.introductions.waiting.get_mut(&id) {
                Some(Waiting::Redeeming(place)) => {
                    *place = Some(whole);
                    return;
                }
                Some(Waiting::Redeemed) | None => {
                    self.introductions.waiting.remove(&id);
                }
            }
        }
        self.go_on(whole);
    }

    fn go_on(&mut self, whole: Whole) {
        match whole {
            Whole::Call(incoming) => {
                let handle = self.unhold_into(incoming);
                self.advance(handle);
            }
            Whole::Reply(call, arrived) => self.complete(call, Outcome::Replied(arrived)),
        }
    }

    /// Nobody will be given what a parcel introduced.
    pub(super) fn forget_redemption(&mut self, id: Option<RedemptionId>) {
        if let Some(id) = id {
            self.introductions.waiting.remove(&id);
            self.events.push_back(Event::Unredeemed(id));
        }
    }

    /// The session is over: no parcel waits any more.
    pub(super) fn end_redemptions(&mut self) {
        let waiting = std::mem::take(&mut self.introductions.waiting);
        for (id, waiting) in waiting {
            self.events.push_back(Event::Unredeemed(id));
            match waiting {
                Waiting::Redeeming(Some(Whole::Call(incoming))) => self.discard(*incoming),
                Waiting::Redeeming(Some(Whole::Reply(_, arrived))) => {
                    self.undeliver(arrived.objects);
                }
                Waiting::Redeeming(None) | Waiting::Redeemed => {}
            }
        }
    }
}

/// How long a parcel waits: who gets it is to have time to act on what did not come.
fn patience(now: Instant, deadline: Option<Instant>) -> Duration {
    deadline.map_or(REDEEM_TIME, |deadline| {
        (deadline.saturating_duration_since(now) / 2).min(REDEEM_TIME)
    })
}
