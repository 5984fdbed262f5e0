//! Processes of one device: one hosts the bus, others attach to it at a path, and any two of them talk directly.
//!
//! | who | has |
//! |---|---|
//! | the host, [`NodeBuilder::host_local`](crate::NodeBuilder::host_local) | identity, network, the list of services |
//! | a process that attached, [`NodeBuilder::attach`](crate::NodeBuilder::attach) | a session with the host, and one with each process it talks to |
//!
//! A process gets a service of another one from the host; its calls then go over a socket pair of the two, which the host made
//! and closed. When the host is gone those sessions go on. The others attach to the next host by themselves, and register their
//! services again.
//!
//! Who may attach is what the file system says: the socket is made in a directory of its own, readable by its owner alone.
//! Who does attach is what the system says: number and user of the process come from the socket and never from its bytes.
//!
//! [`LocalListener`] and [`attach`] are the sockets alone, for two processes that want nothing but a session.
//!
//! ```no_run
//! # async fn host() -> Result<(), Box<dyn std::error::Error>> {
//! use softbus::{Node, local};
//!
//! // One process:
//! let host = Node::builder().identity_dir("device").host_local(local::default_path()).start().await?;
//! # Ok(()) }
//! # async fn attached() -> Result<(), Box<dyn std::error::Error>> {
//! // Another:
//! let node = softbus::Node::attach(softbus::local::default_path()).await?;
//! # Ok(()) }
//! ```

mod attachment;
mod by_user;
mod descriptors;
mod desk;
mod direct;
mod egress;
mod entrance;
pub(crate) mod fuzzing;
mod handed;
mod host;
mod pair;
mod prelude;
mod process;
mod sockets;

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use proto::{BootId, DeviceId};
use rpc::{
    Bus, BusConfig, Peer, limits,
    opening::{self, Credentials, Incoming, OpenSessionError, Remote},
    session::passing_rules::Party,
};
use rustix::fs::Mode;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    time::Instant,
};

use crate::link::unix::{Sockets, UnixLink, packets::Pair};
use prelude::{Claim, Numbers, Prelude};

pub use pair::{join, welcome};

pub(crate) use attachment::Attachment;
pub(crate) use desk::Look;
pub(crate) use egress::Egress;
pub(crate) use host::LocalHost;

/// Why two processes have no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// As many processes are attached as there may be: 256, 64 of a user that is not the host's, and as many as there are when the
    /// host has fewer than 64 file descriptors left. Try again later.
    #[error("limit of {limit} processes reached")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// As many processes of this user are attaching, and have not said who they are, as may be at a time. One that attaches
    /// waits 5 s for a place before it says so. Somebody connects and says nothing: look who.
    #[error("{limit} processes of this user are attaching, limit {limit}")]
    TooManyAtOnce {
        /// The limit.
        limit: usize,
    },
    /// The other process did not do its part in 5 s.
    #[error("timed out")]
    TimedOut,
    /// The other process speaks another protocol, or none.
    #[error("not a bus: {0}")]
    Protocol(&'static str),
    /// The opening failed.
    #[error("no session: {0}")]
    Session(#[from] OpenSessionError),
    /// There is a host, of another device than the one this process belongs to.
    #[error("host of another device")]
    OtherDevice,
    /// The system refused; the text is for people.
    #[error("{0}")]
    System(String),
}

impl From<io::Error> for LocalError {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// Where a bus is hosted unless told otherwise: `softbus/bus.sock` in the user's runtime directory (`XDG_RUNTIME_DIR`), or in
/// `/run` for a process without one, such as a system service.
pub fn default_path() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|directory| directory.is_absolute());
    let runtime = runtime.unwrap_or_else(|| PathBuf::from("/run"));
    runtime.join("softbus").join("bus.sock")
}

/// A bus for a process of a device that is on no network.
pub fn bus(device: DeviceId) -> Arc<Bus> {
    new_bus(Party {
        device,
        process: Party::HOST,
    })
}

/// Where other processes of this device attach. Dropping it removes the socket; sessions live on.
#[derive(Debug)]
pub struct LocalListener {
    socket: ListeningSocket,
    bus: Arc<Bus>,
    numbers: Numbers,
}

impl LocalListener {
    /// Listens at `path`. Its directory is made, for its owner alone, if it is not there; a socket that a process left
    /// behind is removed.
    ///
    /// # Errors
    /// [`LocalError::InUse`], [`LocalError::NotASocket`], [`LocalError::Denied`], [`LocalError::System`].
    pub fn bind(path: impl AsRef<Path>, bus: Arc<Bus>) -> Result<Self, LocalError> {
        let mut secret = [0; 32];
        let random = getrandom::fill(&mut secret);
        random.map_err(|_| LocalError::System("no random numbers".to_owned()))?;
        Ok(Self {
            socket: ListeningSocket::bind(path.as_ref(), OWNER_ALONE)?,
            bus,
            numbers: Numbers::new(&secret),
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
        let arrived = self.socket.accept().await?;
        let device = self.bus.party().device;
        let let_in = arrived.let_in(device, &self.numbers).await?;
        let_in.welcome(&self.bus).await
    }
}

/// The mode of a socket that only its owner may use.
const OWNER_ALONE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The mode of one that processes of its group may use too.
const OWNER_AND_GROUP: Mode = OWNER_ALONE.union(Mode::RGRP).union(Mode::WGRP);

/// Whose processes may attach.
#[derive(Debug)]
pub(crate) enum Access {
    /// Those of our user.
    Owner,
    /// Those of the group of the socket too.
    Group,
    /// Whoever may use this socket, which somebody else has made.
    Socket(std::os::unix::net::UnixListener),
}

/// A socket that listens at a path.
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    listener: UnixListener,
    /// The path, to be removed, and the lock that says that we may, held while we listen. A socket that was handed to us is
    /// whose it was.
    ours: Option<(PathBuf, OwnedFd)>,
}

impl ListeningSocket {
    /// The socket at a path, for those who may use it.
    pub(crate) fn open(path: &Path, access: Access) -> Result<Self, LocalError> {
        match access {
            Access::Owner => Self::bind(path, OWNER_ALONE),
            Access::Group => Self::bind(path, OWNER_AND_GROUP),
            Access::Socket(listener) => Self::adopt(listener),
        }
    }

    fn bind(path: &Path, mode: Mode) -> Result<Self, LocalError> {
        let (listener, lock) = sockets::listen(path, mode)?;
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            ours: Some((path.to_owned(), lock)),
        })
    }

    fn adopt(listener: std::os::unix::net::UnixListener) -> Result<Self, LocalError> {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self {
            listener,
            ours: None,
        })
    }

    async fn accept(&self) -> Result<Arrived, LocalError> {
        let (control, _) = self.listener.accept().await?;
        Ok(Arrived {
            credentials: sockets::credentials(&control)?,
            control,
        })
    }
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        if let Some((path, _lock)) = &self.ours {
            // Under the lock: no other process has made its socket there yet.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A process that has come to the door.
struct Arrived {
    control: UnixStream,
    credentials: Credentials,
}

/// A process that has been given its number and its sockets. There is no session yet.
struct LetIn {
    party: Party,
    credentials: Credentials,
    link: Arc<UnixLink>,
}

impl Arrived {
    /// Gives it the number that it shows to be its own, or a new one.
    async fn let_in(mut self, device: DeviceId, numbers: &Numbers) -> Result<LetIn, LocalError> {
        let prelude = self.identify(device, numbers).await?;
        self.offer(prelude).await
    }

    /// Who it shows to be.
    async fn identify(
        &mut self,
        device: DeviceId,
        numbers: &Numbers,
    ) -> Result<Prelude, LocalError> {
        let claim = sockets::claim(&mut self.control).await?;
        let (process, ticket) = numbers.of(&claim)?;
        let party = Party { device, process };
        Ok(Prelude { party, ticket })
    }

    /// Gives it this number, whatever it says.
    async fn let_in_as(mut self, party: Party) -> Result<LetIn, LocalError> {
        let ticket = sockets::claim(&mut self.control).await?.ticket;
        self.offer(Prelude { party, ticket }).await
    }

    async fn offer(self, prelude: Prelude) -> Result<LetIn, LocalError> {
        let sockets = sockets::offer(self.control, prelude).await?;
        Ok(LetIn {
            party: prelude.party,
            credentials: self.credentials,
            link: Arc::new(UnixLink::new(sockets)?),
        })
    }
}

impl LetIn {
    /// Waits for its Hello.
    async fn incoming(&self, bus: &Bus) -> Result<Incoming, LocalError> {
        let remote = Remote::process(self.party, self.credentials);
        Ok(Incoming::accept(bus, Arc::clone(&self.link) as _, remote).await?)
    }

    async fn welcome(self, bus: &Arc<Bus>) -> Result<Peer, LocalError> {
        Ok(self.incoming(bus).await?.welcome(bus).await?)
    }
}

/// Attaches to the process that listens at `path`: a bus for this process, and the session with that one.
///
/// # Errors
/// [`LocalError`].
pub async fn attach(path: impl AsRef<Path>) -> Result<(Arc<Bus>, Peer), LocalError> {
    Door::knock(path.as_ref(), Claim::NEW).await?.bus().await
}

/// A host that has told us who we are. There is no session yet.
struct Door {
    sockets: Sockets,
    host: Remote,
    prelude: Prelude,
}

impl Door {
    /// Knocks until there is a place for one more that knocks, for a while.
    async fn knock(path: &Path, claim: Claim) -> Result<Self, LocalError> {
        let until = Instant::now() + OPENING;
        loop {
            match Self::knock_once(path, claim).await {
                Err(LocalError::TooManyAtOnce { .. }) if Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                ended => return ended,
            }
        }
    }

    async fn knock_once(path: &Path, claim: Claim) -> Result<Self, LocalError> {
        let control = UnixStream::connect(path).await.map_err(|error| {
            let path = path.to_owned();
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    LocalError::Absent(path)
                }
                io::ErrorKind::PermissionDenied => LocalError::Denied(path),
                _ => error.into(),
            }
        })?;
        let credentials = sockets::credentials(&control)?;
        Self::at(control, credentials, claim).await
    }

    /// The same, where we are connected already.
    async fn at(
        mut control: UnixStream,
        credentials: Credentials,
        claim: Claim,
    ) -> Result<Self, LocalError> {
        // Who is refused may not have been listened to.
        let said = sockets::say(&mut control, claim).await;
        let taken = sockets::take(control).await;
        let (sockets, prelude) = match (said, taken) {
            (_, Err(refused @ (LocalError::TooManyAtOnce { .. } | LocalError::Busy { .. }))) => {
                return Err(refused);
            }
            (said, taken) => said.and(taken)?,
        };
        let host = Party {
            process: Party::HOST,
            ..prelude.party
        };
        Ok(Self {
            sockets,
            host: Remote::process(host, credentials),
            prelude,
        })
    }

    /// A bus for this process, and the session.
    async fn bus(self) -> Result<(Arc<Bus>, Peer), LocalError> {
        let bus = new_bus(self.prelude.party);
        let link = Arc::new(UnixLink::new(self.sockets)?);
        let peer = opening::connect(&bus, link, self.host, 0).await?;
        Ok((bus, peer))
    }

    /// The session with the host, and the sessions with others that the host hands us.
    async fn enter(self, bus: &Arc<Bus>) -> Result<(Peer, mpsc::Receiver<Pair>), LocalError> {
        let (link, pairs) = UnixLink::to_host(self.sockets)?;
        let peer = opening::connect(bus, Arc::new(link), self.host, 0).await?;
        Ok((peer, pairs))
    }
}

fn new_bus(party: Party) -> Arc<Bus> {
    Bus::new(config(party))
}

fn config(party: Party) -> BusConfig {
    let mut random = [0; 8];
    // Without random bytes nothing can be exported, and that is said where it is tried.
    let _ = getrandom::fill(&mut random);
    let boot = BootId {
        epoch: 0,
        random: u64::from_le_bytes(random),
    };
    BusConfig {
        lanes: 1,
        ..BusConfig::new(party, boot)
    }
}

/// How long after it was refused for the moment a process comes again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long the two ends take to find out who they are.
const OPENING: Duration = limits::HANDSHAKE_TIME;

fn credentials_of(pid: Option<i32>, uid: u32) -> Result<Credentials, LocalError> {
    let pid = pid.and_then(|pid| u32::try_from(pid).ok());
    let pid = pid.ok_or(LocalError::Protocol("no process number"))?;
    Ok(Credentials { pid, uid })
}
