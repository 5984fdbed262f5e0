//! Noticing that a device has gone quiet, and asking its host whether the process is still there.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use proto::{DeviceId, message::DeathReason};
use rpc::Peer;
use tokio::{net::UdpSocket, time::Instant};

use super::{Peers, Session};
use crate::{
    presence::{OfflineReason, Profile},
    transport::Transport,
};
use certs::CloseCode;

/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long a host may take to say that nobody listens.
const ANSWER: Duration = Duration::from_millis(100);
/// How often it is asked in one silence.
const QUESTIONS: u32 = 40;

/// What happens in a silence, counted from when the last packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Silence {
    /// The host is asked for the first time. Hosts limit how often they say that nobody listens, Linux to once a second after the
    /// first six, and what the connection sends again and again once its keep-alive is not acknowledged uses those up within
    /// milliseconds. So it is asked while nothing has been sent yet: most silences are none, and end with that keep-alive.
    asked: Duration,
    /// The keep-alive should have been acknowledged: what the host has said is believed, and it is asked again.
    believed: Duration,
    /// The device is taken for quiet.
    suspect: Duration,
}

impl Silence {
    fn of(profile: Profile) -> Self {
        let keep_alive = profile.keep_alive();
        Self {
            asked: keep_alive * 4 / 5,
            believed: keep_alive * 5 / 4,
            suspect: keep_alive * 3 / 2,
        }
    }
}

/// What was last seen of a connection.
struct Seen {
    peer: Peer,
    received: u64,
    since: Instant,
    asked: bool,
    suspected: bool,
}

/// Watches every session as long as the node lives.
pub(super) async fn watch_all(peers: Weak<Peers>) {
    let mut seen: HashMap<DeviceId, Seen> = HashMap::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(peers) = peers.upgrade() else { return };
        let sessions = peers.sessions();
        seen.retain(|device, _| sessions.iter().any(|(id, _)| id == device));
        let silence = Silence::of(peers.profile);
        let now = Instant::now();
        for (device, session) in sessions {
            let received = session.connection.received();
            let fresh = Seen {
                peer: session.peer.clone(),
                received,
                since: now,
                asked: false,
                suspected: false,
            };
            let known = seen.get_mut(&device);
            let Some(known) = known.filter(|known| known.peer.is_same(&session.peer)) else {
                seen.insert(device, fresh);
                continue;
            };
            if known.received != received {
                if known.suspected {
                    peers.heard(device);
                }
                *known = fresh;
                continue;
            }
            if now - known.since >= silence.suspect && !known.suspected {
                known.suspected = true;
                peers.suspect(device);
            }
            // By TCP its system says by itself that a process is gone, and no datagram gets through.
            let quic = session.connection.transport() == Transport::Quic;
            if quic && now - known.since >= silence.asked && !known.asked {
                known.asked = true;
                let believed = known.since + silence.believed;
                let runtime = peers.runtime.clone();
                // A node that is given up meanwhile is not kept, nor is its identity.
                let peers = Arc::downgrade(&peers);
                runtime.spawn(async move {
                    let Session {
                        peer, connection, ..
                    } = session;
                    // Anybody on the way can forge the answer: only a connection that is silent anyway is ended by it.
                    let silent = || peer.end().is_none() && connection.received() == received;
                    if nobody_listens(connection.remote_address(), believed, silent).await
                        && let Some(peers) = peers.upgrade()
                    {
                        peers.crashed(device, &peer);
                    }
                });
            }
        }
    }
}

/// Whether the host says that no process has the port, and nothing has come until `believed`. Asks as long as `silent` holds.
///
/// It is not asked to say so again: that a keep-alive was not acknowledged says the same, and a second answer may take a second.
async fn nobody_listens(address: SocketAddr, believed: Instant, silent: impl Fn() -> bool) -> bool {
    for _ in 0..QUESTIONS {
        if !silent() {
            return false;
        }
        let refused = refused(address).await.unwrap_or(false);
        // Until then nothing is wrong.
        tokio::time::sleep_until(believed).await;
        if refused {
            return silent();
        }
    }
    false
}

/// One datagram from a connected socket: a host without the port answers with an error, at once.
async fn refused(address: SocketAddr) -> std::io::Result<bool> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    // No QUIC packet: a listener drops it.
    socket.send(&[0]).await?;
    let mut byte = [0];
    match tokio::time::timeout(ANSWER, socket.recv(&mut byte)).await {
        Ok(Err(error)) => Ok(error.kind() == ErrorKind::ConnectionRefused),
        Ok(Ok(_)) | Err(_) => Ok(false),
    }
}

impl Peers {
    fn suspect(&self, device: DeviceId) {
        if let Some(entry) = self.lock().entries.get_mut(&device) {
            entry.machine.suspect();
        }
        tracing::debug!(?device, "device has gone quiet");
        self.wanted.notify_one();
        self.tell();
    }

    fn heard(&self, device: DeviceId) {
        if let Some(entry) = self.lock().entries.get_mut(&device) {
            entry.machine.heard();
        }
        self.tell();
    }

    /// The device's process is gone, its host is there.
    fn crashed(&self, device: DeviceId, peer: &Peer) {
        {
            let mut table = self.lock();
            let Some(entry) = table.entries.get_mut(&device) else {
                return;
            };
            let current = entry.session.as_ref();
            if !current.is_some_and(|session| session.peer.is_same(peer)) {
                return;
            }
            entry.verdict = Some(OfflineReason::Crashed);
        }
        peer.close(
            DeathReason::ProcessDied,
            CloseCode::Timeout.code(),
            "crashed",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    async fn socket() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(300)
    }

    /// Everything is over before the idle timeout, and the first question comes before the keep-alive.
    #[test]
    fn the_host_is_asked_before_the_connection_asks() {
        for profile in [Profile::Balanced, Profile::Interactive, Profile::LowPower] {
            let silence = Silence::of(profile);
            let (asked, keep_alive) = (silence.asked, profile.keep_alive());
            assert!(asked + TICK < keep_alive, "{profile:?}: {silence:?}");
            assert!(asked + TICK + ANSWER < silence.believed);
            assert!(keep_alive + ANSWER < silence.believed);
            assert!(silence.believed < silence.suspect);
            assert!(silence.suspect < profile.idle_timeout());
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_has_is_told_of_once_it_is_believed() {
        let (socket, address) = socket().await;
        drop(socket);
        let believed = soon();
        assert!(nobody_listens(address, believed, || true).await);
        assert!(Instant::now() >= believed);
    }

    #[tokio::test]
    async fn what_the_host_said_is_not_believed_of_one_that_was_heard() {
        let (socket, address) = socket().await;
        drop(socket);
        let believed = soon();
        // Heard after the answer.
        assert!(!nobody_listens(address, believed, || Instant::now() < believed).await);
    }

    #[tokio::test]
    async fn who_listens_is_asked_once_before_its_keep_alive() {
        let (socket, address) = socket().await;
        let asked = AtomicU32::new(0);
        let believed = soon();
        let silent = || {
            asked.fetch_add(1, Relaxed);
            Instant::now() < believed
        };
        assert!(!nobody_listens(address, believed, silent).await);
        assert_eq!(asked.load(Relaxed), 2);
        let mut bytes = [0; 8];
        assert_eq!(socket.try_recv(&mut bytes).unwrap(), 1);
        assert!(socket.try_recv(&mut bytes).is_err());
    }
}
