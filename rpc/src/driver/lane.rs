//! One lane: what comes is given to the session, and what the session queued is written.

use std::{
    future::poll_fn,
    ops::RangeInclusive,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use proto::frame::{Frame, FrameReader};

use super::{
    busy_poll::{BusyPoll, Moved},
    has_one_thread,
};
use crate::{
    link::{Descriptor, Lane, LaneReceive, LaneSend, LinkError},
    peer::PeerShared,
    session::{Attached, PeerFault},
};

/// How many frames a lane gives the session before it writes and lets others run: half as many as calls wait for their answers, but no more and no
/// fewer than these. With a few dozen calls in flight all of them come in one packet: while one end served it the other would wait, and the other way round. A packet for
/// fewer than that costs more than it wins.
const FRAMES_PER_TURN: RangeInclusive<usize> = 32..=128;
/// And how many bytes it reads. Fewer would leave packets half empty.
const READ_PER_TURN: usize = 64 * 1024;
/// An empty buffer larger than this is given back.
const IDLE_BUFFER: usize = 4096;

/// What moves the bytes of one lane.
pub(super) struct LaneDriver {
    peer: Arc<PeerShared>,
    number: u16,
    receive: Box<dyn LaneReceive>,
    send: Box<dyn LaneSend>,
    incoming: Incoming,
    outgoing: Outgoing,
    busy_poll: BusyPoll,
}

/// How a lane ends: the link says why, and `watch_link` hears it, or the peer did what no peer may do.
type End = Result<(), PeerFault>;

/// What a lane has read.
struct Incoming {
    frames: FrameReader,
    /// Whole frames may be among that. Nothing more is read before they are handled.
    rest: bool,
    /// What was queued since some were handled has been written: the rest is next, whatever is queued meanwhile.
    written: bool,
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

/// Whether a lane has been told to write no more, and whether the peer has everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Writing,
    Written,
}

impl LaneDriver {
    pub(super) fn new(
        peer: Arc<PeerShared>,
        number: u16,
        lane: Lane,
        frames: FrameReader,
        busy_poll: BusyPoll,
    ) -> Self {
        let waits = !has_one_thread(&peer);
        Self {
            peer,
            number,
            receive: lane.receive,
            send: lane.send,
            incoming: Incoming {
                frames,
                rest: false,
                written: false,
            },
            outgoing: Outgoing {
                bytes: BytesMut::new(),
                attached: Attached::new(),
                waits,
                waited: false,
            },
            busy_poll,
        }
    }

    /// Runs until the lane or the session ends.
    pub(super) async fn run(mut self) {
        let peer = Arc::clone(&self.peer);
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
            if let Poll::Ready(end) = self.poll_turn(cx) {
                return Poll::Ready(end);
            }
            if look && last == Last::No && finish.as_mut().poll(cx).is_ready() {
                last = Last::Writing;
            }
            if last == Last::Writing
                && self.outgoing.bytes.is_empty()
                && self.send.poll_finish(cx).is_ready()
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

    /// Does what can be done now. Ready at the end of the lane.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut moved = Moved::default();
        if self.incoming.rest && !std::mem::replace(&mut self.incoming.written, true) {
            // What was answered, and what was asked because of answers, leaves before the rest is looked at.
            if let Poll::Ready(end) = self.poll_send(&mut moved, cx) {
                return Poll::Ready(end);
            }
        }
        if !moved.sent {
            if let Poll::Ready(end) = self.poll_receive(&mut moved, cx) {
                return Poll::Ready(end);
            }
            if let Poll::Ready(end) = self.poll_send(&mut moved, cx) {
                return Poll::Ready(end);
            }
        }
        if self.incoming.rest {
            // Last, so that whoever was woken by what was handled and written runs before.
            cx.waker().wake_by_ref();
        }
        self.busy_poll.end_turn(moved, cx);
        Poll::Pending
    }

    /// Handles what is left, then reads what is there.
    fn poll_receive(&mut self, moved: &mut Moved, cx: &mut Context<'_>) -> Poll<End> {
        let (mut bytes, mut frames) = (0, 0);
        if self.incoming.rest {
            moved.received = true;
            self.handle(Vec::new(), &mut frames)?;
        }
        while !self.incoming.rest {
            if bytes >= READ_PER_TURN {
                cx.waker().wake_by_ref();
                break;
            }
            match self.receive.poll_read(cx, self.incoming.frames.buffer()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(read)) => {
                    moved.received = true;
                    self.peer.telemetry().received(read);
                    bytes += read;
                    let descriptors = self.receive.take_descriptors();
                    self.handle(descriptors, &mut frames)?;
                }
                Poll::Ready(Err(LinkError::Descriptors)) => {
                    return Poll::Ready(Err(PeerFault::Descriptors));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let frames = &mut self.incoming.frames;
                    if frames.is_empty() && frames.buffer().capacity() > IDLE_BUFFER {
                        *frames.buffer() = BytesMut::new();
                    }
                    break;
                }
            }
        }
        Poll::Pending
    }

    /// Gives the session what has been read, under one lock, as far as this turn goes. `frames` have been given it before in this turn.
    fn handle(&mut self, descriptors: Vec<Descriptor>, frames: &mut usize) -> End {
        let (peer, number) = (&self.peer, self.number);
        let Incoming {
            frames: reader,
            rest,
            written,
        } = &mut self.incoming;
        *written = false;
        // What there is no room for is closed here, outside the lock: that may wait.
        let descriptors: Vec<_> = descriptors
            .into_iter()
            .map(|descriptor| Ok(descriptor.counted(peer.descriptors.take()?)))
            .collect();
        peer.run(|state, now| {
            if !descriptors.is_empty() {
                state.session.handle_descriptors(number, descriptors);
            }
            let most = frames_per_turn(state.session.open_calls());
            *rest = true;
            while *frames < most {
                let Some(bytes) = reader.next_frame()? else {
                    *rest = false;
                    return state.session.handle_pause(number, !reader.is_empty());
                };
                if let Some(frame) = Frame::decode(bytes)? {
                    state.session.handle_frame(now, number, frame)?;
                }
                *frames += 1;
            }
            Ok(())
        })
    }

    /// Writes what is queued; never ready but when the lane is gone.
    fn poll_send(&mut self, moved: &mut Moved, cx: &mut Context<'_>) -> Poll<End> {
        let (peer, number, outgoing) = (&self.peer, self.number, &mut self.outgoing);
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
            match outgoing.poll_write(&mut *self.send, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
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

/// How many frames a lane handles at a time while so many calls of ours wait for their answers.
fn frames_per_turn(open_calls: u32) -> usize {
    let (fewest, most) = FRAMES_PER_TURN.into_inner();
    match open_calls {
        // Whoever is only called does not know how many are in flight, and takes turns as the caller does.
        0 => most,
        calls => (calls as usize / 2).clamp(fewest, most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_in_flight_is_handled_at_a_time() {
        assert_eq!(frames_per_turn(64), 32);
        assert_eq!(frames_per_turn(100), 50);
    }

    #[test]
    fn a_turn_is_worth_a_packet_and_has_an_end() {
        assert_eq!(frames_per_turn(1), 32);
        assert_eq!(frames_per_turn(u32::MAX), 128);
    }

    #[test]
    fn who_waits_for_nothing_handles_all_that_came_together() {
        assert_eq!(frames_per_turn(0), 128);
    }
}
