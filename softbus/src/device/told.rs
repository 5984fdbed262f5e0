//! What somebody has been told of the devices, and what there is to tell next. Pure.

use std::collections::{BTreeMap, VecDeque};

use proto::DeviceId;

use super::{Device, Known};
use crate::presence::{DeviceChange, DeviceEvent, OfflineReason, Presence};

/// The devices as somebody was told of them, and those that are different since.
#[derive(Debug, Default)]
pub(super) struct Told {
    devices: BTreeMap<DeviceId, Known>,
    /// Of the last look, what was not told yet: each device that is different, as it is; `None` if nothing is known of it any more.
    ahead: VecDeque<(DeviceId, Option<Known>)>,
}

impl Told {
    /// Of somebody who knows all this.
    pub(super) fn of(known: Vec<Known>) -> Self {
        Self {
            devices: by_id(known),
            ahead: VecDeque::new(),
        }
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values().map(|known| &known.device)
    }

    pub(super) fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id).map(|known| &known.device)
    }

    /// This is how everything is now. What was not told of the look before is told as it is now, or not at all.
    pub(super) fn look(&mut self, known: Vec<Known>) {
        let now = by_id(known);
        let gone = self.devices.keys().filter(|id| !now.contains_key(id));
        self.ahead = gone.map(|id| (*id, None)).collect();
        let different = now
            .into_iter()
            .filter(|(id, known)| self.devices.get(id) != Some(known));
        self.ahead
            .extend(different.map(|(id, known)| (id, Some(known))));
    }

    /// The next event; `None` when everything of the last look has been told.
    pub(super) fn next(&mut self) -> Option<DeviceEvent> {
        while let Some((id, now)) = self.ahead.front() {
            match step(&mut self.devices, *id, now.as_ref()) {
                Some(event) => return Some(event),
                None => drop(self.ahead.pop_front()),
            }
        }
        None
    }
}

/// That a device is being dialled is not told: it is what it was before.
fn by_id(known: Vec<Known>) -> BTreeMap<DeviceId, Known> {
    let settled = known.into_iter().map(|mut known| {
        if known.device.presence == Presence::Connecting {
            let last = known.last_offline.clone();
            known.device.presence = last.map_or(Presence::Candidate, Presence::Offline);
        }
        (known.device.id, known)
    });
    settled.collect()
}

/// Goes one event from what was told of a device to what it is now; `None` when that is the same.
fn step(
    devices: &mut BTreeMap<DeviceId, Known>,
    id: DeviceId,
    now: Option<&Known>,
) -> Option<DeviceEvent> {
    let Some(told) = devices.get_mut(&id) else {
        let now = now?;
        devices.insert(id, now.clone());
        return Some(match now.device.is_online() {
            true => DeviceEvent::Online(id),
            false => DeviceEvent::Found(id),
        });
    };
    let times_online = |known: &Known| known.device.is_online().then_some(known.times_online);
    let (before, after) = (times_online(told), now.and_then(times_online));
    if before.is_some() && before != after {
        let reason = went(now);
        match now {
            Some(now) if after.is_none() => *told = now.clone(),
            // It is back already, or forgotten; that is told next.
            _ => {
                (told.device.presence, told.device.transport) =
                    (Presence::Offline(reason.clone()), None)
            }
        }
        return Some(DeviceEvent::Offline(id, reason));
    }
    let Some(now) = now else {
        devices.remove(&id);
        return Some(DeviceEvent::Lost(id));
    };
    let change = DeviceChange::between(&told.device, &now.device);
    *told = now.clone();
    if before != after {
        return Some(DeviceEvent::Online(id));
    }
    (!change.is_nothing()).then_some(DeviceEvent::Changed(id, change))
}

/// Why a device went: not what it is now, as it may be dialled again already, or be back.
fn went(now: Option<&Known>) -> OfflineReason {
    match now {
        Some(known) => known.last_offline.clone(),
        // Only a host that is no more takes along what it knew of devices that were online.
        None => Some(OfflineReason::HostGone),
    }
    .unwrap_or(OfflineReason::Restarted)
}

#[cfg(test)]
mod tests;
