//! What a host offers to the processes that attached to it, beside its system ability manager.

use std::{net::SocketAddr, sync::Weak, time::Duration};

use proto::{DeviceId, ServiceId, message::VersionRange};
use rpc::{Caller, GetServiceError, Parcelable, RemoteObject, remote_interface};

use super::host::LocalHost;
use crate::{
    device::{Device, Known},
    presence::{OfflineReason, Presence},
    transport::Transport,
};

/// How long a process is kept waiting for news of devices before it has to ask again.
const NEWS: Duration = Duration::from_secs(60);

/// Which way a service of another device is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parcelable)]
#[parcelable(crate = rpc)]
pub(crate) enum Look {
    /// Waiting for one that is started on demand.
    Get,
    /// One look.
    Check,
    /// Starting one that is started on demand.
    Load,
    /// As soon as it is there.
    WaitFor,
}

/// Why two processes have no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parcelable, thiserror::Error)]
#[parcelable(crate = rpc)]
pub(super) enum ConnectError {
    /// No process of this number is attached.
    #[error("process is gone")]
    Gone,
    /// One of the two does not take what it is handed.
    #[error("process does not answer")]
    NoAnswer,
    /// The two have been handed as many sessions within 10 s as there may be: they do not take them, or end each at once.
    #[error("too many sessions within 10 s")]
    TooOften,
    /// The host has no sockets left.
    #[error("host has no sockets left")]
    NoSockets,
}

/// A device, as a host tells of it.
#[derive(Clone, Debug, PartialEq, Parcelable)]
#[parcelable(crate = rpc)]
pub(super) struct DeviceRecord {
    id: [u8; 32],
    name: Option<String>,
    state: State,
    transport: Option<Carrier>,
    trusted: bool,
    addresses: Vec<String>,
    times_online: u64,
    last_offline: Option<Why>,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
#[parcelable(crate = rpc)]
enum State {
    Candidate,
    Connecting,
    Online,
    Suspect,
    Offline(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Parcelable)]
#[parcelable(crate = rpc)]
enum Carrier {
    Quic,
    Tcp,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
#[parcelable(crate = rpc)]
enum Why {
    Left,
    Crashed,
    TimedOut,
    Restarted,
    AccessRevoked,
    Failed(String),
    HostGone,
}

/// What a host does for a process that attached to it. Who asks comes from the session.
#[remote_interface(descriptor = "org.softbus.Host", crate = rpc)]
pub(super) trait Desk {
    /// Has the host hand a session with another process to both. `known` is the last that the asking process was handed of
    /// that kind, 0 for none: a later one is under way to it already.
    async fn connect(&self, caller: &Caller, process: u64, known: u64) -> Result<(), ConnectError>;

    /// A service of another device.
    async fn service_of(
        &self,
        caller: &Caller,
        look: Look,
        service: u32,
        device: [u8; 32],
        wait: Duration,
    ) -> Result<RemoteObject, NotGot>;

    /// The services of another device that this one may call.
    async fn services_of(&self, caller: &Caller, device: [u8; 32]) -> Result<Vec<u32>, NotGot>;

    /// The devices the host knows of and which version of that this is, as soon as it is another than the one `known`, and after
    /// a minute at the latest.
    async fn devices(&self, caller: &Caller, known: u64) -> (u64, Vec<DeviceRecord>);
}

/// The host's side.
pub(super) struct HostDesk(pub(super) Weak<LocalHost>);

impl Desk for HostDesk {
    async fn connect(&self, caller: &Caller, process: u64, known: u64) -> Result<(), ConnectError> {
        let host = self.0.upgrade().ok_or(ConnectError::Gone)?;
        host.connect(caller.party().process, process, known).await
    }

    async fn service_of(
        &self,
        caller: &Caller,
        look: Look,
        service: u32,
        device: [u8; 32],
        wait: Duration,
    ) -> Result<RemoteObject, NotGot> {
        let service = ServiceId::new(service).ok_or(NotGot::Absent)?;
        let host = self.0.upgrade().ok_or_else(leaving)?;
        let device = DeviceId::from_bytes(device);
        let got = host.service_of(caller, look, service, device, wait).await;
        got.map_err(NotGot::from)
    }

    async fn services_of(&self, caller: &Caller, device: [u8; 32]) -> Result<Vec<u32>, NotGot> {
        let host = self.0.upgrade().ok_or_else(leaving)?;
        let services = host
            .services_of(caller, DeviceId::from_bytes(device))
            .await?;
        Ok(services.into_iter().map(ServiceId::get).collect())
    }

    async fn devices(&self, _: &Caller, known: u64) -> (u64, Vec<DeviceRecord>) {
        let Some(mut changed) = self.0.upgrade().and_then(|host| host.devices_changed()) else {
            return (known, Vec::new());
        };
        if *changed.borrow_and_update() == known {
            let _ = tokio::time::timeout(NEWS, changed.changed()).await;
        }
        let version = *changed.borrow_and_update();
        let devices = self
            .0
            .upgrade()
            .map(|host| host.devices())
            .unwrap_or_default();
        (
            version,
            devices.into_iter().map(DeviceRecord::from).collect(),
        )
    }
}

fn leaving() -> NotGot {
    NotGot::Unreachable("shutting down".to_owned())
}

/// [`GetServiceError`] on its way to a process.
#[derive(Clone, Debug, PartialEq, Parcelable)]
#[parcelable(crate = rpc)]
pub(super) enum NotGot {
    Absent,
    NotDistributed,
    Refused,
    DeviceNotTrusted,
    NotTrustedByDevice,
    Unreachable(String),
    TimedOut(Duration),
    Busy,
    TooManyLoads(u32, u32),
    StartFailed(String),
    TooManyRestarts(u32, Duration),
    /// Lowest and highest of ours, and of theirs.
    NoCommonVersion([u32; 4]),
}

impl From<GetServiceError> for NotGot {
    fn from(error: GetServiceError) -> Self {
        let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        match error {
            GetServiceError::Absent => Self::Absent,
            GetServiceError::NotDistributed => Self::NotDistributed,
            GetServiceError::Refused => Self::Refused,
            GetServiceError::DeviceNotTrusted => Self::DeviceNotTrusted,
            GetServiceError::NotTrustedByDevice => Self::NotTrustedByDevice,
            GetServiceError::Unreachable(why) => Self::Unreachable(why),
            GetServiceError::TimedOut { after } => Self::TimedOut(after),
            GetServiceError::Busy => Self::Busy,
            GetServiceError::TooManyLoads { limit, value } => {
                Self::TooManyLoads(number(limit), number(value))
            }
            GetServiceError::StartFailed(why) => Self::StartFailed(why),
            GetServiceError::TooManyRestarts { limit, retry_after } => {
                Self::TooManyRestarts(number(limit), retry_after)
            }
            GetServiceError::NoCommonVersion { ours, theirs } => {
                Self::NoCommonVersion([ours.lowest, ours.highest, theirs.lowest, theirs.highest])
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<NotGot> for GetServiceError {
    fn from(error: NotGot) -> Self {
        match error {
            NotGot::Absent => Self::Absent,
            NotGot::NotDistributed => Self::NotDistributed,
            NotGot::Refused => Self::Refused,
            NotGot::DeviceNotTrusted => Self::DeviceNotTrusted,
            NotGot::NotTrustedByDevice => Self::NotTrustedByDevice,
            NotGot::Unreachable(why) => Self::Unreachable(why),
            NotGot::TimedOut(after) => Self::TimedOut { after },
            NotGot::Busy => Self::Busy,
            NotGot::TooManyLoads(limit, value) => Self::TooManyLoads {
                limit: limit as usize,
                value: value as usize,
            },
            NotGot::StartFailed(why) => Self::StartFailed(why),
            NotGot::TooManyRestarts(limit, retry_after) => Self::TooManyRestarts {
                limit: limit as usize,
                retry_after,
            },
            NotGot::NoCommonVersion([lowest, highest, their_lowest, their_highest]) => {
                Self::NoCommonVersion {
                    ours: VersionRange::new(lowest, highest),
                    theirs: VersionRange::new(their_lowest, their_highest),
                }
            }
        }
    }
}

impl From<Known> for DeviceRecord {
    fn from(known: Known) -> Self {
        let Known {
            device,
            times_online,
            last_offline,
        } = known;
        let addresses = device.addresses.iter().map(ToString::to_string);
        Self {
            id: *device.id.as_bytes(),
            name: device.name,
            state: match device.presence {
                Presence::Candidate => State::Candidate,
                Presence::Connecting => State::Connecting,
                Presence::Online => State::Online,
                Presence::Suspect => State::Suspect,
                Presence::Offline(reason) => State::Offline(reason.into()),
            },
            transport: device.transport.map(Into::into),
            trusted: device.trusted,
            addresses: addresses.collect(),
            times_online,
            last_offline: last_offline.map(Into::into),
        }
    }
}

impl From<DeviceRecord> for Known {
    fn from(record: DeviceRecord) -> Self {
        let addresses = record.addresses.iter();
        let addresses = addresses.filter_map(|address| address.parse::<SocketAddr>().ok());
        let device = Device {
            id: DeviceId::from_bytes(record.id),
            name: record.name,
            presence: match record.state {
                State::Candidate => Presence::Candidate,
                State::Connecting => Presence::Connecting,
                State::Online => Presence::Online,
                State::Suspect => Presence::Suspect,
                State::Offline(why) => Presence::Offline(why.into()),
            },
            transport: record.transport.map(Into::into),
            trusted: record.trusted,
            addresses: addresses.collect(),
        };
        Self {
            device,
            times_online: record.times_online,
            last_offline: record.last_offline.map(Into::into),
        }
    }
}

impl From<Transport> for Carrier {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Quic => Self::Quic,
            Transport::Tcp => Self::Tcp,
        }
    }
}

impl From<Carrier> for Transport {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Quic => Self::Quic,
            Carrier::Tcp => Self::Tcp,
        }
    }
}

impl From<OfflineReason> for Why {
    fn from(reason: OfflineReason) -> Self {
        match reason {
            OfflineReason::Left => Self::Left,
            OfflineReason::Crashed => Self::Crashed,
            OfflineReason::TimedOut => Self::TimedOut,
            OfflineReason::Restarted => Self::Restarted,
            OfflineReason::AccessRevoked => Self::AccessRevoked,
            OfflineReason::Failed(text) => Self::Failed(text),
            OfflineReason::HostGone => Self::HostGone,
        }
    }
}

impl From<Why> for OfflineReason {
    fn from(why: Why) -> Self {
        match why {
            Why::Left => Self::Left,
            Why::Crashed => Self::Crashed,
            Why::TimedOut => Self::TimedOut,
            Why::Restarted => Self::Restarted,
            Why::AccessRevoked => Self::AccessRevoked,
            Why::Failed(text) => Self::Failed(text),
            Why::HostGone => Self::HostGone,
        }
    }
}
