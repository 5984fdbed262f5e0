//! Processes of one device, without a network: one listens at a path, others attach to it, and each pair has a session with
//! the rules of IPC.
//!
//! Who may attach is what the file system says: the socket is made in a directory of its own, readable by its owner alone.
//! Who does attach is what the system says: number and user of the process come from the socket and never from its bytes.
//!
//! ```no_run
//! # async fn host() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use softbus::local::{self, LocalListener};
//!
//! // One process:
//! let bus = local::bus(softbus::DeviceId::from_bytes([7; 32]));
//! let listener = LocalListener::bind("/run/user/1000/app/bus.sock", Arc::clone(&bus))?;
//! let peer = listener.accept().await?;
//! # Ok(()) }
//! # async fn attached() -> Result<(), Box<dyn std::error::Error>> {
//! // Another:
//! let (bus, host) = softbus::local::attach("/run/user/1000/app/bus.sock").await?;
//! # Ok(()) }
//! ```

mod pair;
mod sockets;

pub use pair::{join, welcome};

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proto::{BootId, DeviceId};
use rpc::{
    Bus, BusConfig, Peer, limits,
    opening::{self, Credentials, Incoming, OpenSessionError, Remote},
    session::passing_rules::Party,
};
use tokio::net::{UnixListener, UnixStream};

use crate::link::unix::UnixLink;
use sockets::Prelude;

/// The process that listens.
const HOST: u64 = 0;

/// Why two processes have no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A process listens there already.
    #[error("{} is in use", .0.display())]
    InUse(PathBuf),
    /// Nobody listens there. Start the process that hosts the bus.
    #[error("nobody listens at {}", .0.display())]
    Absent(PathBuf),
    /// The socket, or its directory, is not ours to use.
    #[error("no access to {}", .0.display())]
    Denied(PathBuf),
    /// Something else has that name. It is left alone; choose another path.
    #[error("{} is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The other process did not do its part in 5 s.
    #[error("timed out")]
    TimedOut,
    /// The other process speaks another protocol, or none.
    #[error("not a bus: {0}")]
    Protocol(&'static str),
    /// The opening failed.
    #[error("no session: {0}")]
    Session(#[from] OpenSessionError),
    /// The system refused.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A bus for a process of a device that is on no network.
pub fn bus(device: DeviceId) -> Arc<Bus> {
    new_bus(Party {
        device,
        process: HOST,
    })
}

/// Where other processes of this device attach. Dropping it removes the socket; sessions live on.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    bus: Arc<Bus>,
    attached: AtomicU64,
    path: PathBuf,
    /// Held while we listen.
    _lock: OwnedFd,
}

impl LocalListener {
    /// Listens at `path`. Its directory is made, for its owner alone, if it is not there; a socket that a process left
    /// behind is removed.
    ///
    /// # Errors
    /// [`LocalError::InUse`], [`LocalError::NotASocket`], [`LocalError::Denied`], [`LocalError::System`].
    pub fn bind(path: impl AsRef<Path>, bus: Arc<Bus>) -> Result<Self, LocalError> {
        let path = path.as_ref().to_owned();
        let (listener, lock) = sockets::listen(&path)?;
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            bus,
            attached: AtomicU64::new(HOST + 1),
            path,
            _lock: lock,
        })
    }

    /// The next process that attaches; those that do not do their part in 5 s are turned away. Several may be let in at a
    /// time: one that stalls holds up nothing but the call that accepted it.
    ///
    /// Cancel safe: a process that was being let in is turned away.
    ///
    /// # Errors
    /// [`LocalError`] of the process that came; others may still come.
    pub async fn accept(&self) -> Result<Peer, LocalError> {
        let (control, _) = self.listener.accept().await?;
        let credentials = sockets::credentials(&control)?;
        let party = Party {
            process: self.attached.fetch_add(1, Ordering::Relaxed),
            ..self.bus.party()
        };
        let_in(&self.bus, control, party, credentials).await
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        // Under the lock: no other process has made its socket there yet.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Attaches to the process that listens at `path`: a bus for this process, and the session with that one.
///
/// # Errors
/// [`LocalError`].
pub async fn attach(path: impl AsRef<Path>) -> Result<(Arc<Bus>, Peer), LocalError> {
    let path = path.as_ref();
    let control = UnixStream::connect(path).await.map_err(|error| {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => LocalError::Absent(path),
            io::ErrorKind::PermissionDenied => LocalError::Denied(path),
            _ => LocalError::System(error),
        }
    })?;
    let credentials = sockets::credentials(&control)?;
    come_in(control, credentials).await
}

/// The session with a process that has connected.
async fn let_in(
    bus: &Arc<Bus>,
    control: UnixStream,
    party: Party,
    credentials: Credentials,
) -> Result<Peer, LocalError> {
    let sockets = sockets::offer(control, Prelude { party }).await?;
    let link = Arc::new(UnixLink::new(sockets)?);
    let remote = Remote::process(party, credentials);
    let incoming = Incoming::accept(link, remote).await?;
    Ok(incoming.welcome(bus).await?)
}

/// The session with the process that we have connected to.
async fn come_in(
    control: UnixStream,
    credentials: Credentials,
) -> Result<(Arc<Bus>, Peer), LocalError> {
    let (sockets, Prelude { party }) = sockets::take(control).await?;
    let bus = new_bus(party);
    let link = Arc::new(UnixLink::new(sockets)?);
    let host = Party {
        process: HOST,
        ..party
    };
    let remote = Remote::process(host, credentials);
    let peer = opening::connect(&bus, link, remote, 0).await?;
    Ok((bus, peer))
}

fn new_bus(party: Party) -> Arc<Bus> {
    let mut random = [0; 8];
    // Without random bytes nothing can be exported, and that is said where it is tried.
    let _ = getrandom::fill(&mut random);
    let boot = BootId {
        epoch: 0,
        random: u64::from_le_bytes(random),
    };
    Bus::new(BusConfig {
        lanes: 1,
        ..BusConfig::new(party, boot)
    })
}

/// How long the two ends take to find out who they are.
const OPENING: std::time::Duration = limits::HANDSHAKE_TIME;

fn credentials_of(pid: Option<i32>, uid: u32) -> Result<Credentials, LocalError> {
    let pid = pid.and_then(|pid| u32::try_from(pid).ok());
    let pid = pid.ok_or(LocalError::Protocol("no process number"))?;
    Ok(Credentials { pid, uid })
}
