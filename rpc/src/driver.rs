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
mod spare;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use proto::{
    DecodeError,
    frame::{Frame, FrameReader},
    message::DeathReason,
};
use tokio::runtime::RuntimeFlavor;

use crate::{
    limits,
    link::{Descriptor, Lane, LaneSend, LinkClosed, LinkError},
    opening::close_code,
    peer::{Peer, PeerShared, SessionEnd, now},
    session::{Attached, PeerFault, Scope, passing_rules::Party},
};
pub(crate) use bulk::send as send_bulk;
use busy_poll::{BusyPoll, Moved};
pub(crate) use spare::Spare;

/// How many frames a lane reads before it writes and lets others run: what is answered leaves while the rest is served, and
/// both ends work at a time.
const FRAMES_PER_POLL: usize = 128;
/// And how many bytes. Fewer would leave packets half empty.
const READ_PER_POLL: usize = 64 * 1024;
/// An empty buffer larger than this is given back.
const IDLE_BUFFER: usize = 4096;

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
        let busy_poll = BusyPoll::new(if number > 0 {
            busy_poll
        } else {
            Duration::ZERO
        });
        let shared = Arc::clone(shared);
        runtime.spawn(drive_lane(shared, number as u16, lane, frames, busy_poll));
    }
    runtime.spawn(drive_timer(Arc::clone(shared)));
    runtime.spawn(bulk::accept(Arc::clone(shared)));
    runtime.spawn(watch_link(Arc::clone(shared)));
}

/// Runs one lane until it or the session ends.
async fn drive_lane(
    peer: Arc<PeerShared>,
    number: u16,
    mut lane: Lane,
    mut frames: FrameReader,
    mut busy_poll: BusyPoll,
) {
    let mut outgoing = Outgoing::new(&peer);
    let ended = peer.ended();
    tokio::pin!(ended);
    let finish = peer.finish.wait();
    tokio::pin!(finish);
    let mut last = Last::No;
    let mut watched = false;
    let lane_end = poll_fn(|cx| {
        // Both wake this task from the first look on; looking again costs more than all else here that is done for a call.
        let look = !std::mem::replace(&mut watched, true) || peer.is_ending();
        if look && ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut moved = Moved::default();
        let received = poll_receive(&peer, number, &mut lane, &mut frames, &mut moved, cx);
        if let Poll::Ready(end) = received {
            return Poll::Ready(end);
        }
        let sent = poll_send(&peer, number, &mut lane, &mut outgoing, &mut moved, cx);
        if let Poll::Ready(end) = sent {
            return Poll::Ready(end);
        }
        if look && last == Last::No && finish.as_mut().poll(cx).is_ready() {
            last = Last::Writing;
        }
        if last == Last::Writing
            && outgoing.bytes.is_empty()
            && lane.send.poll_finish(cx).is_ready()
        {
            last = Last::Written;
            peer.lane_finished();
        }
        busy_poll.end_turn(moved, cx);
        Poll::Pending
    });
    let end = lane_end.await;
    if last != Last::Written {
        // The peer ends its half when it has seen the end of ours, and then has everything too.
        peer.lane_finished();
    }
    if let Err(fault) = end {
        peer.fault(fault);
    }
}

fn has_one_thread(peer: &PeerShared) -> bool {
    peer.runtime().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// What a lane is writing.
struct Outgoing {
    bytes: BytesMut,
    attached: Attached,
    /// On a runtime of several threads a writer lets others run once before it takes what is queued: they add to it, and
    /// one write carries it all. On a runtime of one thread they have run already.
    waits: bool,
    waited: bool,
}

impl Outgoing {
    fn new(peer: &PeerShared) -> Self {
        let waits = !has_one_thread(peer);
        Self {
            bytes: BytesMut::new(),
            attached: Attached::new(),
            waits,
            waited: false,
        }
    }
}

impl Outgoing {
    /// Writes some of it; ready when at least something was taken.
    fn poll_write(
        &mut self,
        lane: &mut dyn LaneSend,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        if self.attached.is_empty() {
            lane.poll_write(cx, &mut self.bytes)
        } else {
            self.poll_write_attached(lane, cx)
        }
    }

    /// Writes as far as to where descriptors belong, or them and what follows as far as to where the next do.
    #[cold]
    fn poll_write_attached(
        &mut self,
        lane: &mut dyn LaneSend,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        let now = matches!(self.attached.front(), Some((0, _)));
        let next = self.attached.get(usize::from(now));
        let end = next.map_or(self.bytes.len(), |(at, _)| *at);
        let rest = self.bytes.split_off(end);
        let written = match self.attached.front() {
            Some((0, descriptors)) => lane.poll_write_with(cx, &mut self.bytes, descriptors),
            _ => lane.poll_write(cx, &mut self.bytes),
        };
        let taken = end - self.bytes.len();
        self.bytes.unsplit(rest);
        if now && taken > 0 {
            self.attached.pop_front();
        }
        for (at, _) in &mut self.attached {
            *at -= taken;
        }
        written
    }
}

/// Whether a lane has been told to write no more, and whether the peer has everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Writing,
    Written,
}

/// Reads what is there. Ready at the end of the lane: the link says why, and `watch_link` hears it.
fn poll_receive(
    peer: &PeerShared,
    number: u16,
    lane: &mut Lane,
    frames: &mut FrameReader,
    moved: &mut Moved,
    cx: &mut Context<'_>,
) -> Poll<Result<(), PeerFault>> {
    let (mut bytes, mut handled) = (0, 0);
    while bytes < READ_PER_POLL && handled < FRAMES_PER_POLL {
        match lane.receive.poll_read(cx, frames.buffer()) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
            Poll::Ready(Ok(read)) => {
                moved.received = true;
                peer.telemetry().received(read);
                bytes += read;
                handled += receive(peer, number, frames, lane.receive.take_descriptors())?;
            }
            Poll::Ready(Err(LinkError::Descriptors)) => {
                return Poll::Ready(Err(PeerFault::Descriptors));
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
            Poll::Pending => {
                if frames.is_empty() && frames.buffer().capacity() > IDLE_BUFFER {
                    *frames.buffer() = BytesMut::new();
                }
                return Poll::Pending;
            }
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Gives the session every whole frame, under one lock. How many there were.
fn receive(
    peer: &PeerShared,
    number: u16,
    frames: &mut FrameReader,
    descriptors: Vec<Descriptor>,
) -> Result<usize, PeerFault> {
    // What there is no room for is closed here, outside the lock: that may wait.
    let descriptors: Vec<_> = descriptors
        .into_iter()
        .map(|descriptor| Ok(descriptor.counted(peer.descriptors.take()?)))
        .collect();
    peer.run(|state, now| {
        if !descriptors.is_empty() {
            state.session.handle_descriptors(number, descriptors);
        }
        let mut handled = 0;
        while let Some(bytes) = frames.next_frame()? {
            if let Some(frame) = Frame::decode(bytes)? {
                state.session.handle_frame(now, number, frame)?;
            }
            handled += 1;
        }
        state.session.handle_pause(number, !frames.is_empty())?;
        Ok(handled)
    })
}

/// Writes what is queued; never ready but when the lane is gone.
fn poll_send(
    peer: &PeerShared,
    number: u16,
    lane: &mut Lane,
    outgoing: &mut Outgoing,
    moved: &mut Moved,
    cx: &mut Context<'_>,
) -> Poll<Result<(), PeerFault>> {
    loop {
        if outgoing.bytes.is_empty() {
            // One that is used up points behind its memory, which looks lost to whoever looks for leaks.
            if !(1..=IDLE_BUFFER).contains(&outgoing.bytes.capacity()) {
                outgoing.bytes = BytesMut::new();
            }
            if outgoing.waits && !outgoing.waited && peer.has_transmit(number) {
                outgoing.waited = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            outgoing.waited = false;
            outgoing.attached = peer.poll_transmit(number, &mut outgoing.bytes, cx.waker());
            if outgoing.bytes.is_empty() {
                return Poll::Pending;
            }
            moved.sent = true;
        }
        match outgoing.poll_write(&mut *lane.send, cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
            Poll::Pending => return Poll::Pending,
        }
    }
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
