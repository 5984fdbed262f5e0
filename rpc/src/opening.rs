//! From a link to a session: Hello, Welcome, and the agreement on version, lanes and limits. No object exists before it.

use std::sync::Arc;

use proto::{
    BootId, DecodeError,
    frame::{Frame, FrameReader},
    message::{Control, Hello, VersionRange, Welcome, feature},
};

use crate::{
    bus::Bus,
    driver::{self, read_frame, write_frame},
    link::{Lane, Link, LinkClosed},
    peer::{Peer, PeerInfo},
    session::{Config, Scope, Session, passing_rules::Party},
};

/// Close codes a session itself uses; the rest belong to who admits peers.
pub mod close_code {
    /// The device is leaving.
    pub const LEAVING: u32 = 0x100;
    /// Trust was withdrawn.
    pub const REVOKED: u32 = 0x102;
    /// No common version.
    pub const VERSION: u32 = 0x105;
    /// The peer broke the protocol.
    pub const PROTOCOL: u32 = 0x10a;
    /// The opening took too long.
    pub const TIMEOUT: u32 = 0x10b;
}

/// Why a link became no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenSessionError {
    /// The versions the two ends speak do not overlap. Update the older one.
    #[error("no common version: ours {ours}, theirs {theirs}")]
    Version {
        /// Ours.
        ours: VersionRange,
        /// Theirs.
        theirs: VersionRange,
    },
    /// The other end did not finish the opening in 5 s.
    #[error("opening timed out")]
    TimedOut,
    /// The other end closed the link; its code says why.
    #[error("closed during the opening: {0:?}")]
    Closed(LinkClosed),
    /// The other end sent what is no opening.
    #[error("not an opening: {0}")]
    Protocol(String),
}

/// The peer as authentication has proven it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Who.
    pub party: Party,
    /// Where.
    pub scope: Scope,
    /// Of a process of this device: which, as the system says.
    pub credentials: Option<Credentials>,
}

/// Which process, and whose, as the system vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its number.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

impl Remote {
    /// Another device.
    pub const fn device(party: Party) -> Self {
        Self {
            party,
            scope: Scope::OtherDevice,
            credentials: None,
        }
    }

    /// Another process of this device.
    pub const fn process(party: Party, credentials: Credentials) -> Self {
        Self {
            party,
            scope: Scope::SameDevice,
            credentials: Some(credentials),
        }
    }
}

/// Opens a session on a link we dialled. `replaces` names a session with this peer that we lost; 0 for none.
///
/// # Errors
/// [`OpenSessionError`]; the link is closed.
pub async fn connect(
    bus: &Arc<Bus>,
    link: Arc<dyn Link>,
    remote: Remote,
    replaces: u64,
) -> Result<Peer, OpenSessionError> {
    let opening = async {
        let mut control = link.control().await.map_err(|_| None)?;
        let config = bus.config();
        let hello = Hello {
            versions: config.versions,
            features: features(bus, &*link, &remote),
            lanes: config.lanes,
            limits: config.limits,
            boot: config.boot,
            replaces,
        };
        if !write_frame(&mut control, &Frame::Control(Control::Hello(hello))).await {
            return Err(None);
        }
        let mut frames = FrameReader::new();
        let welcome = match read_frame(&mut control, &mut frames).await {
            Ok(Some(Frame::Control(Control::Welcome(welcome)))) => welcome,
            Ok(None) => return Err(None),
            other => return Err(Some(unexpected(&other))),
        };
        let more = welcome.features & !features(bus, &*link, &remote);
        let spoken = config.versions.contains(welcome.version);
        if !spoken || welcome.lanes > config.lanes || more != 0 {
            return Err(Some(OpenSessionError::Protocol(
                "welcome to what was not offered".into(),
            )));
        }
        let lanes = link.lanes(welcome.lanes).await.map_err(|_| None)?;
        Ok((control, frames, lanes, welcome))
    };
    let opened = tokio::time::timeout_at(driver::handshake_deadline(), opening).await;
    let opened = settle(&*link, opened).await;
    let (control, frames, lanes, welcome) =
        opened.map_err(|error| told_versions(bus.config().versions, error))?;
    Ok(begin(
        bus,
        link,
        remote,
        Opened {
            control,
            frames,
            lanes,
            welcome,
            boot: welcome.boot,
        },
    ))
}

/// A link that was dialled by the other side and has said Hello. Nothing exists for it yet.
pub struct Incoming {
    link: Arc<dyn Link>,
    control: Lane,
    frames: FrameReader,
    hello: Hello,
    /// The highest that both ends speak.
    version: u32,
    remote: Remote,
}

impl Incoming {
    /// Waits for Hello, on behalf of a bus.
    ///
    /// # Errors
    /// [`OpenSessionError`]; the link is closed.
    pub async fn accept(
        bus: &Bus,
        link: Arc<dyn Link>,
        remote: Remote,
    ) -> Result<Self, OpenSessionError> {
        let versions = bus.config().versions;
        let opening = async {
            let mut control = link.control().await.map_err(|_| None)?;
            let mut frames = FrameReader::new();
            match read_frame(&mut control, &mut frames).await {
                Ok(Some(Frame::Control(Control::Hello(hello)))) => Ok((control, frames, hello)),
                Ok(None) => Err(None),
                other => Err(Some(unexpected(&other))),
            }
        };
        let opened = tokio::time::timeout_at(driver::handshake_deadline(), opening).await;
        let (control, frames, hello) = settle(&*link, opened).await?;
        let Some(version) = versions.common(hello.versions) else {
            // The other end reads them, for the same error.
            link.close(close_code::VERSION, &format!("{VERSIONS}{versions}"));
            return Err(OpenSessionError::Version {
                ours: versions,
                theirs: hello.versions,
            });
        };
        Ok(Self {
            link,
            control,
            frames,
            hello,
            version,
            remote,
        })
    }

    /// Which start of its bus the peer is.
    pub fn boot(&self) -> BootId {
        self.hello.boot
    }

    /// The session the peer lost and wants replaced; 0 for none.
    pub fn replaces(&self) -> u64 {
        self.hello.replaces
    }

    /// Turns the peer away.
    pub fn refuse(self, code: u32, text: &str) {
        self.link.close(code, text);
    }

    /// Waits for the peer to go away, while Welcome is withheld.
    pub fn closed(&self) -> impl Future<Output = LinkClosed> + Send + use<> {
        let link = Arc::clone(&self.link);
        async move { link.closed().await }
    }

    /// Says Welcome: from here on the session exists.
    ///
    /// # Errors
    /// [`OpenSessionError`]; the link is closed.
    pub async fn welcome(self, bus: &Arc<Bus>) -> Result<Peer, OpenSessionError> {
        let Self {
            link,
            mut control,
            frames,
            hello,
            version,
            remote,
        } = self;
        let config = bus.config();
        let mut name = [0; 8];
        // Without random bytes there is no TLS either; a name need not be secret.
        let _ = getrandom::fill(&mut name);
        let welcome = Welcome {
            version,
            features: hello.features & features(bus, &*link, &remote),
            lanes: hello.lanes.min(config.lanes).max(1),
            limits: hello.limits.min(config.limits),
            boot: config.boot,
            session: u64::from_le_bytes(name) | 1,
        };
        let opening = async {
            if !write_frame(&mut control, &Frame::Control(Control::Welcome(welcome))).await {
                return Err(None);
            }
            link.lanes(welcome.lanes).await.map_err(|_| None)
        };
        let opened = tokio::time::timeout_at(driver::handshake_deadline(), opening).await;
        let lanes = settle(&*link, opened).await?;
        Ok(begin(
            bus,
            link,
            remote,
            Opened {
                control,
                frames,
                lanes,
                welcome,
                boot: hello.boot,
            },
        ))
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// What we can do beyond version 1, over this link.
fn features(bus: &Bus, link: &dyn Link, remote: &Remote) -> u64 {
    let descriptors = remote.scope == Scope::SameDevice && link.carries_descriptors();
    let descriptors = if descriptors { feature::DESCRIPTORS } else { 0 };
    let relay = match remote.scope {
        Scope::SameDevice => feature::RELAY,
        Scope::OtherDevice => 0,
    };
    bus.introductions.features() | descriptors | relay
}

struct Opened {
    control: Lane,
    frames: FrameReader,
    lanes: Vec<Lane>,
    welcome: Welcome,
    boot: BootId,
}

fn begin(bus: &Arc<Bus>, link: Arc<dyn Link>, remote: Remote, opened: Opened) -> Peer {
    let config = Config {
        scope: remote.scope,
        lanes: opened.welcome.lanes,
        limits: opened.welcome.limits.min(bus.config().limits),
        quotas: bus.config().quotas,
        boot: bus.config().boot,
        peer_boot: opened.boot,
        features: opened.welcome.features,
        peer_is_host: remote.party.process == Party::HOST,
    };
    let (session, root) = Session::new(config, bus.root());
    let info = PeerInfo {
        remote,
        name: opened.welcome.session,
        version: opened.welcome.version,
    };
    let peer = Peer::new(bus, link, session, root, info);
    bus.add_peer(&peer);
    let busy_poll = bus.config().busy_poll;
    driver::start(
        &peer,
        busy_poll,
        opened.control,
        opened.frames,
        opened.lanes,
    );
    peer
}

/// Makes one error of the ways an opening can end, and closes the link after each.
async fn settle<T>(
    link: &dyn Link,
    opened: Result<Result<T, Option<OpenSessionError>>, tokio::time::error::Elapsed>,
) -> Result<T, OpenSessionError> {
    match opened {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(Some(error))) => {
            link.close(close_code::PROTOCOL, "protocol");
            Err(error)
        }
        Ok(Err(None)) => {
            // Where the other side has closed it, closing it here too would hide why.
            let end = tokio::select! {
                biased;
                end = link.closed() => end,
                () = std::future::ready(()) => {
                    link.close(close_code::PROTOCOL, "protocol");
                    link.closed().await
                }
            };
            Err(OpenSessionError::Closed(end))
        }
        Err(_) => {
            link.close(close_code::TIMEOUT, "opening timed out");
            Err(OpenSessionError::TimedOut)
        }
    }
}

/// What stands before the versions in the text of [`close_code::VERSION`].
const VERSIONS: &str = "versions ";

/// The other end has said which versions it speaks, and that none of them is one of ours.
fn told_versions(ours: VersionRange, error: OpenSessionError) -> OpenSessionError {
    let theirs = match &error {
        OpenSessionError::Closed(LinkClosed::ByPeer { code, text })
            if *code == close_code::VERSION =>
        {
            text.strip_prefix(VERSIONS).and_then(VersionRange::parse)
        }
        _ => None,
    };
    match theirs {
        Some(theirs) => OpenSessionError::Version { ours, theirs },
        None => error,
    }
}

fn unexpected(read: &Result<Option<Frame>, DecodeError>) -> OpenSessionError {
    OpenSessionError::Protocol(match read {
        Ok(_) => "another frame".to_owned(),
        Err(error) => error.to_string(),
    })
}
