//! What the bus asks when objects of third devices are passed: who is trusted, and how a device is reached.

use std::time::Instant;

use proto::DeviceId;
use rpc::{GetServiceError, Neighbours, Peer, async_trait};

use super::Peers;

#[async_trait]
impl Neighbours for Peers {
    fn is_trusted(&self, device: &DeviceId) -> bool {
        self.trust.is_trusted(device)
    }

    async fn session(&self, device: DeviceId, deadline: Instant) -> Result<Peer, GetServiceError> {
        Self::session(self, device, deadline.into()).await
    }
}
