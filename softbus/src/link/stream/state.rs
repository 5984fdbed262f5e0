//! What is under way on one stream: lanes, bulk streams, and who waits for what. Pure but for the wakers.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use rpc::link::LinkError;

use super::{
    bulk::Streams,
    frame::{self, Frame, MAX_PAYLOAD, Malformed},
};

/// Lanes of a session, control included.
const MAX_LANES: u32 = 65;
/// Bytes that wait to be written before lanes wait.
const OUT: usize = 256 * 1024;
/// Bytes of a lane that wait for its reader before the stream is read no further.
const LANE: usize = 256 * 1024;

/// Everything of a stream but the stream itself.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Frames that go before bulk, in their order.
    pub(super) out: BytesMut,
    /// Those who are to look again, once nobody holds the lock.
    pub(super) wake: Vec<Waker>,
    pub(super) streams: Streams,
    /// Who moves bytes between this and the stream.
    driver: Option<Waker>,
    lanes: Vec<Lane>,
    /// How many call lanes there are, once that is known.
    agreed: Option<u16>,
    pong: bool,
    /// We have ended all lanes, and go on elsewhere.
    leaving: bool,
    /// What the peer said last.
    goodbye: Option<(u32, Bytes)>,
    over: bool,
}

#[derive(Debug, Default)]
struct Lane {
    incoming: BytesMut,
    /// The peer sends no more of it.
    ended: bool,
    /// Nobody here reads it any more.
    unread: bool,
    /// We send no more of it.
    finished: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    /// The peer uses no more lanes than these, from here on.
    pub(super) fn agree(&mut self, lanes: u16) -> bool {
        self.agreed = Some(lanes);
        let last = usize::from(lanes) + 1;
        self.lanes.len() <= last
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        number: u16,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        if self.over || self.lane(number).finished {
            return Poll::Ready(Err(LinkError::Closed));
        }
        if self.out.len() >= OUT {
            self.lane(number).writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while !bytes.is_empty() && self.out.len() < OUT {
            frame::put_lane(&mut self.out, number.into(), bytes);
        }
        self.wake_driver();
        Poll::Ready(Ok(()))
    }

    /// We send no more of a lane.
    pub(super) fn finish(&mut self, number: u16) {
        if !self.over && !std::mem::replace(&mut self.lane(number).finished, true) {
            self.put(&Frame::LaneEnd(number.into()));
        }
    }

    /// We go on elsewhere.
    pub(super) fn finish_all(&mut self) {
        self.leaving = true;
        for number in 0..=self.agreed.unwrap_or(0) {
            self.finish(number);
        }
    }

    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Whether the peer has ended a lane.
    pub(super) fn has_ended(&mut self, number: u16) -> bool {
        self.lane(number).ended
    }

    /// Whether it has ended all.
    pub(super) fn is_read_to_the_end(&self) -> bool {
        let lanes = usize::from(self.agreed.unwrap_or(0)) + 1;
        self.lanes.len() >= lanes && self.lanes.iter().all(|lane| lane.ended)
    }

    /// Whether there is nothing to wait for here: both ends have ended all lanes, and all bulk has ended.
    pub(super) fn is_left(&self) -> bool {
        self.leaving && self.is_read_to_the_end() && self.streams.is_empty()
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        number: u16,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        let over = self.over;
        let lane = self.lane(number);
        let read = lane.incoming.len();
        if read == 0 {
            if lane.ended || over {
                return Poll::Ready(Ok(0));
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if buffer.is_empty() {
            std::mem::swap(buffer, &mut lane.incoming);
            lane.incoming.clear();
        } else {
            buffer.extend_from_slice(&lane.incoming);
            lane.incoming.clear();
        }
        if read > LANE || self.goodbye.is_some() {
            // It waits for that.
            self.wake_driver();
        }
        Poll::Ready(Ok(read))
    }

    /// Nobody reads a lane any more.
    pub(super) fn leave(&mut self, number: u16) {
        let lane = self.lane(number);
        lane.unread = true;
        lane.incoming = BytesMut::new();
        lane.reader = None;
        self.wake_driver();
    }

    /// What has come.
    pub(super) fn handle(&mut self, frame: Frame) -> Result<(), Malformed> {
        match frame {
            Frame::Lane(number, bytes) => {
                let lane = self.lane_of_peer(number)?;
                if !lane.unread {
                    lane.incoming.extend_from_slice(&bytes);
                }
                let reader = lane.reader.take();
                self.wake.extend(reader);
            }
            Frame::LaneEnd(number) => {
                let lane = self.lane_of_peer(number)?;
                lane.ended = true;
                let reader = lane.reader.take();
                self.wake.extend(reader);
            }
            Frame::Ping => self.pong = true,
            Frame::Pong => {}
            Frame::Close(code, text) => self.goodbye = Some((code, text)),
            bulk => self.streams.handle(bulk, &mut self.wake)?,
        }
        Ok(())
    }

    fn lane(&mut self, number: u16) -> &mut Lane {
        let index = usize::from(number);
        if self.lanes.len() <= index {
            self.lanes.resize_with(index + 1, Lane::default);
        }
        &mut self.lanes[index]
    }

    fn lane_of_peer(&mut self, number: u32) -> Result<&mut Lane, Malformed> {
        let known = self.agreed.map_or(MAX_LANES, |lanes| u32::from(lanes) + 1);
        if number >= known {
            return Err(Malformed("lane that does not exist"));
        }
        // Below 65.
        let lane = self.lane(number as u16);
        if lane.ended {
            return Err(Malformed("lane that has ended"));
        }
        Ok(lane)
    }

    /// Appends a frame that goes before bulk.
    pub(super) fn put(&mut self, frame: &Frame) {
        frame.put(&mut self.out);
        self.wake_driver();
    }

    /// What is to be written next, into an empty buffer: all that goes before bulk, and when that is little, a piece of bulk.
    pub(super) fn fill(&mut self, out: &mut BytesMut) {
        std::mem::swap(out, &mut self.out);
        if std::mem::take(&mut self.pong) {
            Frame::Pong.put(out);
        }
        if out.len() < MAX_PAYLOAD {
            self.streams.put_piece(out, &mut self.wake);
        }
        let writers = self.lanes.iter_mut().filter_map(|lane| lane.writer.take());
        self.wake.extend(writers);
    }

    /// Why no more may be read now: a reader of ours is behind, or the peer does not take what we have to say.
    pub(super) fn is_held_up(&self) -> Option<HeldUp> {
        if self.lanes.iter().any(|lane| lane.incoming.len() > LANE) {
            return Some(HeldUp::Here);
        }
        (self.out.len() > 2 * OUT).then_some(HeldUp::There)
    }

    /// Bytes that have come on lanes and are not taken, those of bulk bodies, and those that wait to be written.
    pub(super) fn held(&self) -> (usize, usize, usize) {
        let lanes = self.lanes.iter().map(|lane| lane.incoming.len()).sum();
        (lanes, self.streams.held(), self.out.len())
    }

    /// What the peer said last.
    pub(super) fn goodbye(&self) -> Option<(u32, Bytes)> {
        self.goodbye.clone()
    }

    /// Whether what came has been taken.
    pub(super) fn is_taken(&self) -> bool {
        self.lanes.iter().all(|lane| lane.incoming.is_empty())
    }

    pub(super) fn set_driver(&mut self, waker: &Waker) {
        match &self.driver {
            Some(known) if known.will_wake(waker) => {}
            _ => self.driver = Some(waker.clone()),
        }
    }

    pub(super) fn wake_driver(&mut self) {
        self.wake.extend(self.driver.take());
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// The stream is gone: everybody is told.
    pub(super) fn end(&mut self) {
        self.over = true;
        self.out = BytesMut::new();
        for lane in &mut self.lanes {
            self.wake.extend(lane.reader.take());
            self.wake.extend(lane.writer.take());
        }
        self.streams.end(&mut self.wake);
    }
}

/// Who keeps a stream from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldUp {
    Here,
    There,
}

/// Pieces of a body in the order in which they came.
pub(super) type Pieces = VecDeque<Bytes>;
