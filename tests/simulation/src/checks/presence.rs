//! Presence: online and offline take turns, nobody is taken for offline for nothing, and in the end all are online to all.

use std::collections::BTreeMap;

use softbus::presence::OfflineReason;

use super::{BELIEVED, Rule, Verdict, World, require};
use crate::log::{Event, Place};

#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Since when, by who sees it and of whom.
    online: BTreeMap<(Place, u8), u64>,
    /// When anybody was last dialled by either of two.
    dialled: BTreeMap<(u8, u8), u64>,
    /// The network moves frames, and loses none for good.
    frames: bool,
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
            Event::Dialled { at, to, .. } => {
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
                require(
                    self.has_cause(world, *at, *of, since, reason),
                    Rule::Presence,
                    text,
                )?;
            }
            Event::Sees { at, of, link } => {
                self.seen.insert((at.device, *of), *link);
            }
            Event::Over { .. } => self.over()?,
            _ => {}
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
            OfflineReason::Crashed | OfflineReason::Left => gone,
            // Datagrams that are lost one after the other are silence.
            OfflineReason::TimedOut if !self.frames => true,
            // What one end has opened, lost datagrams may keep from the other until that gives it up.
            _ if !self.frames && world.now <= since + BELIEVED => true,
            _ => gone || world.in_the_way_since(before, at.device, of),
        }
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
