//! An open window, in the hands of an application.

use std::{fmt, net::SocketAddr, sync::Arc, time::Instant};

use certs::{
    AuditEvent,
    pairing::{PairingInvitation, PairingMode},
};
use proto::DeviceId;
use tokio::sync::mpsc;

use super::{
    OpenPairingError, PairError, PairedDevice, PairingCode, PairingOptions, PairingRequest,
    WindowEnd, slot::OpenWindow,
};
use crate::{Node, peers::Peers};

/// What happens at an open window.
#[derive(Debug)]
#[non_exhaustive]
pub enum PairingEvent {
    /// A device has proven that it knows the code, or shows digits: our user is to say whether it may be paired.
    Request(PairingRequest),
    /// An attempt failed.
    Failed {
        /// Who tried; proven to be that device, and nothing else.
        device: DeviceId,
        /// Why it failed.
        error: PairError,
        /// How many attempts are left in the way that it tried.
        attempts_left: u32,
    },
    /// A device was paired, and is trusted from now on.
    Paired(PairedDevice),
    /// The window takes no more pairings.
    Closed(WindowEnd),
}

/// A window that is open as long as this is kept, and its time lasts.
pub struct PairingListener {
    peers: Arc<Peers>,
    open: Arc<OpenWindow>,
    events: mpsc::Receiver<PairingEvent>,
    told: bool,
}

impl Node {
    /// Lets strangers pair with this device, in the ways and for the time that `options` say. Only one window at a time;
    /// one device is paired by it.
    ///
    /// # Errors
    /// [`OpenPairingError`]: after codes were guessed wrongly, for a while.
    pub async fn open_pairing(
        &self,
        options: PairingOptions,
    ) -> Result<PairingListener, OpenPairingError> {
        let peers = Arc::clone(self.peers().ok_or(OpenPairingError::Attached)?);
        let (open, events) = peers.pairing.open(peers.trust(), options).await?;
        peers.audit().tell(AuditEvent::PairingOpened);
        Ok(PairingListener {
            peers,
            open,
            events,
            told: false,
        })
    }
}

impl PairingListener {
    /// The code to show to our user, if the window has one.
    pub fn code(&self) -> Option<PairingCode> {
        self.open.window().code().cloned()
    }

    /// What the QR code says, if the window has one. `addresses` are where the other device may reach this one.
    pub fn invitation(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Option<PairingInvitation> {
        let secret = self.open.window().secret()?.clone();
        let name = self.peers.pairing.name();
        Some(PairingInvitation::new(
            self.peers.me(),
            secret,
            addresses,
            &name,
        ))
    }

    /// How often it may still be tried in this way.
    pub fn attempts_left(&self, mode: PairingMode) -> u32 {
        self.open.window().attempts_left(mode)
    }

    /// What happens next; the last event is that it has closed, and then there is none. Cancel safe.
    pub async fn next(&mut self) -> Option<PairingEvent> {
        loop {
            let (end, closes, busy) = {
                let window = self.open.window();
                (
                    window.end(Instant::now()),
                    window.closes(),
                    window.is_working(),
                )
            };
            // After the look: what was told before it closed comes first.
            if let Ok(event) = self.events.try_recv() {
                return Some(event);
            }
            match end {
                Some(end) if !busy => {
                    let told = std::mem::replace(&mut self.told, true);
                    return (!told).then_some(PairingEvent::Closed(end));
                }
                // One that made its attempt in time is let finish, and then says so.
                Some(_) => return self.events.recv().await,
                None => {
                    let event = tokio::time::timeout_at(closes.into(), self.events.recv()).await;
                    if let Ok(Some(event)) = event {
                        return Some(event);
                    }
                }
            }
        }
    }
}

impl Drop for PairingListener {
    fn drop(&mut self) {
        self.peers.pairing.close(&self.open);
    }
}

impl fmt::Debug for PairingListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingListener").finish_non_exhaustive()
    }
}
