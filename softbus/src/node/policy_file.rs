//! Takes over what the owner has written into the policy's file.

use std::sync::{Arc, Weak};

use certs::{AuditEvent, PolicyStore};
use rpc::Bus;
use tokio::sync::watch;

use super::file_watch;
use crate::audit::AuditLog;

/// Reloads the policy whenever its file changes, until told to stop. One that is not right, or gone, changes nothing.
pub(super) async fn follow(
    policies: PolicyStore,
    bus: Weak<Bus>,
    audit: Arc<AuditLog>,
    stop: watch::Receiver<bool>,
) {
    let Some(path) = policies.path() else { return };
    let reload = {
        let path = path.clone();
        move || match policies.reload() {
            Ok(true) => changed(&bus, &audit),
            Ok(false) => {}
            // Where there was no file, there need not be one.
            Err(_) if !path.exists() && policies.current().is_none() => {}
            Err(error) => audit.tell(AuditEvent::PolicyRefused {
                error: error.to_string(),
            }),
        }
    };
    file_watch::follow(path, reload, stop).await;
}

/// Another policy is in force.
pub(super) fn changed(bus: &Weak<Bus>, audit: &AuditLog) {
    audit.tell(AuditEvent::PolicyChanged);
    if let Some(bus) = bus.upgrade() {
        bus.access_changed();
    }
}
