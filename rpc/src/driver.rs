//! Moves bytes between a session and its link. The tasks here are the only ones that wait for a peer:
//!
//! * a task per lane reads frames into the session and writes what the session queued,
//! * the timer tells the session the time when something is due,
//! * a task per bulk stream, in either direction,
//! * one that waits for the end of the link.
//!
//! Where several things may come to wait for at one time they are looked at in a fixed order, never a random one: what happens depends on
//! what comes alone, and can be made to happen again.
//!
//! A lane never stops reading because a handler is slow or a queue is full: what may be under way is bounded by what
//! both ends agreed on, not by the transport.

mod bulk;
mod busy_poll;
mod lane;
mod spare;

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use proto::{
    DecodeError,
    frame::{Frame, FrameReader},
    message::DeathReason,
};
use tokio::runtime::RuntimeFlavor;

use crate::{
    limits,
    link::{Lane, LinkClosed},
    opening::close_code,
    peer::{Peer, PeerShared, SessionEnd, now},
    session::{Scope, passing_rules::Party},
};
pub(crate) use bulk::send as send_bulk;
use busy_poll::BusyPoll;
use lane::LaneDriver;
pub(crate) use spare::Spare;

/// Starts the tasks of a session.
pub(crate) fn start(
    peer: &Peer,
    busy_poll: Duration,
    control: Lane,
    control_buffer: FrameReader,
    lanes: Vec<Lane>,
) {
    let shared = &peer.shared;
    let runtime = shared.runtime();
    let busy_poll = match shared.link().is_worth_polling() && has_one_thread(shared) {
        true => busy_poll,
        false => Duration::ZERO,
    };
    let readers = std::iter::once(control_buffer).chain(std::iter::repeat_with(FrameReader::new));
    let lanes = std::iter::once(control).chain(lanes).zip(readers);
    for (number, (lane, frames)) in lanes.enumerate() {
        // Not on the control lane: no call waits for what comes there.
        let busy_poll = BusyPoll::new(match number {
            0 => Duration::ZERO,
            _ => busy_poll,
        });
        let shared = Arc::clone(shared);
        let driver = LaneDriver::new(shared, number as u16, lane, frames, busy_poll);
        runtime.spawn(driver.run());
    }
    runtime.spawn(drive_timer(Arc::clone(shared)));
    runtime.spawn(bulk::accept(Arc::clone(shared)));
    runtime.spawn(watch_link(Arc::clone(shared)));
}

/// Not one of several that are waiting for sockets and for work.
fn has_one_thread(peer: &PeerShared) -> bool {
    peer.runtime().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// Tells the session the time when something is due.
async fn drive_timer(peer: Arc<PeerShared>) {
    loop {
        let due = peer.arm();
        let wait = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = peer.ended() => return,
            () = peer.timer.notified() => {}
            () = wait => peer.run(|state, now| state.session.handle_timeout(now)),
        }
    }
}

/// Ends the session when its link ends.
async fn watch_link(peer: Arc<PeerShared>) {
    let closed = tokio::select! {
        biased;
        closed = peer.link().closed() => closed,
        _ = peer.ended() => return,
    };
    let reason = match &closed {
        LinkClosed::ByPeer { code, .. } if *code == close_code::REVOKED => {
            DeathReason::AccessRevoked
        }
        // Between processes there is nothing that could be unreachable.
        _ if peer.scope() == Scope::SameDevice => match peer.remote().process {
            Party::HOST => DeathReason::HostGone,
            _ => DeathReason::ProcessDied,
        },
        // Its host answers for a process that is gone.
        LinkClosed::Reset => DeathReason::ProcessDied,
        _ => DeathReason::DeviceUnreachable,
    };
    peer.close(SessionEnd::Link(closed), reason);
}

/// Reads one frame of the control lane, for the opening.
pub(crate) async fn read_frame(
    lane: &mut Lane,
    frames: &mut FrameReader,
) -> Result<Option<Frame>, DecodeError> {
    loop {
        if let Some(bytes) = frames.next_frame()? {
            match Frame::decode(bytes)? {
                Some(frame) => return Ok(Some(frame)),
                None => continue,
            }
        }
        let read = poll_fn(|cx| lane.receive.poll_read(cx, frames.buffer())).await;
        if !read.is_ok_and(|read| read > 0) {
            return Ok(None);
        }
    }
}

/// Writes one frame to the control lane, for the opening. Whether the link was still there.
pub(crate) async fn write_frame(lane: &mut Lane, frame: &Frame) -> bool {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    while bytes.has_remaining() {
        if poll_fn(|cx| lane.send.poll_write(cx, &mut bytes))
            .await
            .is_err()
        {
            return false;
        }
    }
    true
}

/// A deadline for an opening.
pub(crate) fn handshake_deadline() -> tokio::time::Instant {
    (now() + limits::HANDSHAKE_TIME).into()
}
