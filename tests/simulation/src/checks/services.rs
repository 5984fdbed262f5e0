//! Services: who gets which.

use std::collections::BTreeMap;

use rpc::GetServiceError;

use super::{BELIEVED, Registration, Rule, Verdict, World, require};
use crate::log::{Event, Place};

/// How long an opening may take, in milliseconds (`limits::HANDSHAKE_TIME`).
const OPENING: u64 = 5000;

#[derive(Debug, Default)]
pub(super) struct Services {
    gets: BTreeMap<u32, Get>,
}

#[derive(Debug)]
struct Get {
    at: Place,
    of: u8,
    service: u32,
    since: u64,
}

impl Services {
    pub(super) fn see(&mut self, world: &World, event: &Event) -> Verdict {
        match event {
            Event::Asked {
                get,
                at,
                of,
                service,
            } => {
                let asked = Get {
                    at: *at,
                    of: *of,
                    service: *service,
                    since: world.now,
                };
                self.gets.insert(*get, asked);
            }
            Event::Answered(number, result) => {
                let get = self.gets.remove(number);
                let explained = get.is_some_and(|get| get.explains(world, result));
                require(explained, Rule::Services, || {
                    format!("get {number} ended without a reason: {result:?}")
                })?;
            }
            Event::Crashed(place) | Event::Gone(place) => {
                self.gets.retain(|_, get| get.at != *place)
            }
            Event::Over { .. } => {
                require(self.gets.is_empty(), Rule::EndsOnce, || {
                    format!("gets have not ended: {:?}", self.gets)
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Get {
    fn explains(&self, world: &World, result: &Result<Option<u32>, GetServiceError>) -> bool {
        let ours = |registration: &Registration| {
            let owner = world.objects.get(&registration.object);
            registration.service == self.service
                && owner.is_some_and(|owner| owner.owner.device == self.of)
                && registration.until.is_none_or(|until| until >= self.since)
        };
        let admits = |registration: &Registration| {
            let allowed = registration.allowed.as_deref().unwrap_or_default();
            allowed.contains(&self.at.device)
        };
        let mut candidates = world.registrations.iter().filter(|(_, one)| ours(one));
        match result {
            Ok(None) => candidates.any(|(_, one)| admits(one)),
            Ok(Some(number)) => {
                let registration = world.registrations.get(number);
                registration.is_some_and(|one| ours(one) && admits(one))
            }
            // Not while it stands there for this device all the time.
            Err(GetServiceError::Absent | GetServiceError::Refused) => {
                let gone = world.gone.get(&self.of);
                !candidates.any(|(_, one)| {
                    let stood = one.since <= self.since && one.until.is_none();
                    admits(one) && stood && gone.is_none_or(|gone| *gone < one.since)
                })
            }
            Err(GetServiceError::NotDistributed) => {
                candidates.any(|(_, one)| one.allowed.is_none())
            }
            Err(GetServiceError::Unreachable(_)) => {
                // The other end may still believe in a connection that this one has lost, until it hears nothing.
                let since = self.since.saturating_sub(BELIEVED);
                let slow = world.now >= self.since + OPENING;
                slow || world.hindered_since(since, self.at.device, self.of)
            }
            Err(GetServiceError::DeviceNotTrusted) => {
                world.distrusted_since(self.since, self.at.device, self.of)
            }
            // Its answer may have been under way.
            Err(GetServiceError::NotTrustedByDevice) => {
                let since = self.since.saturating_sub(BELIEVED);
                world.distrusted_since(since, self.of, self.at.device)
            }
            Err(GetServiceError::TimedOut { after }) => {
                world.now + 1 >= self.since + after.as_millis() as u64
            }
            Err(_) => false,
        }
    }
}
