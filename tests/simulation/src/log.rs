//! What happens in a run, in its order: what the checks look at, what two runs of one seed have to agree on, and what a
//! person reads to understand a failure.

mod frames;

use std::fmt;

use proto::message::DeathReason;
use rpc::{
    GetServiceError, LinkToDeathError, SendRequestError, parcel::PassObjectError, peer::SessionEnd,
    session::Usage,
};
use softbus::presence::OfflineReason;

pub use frames::{Frames, Passage};

/// A start of a device: it crashes, and is another place when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which device.
    pub device: u8,
    /// Which start of it, from 1.
    pub start: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            1 => write!(f, "d{}", self.device),
            start => write!(f, "d{}.{start}", self.device),
        }
    }
}

/// What an application sees of an object that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Which object it is of.
    pub object: u32,
    /// Whether it is one of a registered service.
    pub registration: Option<u32>,
    /// Which proxy it is; `None` when it is the stub itself.
    pub proxy: Option<u32>,
    /// Whether the holder knows it to be dead, and why.
    pub dead: Option<DeathReason>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "o{}", self.object)?;
        if let Some(registration) = self.registration {
            write!(f, "/r{registration}")?;
        }
        match self.dead {
            Some(_) => write!(f, " (dead)"),
            None => Ok(()),
        }
    }
}

/// A call as its caller makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Who calls.
    pub at: Place,
    /// What is called.
    pub target: Reference,
    /// What the parcel carries.
    pub objects: Vec<Reference>,
    /// Set when nobody waits for it.
    pub one_way: bool,
    /// How long it may take, in milliseconds.
    pub wait: Option<u64>,
    /// What its handler is going to answer.
    pub answer: Answer,
    /// The call whose handler makes it.
    pub inside: Option<u32>,
}

/// What a handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A reply.
    Reply,
    /// A code of its own.
    Code(i32),
    /// It panics.
    Panic,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A device has been started.
    Started(Place),
    /// It is gone without a word.
    Crashed(Place),
    /// It says goodbye.
    Leaves(Place),
    /// It has, and is gone.
    Gone(Place),
    /// A device is at another address.
    Moved(u8),
    /// A device stands still: nothing leaves it, and what comes waits.
    StandsStill(u8),
    /// It goes on.
    GoesOn(u8),
    /// A device trusts another one no longer.
    Distrusts(u8, u8),
    /// It does again.
    Trusts(u8, u8),
    /// Nothing passes any more in this direction.
    Cut(u8, u8),
    /// It does again.
    Healed(u8, u8),
    /// A connection broke, and both ends notice.
    Broke(u32),

    /// A stub was made.
    Born {
        /// Its number.
        object: u32,
        /// By whom.
        owner: Place,
        /// Who holds it may pass it on.
        re_exportable: bool,
    },
    /// It was registered as a service.
    Registered {
        /// A number of this registration alone.
        registration: u32,
        /// Which stub.
        object: u32,
        /// As what.
        service: u32,
        /// The devices it is for; `None` when it is for its own alone.
        allowed: Option<Vec<u8>>,
    },
    /// It is no service any more.
    Removed(u32),
    /// It was declared dead.
    Revoked(u32),
    /// Nobody has it any more: its memory is free.
    Freed(u32),

    /// A device was dialled.
    Dialled {
        /// By whom.
        at: Place,
        /// Which.
        to: u8,
        /// The connection that may come of it.
        link: u32,
    },
    /// A device is online to another.
    Online {
        /// To whom.
        at: Place,
        /// Which start of which.
        of: Place,
    },
    /// And no longer.
    Offline {
        /// To whom.
        at: Place,
        /// Which device.
        of: u8,
        /// Why.
        reason: OfflineReason,
    },
    /// A device has gone quiet to another.
    Suspects {
        /// To whom.
        at: Place,
        /// Which device.
        of: u8,
    },
    /// And is heard again.
    Heard {
        /// By whom.
        at: Place,
        /// Which device.
        of: u8,
    },
    /// Everything has had its time: whether a device is online to another.
    Sees {
        /// To whom.
        at: Place,
        /// Which.
        of: u8,
        /// By which connection.
        link: Option<u32>,
    },
    /// A session exists at one of its ends.
    SessionBegan {
        /// Where.
        at: Place,
        /// With whom.
        with: Place,
        /// Over which connection.
        link: u32,
    },
    /// It has ended there.
    SessionEnded {
        /// Where.
        at: Place,
        /// With which device.
        with: u8,
        /// Over which connection.
        link: u32,
        /// How.
        end: SessionEnd,
    },
    /// Somebody asked for a service.
    Asked {
        /// A number of this question alone.
        get: u32,
        /// Who.
        at: Place,
        /// Of which device.
        of: u8,
        /// Which.
        service: u32,
    },
    /// And got an answer: the registration, where it is known which of several it is.
    Answered(u32, Result<Option<u32>, GetServiceError>),

    /// A call was made.
    Begun(u32, Begun),
    /// Its handler runs.
    Ran {
        /// Which call.
        call: u32,
        /// On which stub.
        object: u32,
    },
    /// It could take this one of the parcel's objects, or not, and what was sent as raw data was what came.
    Took {
        /// Which call.
        call: u32,
        /// Which object of its parcel.
        index: usize,
        /// Why not.
        error: Option<String>,
    },
    /// It wanted to answer with this object.
    Returns {
        /// Which call.
        call: u32,
        /// What it would return.
        object: Reference,
        /// The rule that forbids it.
        refused: Option<PassObjectError>,
    },
    /// Its handler has ended, or was dropped.
    Done(u32),
    /// The caller has its answer.
    Ended(u32, Result<(), SendRequestError>),
    /// The caller waits no longer.
    Abandoned(u32),

    /// Somebody wants to be told of a death.
    Watched {
        /// A number of this watch alone.
        watch: u32,
        /// Who.
        at: Place,
        /// Of what.
        of: Reference,
        /// Whether that may be.
        result: Result<(), LinkToDeathError>,
    },
    /// And does no longer; whether it was not too late.
    Unwatched(u32, bool),
    /// Somebody was told.
    Told(u32, DeathReason),

    /// A frame, or a piece of a bulk body, was given to the network.
    Sent(Passage, Frames),
    /// It has arrived.
    Arrived(Passage, Frames),

    /// What a session holds, at a moment when nobody works.
    Usage {
        /// Over which connection.
        link: u32,
        /// At which of its ends: 0 is the one that dialled.
        end: usize,
        /// Nothing is under way on the connection, in neither direction.
        quiet: bool,
        /// How much.
        usage: Usage,
    },
    /// Everything has had its time: what somebody who still watches sees of the object.
    Remains {
        /// Which watch.
        watch: u32,
        /// Why it is dead, if it is.
        dead: Option<DeathReason>,
    },
    /// Everybody has let go of everything: what a session still holds.
    Holds {
        /// Where.
        at: Place,
        /// With which device.
        with: u8,
        /// How much.
        usage: Usage,
    },
    /// All sessions have ended, and all tasks should have.
    Over {
        /// How many have not.
        tasks: usize,
        /// What panicked that was not to.
        panics: Vec<String>,
    },
}

/// An event and when it happened, in milliseconds since the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: u64,
    /// What.
    pub event: Event,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}.{:03} ", self.at / 1000, self.at % 1000)?;
        write(f, &self.event)
    }
}

fn write(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    match event {
        Event::Started(place) => write!(f, "{place} starts"),
        Event::Crashed(place) => write!(f, "{place} crashes"),
        Event::Leaves(place) => write!(f, "{place} leaves"),
        Event::Gone(place) => write!(f, "{place} is gone"),
        Event::Moved(device) => write!(f, "d{device} is at another address"),
        Event::StandsStill(device) => write!(f, "d{device} stands still"),
        Event::GoesOn(device) => write!(f, "d{device} goes on"),
        Event::Distrusts(by, of) => write!(f, "d{by} trusts d{of} no longer"),
        Event::Trusts(by, of) => write!(f, "d{by} trusts d{of} again"),
        Event::Cut(from, to) => write!(f, "nothing passes from d{from} to d{to}"),
        Event::Healed(from, to) => write!(f, "it passes again from d{from} to d{to}"),
        Event::Broke(link) => write!(f, "connection {link} breaks"),
        Event::Born { object, owner, .. } => write!(f, "{owner} makes stub o{object}"),
        Event::Registered {
            registration,
            object,
            service,
            allowed,
        } => write!(
            f,
            "o{object} is service {service}, registration r{registration}, for {allowed:?}"
        ),
        Event::Removed(registration) => write!(f, "registration r{registration} is removed"),
        Event::Revoked(object) => write!(f, "o{object} is revoked"),
        Event::Freed(object) => write!(f, "o{object} is free"),
        Event::Dialled { at, to, link } => write!(f, "{at} dials d{to}, connection {link}"),
        Event::Online { at, of } => write!(f, "{of} is online to {at}"),
        Event::Offline { at, of, reason } => write!(f, "d{of} is offline to {at}: {reason}"),
        Event::Suspects { at, of } => write!(f, "d{of} has gone quiet to {at}"),
        Event::Heard { at, of } => write!(f, "d{of} is heard again by {at}"),
        Event::Sees { at, of, link } => write!(f, "{at} sees d{of} by {link:?}"),
        Event::SessionBegan { at, with, link } => {
            write!(f, "{at} has a session with {with} on connection {link}")
        }
        Event::SessionEnded {
            at,
            with,
            link,
            end,
        } => write!(
            f,
            "{at}'s session with d{with} on connection {link} ends: {end:?}"
        ),
        Event::Asked {
            get,
            at,
            of,
            service,
        } => write!(f, "{at} asks d{of} for service {service} (get {get})"),
        Event::Answered(get, Ok(Some(registration))) => write!(f, "get {get}: r{registration}"),
        Event::Answered(get, Ok(None)) => write!(f, "get {get}: one of several"),
        Event::Answered(get, Err(error)) => write!(f, "get {get}: {error}"),
        Event::Begun(call, begun) => write_begun(f, *call, begun),
        Event::Ran { call, object } => write!(f, "call {call} runs on o{object}"),
        Event::Took { call, index, error } => match error {
            None => write!(f, "call {call} takes object {index}"),
            Some(error) => write!(f, "call {call} cannot take object {index}: {error}"),
        },
        Event::Returns {
            call,
            object,
            refused,
        } => match refused {
            None => write!(f, "call {call} returns {object}"),
            Some(reason) => write!(f, "call {call} may not return {object}: {reason}"),
        },
        Event::Done(call) => write!(f, "handler of call {call} is done"),
        Event::Ended(call, Ok(())) => write!(f, "call {call} has its reply"),
        Event::Ended(call, Err(error)) => write!(f, "call {call} failed: {error}"),
        Event::Abandoned(call) => write!(f, "call {call} is given up"),
        Event::Watched {
            watch,
            at,
            of,
            result: Ok(()),
        } => write!(f, "{at} watches {of} (watch {watch})"),
        Event::Watched {
            at,
            of,
            result: Err(error),
            ..
        } => write!(f, "{at} may not watch {of}: {error}"),
        Event::Unwatched(watch, in_time) => write!(f, "watch {watch} ends, in time: {in_time}"),
        Event::Told(watch, reason) => write!(f, "watch {watch} is told: {reason}"),
        Event::Sent(passage, frames) => write!(f, "  {passage} sent    {frames}"),
        Event::Arrived(passage, frames) => write!(f, "  {passage} arrived {frames}"),
        Event::Usage {
            link, end, usage, ..
        } => write!(f, "  {link} end {end} holds {usage:?}"),
        Event::Remains { watch, dead } => write!(f, "watch {watch} remains, dead: {dead:?}"),
        Event::Holds { at, with, usage } => write!(f, "{at} holds of d{with}: {usage:?}"),
        Event::Over { tasks, panics } => {
            write!(f, "over; tasks left: {tasks}, panics: {panics:?}")
        }
    }
}

fn write_begun(f: &mut fmt::Formatter<'_>, call: u32, begun: &Begun) -> fmt::Result {
    let Begun {
        at,
        target,
        one_way,
        wait,
        answer,
        ..
    } = begun;
    let way = if *one_way { "one-way" } else { "two-way" };
    write!(f, "{at} calls {target} {way} (call {call}")?;
    if let Some(inside) = begun.inside {
        write!(f, ", inside of {inside}")?;
    }
    write!(f, ") with [")?;
    for object in &begun.objects {
        write!(f, " {object}")?;
    }
    write!(f, " ] for {answer:?}")?;
    match wait {
        Some(wait) => write!(f, " within {wait} ms"),
        None => Ok(()),
    }
}
