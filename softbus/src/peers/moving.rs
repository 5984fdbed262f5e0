//! A session that began on TCP goes on over QUIC when that gets through: who dialled tries it again and again.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use certs::{AuthenticatedPeer, CloseCode};
use proto::DeviceId;
use quinn::SendStream;
use rpc::{
    Peer,
    limits::HANDSHAKE_TIME,
    link::{Lane, Link, LinkError},
};
use tokio::task::JoinSet;

use super::{
    Connection, DialError, Peers, Session,
    decisions::DIAL_TIME,
    dial::{connect, jittered},
};
use crate::{
    link::{moving::MovingLink, quic::QuicLink},
    transport::Transport,
};

/// Between two tries at least: what is heard in between counts once.
const AT_LEAST: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(3);
const LAST_PAUSE: Duration = Duration::from_secs(12);
const NOT_MOVED: &str = "not moved";

/// Tries QUIC until a session is on it or has ended: after pauses, and when something new is heard of the device.
pub(super) async fn follow(peers: Weak<Peers>, device: DeviceId, session: Session) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(heard) = heard_of(&peers, device) else {
            return;
        };
        let wait = async {
            tokio::time::sleep(AT_LEAST).await;
            let _ = tokio::time::timeout(jittered(pause - AT_LEAST), heard).await;
        };
        tokio::select! {
            () = wait => {}
            _ = session.peer.ended() => return,
        }
        let Some(peers) = peers.upgrade() else { return };
        let moved = tokio::select! {
            moved = try_once(&peers, device, &session) => moved,
            _ = session.peer.ended() => return,
        };
        match moved {
            Ok(()) => return,
            Err(error) => tracing::debug!(?device, %error, "still on TCP"),
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Ready when something new is heard of a device.
fn heard_of(peers: &Weak<Peers>, device: DeviceId) -> Option<impl Future<Output = ()> + use<>> {
    let peers = peers.upgrade()?;
    let table = peers.lock();
    let news = Arc::clone(&table.get(&device)?.notes.news);
    Some(news.notified_owned())
}

async fn try_once(
    peers: &Arc<Peers>,
    device: DeviceId,
    session: &Session,
) -> Result<(), DialError> {
    let Session {
        peer, connection, ..
    } = session;
    let Some((link, lanes)) = movable(connection) else {
        return Err(DialError::Failed("nothing to move".to_owned()));
    };
    let connection = first_to_answer(peers, device, connection.remote_address()).await?;
    let Connection::Quic(quic) = &connection else {
        return Err(DialError::NoAnswer);
    };
    let next = Arc::new(QuicLink::new(quic.clone(), true));
    let lanes = async {
        next.ask_to_move(peer.session_name()).await?;
        all_lanes(&next, lanes).await
    };
    let lanes = tokio::time::timeout(HANDSHAKE_TIME, lanes).await;
    if let Ok(Ok(lanes)) = lanes
        && link.go_on(next, lanes)
    {
        peers.moved(device, peer, connection);
        return Ok(());
    }
    connection.close(CloseCode::Duplicate, NOT_MOVED);
    Err(DialError::Failed(NOT_MOVED.to_owned()))
}

/// What can move, and how many call lanes it has.
fn movable(connection: &Connection) -> Option<(Arc<MovingLink>, u16)> {
    let Connection::Tcp(tcp) = connection else {
        return None;
    };
    let link = tcp.link();
    let lanes = link.lanes_to_move()?;
    Some((link, lanes))
}

/// All addresses of a device at once, and that of its session.
async fn first_to_answer(
    peers: &Arc<Peers>,
    device: DeviceId,
    current: SocketAddr,
) -> Result<Connection, DialError> {
    let mut addrs = {
        let table = peers.lock();
        let contact = table.get(&device);
        contact.map_or_else(Vec::new, |contact| contact.addrs().to_vec())
    };
    if !addrs.contains(&current) {
        addrs.push(current);
    }
    let mut attempts = JoinSet::new();
    for addr in addrs {
        let peers = Arc::clone(peers);
        attempts.spawn(async move { connect(&peers, device, addr, Transport::Quic).await });
    }
    let answered = async {
        while let Some(attempt) = attempts.join_next().await {
            if let Ok(Ok(connection)) = attempt {
                return Some(connection);
            }
        }
        None
    };
    let answered = tokio::time::timeout(DIAL_TIME, answered).await;
    answered.ok().flatten().ok_or(DialError::NoAnswer)
}

async fn all_lanes(link: &QuicLink, count: u16) -> Result<Vec<Lane>, LinkError> {
    let mut lanes = vec![link.control().await?];
    lanes.extend(link.lanes(count).await?);
    Ok(lanes)
}

/// A device that dialled wants to go on with a session. Where that does not come to be, it stays where it is.
pub(super) async fn take_over(
    peers: &Peers,
    admitted: &AuthenticatedPeer,
    connection: quinn::Connection,
    next: QuicLink,
    name: u64,
    answer: SendStream,
) {
    let device = *admitted.device_id();
    let connection = Connection::Quic(connection);
    let session = peers.session_named(device, name);
    let movable = session.and_then(|session| Some((session.peer, movable(&session.connection)?)));
    if let Some((peer, (link, lanes))) = movable {
        let next = Arc::new(next);
        let lanes = async {
            QuicLink::agree_to_move(answer).await?;
            all_lanes(&next, lanes).await
        };
        if let Ok(lanes) = lanes.await
            && link.go_on(next, lanes)
        {
            return peers.moved(device, &peer, connection);
        }
    }
    connection.close(CloseCode::Duplicate, NOT_MOVED);
}

impl Peers {
    /// The session with a device, if that is its name.
    fn session_named(&self, device: DeviceId, name: u64) -> Option<Session> {
        let table = self.lock();
        let session = table.session(&device)?;
        (session.peer.session_name() == name).then(|| session.clone())
    }

    /// A session is on another connection.
    fn moved(&self, device: DeviceId, peer: &Peer, connection: Connection) {
        let before = {
            let mut table = self.lock();
            let contact = table.get_mut(&device);
            let is = |session: &Session| session.peer.is_same(peer);
            let to = |session: &mut Session| session.move_to(connection.clone());
            contact.and_then(|contact| contact.moved(is, to))
        };
        // Who was replaced meanwhile closes what it was on.
        let Some(before) = before else { return };
        let (from, to) = (before.transport(), connection.transport());
        tracing::info!(?device, %from, %to, "session moved");
        self.tell();
        self.admit_still(device, &connection, peer);
    }
}
