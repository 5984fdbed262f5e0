//! Devices on the local network, by multicast DNS.

mod adapter;
mod driver;
pub mod fuzzing;
mod instances;
mod machine;
mod parse;
mod schedule;

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proto::DeviceId;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use self::adapter::Adapter;
use self::driver::{Command, Driver};
use crate::{
    Advertisement, CloseDiscoveryError, Discovery, Fanout, Hint, MAX_ADDRS, Publication,
    PublishDeviceError, RefreshDiscoveryError, Source, UpdatePublicationError, Watch,
};

/// The DNS-SD service type devices announce.
pub const SERVICE_TYPE: &str = "_softbus._udp.local.";

/// How long the driver may take to answer. It never waits for the network to do so.
const ANSWER: Duration = Duration::from_secs(2);

/// Commands the driver has not read yet; beyond it a caller waits.
const COMMANDS: usize = 64;

/// How to find devices by mDNS.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MdnsOptions {
    /// On which interfaces to search and announce.
    pub interfaces: Interfaces,
}

impl MdnsOptions {
    /// Options for these interfaces.
    pub fn new(interfaces: Interfaces) -> Self {
        Self { interfaces }
    }
}

/// On which interfaces to search and announce. Point-to-point interfaces (VPNs) and those that are down are never used.
///
/// The engine joins the multicast groups on *every* interface when it starts, and only then leaves those it shall not
/// use. It sends no query and no announcement on them, but the network sees the join. Where nothing at all may leave
/// the machine, run in a network namespace whose only interface is loopback.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Interfaces {
    /// All, loopback included.
    #[default]
    All,
    /// These.
    Only(Vec<Interface>),
    /// 127.0.0.1: devices of this machine only.
    LoopbackOnly,
    /// Those for which the function says so, given the name of an interface and one of its addresses. Called on a thread
    /// of the engine, each second; must not block.
    Predicate(Arc<InterfacePredicate>),
}

/// Says whether an interface is used, given its name and one of its addresses.
pub type InterfacePredicate = dyn Fn(&str, IpAddr) -> bool + Send + Sync;

impl fmt::Debug for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Only(interfaces) => f.debug_tuple("Only").field(interfaces).finish(),
            Self::LoopbackOnly => f.write_str("LoopbackOnly"),
            Self::Predicate(_) => f.write_str("Predicate(..)"),
        }
    }
}

/// What names an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interface {
    /// Its name, as `eth0`.
    Name(String),
    /// One of its addresses; then only addresses of the same IP version are used.
    Addr(IpAddr),
}

impl From<&str> for Interface {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<IpAddr> for Interface {
    fn from(addr: IpAddr) -> Self {
        Self::Addr(addr)
    }
}

/// Finds devices on the local network and announces this one, under [`SERVICE_TYPE`].
///
/// Whatever goes wrong after the start is a [`Status`](crate::Status) and is tried again: no interface, port 5353 taken,
/// an engine that died. What strangers announce is bounded, never believed, and never makes it panic.
///
/// A candidate leaves as [`Withdrawn`](crate::Event::Withdrawn) 1.5 s after a goodbye, or 120 s after a device fell
/// silent: the engine does not tell the two apart. [`Hint::Suspect`] makes it ask a device that fell silent, which then
/// leaves after 3 s.
///
/// One thread (of the engine) and two sockets while it runs. [`close`](Discovery::close) ends all; dropping it does the
/// same in the background, as long as the runtime lives.
#[derive(Debug)]
pub struct Mdns {
    fanout: Fanout,
    commands: mpsc::Sender<Command>,
    pins: watch::Sender<HashSet<DeviceId>>,
    /// Whether it ended cleanly, once it ended.
    done: watch::Receiver<Option<bool>>,
}

impl Mdns {
    /// Starts to search. Must be called on a tokio runtime with time enabled, on which it then lives.
    ///
    /// # Errors
    ///
    /// [`StartMdnsError`]. Trouble with the network is no error but a [`Status`](crate::Status).
    pub fn start(options: MdnsOptions) -> Result<Self, StartMdnsError> {
        let runtime = Handle::try_current().map_err(|_| StartMdnsError::NoRuntime)?;
        Ok(Self::start_on(&runtime, Adapter::new(options.interfaces)))
    }

    fn start_on(runtime: &Handle, engine: impl driver::Engine) -> Self {
        let fanout = Fanout::new(Source::MDNS);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (pins, pinned) = watch::channel(HashSet::new());
        let (ended, done) = watch::channel(None);
        let driver = Driver::new(engine, fanout.clone(), receiver, pinned, ended);
        runtime.spawn(driver.run());
        Self {
            fanout,
            commands,
            pins,
            done,
        }
    }
}

#[async_trait]
impl Discovery for Mdns {
    fn kind(&self) -> Source {
        Source::MDNS
    }

    async fn publish(
        &self,
        advertisement: Advertisement,
    ) -> Result<Box<dyn Publication>, PublishDeviceError> {
        check(&advertisement)?;
        let id = advertisement.announcement.id;
        let (reply, answer) = oneshot::channel();
        let command = Command::Publish {
            advertisement,
            reply,
        };
        let token = ask(&self.commands, command, answer)
            .await
            .map_err(|error| match error {
                AskError::TimedOut => PublishDeviceError::TimedOut,
                AskError::Closed => PublishDeviceError::Closed,
            })??;
        Ok(Box::new(MdnsPublication {
            commands: self.commands.downgrade(),
            id,
            token,
        }))
    }

    fn watch(&self) -> Watch {
        self.fanout.watch()
    }

    async fn refresh(
        &self,
        who: Option<DeviceId>,
        hint: Hint,
    ) -> Result<(), RefreshDiscoveryError> {
        let send = self.commands.send(Command::Refresh { who, hint });
        match timeout(ANSWER, send).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(RefreshDiscoveryError::Closed),
            Err(_) => Err(RefreshDiscoveryError::TimedOut),
        }
    }

    fn pin(&self, ids: &[DeviceId]) {
        self.pins.send_replace(ids.iter().copied().collect());
    }

    async fn close(&self, deadline: Duration) -> Result<(), CloseDiscoveryError> {
        let deadline = Instant::now() + deadline;
        let close = async {
            // An error says that it is closed already.
            let _ = self.commands.send(Command::Close { deadline }).await;
            let mut done = self.done.clone();
            let ended = done.wait_for(Option::is_some).await;
            // Without an answer the runtime dropped the driver, and the engine with it.
            ended.ok().and_then(|clean| *clean)
        };
        match tokio::time::timeout_at(deadline, close).await {
            Ok(None | Some(true)) => Ok(()),
            Ok(Some(false)) | Err(_) => Err(CloseDiscoveryError::TimedOut),
        }
    }
}

/// An announcement of this device by mDNS.
struct MdnsPublication {
    /// Weak, so that a forgotten publication does not keep the engine alive.
    commands: mpsc::WeakSender<Command>,
    id: DeviceId,
    /// Tells it apart from a later publication of the same device.
    token: u64,
}

#[async_trait]
impl Publication for MdnsPublication {
    async fn update(&self, advertisement: Advertisement) -> Result<(), UpdatePublicationError> {
        if advertisement.announcement.id != self.id {
            return Err(UpdatePublicationError::OtherDevice);
        }
        check(&advertisement).map_err(UpdatePublicationError::Invalid)?;
        let (reply, answer) = oneshot::channel();
        let command = Command::Update {
            advertisement,
            token: self.token,
            reply,
        };
        self.ask(command, answer).await?
    }

    async fn withdraw(&self) -> Result<(), UpdatePublicationError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Withdraw {
            id: self.id,
            token: self.token,
            reply: Some(reply),
        };
        self.ask(command, answer).await
    }
}

impl MdnsPublication {
    async fn ask<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, UpdatePublicationError> {
        let commands = self
            .commands
            .upgrade()
            .ok_or(UpdatePublicationError::Closed)?;
        ask(&commands, command, answer)
            .await
            .map_err(|error| match error {
                AskError::TimedOut => UpdatePublicationError::TimedOut,
                AskError::Closed => UpdatePublicationError::Closed,
            })
    }
}

impl Drop for MdnsPublication {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.upgrade() {
            let (id, token) = (self.id, self.token);
            let reply = None;
            if let Err(error) = commands.try_send(Command::Withdraw { id, token, reply }) {
                tracing::debug!(%error, "no goodbye for a dropped publication");
            }
        }
    }
}

impl fmt::Debug for MdnsPublication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MdnsPublication")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn check(advertisement: &Advertisement) -> Result<(), PublishDeviceError> {
    if advertisement.port == 0 {
        return Err(PublishDeviceError::PortZero);
    }
    match advertisement.addrs.len() {
        n if n > MAX_ADDRS => Err(PublishDeviceError::TooManyAddrs(n)),
        _ => Ok(()),
    }
}

enum AskError {
    TimedOut,
    Closed,
}

async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: Command,
    answer: oneshot::Receiver<T>,
) -> Result<T, AskError> {
    let ask = async {
        commands.send(command).await.map_err(|_| AskError::Closed)?;
        answer.await.map_err(|_| AskError::Closed)
    };
    timeout(ANSWER, ask).await.map_err(|_| AskError::TimedOut)?
}

/// Why mDNS does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartMdnsError {
    /// It was called outside a tokio runtime. Call it from async code, or enter a runtime first.
    #[error("no tokio runtime")]
    NoRuntime,
}

#[cfg(test)]
mod tests;
