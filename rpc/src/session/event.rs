//! What a session tells its driver, and the values that pass between them.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use proto::{
    CallId, DeviceId, Handle, ObjectId, ServiceId,
    frame::{Extensions, MAX_INLINE_BODY, ObjectKind, Status},
    message::DeathReason,
};

use super::{
    Slow,
    introductions::{Introduced, RedemptionId},
};
use crate::{
    interface::Spoken,
    link::Descriptor,
    remote::{LocalObject, SharedHolders},
    telemetry::TraceContext,
};

/// A place in the import table. Valid while the one who got it keeps the hold that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImportKey(pub(super) u32);

#[cfg(test)]
impl ImportKey {
    /// A place for a test that has no table.
    pub(crate) const fn for_tests(place: u32) -> Self {
        Self(place)
    }
}

/// A request being served: a place in the serving table and the generation of its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServingId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl ServingId {
    /// The place in the table; the driver keeps what belongs to it at the same place of a table of its own.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// Someone who wants to know of a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub(super) u64);

/// What a grant says of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Named or anonymous.
    pub kind: ObjectKind,
    /// Its stable name.
    pub object: ObjectId,
    /// The device it lives on, when the peer relays for it.
    pub home: Option<DeviceId>,
    /// Whether its owner lets others hand it to other devices; told among processes of one device.
    pub re_exportable: bool,
}

impl About {
    /// An object of the peer's own, for whoever was given it.
    pub(crate) const fn anonymous(object: ObjectId) -> Self {
        Self {
            kind: ObjectKind::Anonymous,
            object,
            home: None,
            re_exportable: false,
        }
    }
}

/// An object as it arrived in a parcel.
#[derive(Clone, Debug)]
pub enum Delivered {
    /// What stood here could not be passed or taken.
    Null,
    /// An object of a third device: the next of those that [`Event::Redeem`] told of for this parcel.
    Introduced,
    /// A stub of our own comes home.
    Home(LocalObject),
    /// An object of the peer. One hold comes with it, to be dropped with
    /// [`Session::drop_hold`](super::Session::drop_hold).
    Import {
        /// Its place in the import table.
        key: ImportKey,
        /// What the peer calls it.
        handle: Handle,
        /// What the peer says of it.
        about: About,
        /// Set when an obituary overtook the grant.
        dead: Option<DeathReason>,
    },
    /// No object but a file descriptor.
    Descriptor(Descriptor),
}

/// An object about to leave in a parcel, after the passing rules have spoken.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// Nothing.
    Null,
    /// A stub of our own is granted.
    Own(LocalObject),
    /// A stub of the peer goes home.
    Home(ImportKey),
    /// A stub of a third device, which has given a token for it.
    Introduced(Introduced),
    /// No object but a file descriptor.
    Descriptor(Descriptor),
}

/// The bytes of a parcel about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Two pieces, one behind the other: data and the table of object offsets.
    pub parts: [&'a [u8]; 2],
    /// Raw data, which travels beside the lane.
    pub raw: Option<&'a Bytes>,
}

impl Body<'_> {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.total_len() == 0
    }

    /// Bytes of the body, without raw data.
    pub fn len(&self) -> usize {
        self.parts[0].len() + self.parts[1].len()
    }

    /// Whether some of it travels beside the lane.
    pub(super) fn is_bulk(&self) -> bool {
        self.len() > MAX_INLINE_BODY || self.raw.is_some_and(|raw| !raw.is_empty())
    }

    /// Bytes of body and raw data together.
    pub fn total_len(&self) -> usize {
        self.len() + self.raw.map_or(0, Bytes::len)
    }
}

/// The parcel of a request or reply that has arrived whole.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    /// The body.
    pub body: Bytes,
    /// Raw data.
    pub raw: Option<Bytes>,
    /// The objects, in the order of the body's slots.
    pub objects: Vec<Delivered>,
    /// What became of those that were introduced.
    pub introductions: Option<RedemptionId>,
}

/// What travels with a call and is inherited by the calls its handler makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Which chain of calls this is part of.
    pub chain: u64,
    /// How deep in it.
    pub depth: u8,
    /// Which trace it belongs to.
    pub trace: Option<TraceContext>,
}

/// A request to run a handler for.
#[derive(Debug)]
pub struct Incoming {
    /// To be ended with [`Session::finish`](super::Session::finish), exactly once.
    pub serving: ServingId,
    /// What is called.
    pub target: LocalObject,
    /// Which method.
    pub code: u32,
    /// Whether nobody waits for the result.
    pub one_way: bool,
    /// Whether running it twice does no harm.
    pub idempotent: bool,
    /// What to inherit.
    pub context: Context,
    /// It comes over the session on which a handler of its chain waits.
    pub nested: bool,
    /// The device that makes the call, when the peer only relays it.
    pub behalf: Option<Box<DeviceId>>,
    /// What the caller speaks, where that is not checked here but passed on.
    pub spoken: Option<Box<Spoken>>,
    /// The arguments.
    pub parcel: Arrived,
}

/// How a call ended, for the one who waits.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With a parcel.
    Replied(Arrived),
    /// With a status that is not `Ok`.
    Failed {
        /// Which.
        status: Status,
        /// Details.
        extensions: Extensions,
    },
    /// Its deadline passed here.
    TimedOut,
    /// The session ended first; whether the handler ran is not known.
    Indeterminate,
}

/// How a handler ended.
#[derive(Debug)]
pub enum Answer<'a> {
    /// With a parcel.
    Parcel {
        /// Its bytes.
        body: Body<'a>,
        /// Its objects.
        objects: &'a [Outgoing],
    },
    /// With a status that is not `Ok`.
    Error {
        /// Which.
        status: Status,
        /// Details.
        extensions: Extensions,
    },
    /// It never began. A one-way call is counted as refused, at both ends.
    Refused {
        /// Why.
        status: Status,
        /// Details.
        extensions: Extensions,
    },
}

/// A reference to a stub of ours that the peer holds: the stub itself, or one registration of it.
#[derive(Clone, Debug)]
pub struct Reference(pub(crate) SharedHolders);

impl Answer<'_> {
    /// What the caller is told.
    pub fn status(&self) -> Status {
        match self {
            Self::Parcel { .. } => Status::Ok,
            Self::Error { status, .. } | Self::Refused { status, .. } => *status,
        }
    }
}

/// What a session wants done or known. All of it is done outside the lock that guards the session.
#[derive(Debug)]
pub enum Event {
    /// Run the handler of a two-way call.
    Request(Incoming),
    /// Run those of one-way calls of one object, one after the other; none of it is handed out before they have ended.
    /// The deadline of each, and the end of the session, are the driver's to watch from here on.
    OneWay {
        /// What they call.
        object: Handle,
        /// In their order, at least one.
        calls: VecDeque<Incoming>,
    },
    /// Stop the handler of a two-way call; its end is told with `finish` all the same.
    Cancel(ServingId),
    /// An outcome can be taken with [`Session::take_outcome`](super::Session::take_outcome).
    CallEnded(CallId),
    /// An imported object died.
    Died {
        /// Which.
        key: ImportKey,
        /// Why.
        reason: DeathReason,
        /// Who asked to be told; each once.
        links: Vec<LinkId>,
    },
    /// The peer holds one more reference to a stub of ours.
    Held(Reference),
    /// The peer holds one reference less to a stub of ours.
    Unheld(Reference),
    /// The peer holds a stub of ours no longer. Dropping it may run its owner's code.
    Released(LocalObject),
    /// One-way calls of this lane may be sent again.
    Credit {
        /// Which lane.
        lane: u16,
    },
    /// One-way calls of ours were refused by the peer and never reached a handler.
    OneWayRefused {
        /// How many more than last time.
        count: u64,
    },
    /// A call was refused before it came to a handler.
    Refused {
        /// Which method was called.
        code: u32,
        /// The service, if it was one.
        service: Option<ServiceId>,
        /// What the caller is told.
        status: Status,
    },
    /// A handler or a call takes long and has not ended; each once.
    Slow(Slow),
    /// The peer will begin nothing new.
    PeerGoingAway,
    /// Objects of third devices are to be asked for at their homes. When it is known what became of all of them, tell
    /// it with [`Session::redeemed`](super::Session::redeemed) and keep it for who gets the parcel.
    Redeem {
        /// Which parcel's.
        id: RedemptionId,
        /// The objects, one for each [`Delivered::Introduced`] of the parcel, in their order.
        objects: Vec<Introduced>,
        /// When to give up.
        until: Instant,
    },
    /// Nobody will be given what this parcel introduced.
    Unredeemed(RedemptionId),
    /// Nobody will be given this descriptor, or it will not be sent. Dropping it closes it, which may take its time.
    Close(Descriptor),
}

/// A bulk stream to open and write.
#[derive(Clone, Debug)]
pub struct OutgoingBulk {
    /// What stands at its head.
    pub id: u64,
    /// The body, or nothing when that is in the frame.
    pub body: Bytes,
    /// Raw data, or nothing.
    pub raw: Bytes,
}
