//! Noticing that a device has gone quiet, and asking its host whether the process is still there.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Weak,
    time::Duration,
};

use proto::{DeviceId, message::DeathReason};
use rpc::Peer;
use tokio::{net::UdpSocket, time::Instant};

use super::{Peers, Session};
use crate::{presence::OfflineReason, transport::Transport};
use certs::CloseCode;

/// How often the counters are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long a host may take to say that nobody listens.
const ANSWER: Duration = Duration::from_millis(100);
/// Between the two answers it takes: one alone may be an accident.
const BETWEEN: Duration = Duration::from_millis(50);
/// How often it is asked in one silence.
const QUESTIONS: u32 = 40;

/// What was last seen of a connection.
struct Seen {
    peer: Peer,
    received: u64,
    since: Instant,
    probed: bool,
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
        let quiet = peers.profile.keep_alive().mul_f32(1.5);
        let now = Instant::now();
        for (device, session) in sessions {
            let received = session.connection.received();
            let fresh = Seen {
                peer: session.peer.clone(),
                received,
                since: now,
                probed: false,
            };
            let known = seen.get_mut(&device);
            let Some(known) = known.filter(|known| known.peer.is_same(&session.peer)) else {
                seen.insert(device, fresh);
                continue;
            };
            if known.received != received {
                if known.probed {
                    peers.heard(device);
                }
                *known = fresh;
                continue;
            }
            if now - known.since >= quiet && !known.probed {
                known.probed = true;
                peers.suspect(device);
                if session.connection.transport() != Transport::Quic {
                    // Its system says by itself that a process is gone, and no datagram gets through.
                    continue;
                }
                let peers = peers.clone();
                let runtime = peers.runtime.clone();
                runtime.spawn(async move {
                    let Session {
                        peer, connection, ..
                    } = session;
                    // Anybody on the way can forge the answer: only a connection that is silent anyway is ended by it.
                    let silent = || peer.end().is_none() && connection.received() == received;
                    if nobody_listens(connection.remote_address(), silent).await {
                        peers.crashed(device, &peer);
                    }
                });
            }
        }
    }
}

/// Whether the host says, twice, that no process has the port. Asks as long as `silent` holds.
///
/// Hosts limit how often they say so, Linux to once a second after the first six, and the retransmissions of the
/// connection itself have used those up: a single question is seldom answered.
async fn nobody_listens(address: SocketAddr, silent: impl Fn() -> bool) -> bool {
    let mut answers = 0;
    for _ in 0..QUESTIONS {
        if !silent() {
            return false;
        }
        if refused(address).await.unwrap_or(false) {
            answers += 1;
            if answers == 2 {
                return silent();
            }
            tokio::time::sleep(BETWEEN).await;
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
