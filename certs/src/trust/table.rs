//! The rules of the store: values in, values out.

use std::collections::BTreeMap;

use proto::DeviceId;

use super::{ChangeTrustError, TrustChange, TrustEntry, TrustEvent, TrustStore};

/// The devices and what was decided about each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TrustTable(BTreeMap<DeviceId, TrustEntry>);

/// One decision.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Our user trusts the device; of one that is there only the name changes.
    Trust(TrustEntry),
    /// It was paired; of one that is there only the name changes, if there is one.
    Pair(TrustEntry),
    /// A list has it; nothing changes for one that is there.
    Import(TrustEntry),
    /// Our user is done with it.
    Forget(DeviceId),
    /// Our user refuses it; of one that is there the name stays.
    Block(TrustEntry),
}

impl Edit {
    pub(super) const fn device(&self) -> &DeviceId {
        match self {
            Self::Trust(entry) | Self::Pair(entry) | Self::Import(entry) | Self::Block(entry) => {
                &entry.device
            }
            Self::Forget(device) => device,
        }
    }

    /// Whether it can only take trust away.
    pub(super) const fn withdraws(&self) -> bool {
        matches!(self, Self::Forget(_) | Self::Block(_))
    }
}

impl TrustTable {
    pub(super) fn get(&self, device: &DeviceId) -> Option<&TrustEntry> {
        self.0.get(device)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &TrustEntry> {
        self.0.values()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts in an entry as it is; `false` if its device is there already.
    pub(super) fn insert(&mut self, entry: TrustEntry) -> bool {
        self.0.insert(entry.device, entry).is_none()
    }

    pub(super) fn apply(&mut self, edit: &Edit) -> Result<(), ChangeTrustError> {
        let known = self.0.get_mut(edit.device());
        match (edit, known) {
            (Edit::Trust(new) | Edit::Pair(new), Some(known)) if known.blocked => {
                return Err(ChangeTrustError::Blocked { device: new.device });
            }
            (Edit::Trust(new), Some(known)) => known.name.clone_from(&new.name),
            (Edit::Pair(new), Some(known)) if !new.name.is_empty() => {
                known.name.clone_from(&new.name);
            }
            (Edit::Import(_) | Edit::Pair(_), Some(_)) => {}
            (Edit::Block(_), Some(known)) => known.blocked = true,
            (Edit::Trust(new) | Edit::Pair(new) | Edit::Import(new), None) => {
                self.add(new.clone())?
            }
            (Edit::Block(new), None) => self.add(TrustEntry {
                blocked: true,
                ..new.clone()
            })?,
            (Edit::Forget(device), _) => {
                self.0.remove(device);
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: TrustEntry) -> Result<(), ChangeTrustError> {
        if self.0.len() >= TrustStore::MAX_DEVICES {
            return Err(ChangeTrustError::Full);
        }
        self.insert(entry);
        Ok(())
    }
}

/// What to tell about the step from one table to another.
pub(super) fn differences(before: &TrustTable, after: &TrustTable) -> Vec<TrustChange> {
    let gone = before
        .0
        .keys()
        .filter(|device| !after.0.contains_key(device))
        .map(|device| TrustChange {
            device: *device,
            event: TrustEvent::Forgotten,
        });
    let changed = after.entries().filter_map(|entry| {
        let event = match before.get(&entry.device) {
            Some(known) if known == entry => return None,
            Some(known) if known.blocked == entry.blocked => TrustEvent::Renamed,
            None | Some(_) if entry.blocked => TrustEvent::Blocked,
            None | Some(_) => TrustEvent::Trusted,
        };
        Some(TrustChange {
            device: entry.device,
            event,
        })
    });
    gone.chain(changed).collect()
}
