//! Calls: each ends once, runs at most once, and ends for a reason.

use std::collections::BTreeMap;

use rpc::{SendRequestError, parcel::PassObjectError};

use super::{BELIEVED, Rule, Verdict, World, require};
use crate::log::{Answer, Begun, Event};

/// How long a call to another device waits that says nothing of it, in milliseconds.
const DEFAULT_WAIT: u64 = 8000;

/// How long a parcel waits for what it introduces, in milliseconds (`limits::REDEEM_TIME`).
const PATIENCE: u64 = 4000;

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: BTreeMap<u32, Call>,
    /// Those that have ended in this moment: the reason may be written down a little later.
    ended: Vec<u32>,
}

#[derive(Debug)]
struct Call {
    begun: Begun,
    since: u64,
    /// When its handler stops waiting at the earliest.
    until: Option<u64>,
    ran: bool,
    done: bool,
    result: Option<Result<(), SendRequestError>>,
    abandoned: bool,
}

impl Calls {
    pub(super) fn see(&mut self, world: &World, event: &Event) -> Verdict {
        match event {
            Event::Begun(number, begun) => self.begin(world, *number, begun),
            Event::Ran { call, object } => self.run(world, *call, *object)?,
            Event::Done(call) => {
                if let Some(call) = self.calls.get_mut(call) {
                    call.done = true;
                }
            }
            Event::Took {
                call,
                index,
                error: Some(error),
            } => self.not_taken(world, *call, *index, error)?,
            Event::Returns {
                call,
                object,
                refused,
            } => {
                let caller = self.calls.get(call).map(|call| call.begun.at.device);
                let rule = if object.proxy.is_some() && caller == Some(world.owner(object).device) {
                    Some(PassObjectError::BackToOrigin)
                } else {
                    None
                };
                let dead = *refused == Some(PassObjectError::DeadObject) && object.dead.is_some();
                require(*refused == rule || dead, Rule::Passing, || {
                    format!("call {call} returns {object}: {refused:?}, the rules say {rule:?}")
                })?;
            }
            Event::Ended(number, result) => {
                let call = self.calls.get_mut(number);
                let first = call.is_some_and(|call| call.result.replace(result.clone()).is_none());
                require(first, Rule::EndsOnce, || format!("call {number}"))?;
                self.ended.push(*number);
            }
            Event::Abandoned(call) => {
                if let Some(call) = self.calls.get_mut(call) {
                    call.abandoned = true;
                }
            }
            Event::Crashed(place) | Event::Gone(place) => {
                for call in self.calls.values_mut() {
                    call.abandoned |= call.begun.at == *place;
                    call.done |= world.owner(&call.begun.target) == *place;
                }
            }
            Event::Over { .. } => self.over()?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, world: &World, number: u32, begun: &Begun) {
        let outer = begun.inside.and_then(|outer| self.calls.get(&outer)?.until);
        let remote = begun.target.proxy.map(|_| DEFAULT_WAIT);
        let own = begun.wait.or(remote).map(|wait| world.now + wait);
        let call = Call {
            begun: begun.clone(),
            since: world.now,
            until: [own, outer].into_iter().flatten().min(),
            ran: false,
            done: false,
            result: None,
            abandoned: false,
        };
        self.calls.insert(number, call);
    }

    fn run(&mut self, world: &World, number: u32, object: u32) -> Verdict {
        let Some(call) = self.calls.get_mut(&number) else {
            return Err((Rule::RunsOnce, format!("nobody made call {number}")));
        };
        require(!call.ran, Rule::RunsOnce, || {
            format!("call {number} runs twice")
        })?;
        require(call.begun.target.object == object, Rule::RunsOnce, || {
            format!("call {number} of {} runs on o{object}", call.begun.target)
        })?;
        let way = (world.owner(&call.begun.target).device, call.begun.at.device);
        let withdrawn = world.distrusts.get(&way);
        require(
            withdrawn.is_none_or(|at| *at == world.now),
            Rule::Trust,
            || {
                format!(
                    "call {number} runs on d{}, which does not trust d{}",
                    way.0, way.1
                )
            },
        )?;
        let refused = matches!(
            call.result,
            Some(Err(SendRequestError::Pass { .. }
                | SendRequestError::Busy { .. }
                | SendRequestError::Refused))
        ) || call.begun.target.dead.is_some();
        require(!refused, Rule::RunsOnce, || {
            format!("call {number} runs after it failed: {:?}", call.result)
        })?;
        call.ran = true;
        Ok(())
    }

    /// Whether an object of a parcel may be missing: one that its owner granted never is.
    fn not_taken(&self, world: &World, number: u32, index: usize, error: &str) -> Verdict {
        let call = self.calls.get(&number);
        let explained = call.is_some_and(|call| {
            let Begun { wait, inside, .. } = &call.begun;
            // Its home may not be reached in half the time there is, which is too short for a session to begin.
            let short = wait.is_some() || inside.is_some();
            let slot = call.begun.objects.get(index);
            slot.is_some_and(|slot| {
                let home = world.owner(slot).device;
                let taker = world.owner(&call.begun.target).device;
                let since = call.since.saturating_sub(BELIEVED);
                let hindered = world.hindered_since(since, taker, home);
                let late = short || world.now >= call.since + PATIENCE;
                slot.proxy.is_some() && (hindered || world.is_dead(slot) || late)
            })
        });
        require(explained, Rule::Passing, || {
            format!("call {number} misses object {index}: {error}")
        })
    }

    /// All calls that ended at the last moment have a reason.
    pub(super) fn explain(&mut self, world: &World) -> Verdict {
        for number in std::mem::take(&mut self.ended) {
            let Some(call) = self.calls.get(&number) else {
                continue;
            };
            let Some(result) = &call.result else { continue };
            let explained = call.explains(world, result)?;
            require(explained, Rule::Outcome, || {
                format!("call {number} ended without a reason: {result:?}")
            })?;
        }
        Ok(())
    }

    fn over(&self) -> Verdict {
        for (number, call) in &self.calls {
            require(
                call.result.is_some() || call.abandoned,
                Rule::EndsOnce,
                || format!("call {number} has not ended"),
            )?;
            require(!call.ran || call.done, Rule::EndsOnce, || {
                format!("the handler of call {number} has not ended")
            })?;
        }
        Ok(())
    }
}

impl Call {
    /// Whether what is true of the world explains how the call ended.
    fn explains(
        &self,
        world: &World,
        result: &Result<(), SendRequestError>,
    ) -> Result<bool, (Rule, String)> {
        let Begun {
            at, target, answer, ..
        } = &self.begun;
        let owner = world.owner(target);
        let lost = world.lost_since(self.since, at.device, owner.device);
        if let Some((index, reason)) = self.refusal(world) {
            let wanted = Err(SendRequestError::Pass { index, reason });
            require(*result == wanted, Rule::Passing, || {
                format!("a parcel that may not be passed: {result:?}, not {wanted:?}")
            })?;
            return Ok(true);
        }
        if target.dead.is_some() {
            return Ok(matches!(result, Err(SendRequestError::DeadObject { .. })));
        }
        let error = match result {
            Ok(()) => return Ok(self.begun.one_way || (self.ran && *answer == Answer::Reply)),
            Err(error) => error,
        };
        Ok(match error {
            SendRequestError::Pass { index, reason } => self.may_refuse(world, *index, reason),
            SendRequestError::DeadObject { .. } => lost || world.is_dead(target),
            SendRequestError::TimedOut { .. } => {
                self.until.is_some_and(|until| world.now + 1 >= until)
            }
            SendRequestError::Indeterminate => lost,
            SendRequestError::ShuttingDown => world.gone.contains_key(&owner.device),
            SendRequestError::Service(code) => self.ran && *answer == Answer::Code(*code),
            SendRequestError::Panicked => self.ran && *answer == Answer::Panic,
            _ => false,
        })
    }

    /// The rule that forbids a parcel before anybody is asked: the first object decides.
    fn refusal(&self, world: &World) -> Option<(usize, PassObjectError)> {
        let receiver = world.owner(&self.begun.target).device;
        self.begun.target.proxy?;
        let mut objects = self.begun.objects.iter().enumerate();
        objects.find_map(|(index, object)| {
            let reason = if object.dead.is_some() {
                PassObjectError::DeadObject
            } else if object.proxy.is_some() && world.owner(object).device == receiver {
                PassObjectError::BackToOrigin
            } else {
                return None;
            };
            Some((index, reason))
        })
    }

    /// Whether the device of an object may say so when it is asked for an introduction.
    fn may_refuse(&self, world: &World, index: usize, reason: &PassObjectError) -> bool {
        let Some(object) = self.begun.objects.get(index) else {
            return false;
        };
        let (asker, home) = (self.begun.at.device, world.owner(object).device);
        let receiver = world.owner(&self.begun.target).device;
        let registration = object
            .registration
            .and_then(|number| world.registrations.get(&number));
        let anonymous = world.objects.get(&object.object);
        match reason {
            PassObjectError::NotReExportable => {
                registration.is_none() && anonymous.is_some_and(|object| !object.re_exportable)
            }
            PassObjectError::OriginRefused => registration.is_some_and(|registration| {
                let allowed = registration.allowed.as_deref().unwrap_or_default();
                ![asker, receiver].iter().all(|one| allowed.contains(one))
            }),
            PassObjectError::ReceiverNotTrusted => {
                world.distrusted_since(self.since, home, receiver)
            }
            // Who takes leave says so before it is gone, and may be back before the end of the session is known.
            PassObjectError::OriginUnreachable => {
                world.lost_since(self.since, asker, home)
                    || world.is_or_was_down(self.since.saturating_sub(BELIEVED), home)
            }
            PassObjectError::OriginTimedOut => {
                self.until.is_some_and(|until| world.now + 1 >= until)
            }
            PassObjectError::DeadObject => {
                world.is_dead(object) || world.lost_since(self.since, asker, home)
            }
            _ => false,
        }
    }
}
