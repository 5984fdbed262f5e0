//! Which devices are here as members of a fleet.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use certs::{Fleet, MemberName};
use proto::DeviceId;

/// The CAs that are listed now, and the members there is a session with or that are being welcomed.
#[derive(Debug, Default)]
pub(crate) struct Members {
    fleet: RwLock<Option<Arc<Fleet>>>,
    here: RwLock<HashMap<DeviceId, MemberName>>,
    version: AtomicU64,
}

impl Members {
    pub(crate) fn new(fleet: Option<Fleet>) -> Self {
        fleet.as_ref().map(warn_of_clock);
        Self {
            fleet: RwLock::new(fleet.map(Arc::new)),
            ..Self::default()
        }
    }

    pub(crate) fn fleet(&self) -> Option<Arc<Fleet>> {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.clone()
    }

    pub(crate) fn set_fleet(&self, fleet: Fleet) {
        warn_of_clock(&fleet);
        let mut current = self.fleet.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(fleet));
    }

    /// Which member a device that is here is.
    pub(crate) fn name(&self, device: &DeviceId) -> Option<MemberName> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner);
        here.get(device).cloned()
    }

    /// A device was admitted, as a member or not.
    pub(crate) fn admitted(&self, device: DeviceId, member: Option<&MemberName>) {
        let mut here = self.here.write().unwrap_or_else(PoisonError::into_inner);
        let before = match member {
            Some(member) => here.insert(device, member.clone()),
            None => here.remove(&device),
        };
        if before.as_ref() != member {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    pub(crate) fn left(&self, device: DeviceId) {
        self.admitted(device, None);
    }

    /// Moves when who is here as which member does.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// Once for each time that the fleet is read: certificates that have run out are taken until somebody sets the clock.
fn warn_of_clock(fleet: &Fleet) {
    if fleet.is_behind(SystemTime::now()) {
        tracing::warn!(
            "clock is behind the last change of the fleet's files: set it, expired members are let in"
        );
    }
}
