//! Presence: online and offline take turns, nobody is taken for offline for nothing, and in the end all are online to all.

use std::collections::{BTreeMap, BTreeSet};

use softbus::presence::OfflineReason;

use super::{BELIEVED, Rule, Verdict, World, require};
use crate::log::{Event, Place};

/// How long one round of dialling may take, in milliseconds (`softbus::__decisions::DIAL_TIME`).
const DIAL_TIME: u64 = 3000;

#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Since when, by who sees it and of whom.
    online: BTreeMap<(Place, u8), u64>,
    /// When anybody was last dialled by either of two.
    dialled: BTreeMap<(u8, u8), u64>,
    /// Since when each connection is dialled, which ends have had a session on it, and whose last session ended on which.
    since: BTreeMap<u32, u64>,
    began: BTreeSet<(u8, u32)>,
    ended: BTreeMap<(Place, u8), u32>,
    /// The network moves frames, and loses none for good.
    frames: bool,
    /// Who went offline in this moment as one that had been missed, and since when anything may have been the cause.
    missed: Vec<(Place, u8, u64)>,
    /// By which connection, as each sees it in the end.
    seen: BTreeMap<(u8, u8), Option<u32>>,
}

const fn both(one: u8, other: u8) -> (u8, u8) {
    match one < other {
        true => (one, other),
        false => (other, one),
    }
}

impl Presence {
    pub(super) fn see(&mut self, world: &World, event: &Event) -> Verdict {
        match event {
            Event::Sent(..) => self.frames = true,
            Event::SessionBegan { at, link, .. } => {
                self.began.insert((at.device, *link));
            }
            Event::SessionEnded { at, with, link, .. } => {
                self.ended.insert((*at, *with), *link);
            }
            Event::Dialled { at, to, link } => {
                self.since.insert(*link, world.now);
                self.dialled.insert(both(at.device, *to), world.now);
            }
            Event::Online { at, of } => {
                let before = self.online.insert((*at, of.device), world.now);
                require(before.is_none(), Rule::Presence, || {
                    format!("d{} comes online to {at} and was online", of.device)
                })?;
            }
            Event::Offline { at, of, reason } => {
                let since = self.online.remove(&(*at, *of));
                let text = || format!("d{of} goes offline to {at} as {reason:?}");
                let since = since.ok_or_else(|| (Rule::Presence, text()))?;
                let caused = self.has_cause(world, *at, *of, since, reason);
                if !caused && *reason == OfflineReason::TimedOut {
                    self.missed.push((*at, *of, since.saturating_sub(BELIEVED)));
                } else {
                    require(caused, Rule::Presence, text)?;
                }
            }
            Event::Suspects { at, of } => {
                let since = world.now.saturating_sub(BELIEVED);
                let gone = world.lost_by(since, *of, at.device) || world.is_or_was_down(since, *of);
                let quiet = gone || world.in_the_way_since(since, at.device, *of);
                require(quiet || !self.frames, Rule::Presence, || {
                    format!("d{of} is taken for quiet by {at}")
                })?;
            }
            Event::Sees { at, of, link } => {
                self.seen.insert((at.device, *of), *link);
            }
            Event::Over { .. } => self.over()?,
            _ => {}
        }
        Ok(())
    }

    /// What was true at the last moment when all that happened in it is known.
    pub(super) fn explain(&mut self, world: &World) -> Verdict {
        for (at, of, since) in std::mem::take(&mut self.missed) {
            // Another session with the same start of it has replaced that one.
            let dialled = self.dialled.get(&both(at.device, of));
            let replaced = dialled.is_some_and(|dialled| *dialled >= since)
                && self.online.contains_key(&(at, of));
            require(replaced, Rule::Presence, || {
                format!("d{of} went offline to {at} for nothing")
            })?;
        }
        for (by, of) in world
            .distrusts
            .keys()
            .filter(|(by, _)| !world.down.contains(by))
        {
            let at = world.starts.get(by);
            let online = at.is_some_and(|at| self.online.contains_key(&(*at, *of)));
            require(!online, Rule::Trust, || {
                format!("d{of} is online to d{by}, which does not trust it")
            })?;
        }
        Ok(())
    }

    fn has_cause(
        &self,
        world: &World,
        at: Place,
        of: u8,
        since: u64,
        reason: &OfflineReason,
    ) -> bool {
        let before = since.saturating_sub(BELIEVED);
        let gone = world.lost_by(before, of, at.device) || world.is_or_was_down(before, of);
        match reason {
            // Of two connections that crossed, or a session that the other end had lost.
            OfflineReason::Restarted => {
                let dialled = self.dialled.get(&both(at.device, of));
                dialled.is_some_and(|dialled| *dialled >= before)
            }
            // Its endpoint does not know the connection: it is another start of it, or has given this one up.
            // Who leaves ends its sessions itself.
            OfflineReason::Left => gone || world.is_or_was_down(before, at.device),
            // To who stood still a connection may be new that the other end has given up.
            OfflineReason::Crashed => gone || world.stood_still_since(before, at.device),
            OfflineReason::AccessRevoked => {
                world.distrusted_since(before, at.device, of)
                    || world.distrusted_since(before, of, at.device)
            }
            // Datagrams that are lost one after the other are silence.
            OfflineReason::TimedOut if !self.frames => true,
            // What one end has opened, lost datagrams may keep from the other until that gives it up.
            _ if !self.frames && world.now <= since + BELIEVED => true,
            _ => {
                let hindered = world.in_the_way_since(before, at.device, of);
                gone || hindered || self.was_given_up(world, at, of)
            }
        }
    }

    /// Whether the other end has given up a dial that took too long, before it heard of the session.
    fn was_given_up(&self, world: &World, at: Place, of: u8) -> bool {
        let link = self.ended.get(&(at, of));
        link.is_some_and(|link| {
            let since = self.since.get(link);
            let slow = since.is_some_and(|since| world.now >= since + DIAL_TIME);
            slow && !self.began.contains(&(of, *link))
        })
    }

    /// Everything has had its time: all are there, and nothing is in the way.
    fn over(&self) -> Verdict {
        for ((at, of), link) in &self.seen {
            require(link.is_some(), Rule::Presence, || {
                format!("d{of} is there and not online to d{at}")
            })?;
        }
        Ok(())
    }
}
