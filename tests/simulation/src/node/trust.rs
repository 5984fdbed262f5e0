//! Whom a device trusts, as `softbus/src/peers/admission.rs` has it, and how it takes leave.

use proto::message::DeathReason;
use rpc::Peer;

use super::{Node, code, id};

impl Node {
    /// Whether a device is talked to.
    pub(crate) fn trusts(&self, device: u8) -> bool {
        let way = (self.place.device, device);
        !self.shared.distrusted().contains(&way)
    }

    /// A session whose device would not be let in any more ends.
    pub(super) fn admit_still(&self, device: u8, peer: &Peer) {
        if !self.trusts(device) {
            peer.close(DeathReason::AccessRevoked, code::REVOKED, "revoked");
        }
    }

    /// Trust has changed: a device that lost it goes at once.
    pub(crate) fn trust_changed(&self, device: u8) {
        if self.trusts(device) {
            return self.dial_if_useful(device);
        }
        let session = self.table().session(&id(device)).cloned();
        if let Some(session) = session {
            self.admit_still(device, &session.peer);
        }
    }

    /// Takes leave of every device: what is under way ends first, for a short while.
    pub(crate) async fn leave(&self) {
        self.table().close();
        self.bus.end_waits();
        let leaving: Vec<_> = self
            .peers()
            .into_iter()
            .map(|(_, peer)| {
                tokio::spawn(async move { peer.leave(code::LEAVING, "leaving").await })
            })
            .collect();
        for task in leaving {
            let _ = task.await;
        }
        for (_, peer) in self.peers() {
            peer.close(DeathReason::DeviceUnreachable, code::LEAVING, "leaving");
        }
    }
}
