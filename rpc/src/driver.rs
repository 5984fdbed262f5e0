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

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use proto::{
    DecodeError,
    frame::{Frame, FrameReader},
    message::DeathReason,
};

use crate::{
    limits,
    link::{BulkReceive, Descriptor, Lane, LaneSend, LinkClosed, LinkError},
    opening::close_code,
    parcel::MAX_RAW_DATA,
    peer::{Peer, PeerShared, SessionEnd, now},
    quotas::Full,
    session::{Attached, LostBulk, OutgoingBulk, PeerFault, Scope, passing_rules::Party},
};

/// How many frames a lane reads before it writes and lets others run: what is answered leaves while the rest is served, and
/// both ends work at a time.
const FRAMES_PER_POLL: usize = 128;
/// And how many bytes. Fewer would leave packets half empty.
const READ_PER_POLL: usize = 64 * 1024;
/// How many pieces of a bulk body are taken at a time.
const PIECES: usize = 32;
/// How many times as much as has come of a body may be allocated for the rest of it.
const GROWTH: usize = 16;
/// An empty buffer larger than this is given back.
const IDLE_BUFFER: usize = 4096;

/// Starts the tasks of a session.
pub(crate) fn start(peer: &Peer, control: Lane, control_buffer: FrameReader, lanes: Vec<Lane>) {
    let shared = &peer.shared;
    let runtime = shared.runtime();
    let readers = std::iter::once(control_buffer).chain(std::iter::repeat_with(FrameReader::new));
    let lanes = std::iter::once(control).chain(lanes).zip(readers);
    for (number, (lane, frames)) in lanes.enumerate() {
        runtime.spawn(drive_lane(Arc::clone(shared), number as u16, lane, frames));
    }
    runtime.spawn(drive_timer(Arc::clone(shared)));
    runtime.spawn(accept_bulk(Arc::clone(shared)));
    runtime.spawn(watch_link(Arc::clone(shared)));
}

/// Runs one lane until it or the session ends.
async fn drive_lane(peer: Arc<PeerShared>, number: u16, mut lane: Lane, mut frames: FrameReader) {
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
        if let Poll::Ready(end) = poll_receive(&peer, number, &mut lane, &mut frames, cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(end) = poll_send(&peer, number, &mut lane, &mut outgoing, cx) {
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
        let flavor = peer.runtime().runtime_flavor();
        let waits = flavor == tokio::runtime::RuntimeFlavor::MultiThread;
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
    cx: &mut Context<'_>,
) -> Poll<Result<(), PeerFault>> {
    let (mut bytes, mut handled) = (0, 0);
    while bytes < READ_PER_POLL && handled < FRAMES_PER_POLL {
        match lane.receive.poll_read(cx, frames.buffer()) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
            Poll::Ready(Ok(read)) => {
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

/// Sends a bulk body on a stream of its own.
pub(crate) fn spawn_bulk(peer: &Arc<PeerShared>, bulk: OutgoingBulk) {
    let peer = Arc::clone(peer);
    let runtime = peer.runtime().clone();
    runtime.spawn(async move {
        let OutgoingBulk { id, body, raw } = bulk;
        let send = async {
            let mut stream = peer.link().open_bulk(id).await?;
            for piece in [body, raw] {
                if !piece.is_empty() {
                    peer.telemetry().sent(piece.len());
                    stream.write(piece).await?;
                }
            }
            stream.finish();
            Ok::<_, LinkError>(())
        };
        tokio::select! {
            biased;
            sent = send => if let Err(error) = sent {
                tracing::debug!(%error, "bulk stream given up");
            },
            _ = peer.ended() => {}
        }
        peer.run(|state, _| state.session.bulk_sent());
    });
}

/// Takes the bulk streams that the peer opens, each on a task of its own.
async fn accept_bulk(peer: Arc<PeerShared>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = peer.ended() => return,
            accepted = peer.link().accept_bulk() => accepted,
        };
        let (id, stream) = match accepted {
            Ok(accepted) => accepted,
            Err(LinkError::Unexpected) => return peer.fault(PeerFault::InvalidBulk),
            // The link says why, and `watch_link` hears it.
            Err(_) => return,
        };
        let runtime = peer.runtime().clone();
        let peer = Arc::clone(&peer);
        runtime.spawn(async move {
            let mut reserved = Reserved {
                peer: &peer,
                bytes: 0,
            };
            let received = tokio::select! {
                biased;
                received = receive_bulk(id, stream, &mut reserved) => received,
                _ = peer.ended() => return,
            };
            match received {
                Ok(body) => {
                    let taken = peer.run(|state, now| {
                        let taken = state.session.handle_bulk(now, id, body);
                        reserved.bytes -= state.keep_early();
                        taken
                    });
                    drop(reserved);
                    if let Err(fault) = taken {
                        peer.fault(fault);
                    }
                }
                Err(why) => peer.run(|state, _| state.session.handle_bulk_reset(id, why)),
            }
        });
    }
}

/// Memory reserved for one body while it arrives; while it waits for its header, `State` has the reservation.
struct Reserved<'a> {
    peer: &'a PeerShared,
    bytes: usize,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.peer.bulk_memory.give_back(self.bytes);
    }
}

/// Reads a body.
async fn receive_bulk(
    id: u64,
    mut stream: Box<dyn BulkReceive>,
    reserved: &mut Reserved<'_>,
) -> Result<Bytes, LostBulk> {
    let limit = limits::MAX_REMOTE_PARCEL + MAX_RAW_DATA;
    let peer = reserved.peer;
    let mut pieces = [const { Bytes::new() }; PIECES];
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    loop {
        let read = poll_fn(|cx| stream.poll_read(cx, &mut pieces)).await;
        let count = read.map_err(|_| LostBulk::GivenUp)?;
        let pieces = &mut pieces[..count];
        if pieces.is_empty() {
            // A body in one piece is where it came.
            return Ok(if body.is_empty() {
                first
            } else {
                body.freeze()
            });
        }
        let bytes = pieces.iter().map(Bytes::len).sum();
        let before = reserved.bytes;
        let here = before + bytes;
        let taken = match here > limit {
            true => Err(Full { limit, value: here }),
            false => peer.bulk_memory.take(bytes),
        };
        taken.map_err(|full| {
            // What has not come would have come, as far as its header is here to say so.
            let announced = peer.lock().session.announced(id).unwrap_or_default();
            LostBulk::NoRoom(Full {
                value: full.value.saturating_add(announced.saturating_sub(here)),
                ..full
            })
        })?;
        reserved.bytes = here;
        peer.telemetry().received(bytes);
        if before == 0 && count == 1 {
            first = std::mem::take(&mut pieces[0]);
            continue;
        }
        if body.capacity() < reserved.bytes {
            let announced = peer.lock().session.announced(id).unwrap_or_default();
            // Memory grows with what has come, not with what was claimed.
            let capacity = announced.min(reserved.bytes * GROWTH).max(reserved.bytes);
            body.reserve(capacity - body.len());
        }
        body.extend_from_slice(&std::mem::take(&mut first));
        for piece in pieces {
            body.extend_from_slice(&std::mem::take(piece));
        }
    }
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
