//! Control messages, checked: what a peer sends becomes one of these or an error, never a half-filled struct.

use std::fmt;

use bytes::BytesMut;
use prost::Message as _;

use crate::{BootId, DecodeError, Handle};

/// The generated types. Private: optional fields and open integers end here.
#[allow(missing_docs, unreachable_pub, clippy::use_self)]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/softbus.v1.rs"));
}

/// The version of the protocol this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// Versions of the protocol, from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The lowest.
    pub lowest: u32,
    /// The highest.
    pub highest: u32,
}

impl VersionRange {
    /// What this crate speaks.
    pub const SPOKEN: Self = Self::new(PROTOCOL_VERSION, PROTOCOL_VERSION);

    /// From the lowest to the highest.
    pub const fn new(lowest: u32, highest: u32) -> Self {
        Self { lowest, highest }
    }

    /// Whether a version is one of them.
    pub const fn contains(self, version: u32) -> bool {
        self.lowest <= version && version <= self.highest
    }

    /// The highest that is in both; `None` where there is none.
    pub fn common(self, other: Self) -> Option<u32> {
        let highest = self.highest.min(other.highest);
        (self.contains(highest) && other.contains(highest)).then_some(highest)
    }

    /// As [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (lowest, highest) = text.split_once("..=")?;
        Some(Self::new(lowest.parse().ok()?, highest.parse().ok()?))
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.lowest, self.highest)
    }
}

/// What an end can do beyond version 1, a bit each in [`Hello`] and [`Welcome`].
pub mod feature {
    /// It passes on objects of third devices, gives tokens for its own, and redeems those of others.
    pub const INTRODUCTIONS: u64 = 1;
    /// Between processes of one device: it knows objects and calls of other devices that the host relays.
    pub const RELAY: u64 = 2;
    /// Its link carries file descriptors.
    pub const DESCRIPTORS: u64 = 4;
}

/// The longest control message, in bytes.
pub const MAX_CONTROL_LEN: usize = 64 * 1024 - 1;

/// What one end is ready to hold for the other. Of two ends' figures the smaller is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLimits {
    /// Two-way calls in flight from the other end.
    pub calls_in_flight: u32,
    /// Objects exported to the other end at one time.
    pub objects: u32,
    /// Objects in one parcel, at most [`MAX_GRANTS`](crate::frame::MAX_GRANTS).
    pub objects_per_parcel: u32,
    /// One-way calls of one lane that have not ended.
    pub one_way_calls: u32,
    /// Bytes of them.
    pub one_way_bytes: u32,
    /// Bulk streams open at one time, each way.
    pub bulk_streams: u32,
}

impl PeerLimits {
    /// The smaller figure of each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            calls_in_flight: self.calls_in_flight.min(other.calls_in_flight),
            objects: self.objects.min(other.objects),
            objects_per_parcel: self.objects_per_parcel.min(other.objects_per_parcel),
            one_way_calls: self.one_way_calls.min(other.one_way_calls),
            one_way_bytes: self.one_way_bytes.min(other.one_way_bytes),
            bulk_streams: self.bulk_streams.min(other.bulk_streams),
        }
    }
}

/// First message of the end that dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The versions it speaks.
    pub versions: VersionRange,
    /// What it can do beyond version 1, a bit each.
    pub features: u64,
    /// How many call lanes it would like, from 1.
    pub lanes: u16,
    /// What it holds for the other.
    pub limits: PeerLimits,
    /// Which start of its bus this is.
    pub boot: BootId,
    /// The session it lost and wants replaced; 0 for none.
    pub replaces: u64,
}

/// The answer; from here on the session exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version both speak.
    pub version: u32,
    /// The features both have.
    pub features: u64,
    /// How many call lanes there are.
    pub lanes: u16,
    /// What the answering end holds for the other.
    pub limits: PeerLimits,
    /// Which start of its bus this is.
    pub boot: BootId,
    /// The session's name.
    pub session: u64,
}

/// The sender begins nothing new and closes when what runs has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoAway {
    /// Why, as a close code.
    pub code: u32,
    /// Why, for people.
    pub text: String,
}

/// Why an object is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeathReason {
    /// The service was removed from the owner's system ability manager.
    ServiceRemoved,
    /// The owner revoked the stub.
    Revoked,
    /// The process that hosted it ended.
    ProcessDied,
    /// The connection to its device is gone.
    DeviceUnreachable,
    /// Trust or policy no longer lets this device in.
    AccessRevoked,
    /// The process that hosted this device's bus is gone.
    HostGone,
}

impl DeathReason {
    pub(crate) const fn to_wire(self) -> u32 {
        match self {
            Self::ServiceRemoved => 1,
            Self::Revoked => 2,
            Self::ProcessDied => 3,
            Self::DeviceUnreachable => 4,
            Self::AccessRevoked => 5,
            Self::HostGone => 6,
        }
    }

    /// Reasons of later versions are read as [`DeathReason::Revoked`]: the object is dead either way.
    pub(crate) const fn from_wire(reason: u32) -> Self {
        match reason {
            1 => Self::ServiceRemoved,
            3 => Self::ProcessDied,
            4 => Self::DeviceUnreachable,
            5 => Self::AccessRevoked,
            6 => Self::HostGone,
            _ => Self::Revoked,
        }
    }
}

impl fmt::Display for DeathReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceRemoved => "service removed",
            Self::Revoked => "stub revoked",
            Self::ProcessDied => "process died",
            Self::DeviceUnreachable => "device unreachable",
            Self::AccessRevoked => "access revoked",
            Self::HostGone => "bus host gone",
        })
    }
}

/// An object the sender exported is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obituary {
    /// The object.
    pub handle: Handle,
    /// How often it was granted since the session began: a grant that this overtook arrives dead.
    pub granted: u64,
    /// Why.
    pub reason: DeathReason,
}

/// A control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Welcome`].
    Welcome(Welcome),
    /// See [`GoAway`].
    GoAway(GoAway),
    /// See [`Obituary`].
    Obituary(Obituary),
    /// The sender has forgotten a dead object: no grant of the handle is under way any more.
    ObituaryEnd(Handle),
    /// A message of a later version.
    Unknown,
}

impl Control {
    /// Reads a control message.
    ///
    /// # Errors
    /// [`DecodeError::MalformedControl`] for what is no protobuf of the schema, [`DecodeError::Invalid`] for a field
    /// out of its range.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        use wire::control::Message;
        let message = wire::Control::decode(bytes)
            .map_err(|_| DecodeError::MalformedControl)?
            .message;
        Ok(match message {
            Some(Message::Hello(hello)) => Self::Hello(Hello {
                versions: VersionRange::new(hello.version_min, hello.version_max),
                features: hello.features,
                lanes: lanes(hello.lanes)?,
                limits: limits(hello.limits)?,
                boot: boot(hello.boot)?,
                replaces: hello.replaces,
            }),
            Some(Message::Welcome(welcome)) => Self::Welcome(Welcome {
                version: welcome.version,
                features: welcome.features,
                lanes: lanes(welcome.lanes)?,
                limits: limits(welcome.limits)?,
                boot: boot(welcome.boot)?,
                session: welcome.session,
            }),
            Some(Message::GoAway(away)) => Self::GoAway(GoAway {
                code: away.code,
                text: away.text,
            }),
            Some(Message::Obituary(obituary)) => Self::Obituary(Obituary {
                handle: Handle::from_raw(obituary.handle),
                granted: obituary.granted,
                reason: DeathReason::from_wire(obituary.reason),
            }),
            Some(Message::ObituaryEnd(end)) => Self::ObituaryEnd(Handle::from_raw(end.handle)),
            None => Self::Unknown,
        })
    }

    /// Appends the message, without frame.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        use wire::control::Message;
        let message = match self {
            Self::Hello(hello) => Some(Message::Hello(wire::Hello {
                version_min: hello.versions.lowest,
                version_max: hello.versions.highest,
                features: hello.features,
                lanes: hello.lanes.into(),
                limits: Some(hello.limits.into()),
                boot: Some(hello.boot.into()),
                replaces: hello.replaces,
            })),
            Self::Welcome(welcome) => Some(Message::Welcome(wire::Welcome {
                version: welcome.version,
                features: welcome.features,
                lanes: welcome.lanes.into(),
                limits: Some(welcome.limits.into()),
                boot: Some(welcome.boot.into()),
                session: welcome.session,
            })),
            Self::GoAway(away) => Some(Message::GoAway(wire::GoAway {
                code: away.code,
                text: away.text.clone(),
            })),
            Self::Obituary(obituary) => Some(Message::Obituary(wire::Obituary {
                handle: obituary.handle.raw(),
                granted: obituary.granted,
                reason: obituary.reason.to_wire(),
            })),
            Self::ObituaryEnd(handle) => Some(Message::ObituaryEnd(wire::ObituaryEnd {
                handle: handle.raw(),
            })),
            Self::Unknown => None,
        };
        let message = wire::Control { message };
        out.reserve(message.encoded_len());
        // A BytesMut grows; prost fails only where the buffer cannot.
        let _ = message.encode(out);
    }
}

fn lanes(lanes: u32) -> Result<u16, DecodeError> {
    match u16::try_from(lanes) {
        Ok(lanes @ 1..=64) => Ok(lanes),
        _ => Err(DecodeError::Invalid("number of lanes")),
    }
}

fn boot(boot: Option<wire::Boot>) -> Result<BootId, DecodeError> {
    let boot = boot.ok_or(DecodeError::Invalid("boot id"))?;
    Ok(BootId {
        epoch: boot.epoch,
        random: boot.random,
    })
}

fn limits(limits: Option<wire::Limits>) -> Result<PeerLimits, DecodeError> {
    let limits = limits.ok_or(DecodeError::Invalid("limits"))?;
    Ok(PeerLimits {
        calls_in_flight: limits.calls_in_flight,
        objects: limits.objects,
        objects_per_parcel: limits.objects_per_parcel,
        one_way_calls: limits.one_way_calls,
        one_way_bytes: limits.one_way_bytes,
        bulk_streams: limits.bulk_streams,
    })
}

impl From<BootId> for wire::Boot {
    fn from(boot: BootId) -> Self {
        Self {
            epoch: boot.epoch,
            random: boot.random,
        }
    }
}

impl From<PeerLimits> for wire::Limits {
    fn from(limits: PeerLimits) -> Self {
        Self {
            calls_in_flight: limits.calls_in_flight,
            objects: limits.objects,
            objects_per_parcel: limits.objects_per_parcel,
            one_way_calls: limits.one_way_calls,
            one_way_bytes: limits.one_way_bytes,
            bulk_streams: limits.bulk_streams,
        }
    }
}
