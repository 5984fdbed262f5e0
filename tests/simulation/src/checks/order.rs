//! One-way calls of a proxy: in order, one at a time, and none is lost.

use std::collections::BTreeMap;

use super::{Rule, Verdict, World, require};
use crate::log::{Event, Place, Reference};

#[derive(Debug, Default)]
pub(super) struct Order {
    calls: BTreeMap<u32, OneWay>,
    proxies: BTreeMap<u32, Running>,
}

#[derive(Debug)]
struct OneWay {
    proxy: u32,
    at: Place,
    target: Reference,
    since: u64,
    /// Which entries of the log said that it was begun, and that it was sent.
    begun: u64,
    sent: Option<u64>,
    bounded: bool,
    ran: bool,
}

#[derive(Debug, Default)]
struct Running {
    now: Option<u32>,
    /// The youngest that has run, by the entry that said it was begun.
    youngest: u64,
}

impl Order {
    pub(super) fn see(&mut self, world: &World, event: &Event) -> Verdict {
        match event {
            Event::Begun(number, begun) if begun.one_way => {
                let target = begun.target;
                let Some(proxy) = target.proxy else {
                    return Ok(());
                };
                let call = OneWay {
                    proxy,
                    at: begun.at,
                    target,
                    since: world.now,
                    begun: world.count,
                    sent: None,
                    // Its time may be up before its turn.
                    bounded: begun.wait.is_some() || begun.inside.is_some(),
                    ran: false,
                };
                self.calls.insert(*number, call);
            }
            Event::Ended(number, Ok(())) => {
                if let Some(call) = self.calls.get_mut(number) {
                    call.sent = Some(world.count);
                }
            }
            Event::Ran { call, .. } => self.run(*call)?,
            Event::Done(number) => {
                if let Some(call) = self.calls.get(number)
                    && let Some(running) = self.proxies.get_mut(&call.proxy)
                    && running.now == Some(*number)
                {
                    running.now = None;
                }
            }
            Event::Over { .. } => self.over(world)?,
            _ => {}
        }
        Ok(())
    }

    fn run(&mut self, number: u32) -> Verdict {
        let Some(call) = self.calls.get_mut(&number) else {
            return Ok(());
        };
        call.ran = true;
        let running = self.proxies.entry(call.proxy).or_default();
        if let Some(other) = running.now {
            return Err((
                Rule::OneWay,
                format!("call {number} runs beside call {other}"),
            ));
        }
        running.now = Some(number);
        let overtaken = call.sent.is_some_and(|sent| sent < running.youngest);
        require(!overtaken, Rule::OneWay, || {
            format!("call {number} runs after one that was made later")
        })?;
        running.youngest = running.youngest.max(call.begun);
        Ok(())
    }

    fn over(&self, world: &World) -> Verdict {
        for (number, call) in &self.calls {
            let (caller, owner) = (call.at.device, world.owner(&call.target).device);
            let excused = call.ran
                || call.sent.is_none()
                || call.bounded
                || world.is_dead(&call.target)
                || world.lost_since(call.since, caller, owner);
            require(excused, Rule::OneWay, || format!("call {number} was lost"))?;
        }
        Ok(())
    }
}
