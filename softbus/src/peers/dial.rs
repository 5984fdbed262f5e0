//! Dialling: every address a device is known by, staggered, until one answers as that device.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use certs::{CloseCode, VerifyPeerError, tls};
use proto::{DeviceId, message::VersionRange};
use rpc::{
    link::LinkClosed,
    opening::{self, OpenSessionError, Remote},
    session::passing_rules::Party,
};
use tokio::task::JoinSet;

use super::{
    Connection, Peers, Session,
    contact::Round,
    decisions::{self, DIAL_TIME},
    session::Contact,
};
use crate::{
    link::{
        quic::{config, link_closed},
        tcp::{self, Stranger},
    },
    transport::Transport,
};

/// How much sooner than TCP, QUIC is tried at an address: longer than any answer takes that comes at all.
const HEAD_START: Duration = Duration::from_millis(700);

/// Why a dial brought no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no answer")]
    NoAnswer,
    #[error("somebody else answers at this address")]
    SomebodyElse,
    #[error("the device does not trust this one")]
    NotTrustedByPeer,
    #[error("no common protocol version: {ours} here, {theirs} there")]
    NoCommonVersion {
        ours: VersionRange,
        theirs: VersionRange,
    },
    #[error("another connection was kept")]
    Duplicate,
    #[error("another process uses this identity")]
    IdentityInUse,
    #[error("{0}")]
    Failed(String),
}

/// Dials until there is a session, or no reason to go on: with growing pauses after failures, and at once when
/// something new is heard of the device.
pub(super) async fn dial_until_online(peers: Arc<Peers>, device: DeviceId) {
    loop {
        let result = dial_once(&peers, device).await;
        let (pause, heard) = {
            let mut table = peers.lock();
            let trusted = peers.may_trust(&device);
            let Some(contact) = table.get_mut(&device) else {
                return;
            };
            let notes = &mut contact.notes;
            notes.dials += 1;
            if let Err(error) = &result {
                tracing::debug!(?device, %error, "dial");
                notes.last_error = Some((notes.dials, error.clone()));
            }
            // Under the lock, so that nothing is heard between the look and the wait.
            let heard = Arc::clone(&notes.news).notified_owned();
            let pause = table.dial_ended(&device, trusted, chance, Instant::now());
            (pause, heard)
        };
        peers.tell();
        let Some(pause) = pause else { return };
        let _ = tokio::time::timeout(pause, heard).await;
        let mut table = peers.lock();
        if !table.get_mut(&device).is_some_and(Contact::dial_again) {
            return;
        }
    }
}

/// A random byte; without any there is no TLS either.
fn chance() -> u8 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

/// A pause that is up to a quarter longer.
pub(super) fn jittered(pause: Duration) -> Duration {
    decisions::jittered(pause, chance())
}

/// One round over all addresses, those that become known meanwhile too. Connections race; only one of them at a time
/// says Hello, because a session that nobody takes would live on and be taken for the one there is.
async fn dial_once(peers: &Arc<Peers>, device: DeviceId) -> Result<(), DialError> {
    let mut attempts = JoinSet::new();
    let mut tried = Round::default();
    let mut last = DialError::NoAnswer;
    let stranded = {
        let table = peers.lock();
        table.get(&device).is_some_and(Contact::is_stranded)
    };
    let round = async {
        loop {
            let (addrs, heard) = {
                let table = peers.lock();
                let Some(contact) = table.get(&device) else {
                    return false;
                };
                let heard = Arc::clone(&contact.notes.news).notified_owned();
                (tried.due(contact), heard)
            };
            for (addr, later) in addrs {
                for (transport, after) in peers.attempts() {
                    let after = later + after;
                    let peers = Arc::clone(peers);
                    attempts.spawn(async move {
                        if !after.is_zero() {
                            // Not for the first: the timer of a runtime knows nothing shorter than a millisecond.
                            tokio::time::sleep(after).await;
                        }
                        connect(&peers, device, addr, transport).await
                    });
                }
            }
            let attempt = tokio::select! {
                attempt = attempts.join_next() => attempt,
                () = heard => continue,
            };
            let error = match attempt {
                Some(Ok(Ok(connection))) if stranded && peers.is_mended(device) => {
                    connection.close(CloseCode::Duplicate, "another connection was kept");
                    last = DialError::Duplicate;
                    return false;
                }
                Some(Ok(Ok(connection))) => match open(peers, device, connection).await {
                    Ok(()) => return true,
                    Err(error) => error,
                },
                Some(Ok(Err(error))) => error,
                Some(Err(_)) => continue,
                None => return false,
            };
            if error != DialError::NoAnswer {
                last = error;
            }
        }
    };
    match tokio::time::timeout(DIAL_TIME, round).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(last),
    }
}

impl Peers {
    /// What is tried at an address, and how much later.
    fn attempts(&self) -> impl Iterator<Item = (Transport, Duration)> + use<> {
        let transports = self.transports;
        let head_start = match transports.has(Transport::Quic) {
            true => HEAD_START,
            false => Duration::ZERO,
        };
        [
            (Transport::Quic, Duration::ZERO),
            (Transport::Tcp, head_start),
        ]
        .into_iter()
        .filter(move |(transport, _)| transports.has(*transport))
    }
}

/// One address: connection and admission.
pub(super) async fn connect(
    peers: &Peers,
    device: DeviceId,
    addr: SocketAddr,
    transport: Transport,
) -> Result<Connection, DialError> {
    let connection = match transport {
        Transport::Quic => connect_quic(peers, device, addr).await?,
        Transport::Tcp => connect_tcp(peers, device, addr).await?,
    };
    // The handshake has compared the id; trust may have changed since the dial began.
    if let Err(error) = peers.admit(&connection.certificates()) {
        connection.close(error.close_code(), "not trusted");
        return Err(DialError::Failed(error.to_string()));
    }
    Ok(connection)
}

async fn connect_quic(
    peers: &Peers,
    device: DeviceId,
    addr: SocketAddr,
) -> Result<Connection, DialError> {
    let (config, check) = config::client(&peers.identity, device, peers.profile)
        .map_err(|error| DialError::Failed(error.to_string()))?;
    let connecting = peers
        .endpoint
        .connect_with(config, addr, tls::SERVER_NAME)
        .map_err(|error| DialError::Failed(error.to_string()))?;
    let connected = connecting.await;
    connected.map(Connection::Quic).map_err(|error| {
        let refused = refused(&check, device, addr);
        refused.unwrap_or_else(|| closed(link_closed(error)))
    })
}

async fn connect_tcp(
    peers: &Peers,
    device: DeviceId,
    addr: SocketAddr,
) -> Result<Connection, DialError> {
    let failed = |error: &dyn std::fmt::Display| DialError::Failed(error.to_string());
    let (config, check) = tcp::client(&peers.identity, device).map_err(|error| failed(&error))?;
    let from = peers.endpoint.local_addr();
    let from = from.map_err(|error| failed(&error))?;
    match Stranger::dial(config, addr, from).await {
        Ok(stranger) => {
            let connection = stranger.into_connection(peers.profile, true);
            Ok(Connection::Tcp(Arc::new(connection)))
        }
        Err(error) => match refused(&check, device, addr) {
            Some(refused) => Err(refused),
            None => Err(failed(&error)),
        },
    }
}

/// Why we refused who answered, if we did.
fn refused(check: &tls::PeerCheck, device: DeviceId, addr: SocketAddr) -> Option<DialError> {
    match check.refused()? {
        VerifyPeerError::DeviceIdMismatch { .. } => {
            tracing::warn!(?device, %addr, "another device answers here");
            Some(DialError::SomebodyElse)
        }
        other => Some(DialError::Failed(other.to_string())),
    }
}

/// Makes a connection the session with a device.
async fn open(peers: &Peers, device: DeviceId, connection: Connection) -> Result<(), DialError> {
    let replaces = {
        let table = peers.lock();
        table.get(&device).map_or(0, Contact::replaces)
    };
    let admitted = peers.admit(&connection.certificates());
    let admitted = admitted.map_err(|error| DialError::Failed(error.to_string()))?;
    // Before the first call can come.
    peers.members.admitted(device, admitted.member());
    let remote = Remote::device(Party { device, process: 0 });
    let link = connection.link();
    let peer = opening::connect(&peers.bus, link, remote, replaces).await;
    let peer = peer.map_err(|error| {
        peers.no_member_without_session(device);
        match error {
            OpenSessionError::Closed(end) => closed(end),
            OpenSessionError::Version { ours, theirs } => {
                DialError::NoCommonVersion { ours, theirs }
            }
            other => DialError::Failed(other.to_string()),
        }
    })?;
    // No wait in between: a session that has begun is always taken.
    peers.install(device, Session::dialled(peer, connection));
    Ok(())
}

fn closed(end: LinkClosed) -> DialError {
    match end {
        LinkClosed::ByPeer { code, text } => match CloseCode::from_code(code.into()) {
            Some(CloseCode::NotTrusted | CloseCode::Revoked) => DialError::NotTrustedByPeer,
            Some(CloseCode::Duplicate) => DialError::Duplicate,
            Some(CloseCode::IdentityInUse) => DialError::IdentityInUse,
            _ => DialError::Failed(text),
        },
        LinkClosed::TimedOut => DialError::NoAnswer,
        other => DialError::Failed(format!("{other:?}")),
    }
}
