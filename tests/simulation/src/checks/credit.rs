//! Credit for one-way calls: what is given back has ended, each once, and in the end all of it is given back.

use std::collections::BTreeMap;

use super::{Rule, Verdict, require};
use crate::log::{Event, Frames, Passage, Place};

/// A connection, a lane of it, and the end that makes the calls.
type Way = (u32, u16, usize);

#[derive(Debug, Default)]
pub(super) struct Credit {
    lanes: BTreeMap<Way, Lane>,
    /// Who dialled a connection.
    dialled: BTreeMap<u32, Place>,
    /// The ends of a connection with a session, and the last one of each two.
    ends: BTreeMap<u32, [Place; 2]>,
    last: BTreeMap<(Place, u8), u32>,
    owners: BTreeMap<u32, Place>,
    callers: BTreeMap<u32, Place>,
    /// Handlers that run, by who called and whose they are.
    running: BTreeMap<u32, (Place, Place)>,
}

#[derive(Debug, Default)]
struct Lane {
    sent: u64,
    arrived: u64,
    /// As the end says that serves them, and as the other has heard.
    given: u64,
    back: u64,
}

impl Credit {
    pub(super) fn see(&mut self, event: &Event) -> Verdict {
        match event {
            Event::Born { object, owner, .. } => {
                self.owners.insert(*object, *owner);
            }
            Event::Dialled { at, link, .. } => {
                self.dialled.insert(*link, *at);
            }
            Event::SessionBegan { at, with, link } => {
                let first = self.dialled.get(link) == Some(at);
                let ends = if first { [*at, *with] } else { [*with, *at] };
                self.ends.insert(*link, ends);
                self.last.insert((*at, with.device), *link);
            }
            Event::Begun(number, begun) if begun.one_way && begun.target.proxy.is_some() => {
                self.callers.insert(*number, begun.at);
            }
            Event::Ran { call, object } => {
                if let (Some(caller), Some(owner)) =
                    (self.callers.get(call), self.owners.get(object))
                {
                    self.running.insert(*call, (*caller, *owner));
                }
            }
            Event::Done(call) => {
                self.running.remove(call);
            }
            Event::Sent(passage, Frames::Call { id: None, .. }) => {
                self.lane(passage, passage.from).sent += 1;
            }
            Event::Arrived(passage, Frames::Call { id: None, .. }) => {
                self.lane(passage, passage.from).arrived += 1;
            }
            Event::Sent(passage, Frames::Ack { calls, .. }) => self.gives(passage, *calls)?,
            Event::Arrived(passage, Frames::Ack { calls, .. }) => {
                self.lane(passage, 1 - passage.from).back = *calls;
            }
            Event::Holds { at, with, .. } => self.all_is_back(*at, *with)?,
            _ => {}
        }
        Ok(())
    }

    fn lane(&mut self, passage: &Passage, caller: usize) -> &mut Lane {
        let way = (passage.link, passage.lane.unwrap_or_default(), caller);
        self.lanes.entry(way).or_default()
    }

    fn of(&self, link: u32, caller: usize) -> impl Iterator<Item = &Lane> {
        let lanes = self.lanes.iter();
        lanes.filter_map(move |((of, _, by), lane)| ((*of, *by) == (link, caller)).then_some(lane))
    }

    fn gives(&mut self, passage: &Passage, calls: u64) -> Verdict {
        let caller = 1 - passage.from;
        let lane = self.lane(passage, caller);
        let before = std::mem::replace(&mut lane.given, calls);
        let arrived = lane.arrived;
        require((before..=arrived).contains(&calls), Rule::Credit, || {
            format!("{passage} gives back {calls} of {arrived}, and {before} before")
        })?;
        let Some(ends) = self.ends.get(&passage.link) else {
            return Ok(());
        };
        let between = (ends[caller], ends[passage.from]);
        let running = self.running.values().filter(|ways| **ways == between);
        let (running, link) = (running.count() as u64, passage.link);
        let arrived: u64 = self.of(link, caller).map(|lane| lane.arrived).sum();
        let given: u64 = self.of(link, caller).map(|lane| lane.given).sum();
        require(given + running <= arrived, Rule::Credit, || {
            format!("{passage} gives back {given} in all of {arrived}, of which {running} run")
        })
    }

    /// Nothing is under way any more.
    fn all_is_back(&self, at: Place, with: u8) -> Verdict {
        let Some(link) = self.last.get(&(at, with)) else {
            return Ok(());
        };
        let caller = usize::from(self.dialled.get(link) != Some(&at));
        for lane in self.of(*link, caller) {
            require(lane.back == lane.sent, Rule::Credit, || {
                format!("{at} has {} of {} back from d{with}", lane.back, lane.sent)
            })?;
        }
        Ok(())
    }
}
