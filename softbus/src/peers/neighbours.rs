//! What the bus asks when objects of third devices are passed: who is trusted, and how a device is reached.

use std::time::Instant;

use proto::DeviceId;
use rpc::{GetServiceError, Neighbours, Peer, async_trait, session::passing_rules::Party};

use super::Peers;

#[async_trait]
impl Neighbours for Peers {
    fn is_trusted(&self, device: &DeviceId) -> bool {
        self.trusts(device)
    }

    async fn session(&self, with: Party, deadline: Instant) -> Result<Peer, GetServiceError> {
        #[cfg(target_os = "linux")]
        if with.device == self.me() {
            let host = self.local_host.get().and_then(std::sync::Weak::upgrade);
            let session = host.and_then(|host| host.session(with.process));
            let gone = || GetServiceError::Unreachable("process is gone".to_owned());
            return session.ok_or_else(gone);
        }
        Self::session(self, with.device, deadline.into()).await
    }
}
