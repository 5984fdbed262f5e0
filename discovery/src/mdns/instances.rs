//! What was resolved: instances by label, joined to candidates by device. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto::DeviceId;

use super::machine::Resolved;
use super::parse::instance_label;
use crate::networks::is_dialable;
use crate::{Announcement, Candidate, InstanceName, MAX_ADDRS, MAX_DEVICES, Source};

/// How long a candidate holds that is not resolved again. The minutely browse repeats what is cached, so this passes
/// only if the library said nothing at all five times.
const VALID_FOR: Duration = Duration::from_secs(300);

/// An unchanged candidate is repeated to subscribers only so often, however often it is resolved.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// A removal is believed after this: when an address of this device changes, the library removes every peer and finds
/// it again 40 ms later.
const REMOVAL_DELAY: Duration = Duration::from_millis(500);

/// Instances of one device: its own and those whose responder renamed them. More are a flood.
const MAX_LABELS: usize = 4;

#[derive(Debug)]
struct Instance {
    announcement: Announcement,
    fullname: String,
    addrs: Vec<SocketAddr>,
    heard: u64,
    removal: Option<Instant>,
    /// Not resolved again since the library lost count of what it told us.
    unconfirmed: bool,
}

/// What became of a device.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Upsert(Candidate),
    Withdrawn(DeviceId),
    Expired(DeviceId),
}

#[derive(Debug, Default)]
pub(super) struct Instances {
    by_label: HashMap<String, Instance>,
    by_id: HashMap<DeviceId, Device>,
    removals: BTreeSet<(Instant, String)>,
    pinned: HashSet<DeviceId>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Device {
    labels: BTreeSet<String>,
    told: Option<(Instant, Candidate)>,
    verified: Option<Instant>,
}

impl Instances {
    pub(super) fn pin(&mut self, ids: HashSet<DeviceId>) {
        self.pinned = ids;
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.by_label.len()
    }

    /// Takes what was resolved, if it is an announcement of ours by another device.
    pub(super) fn resolved(
        &mut self,
        now: Instant,
        resolved: Resolved,
        is_own: impl Fn(&DeviceId) -> bool,
    ) -> Vec<Change> {
        let Some(label) = instance_label(&resolved.fullname) else {
            return Vec::new();
        };
        let txt = resolved.txt.iter().map(|(k, v)| (k.as_str(), v.as_deref()));
        let announcement = match Announcement::from_txt(&label, txt) {
            Ok(announcement) => announcement,
            Err(error) => {
                tracing::trace!(%error, "passed over an announcement");
                return Vec::new();
            }
        };
        let id = announcement.id;
        let addrs = usable(resolved.addrs);
        if is_own(&id) || addrs.is_empty() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if !self.by_label.contains_key(&label) {
            let labels = self.by_id.get(&id).map_or(0, |device| device.labels.len());
            if labels >= MAX_LABELS || (labels == 0 && !self.make_room(id, &mut changes)) {
                return changes;
            }
        }
        self.clock += 1;
        let instance = Instance {
            announcement,
            fullname: resolved.fullname,
            addrs,
            heard: self.clock,
            removal: None,
            unconfirmed: false,
        };
        let device = self.by_id.entry(id).or_default();
        device.labels.insert(label.clone());
        if let Some(before) = self.by_label.insert(label.clone(), instance)
            && let Some(at) = before.removal
        {
            self.removals.remove(&(at, label));
        }
        changes.extend(self.tell(now, id));
        changes
    }

    /// Takes a removal, to be believed later. Says whether it was known at all.
    pub(super) fn removed(&mut self, now: Instant, fullname: &str) -> bool {
        let Some(label) = instance_label(fullname) else {
            return false;
        };
        let Some(instance) = self.by_label.get_mut(&label) else {
            return false;
        };
        if instance.removal.is_none() {
            let at = now + REMOVAL_DELAY;
            instance.removal = Some(at);
            self.removals.insert((at, label));
        }
        true
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.removals.first().map(|removal| removal.0)
    }

    /// Believes the removals that were not taken back.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((at, label)) = self.removals.first()
            && *at <= now
        {
            let label = label.clone();
            changes.extend(self.forget(now, &label, Change::Withdrawn));
        }
        changes
    }

    /// From here on counts what is resolved again.
    pub(super) fn doubt_all(&mut self) {
        for instance in self.by_label.values_mut() {
            instance.unconfirmed = true;
        }
    }

    pub(super) fn any_doubted(&self) -> bool {
        self.by_label.values().any(|instance| instance.unconfirmed)
    }

    /// Drops what was not resolved again since [`doubt_all`](Self::doubt_all).
    pub(super) fn drop_doubted(&mut self, now: Instant) -> Vec<Change> {
        let doubted: Vec<_> = self
            .by_label
            .iter()
            .filter(|(_, instance)| instance.unconfirmed)
            .map(|(label, _)| label.clone())
            .collect();
        doubted
            .iter()
            .filter_map(|label| self.forget(now, label, Change::Expired))
            .collect()
    }

    /// Drops a device: it is this one.
    pub(super) fn drop_own(&mut self, now: Instant, id: DeviceId) -> Vec<Change> {
        let labels = self.by_id.get(&id).map(|device| device.labels.clone());
        labels
            .unwrap_or_default()
            .iter()
            .filter_map(|label| self.forget(now, label, Change::Withdrawn))
            .collect()
    }

    /// The full names of a device, unless they were asked for less than `spacing` ago.
    pub(super) fn verify(&mut self, now: Instant, id: &DeviceId, spacing: Duration) -> Vec<String> {
        let Some(device) = self.by_id.get_mut(id) else {
            return Vec::new();
        };
        if device.verified.is_some_and(|at| now < at + spacing) {
            return Vec::new();
        }
        device.verified = Some(now);
        device
            .labels
            .iter()
            .filter_map(|label| self.by_label.get(label))
            .map(|instance| instance.fullname.clone())
            .collect()
    }

    fn make_room(&mut self, newcomer: DeviceId, changes: &mut Vec<Change>) -> bool {
        if self.by_id.len() < MAX_DEVICES || self.pinned.contains(&newcomer) {
            return true;
        }
        let oldest = self
            .by_label
            .values()
            .filter(|instance| !self.pinned.contains(&instance.announcement.id))
            .min_by_key(|instance| instance.heard)
            .map(|instance| instance.announcement.id);
        let Some(id) = oldest else {
            return false;
        };
        if let Some(device) = self.by_id.remove(&id) {
            for label in device.labels {
                self.remove_label(&label);
            }
            changes.push(Change::Expired(id));
        }
        true
    }

    fn remove_label(&mut self, label: &str) -> Option<Instance> {
        let instance = self.by_label.remove(label)?;
        if let Some(at) = instance.removal {
            self.removals.remove(&(at, label.to_owned()));
        }
        Some(instance)
    }

    fn forget(
        &mut self,
        now: Instant,
        label: &str,
        gone: impl FnOnce(DeviceId) -> Change,
    ) -> Option<Change> {
        let id = self.remove_label(label)?.announcement.id;
        let device = self.by_id.get_mut(&id)?;
        device.labels.remove(label);
        if device.labels.is_empty() {
            self.by_id.remove(&id);
            Some(gone(id))
        } else {
            self.tell(now, id)
        }
    }

    /// The candidate of a device, unless it was told just now and is the same.
    fn tell(&mut self, now: Instant, id: DeviceId) -> Option<Change> {
        let candidate = self.candidate(&id)?;
        let device = self.by_id.get_mut(&id)?;
        if let Some((at, told)) = &device.told
            && *told == candidate
            && now < *at + REPEAT_AFTER
        {
            return None;
        }
        device.told = Some((now, candidate.clone()));
        Some(Change::Upsert(candidate))
    }

    fn candidate(&self, id: &DeviceId) -> Option<Candidate> {
        let own_label = InstanceName::new(id);
        let labels = &self.by_id.get(id)?.labels;
        // Its own label first: an instance that had to be renamed is more likely somebody else.
        let ordered = labels
            .get(own_label.as_str())
            .into_iter()
            .chain(labels.iter().filter(|label| *label != own_label.as_str()));
        let instances: Vec<_> = ordered
            .filter_map(|label| self.by_label.get(label))
            .collect();
        let first = instances.first()?;
        let mut addrs = Vec::new();
        for addr in instances.iter().flat_map(|instance| &instance.addrs) {
            if addrs.len() < MAX_ADDRS && !addrs.contains(addr) {
                addrs.push(*addr);
            }
        }
        let mut candidate = Candidate::new(*id, Source::MDNS, addrs);
        candidate.epoch = Some(first.announcement.epoch);
        candidate.versions = Some(first.announcement.versions);
        candidate.name = first.announcement.name.clone();
        candidate.valid_for = Some(VALID_FOR);
        Some(candidate)
    }
}

/// In a fixed order: the library keeps addresses in a set, and another order is no news.
fn usable(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut addrs: Vec<_> = addrs
        .into_iter()
        .filter(|addr| addr.port() != 0 && is_dialable(addr.ip()))
        .collect();
    addrs.sort_unstable();
    addrs.dedup();
    addrs.truncate(MAX_ADDRS);
    addrs
}
