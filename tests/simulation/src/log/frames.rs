//! What travels, and where.

use std::fmt;

use proto::{
    CallId,
    frame::{Frame, Grant, Grants, Status},
    message::{Control, DeathReason},
};

/// Where something travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Passage {
    /// On which connection.
    pub link: u32,
    /// From which of its ends: 0 is the one that dialled.
    pub from: usize,
    /// On which lane; `None` for a bulk stream.
    pub lane: Option<u16>,
}

/// What travels, without what is random: tags, chains and names of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    /// A call: its id if it is answered, its target's place in the table of exports, its code.
    Call {
        /// What names it in its reply.
        id: Option<CallId>,
        /// What is called.
        handle: u32,
        /// Which method.
        code: u32,
        /// How many objects it carries.
        grants: usize,
        /// Those of them that the sender exports by it: their places in the table.
        exported: Vec<u32>,
        /// Whether something of it travels beside the lane.
        bulk: bool,
    },
    /// The end of a call.
    Reply {
        /// Which.
        id: CallId,
        /// How.
        status: Status,
        /// How many objects it carries.
        grants: usize,
        /// Those of them that the sender exports by it: their places in the table.
        exported: Vec<u32>,
    },
    /// One-way calls of the lane have ended.
    Ack {
        /// How many since the session began.
        calls: u64,
        /// How many of them were refused.
        refused: u64,
    },
    /// The caller waits no longer.
    Cancel(CallId),
    /// Grants are given back.
    Release {
        /// Of what.
        handle: u32,
        /// How many.
        count: u32,
    },
    /// An object is dead.
    Obituary {
        /// Which.
        handle: u32,
        /// Why.
        reason: DeathReason,
    },
    /// Another frame.
    Other(&'static str),
    /// A piece of a bulk body.
    Piece {
        /// Of which.
        id: u64,
        /// How long; `None` is its end.
        len: Option<usize>,
    },
}

fn exported(grants: &Grants) -> Vec<u32> {
    let handle = |grant| match grant {
        Grant::Granted { handle, .. } | Grant::Relayed { handle, .. } => Some(handle.index()),
        _ => None,
    };
    grants.iter().filter_map(handle).collect()
}

impl Frames {
    /// What a frame says.
    pub fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Call(call) => Self::Call {
                id: call.id,
                handle: call.handle.index(),
                code: call.code,
                grants: call.grants.iter().count(),
                exported: exported(&call.grants),
                bulk: call.bulk.is_some(),
            },
            Frame::Reply(reply) => Self::Reply {
                id: reply.id,
                status: reply.status,
                grants: reply.grants.iter().count(),
                exported: exported(&reply.grants),
            },
            Frame::Cancel(cancel) => Self::Cancel(cancel.id),
            Frame::Release(release) => Self::Release {
                handle: release.handle.index(),
                count: release.count,
            },
            Frame::Bind(_) => Self::Other("bind"),
            Frame::Ack(ack) => Self::Ack {
                calls: ack.calls,
                refused: ack.refused,
            },
            Frame::Control(Control::Obituary(obituary)) => Self::Obituary {
                handle: obituary.handle.index(),
                reason: obituary.reason,
            },
            Frame::Control(Control::Hello(_)) => Self::Other("hello"),
            Frame::Control(Control::Welcome(_)) => Self::Other("welcome"),
            Frame::Control(Control::GoAway(_)) => Self::Other("go away"),
            Frame::Control(_) => Self::Other("control"),
        }
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.from == 0 { "-->" } else { "<--" };
        match self.lane {
            Some(lane) => write!(f, "{}{way} lane {lane}", self.link),
            None => write!(f, "{}{way} bulk  ", self.link),
        }
    }
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |id: &CallId| format!("{}.{}", id.slot, id.generation);
        match self {
            Self::Call {
                id: call,
                handle,
                code,
                grants,
                bulk,
                ..
            } => {
                let call = call.as_ref().map_or_else(|| "one-way".to_owned(), id);
                write!(f, "call {call} of handle {handle}, code {code:#x}")?;
                write!(f, ", {grants} objects{}", if *bulk { ", bulk" } else { "" })
            }
            Self::Reply {
                id: call,
                status,
                grants,
                ..
            } => write!(f, "reply {} {status:?}, {grants} objects", id(call)),
            Self::Ack { calls, refused } => write!(f, "ack {calls}, {refused} refused"),
            Self::Cancel(call) => write!(f, "cancel {}", id(call)),
            Self::Release { handle, count } => write!(f, "release {handle} x {count}"),
            Self::Obituary { handle, reason } => write!(f, "obituary {handle}: {reason}"),
            Self::Other(kind) => f.write_str(kind),
            Self::Piece { id, len: Some(len) } => write!(f, "{len} bytes of body {id}"),
            Self::Piece { id, len: None } => write!(f, "end of body {id}"),
        }
    }
}
