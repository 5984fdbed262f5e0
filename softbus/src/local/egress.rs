//! Which processes of this device may call other devices.

use std::sync::Arc;

use proto::{DeviceId, ServiceId};
use rpc::{Caller, RelayRules};

/// The rule of a host.
#[derive(Clone)]
pub(crate) struct Egress(pub(crate) Arc<dyn RelayRules>);

impl Default for Egress {
    /// Those of the host's own user.
    fn default() -> Self {
        Self(Arc::new(OwnUser))
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

struct OwnUser;

impl RelayRules for OwnUser {
    fn may_leave(&self, caller: &Caller, _: DeviceId, _: Option<ServiceId>) -> bool {
        caller.uid() == Some(rustix::process::getuid().as_raw())
    }
}
