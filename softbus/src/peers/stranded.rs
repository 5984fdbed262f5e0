//! Sessions whose end here is at an address that this device has no more. Who has dialled over QUIC goes on from another address;
//! otherwise nothing gets through any more, and neither end would know before the silence has lasted. So the other end is dialled at
//! once, and what begins then replaces what there was.

use discovery::OwnAddresses;
use proto::DeviceId;

use super::{Connection, Peers};

impl Peers {
    /// This device is on other networks than before: what did not answer is worth another try at once.
    pub(crate) fn network_changed(&self) {
        let own = OwnAddresses::look();
        let devices: Vec<_> = {
            let mut table = self.lock();
            let contacts = table.network_changed(|session| is_lost(&session.connection, &own));
            contacts
                .map(|(id, contact)| {
                    if contact.is_stranded() {
                        tracing::info!(device = ?id, "session is at an address that is gone");
                    }
                    contact.notes.news.notify_waiters();
                    id
                })
                .collect()
        };
        for device in devices {
            self.dial_if_useful(device);
        }
    }

    /// Whether a dial that was begun because a session is stranded has nothing to mend any more: the address has come back meanwhile,
    /// and nobody may have said so yet.
    pub(super) fn is_mended(&self, device: DeviceId) -> bool {
        let own = OwnAddresses::look();
        let mut table = self.lock();
        let Some(contact) = table.get_mut(&device) else {
            return false;
        };
        let session = contact.session();
        let mended = session.is_some_and(|session| !is_lost(&session.connection, &own));
        if mended {
            contact.is_back();
        }
        mended
    }
}

fn is_lost(connection: &Connection, own: &OwnAddresses) -> bool {
    let bound = connection.bound_to();
    bound.is_some_and(|address| !own.contains(address))
}
