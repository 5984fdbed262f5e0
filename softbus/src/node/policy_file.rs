//! Takes over what the owner has written into the policy's file.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
};

use certs::{AuditEvent, PolicyStore};
use rpc::Bus;
use tokio::sync::watch;

use super::file_watch::{self, Followed};
use crate::audit::AuditLog;

/// Reloads the policy whenever its file changes, until told to stop. One that is not right, or gone, changes nothing.
pub(super) async fn follow(
    policies: PolicyStore,
    bus: Weak<Bus>,
    audit: Arc<AuditLog>,
    stop: watch::Receiver<bool>,
) {
    let Some(path) = policies.path() else { return };
    let file = PolicyFile {
        path,
        policies,
        bus,
        audit,
    };
    file_watch::follow(file, stop).await;
}

#[derive(Clone)]
struct PolicyFile {
    path: PathBuf,
    policies: PolicyStore,
    bus: Weak<Bus>,
    audit: Arc<AuditLog>,
}

impl Followed for PolicyFile {
    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn reload(&self) -> Result<(), String> {
        match self.policies.reload() {
            Ok(true) => changed(&self.bus, &self.audit),
            Ok(false) => {}
            // Where there was no file, there need not be one.
            Err(_) if !self.path.exists() && self.policies.current().is_none() => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn failed(&self, error: &str) {
        let error = error.to_owned();
        self.audit.tell(AuditEvent::PolicyRefused { error });
    }
}

/// Another policy is in force.
pub(super) fn changed(bus: &Weak<Bus>, audit: &AuditLog) {
    audit.tell(AuditEvent::PolicyChanged);
    if let Some(bus) = bus.upgrade() {
        bus.access_changed();
    }
}
