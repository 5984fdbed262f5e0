//! Identifiers, each a type of its own so that one cannot be passed for another.

mod device_id;

pub use device_id::{DeviceId, ParseDeviceIdError};

use std::fmt;

/// The number of a service at the system ability manager of a device: `1..=0x00ff_ffff`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(u32);

impl ServiceId {
    /// The largest number of a service (OpenHarmony: `system_ability_definition.h`).
    pub const MAX: u32 = 0x00ff_ffff;

    /// A service id, or `None` outside `1..=0x00ff_ffff`.
    pub const fn new(id: u32) -> Option<Self> {
        if id == 0 || id > Self::MAX {
            None
        } else {
            Some(Self(id))
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceId({})", self.0)
    }
}

/// Which start of a device's bus this is. The epoch is persisted and raised at every start, so of two connections that
/// claim the same device the one with the higher epoch is the younger process; the random half tells two processes
/// apart that were started from a copy of the same identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId {
    /// Raised at every start of the device's bus.
    pub epoch: u64,
    /// 64 random bits, new at every start.
    pub random: u64,
}

/// What names an exported object on one session: a 24-bit index and a 40-bit random tag. Means nothing on any other
/// session. Handle 0 is the peer's system ability manager.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(u64);

impl Handle {
    /// The peer's system ability manager, there from the first moment of every session.
    pub const SAMGR: Self = Self(0);
    /// How many indexes there are.
    pub const MAX_INDEX: u32 = 0x00ff_ffff;

    /// Joins an index (24 bits) and a tag (40 bits); higher bits of either are cut.
    pub const fn new(index: u32, tag: u64) -> Self {
        Self(((index & Self::MAX_INDEX) as u64) << 40 | (tag & 0xff_ffff_ffff))
    }

    /// From the wire.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// To the wire.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The place in the exporter's table.
    pub const fn index(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// The part nobody can guess.
    pub const fn tag(self) -> u64 {
        self.0 & 0xff_ffff_ffff
    }
}

impl fmt::Debug for Handle {
    /// Without the tag: a handle in a log must not be one that can be used.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.index())
    }
}

/// A stable name of an object, the same on every session: the start of the bus that owns it and a number. It grants
/// nothing; it lets two proxies of one stub be found equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// The owner's start.
    pub boot: BootId,
    /// The owner's number for the object, never used again in that start.
    pub number: u64,
}

/// A two-way call in flight: a slot of the caller's table and the generation of its use, so that a late reply is never
/// taken for that of a later call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The place in the caller's table.
    pub slot: u32,
    /// Which use of that place.
    pub generation: u32,
}
