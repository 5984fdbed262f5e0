//! What sessions hold, at every moment when nobody works: what the frames say that have passed until then. Nothing is missing at any
//! time, and nothing is left when nothing is under way.

use std::collections::BTreeMap;

use rpc::session::Usage;

use super::{Rule, Verdict, require};
use crate::log::{Event, Frames, Passage};

#[derive(Debug, Default)]
pub(super) struct Tables {
    ends: BTreeMap<(u32, usize), End>,
    /// Which device has dialled a connection, and whom.
    dialled: BTreeMap<u32, [u8; 2]>,
    /// Which devices make calls that have not ended.
    open: BTreeMap<u32, u8>,
    /// How many one-way calls each device has made of others, and how many of them have been sent.
    one_way: BTreeMap<u8, [u64; 2]>,
}

/// The tables of one end of a connection, as far as frames tell.
#[derive(Debug, Default)]
struct End {
    /// Grants sent that have not come back, and grants that came and have not been given back, by place in the exporter's table.
    exports: BTreeMap<u32, u64>,
    imports: BTreeMap<u32, u64>,
    /// Calls that were made and not answered, and those that came.
    calls: usize,
    serving: usize,
}

impl Tables {
    pub(super) fn see(&mut self, event: &Event) -> Verdict {
        match event {
            Event::Started(place) => {
                self.one_way.insert(place.device, [0, 0]);
            }
            Event::Sent(passage, frames) => self.sent(passage, frames),
            Event::Arrived(passage, frames) => self.arrived(passage, frames),
            Event::Dialled { at, to, link } => {
                self.dialled.insert(*link, [at.device, *to]);
            }
            Event::Begun(call, begun) => {
                self.open.insert(*call, begun.at.device);
                if begun.one_way && begun.target.proxy.is_some() {
                    self.one_way.entry(begun.at.device).or_default()[0] += 1;
                }
            }
            Event::Ended(call, _) | Event::Abandoned(call) => {
                self.open.remove(call);
            }
            Event::Crashed(place) | Event::Gone(place) => {
                self.open.retain(|_, device| *device != place.device);
            }
            Event::Usage {
                link,
                end,
                quiet,
                usage,
            } => return self.judge(*link, *end, *quiet, usage),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, link: u32, end: usize) -> &mut End {
        self.ends.entry((link, end)).or_default()
    }

    fn sent(&mut self, passage: &Passage, frames: &Frames) {
        if let (Frames::Call { id: None, .. }, Some(devices)) =
            (frames, self.dialled.get(&passage.link))
        {
            let device = devices[passage.from];
            self.one_way.entry(device).or_default()[1] += 1;
        }
        let end = self.end(passage.link, passage.from);
        match frames {
            Frames::Call { id, exported, .. } => {
                end.calls += usize::from(id.is_some());
                add(&mut end.exports, exported);
            }
            Frames::Reply { exported, .. } => {
                end.serving = end.serving.saturating_sub(1);
                add(&mut end.exports, exported);
            }
            Frames::Release { handle, count } => take(&mut end.imports, *handle, *count),
            _ => {}
        }
    }

    fn arrived(&mut self, passage: &Passage, frames: &Frames) {
        let end = self.end(passage.link, 1 - passage.from);
        match frames {
            Frames::Call { id, exported, .. } => {
                end.serving += usize::from(id.is_some());
                add(&mut end.imports, exported);
            }
            Frames::Reply { exported, .. } => {
                end.calls = end.calls.saturating_sub(1);
                add(&mut end.imports, exported);
            }
            Frames::Release { handle, count } => take(&mut end.exports, *handle, *count),
            _ => {}
        }
    }

    fn judge(&self, link: u32, number: usize, quiet: bool, usage: &Usage) -> Verdict {
        let none = End::default();
        let end = self.ends.get(&(link, number)).unwrap_or(&none);
        // Each end's system ability manager is in its table without a grant.
        let (exports, imports) = (end.exports.len() + 1, end.imports.len() + 1);
        let text =
            |what: &str| format!("end {number} of {link} {what}: {usage:?}, frames say {end:?}");
        let misses = usage.exports < exports || usage.calls < end.calls;
        require(!misses, Rule::Tables, || text("misses something"))?;
        let other = self.ends.get(&(link, 1 - number)).unwrap_or(&none);
        let open = [end, other].iter().any(|end| end.calls + end.serving > 0);
        // What is granted by a call that waits for credit, or for what it introduces, is in the table and has not been sent.
        let device = self.dialled.get(&link).map(|devices| devices[number]);
        let open = open || self.open.values().any(|caller| Some(*caller) == device);
        let calls = device.and_then(|device| self.one_way.get(&device));
        let open = open || calls.is_some_and(|[made, sent]| made != sent);
        if !quiet || open || usage.serving + usage.calls + usage.bulk > 0 {
            return Ok(());
        }
        let left = usage.exports > exports || usage.imports > imports;
        require(!left, Rule::Tables, || text("has something left"))
    }
}

fn add(grants: &mut BTreeMap<u32, u64>, exported: &[u32]) {
    for handle in exported {
        *grants.entry(*handle).or_default() += 1;
    }
}

fn take(grants: &mut BTreeMap<u32, u64>, handle: u32, count: u32) {
    if let Some(left) = grants.get_mut(&handle) {
        *left = left.saturating_sub(u64::from(count));
        if *left == 0 {
            grants.remove(&handle);
        }
    }
}
