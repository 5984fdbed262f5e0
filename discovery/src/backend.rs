//! What every backend can do.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use proto::DeviceId;

use crate::{Announcement, Source, Watch};

/// A way to find devices and, for some, to be found. Object-safe: a node holds several as `Box<dyn Discovery>`.
#[async_trait]
pub trait Discovery: Send + Sync + fmt::Debug {
    /// Which source the events of this backend carry.
    fn kind(&self) -> Source;

    /// Announces this device until the [`Publication`] is withdrawn or dropped. Returns when the announcement is
    /// accepted for sending; whether others hear it is said by nobody, and trouble is a [`Status`](crate::Status).
    ///
    /// # Errors
    ///
    /// [`PublishDeviceError`]; a backend that only finds answers [`Unsupported`](PublishDeviceError::Unsupported).
    async fn publish(
        &self,
        advertisement: Advertisement,
    ) -> Result<Box<dyn Publication>, PublishDeviceError>;

    /// A new subscription. It first says what is known, then what changes. Any number may exist; a slow one loses only
    /// its own events and is then told all at once by [`Event::Lagged`](crate::Event::Lagged).
    fn watch(&self) -> Watch;

    /// Asks the backend to look again, for one device or for all. Returns at once: what it finds comes as events.
    /// Calls in quick succession are joined into one look.
    ///
    /// # Errors
    ///
    /// [`RefreshDiscoveryError`].
    async fn refresh(&self, who: Option<DeviceId>, hint: Hint)
    -> Result<(), RefreshDiscoveryError>;

    /// Names the devices whose candidates a flood of strangers must not push out, replacing those named before.
    /// A backend that cannot be flooded ignores it.
    fn pin(&self, _ids: &[DeviceId]) {}

    /// Withdraws what is published, and stops. When it returns `Ok` no socket of the backend is left and no thread but
    /// one that is about to end; calling it again is harmless. Subscriptions end.
    ///
    /// # Errors
    ///
    /// [`CloseDiscoveryError`].
    async fn close(&self, deadline: Duration) -> Result<(), CloseDiscoveryError>;
}

/// An announcement that is being made. Dropping it withdraws it as far as that is possible without waiting.
#[async_trait]
pub trait Publication: Send + Sync + fmt::Debug {
    /// Announces something else of the same device: another port, other addresses.
    ///
    /// # Errors
    ///
    /// [`UpdatePublicationError`].
    async fn update(&self, advertisement: Advertisement) -> Result<(), UpdatePublicationError>;

    /// Says goodbye. Does nothing if that was said already.
    ///
    /// # Errors
    ///
    /// [`UpdatePublicationError`].
    async fn withdraw(&self) -> Result<(), UpdatePublicationError>;
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advertisement {
    /// Who, which start of it, and which protocol versions it speaks.
    pub announcement: Announcement,
    /// The UDP port that answers, not 0.
    pub port: u16,
    /// The addresses that answer. Empty (the default) stands for all addresses of the interfaces the backend uses,
    /// kept up to date as they change.
    pub addrs: Vec<IpAddr>,
}

impl Advertisement {
    /// An advertisement for all addresses of this device.
    pub fn new(announcement: Announcement, port: u16) -> Self {
        Self {
            announcement,
            port,
            addrs: Vec::new(),
        }
    }
}

/// Why a backend should look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hint {
    /// Somebody wants to reach a device that is not known or does not answer where it was.
    Wanted,
    /// A connection to a known device went quiet.
    Suspect,
    /// An address or interface of this device changed.
    NetworkChanged,
    /// This device slept.
    Resumed,
}

/// Why a device is not announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishDeviceError {
    /// This kind of backend only finds. Publish by another.
    #[error("backend cannot publish")]
    Unsupported,
    /// The device is announced by this backend already. Update that publication or withdraw it first.
    #[error("already published")]
    AlreadyPublished,
    /// Port 0 answers nobody. Publish after the port is bound.
    #[error("port is 0")]
    PortZero,
    /// More than [`MAX_ADDRS`](crate::MAX_ADDRS) addresses. Name fewer, or none to have all announced.
    #[error("too many addresses: {0}")]
    TooManyAddrs(usize),
    /// The backend did not answer in time. Try again; if it stays so, close it and start another.
    #[error("timed out")]
    TimedOut,
    /// The backend is closed. Start another.
    #[error("closed")]
    Closed,
}

/// Why a publication is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdatePublicationError {
    /// The new advertisement is of another device. Publish that one.
    #[error("another device")]
    OtherDevice,
    /// The publication was withdrawn. Publish again.
    #[error("withdrawn")]
    Withdrawn,
    /// The new advertisement cannot be published, for this reason.
    #[error("not publishable")]
    Invalid(#[source] PublishDeviceError),
    /// The backend did not answer in time. Try again.
    #[error("timed out")]
    TimedOut,
    /// The backend is closed; with it everything was withdrawn.
    #[error("closed")]
    Closed,
}

/// Why a backend does not look again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshDiscoveryError {
    /// The backend did not take the request in time. Try again later.
    #[error("timed out")]
    TimedOut,
    /// The backend is closed. Start another.
    #[error("closed")]
    Closed,
}

/// Why closing a backend was not clean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseDiscoveryError {
    /// The deadline passed first. The backend goes on closing by itself; goodbyes may not have been sent.
    #[error("timed out")]
    TimedOut,
}
