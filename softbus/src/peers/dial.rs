//! Dialling: every address a device is known by, staggered, until one answers as that device.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use certs::{CloseCode, VerifyPeerError, tls};
use proto::{DeviceId, message::VersionRange};
use rpc::{
    link::LinkClosed,
    opening::{self, OpenSessionError, Remote},
    session::passing_rules::Party,
};
use tokio::{task::JoinSet, time::Instant};

use super::{
    Connection, Peers, Session,
    decisions::{self, DIAL_TIME, backoff},
};
use crate::{
    link::{
        quic::{config, link_closed},
        tcp::{self, Stranger},
    },
    transport::Transport,
};

/// How much later the next address is tried.
const STAGGER: Duration = Duration::from_millis(250);
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
            let closing = table.closing;
            let trusted = peers.may_trust(&device);
            let Some(entry) = table.entries.get_mut(&device) else {
                return;
            };
            entry.dials += 1;
            if let Err(error) = &result {
                tracing::debug!(?device, %error, "dial");
                entry.last_error = Some((entry.dials, error.clone()));
            }
            let (online, now) = (entry.session.is_some(), Instant::now());
            if entry.forgotten {
                entry.forget_addrs(now);
            }
            if online || closing || !trusted || entry.addrs.is_empty() {
                entry.dialling = false;
                entry.machine.dial_failed();
                table.forget_if_unknown(&device);
                drop(table);
                peers.tell();
                return;
            }
            // Between two rounds no dial is open, and a connection of the peer's is welcome.
            entry.dialling = false;
            entry.failures += 1;
            // Under the lock, so that nothing is heard between the look and the wait.
            (
                backoff(entry.failures_that_count(now), chance()),
                Arc::clone(&entry.news).notified_owned(),
            )
        };
        peers.tell();
        let _ = tokio::time::timeout(pause, heard).await;
        let mut table = peers.lock();
        let Some(entry) = table.entries.get_mut(&device) else {
            return;
        };
        if !entry.may_dial() {
            return;
        }
        entry.dialling = true;
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
    let mut tried = Vec::new();
    let mut networks = None;
    let mut last = DialError::NoAnswer;
    let round = async {
        loop {
            let (addrs, heard) = {
                let table = peers.lock();
                let Some(entry) = table.entries.get(&device) else {
                    return false;
                };
                let heard = Arc::clone(&entry.news).notified_owned();
                if networks.replace(entry.networks) != Some(entry.networks) {
                    // What was sent before from nowhere to nowhere is repeated later and later.
                    tried.clear();
                }
                (entry.addrs_to_try(&tried), heard)
            };
            for (index, addr) in addrs.into_iter().enumerate() {
                tried.push(addr);
                for (transport, after) in peers.attempts() {
                    let after = STAGGER * index as u32 + after;
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
        let entry = table.entries.get(&device);
        entry.map_or(0, |entry| entry.lost_session)
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
