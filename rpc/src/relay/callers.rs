//! The devices that call a process through its host.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use proto::DeviceId;

use crate::{call::Caller, limits::MAX_RELAYED_CALLERS};

/// One [`Caller`] for each device, so that all its calls count together.
#[derive(Default)]
pub(crate) struct Callers(Mutex<HashMap<DeviceId, Caller>>);

impl Callers {
    pub(crate) fn of(&self, device: DeviceId) -> Caller {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = known.get(&device) {
            return caller.clone();
        }
        if known.len() >= MAX_RELAYED_CALLERS {
            known.retain(|_, caller| caller.is_held());
        }
        let caller = Caller::beyond_host(device);
        if known.len() < MAX_RELAYED_CALLERS {
            known.insert(device, caller.clone());
        }
        caller
    }
}
