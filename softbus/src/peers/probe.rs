//! Noticing that a device has gone quiet, and asking its host whether the process is still there.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use proto::{DeviceId, message::DeathReason};
use rpc::Peer;
use tokio::{net::UdpSocket, sync::OnceCell};

use super::{
    Peers, Session,
    silence::{Ask, Silence, TICK, Watch, nobody_listens},
};
use crate::transport::Transport;
use certs::CloseCode;

/// A session that is watched.
struct Seen {
    peer: Peer,
    address: SocketAddr,
    watch: Watch,
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
            let traffic = session.connection.traffic();
            let address = session.connection.remote_address();
            let known = seen.get_mut(&device);
            let Some(known) = known.filter(|known| known.peer.is_same(&session.peer)) else {
                let fresh = Seen {
                    peer: session.peer,
                    address,
                    watch: Watch::new(traffic, now),
                };
                seen.insert(device, fresh);
                continue;
            };
            if std::mem::replace(&mut known.address, address) != address {
                // It goes on from elsewhere; the connection itself tells nobody.
                peers.tell();
            }
            // By TCP its system says by itself that a process is gone, and no datagram gets through.
            let quic = session.connection.transport() == Transport::Quic;
            let look = known.watch.look(&silence, traffic, quic, now);
            if look.heard {
                peers.heard(device);
            }
            if look.suspect {
                peers.suspect(device);
            }
            if let Some(how) = look.ask {
                let runtime = peers.runtime.clone();
                // A node that is given up meanwhile is not kept, nor is its identity.
                let peers = Arc::downgrade(&peers);
                runtime.spawn(ask(peers, device, session, traffic.received, how));
            }
        }
    }
}

/// Asks the host of a silent device, and ends the session if nobody is there.
async fn ask(peers: Weak<Peers>, device: DeviceId, session: Session, received: u64, how: Ask) {
    let Session {
        peer, connection, ..
    } = session;
    // Anybody on the way can forge the answer: only a connection that is silent anyway is ended by it.
    let silent = || peer.end().is_none() && connection.received() == received;
    let address = connection.remote_address();
    if is_gone(address, how, silent).await
        && let Some(peers) = peers.upgrade()
    {
        peers.crashed(device, &peer);
    }
}

/// Whether the host says that nobody listens there, as long as the device is silent.
async fn is_gone(address: SocketAddr, how: Ask, silent: impl Fn() -> bool) -> bool {
    // Most silences end with the first question: nothing is kept of that until there is another one.
    let (asked, kept) = (AtomicBool::new(how.wrong), OnceCell::new());
    let question = |patience| {
        let (first, kept) = (!asked.swap(true, Ordering::Relaxed), &kept);
        async move {
            if first {
                return match ask_at(address).await {
                    Ok(socket) => refused(&socket, patience).await,
                    Err(_) => false,
                };
            }
            match kept.get_or_try_init(|| ask_at(address)).await {
                Ok(socket) => refused(socket, patience).await,
                Err(_) => false,
            }
        }
    };
    nobody_listens(question, how, silent).await
}

/// A connected socket: a host without the port answers what it sends with an error.
async fn ask_at(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// One datagram, or the answer to one before.
async fn refused(socket: &UdpSocket, patience: Duration) -> bool {
    let until = tokio::time::Instant::now() + patience;
    let answer = async {
        // No QUIC packet: a listener drops it.
        socket.send(&[0]).await?;
        socket.recv(&mut [0]).await
    };
    match tokio::time::timeout_at(until, answer).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => true,
        Ok(_) => {
            // Not sent, or answered by something else: the next one has to wait all the same.
            tokio::time::sleep_until(until).await;
            false
        }
        Err(_) => false,
    }
}

impl Peers {
    fn suspect(&self, device: DeviceId) {
        if let Some(contact) = self.lock().get_mut(&device) {
            contact.suspect();
        }
        tracing::debug!(?device, "device has gone quiet");
        self.wanted.notify_one();
        self.tell();
    }

    fn heard(&self, device: DeviceId) {
        if let Some(contact) = self.lock().get_mut(&device) {
            contact.heard();
        }
        self.tell();
    }

    /// The device's process is gone, its host is there.
    fn crashed(&self, device: DeviceId, peer: &Peer) {
        let is = |session: &Session| session.peer.is_same(peer);
        let current = self
            .lock()
            .get_mut(&device)
            .is_some_and(|contact| contact.crashed(is));
        if !current {
            return;
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

    /// A question of a silence in which nothing is wrong yet.
    fn once() -> Ask {
        Ask {
            believed: Instant::now() + Duration::from_millis(300),
            wrong: false,
        }
    }

    /// A question that is believed, and put again until then.
    fn asking() -> Ask {
        Ask {
            believed: Instant::now(),
            wrong: true,
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_has_is_told_of_once_it_is_believed() {
        let (socket, address) = socket().await;
        drop(socket);
        let how = once();
        assert!(is_gone(address, how, || true).await);
        assert!(Instant::now() >= how.believed);
    }

    #[tokio::test]
    async fn what_the_host_said_is_not_believed_of_one_that_was_heard() {
        let (socket, address) = socket().await;
        drop(socket);
        let how = once();
        // Heard after the answer.
        assert!(!is_gone(address, how, || Instant::now() < how.believed).await);
    }

    #[tokio::test]
    async fn who_listens_is_asked_once_before_its_keep_alive() {
        let (socket, address) = socket().await;
        let asked = AtomicU32::new(0);
        let how = once();
        let silent = || {
            asked.fetch_add(1, Relaxed);
            Instant::now() < how.believed
        };
        assert!(!is_gone(address, how, silent).await);
        assert_eq!(asked.load(Relaxed), 2);
        let mut bytes = [0; 8];
        assert_eq!(socket.try_recv(&mut bytes).unwrap(), 1);
        assert!(socket.try_recv(&mut bytes).is_err());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_question_that_was_not_answered() {
        let (socket, address) = socket().await;
        let how = Ask {
            believed: Instant::now() + Duration::from_secs(60),
            wrong: false,
        };
        let free = async {
            let (_, from) = socket.recv_from(&mut [0; 8]).await.unwrap();
            while UdpSocket::bind((Ipv4Addr::UNSPECIFIED, from.port()))
                .await
                .is_err()
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = is_gone(address, how, || true) => panic!("it is believed later"),
            () = free => {}
        }
    }

    /// Its first question was dropped by who listened still, and so are the next ones.
    #[tokio::test]
    async fn who_does_not_answer_is_asked_again_and_again() {
        let (socket, address) = socket().await;
        let listens = async {
            for _ in 0..10 {
                socket.recv(&mut [0; 8]).await.unwrap();
            }
            drop(socket);
        };
        let (gone, ()) = tokio::join!(is_gone(address, asking(), || true), listens);
        assert!(gone);
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_not_gone() {
        // A socket that did not ask for it may not send to everybody.
        let everybody = SocketAddr::from((Ipv4Addr::BROADCAST, 9));
        assert!(!is_gone(everybody, asking(), || true).await);
    }
}
