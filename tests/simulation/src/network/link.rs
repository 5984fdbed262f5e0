//! What a session has of the network: one end of a connection.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rpc::link::{BulkReceive, BulkSend, Lane, LaneReceive, LaneSend, Link, LinkClosed, LinkError};
use tokio::sync::{Mutex, mpsc};

use super::{LONGEST_PIECE, LaneState, Network, Piece, State, StreamState, Transfer, WINDOW};
use crate::log::{Event, Frames, Passage};

/// One end of a connection.
#[derive(Debug)]
pub(super) struct SimulatedLink {
    network: Arc<Network>,
    number: u32,
    end: usize,
    opened: Mutex<mpsc::UnboundedReceiver<u64>>,
}

impl SimulatedLink {
    pub(super) fn new(
        network: Arc<Network>,
        number: u32,
        end: usize,
        opened: mpsc::UnboundedReceiver<u64>,
    ) -> Self {
        Self {
            network,
            number,
            end,
            opened: Mutex::new(opened),
        }
    }

    fn lane(&self, lane: u16) -> Lane {
        let end = |from| Half {
            network: Arc::clone(&self.network),
            link: self.number,
            lane,
            from,
            end: self.end,
        };
        Lane {
            send: Box::new(end(self.end)),
            receive: Box::new(end(1 - self.end)),
        }
    }
}

#[async_trait]
impl Link for SimulatedLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        Ok(self.lane(0))
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        Ok((1..=count).map(|lane| self.lane(lane)).collect())
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        let mut state = self.network.state();
        let link = &mut state.links[self.number as usize];
        if link.is_closed(self.end) {
            return Err(LinkError::Closed);
        }
        link.streams.insert((id, self.end), StreamState::default());
        Ok(Box::new(Sending {
            network: Arc::clone(&self.network),
            link: self.number,
            id,
            from: self.end,
            finished: false,
        }))
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let mut opened = self.opened.lock().await;
        let closed = self.closed();
        let id = tokio::select! {
            biased;
            _ = closed => None,
            id = opened.recv() => id,
        };
        let id = id.ok_or(LinkError::Closed)?;
        let receiving = Receiving {
            network: Arc::clone(&self.network),
            link: self.number,
            id,
            from: 1 - self.end,
        };
        Ok((id, Box::new(receiving)))
    }

    fn close(&self, code: u32, text: &str) {
        let mut state = self.network.state();
        let number = self.number;
        if !state.links[number as usize].close(self.end, LinkClosed::ByUs) {
            return;
        }
        let closed = LinkClosed::ByPeer {
            code,
            text: text.to_owned(),
        };
        let (link, to) = (number, 1 - self.end);
        let at = self.network.calendar.now() + state.latency();
        let hangup = Transfer::Hangup { link, to, closed };
        self.network.schedule(&mut state, at, hangup);
        self.network.listen(&mut state, number);
    }

    async fn closed(&self) -> LinkClosed {
        loop {
            let hung_up = {
                let state = self.network.state();
                let link = &state.links[self.number as usize];
                if let Some(how) = &link.closed[self.end] {
                    return how.clone();
                }
                // Made under the lock, so that it hears of what happens from here on.
                Arc::clone(&link.hung_up[self.end]).notified_owned()
            };
            hung_up.await;
        }
    }

    fn transport(&self) -> &'static str {
        "simulated"
    }
}

impl Drop for SimulatedLink {
    fn drop(&mut self) {
        self.close(0, "dropped");
    }
}

/// One direction of a lane, at one of its ends.
struct Half {
    network: Arc<Network>,
    link: u32,
    lane: u16,
    /// The end that sends.
    from: usize,
    /// The end that has this.
    end: usize,
}

impl Half {
    /// Its state, or the news that the connection is over.
    fn state<'a>(&self, state: &'a mut State) -> Result<&'a mut LaneState, LinkError> {
        let link = &mut state.links[self.link as usize];
        if link.is_closed(self.end) {
            return Err(LinkError::Closed);
        }
        Ok(link.lanes.entry((self.lane, self.from)).or_default())
    }

    /// Gives the network every frame that is whole.
    fn send_frames(&self, state: &mut State) {
        let (network, link, lane, from) = (&self.network, self.link, self.lane, self.from);
        loop {
            let latency = state.latency();
            let now = network.calendar.now();
            let connection = &mut state.links[link as usize];
            let mute = connection.mute[from];
            let Some(of) = connection.lanes.get_mut(&(lane, from)) else {
                return;
            };
            let Ok(Some(frame)) = of.staged.next_frame() else {
                return;
            };
            if mute {
                continue;
            }
            network.note(link, Some(lane), from, &frame, Event::Sent);
            of.bytes += frame.len();
            of.under_way.push_back(frame);
            of.last = of.last.max(now + latency);
            let at = of.last;
            network.schedule(state, at, Transfer::Frame { link, lane, from });
        }
    }
}

impl LaneSend for Half {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        let network = Arc::clone(&self.network);
        let mut state = network.state();
        let of = self.state(&mut state)?;
        if of.bytes >= WINDOW {
            of.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        of.staged.buffer().extend_from_slice(bytes);
        bytes.clear();
        self.send_frames(&mut state);
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.network.state();
        match self.state(&mut state) {
            Ok(of) if of.bytes > 0 => {
                of.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl LaneReceive for Half {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        let mut state = self.network.state();
        let Ok(of) = self.state(&mut state) else {
            return Poll::Ready(Ok(0));
        };
        if of.arrived.is_empty() {
            of.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = of.arrived.len();
        buffer.extend_from_slice(&of.arrived);
        of.arrived.clear();
        Poll::Ready(Ok(len))
    }
}

/// A bulk stream at the end that sends.
struct Sending {
    network: Arc<Network>,
    link: u32,
    id: u64,
    from: usize,
    finished: bool,
}

impl Sending {
    fn push(&self, state: &mut State, piece: Piece) -> Result<(), LinkError> {
        let latency = state.latency();
        let now = self.network.calendar.now();
        let connection = &mut state.links[self.link as usize];
        if connection.is_closed(self.from) {
            return Err(LinkError::Closed);
        }
        let mute = connection.mute[self.from];
        let stream = connection.streams.get_mut(&(self.id, self.from));
        let of = stream.ok_or(LinkError::Reset)?;
        if of.stopped {
            return Err(LinkError::Reset);
        }
        if mute {
            return Ok(());
        }
        let len = match &piece {
            Piece::Bytes(bytes) => Some(bytes.len()),
            Piece::End | Piece::Reset => None,
        };
        of.bytes += len.unwrap_or_default();
        of.under_way.push_back(piece);
        of.last = of.last.max(now + latency);
        let at = of.last;
        let (link, id, from) = (self.link, self.id, self.from);
        let passage = Passage {
            link,
            from,
            lane: None,
        };
        let journal = &self.network.journal;
        journal.record(Event::Sent(passage, Frames::Piece { id, len }));
        let piece = Transfer::Piece { link, id, from };
        self.network.schedule(state, at, piece);
        Ok(())
    }
}

#[async_trait]
impl BulkSend for Sending {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let room = {
                let mut state = self.network.state();
                let link = &state.links[self.link as usize];
                let of = link.streams.get(&(self.id, self.from));
                let of = of.ok_or(LinkError::Reset)?;
                if of.bytes < WINDOW || link.is_closed(self.from) || of.stopped {
                    let piece = bytes.split_to(bytes.len().min(LONGEST_PIECE));
                    self.push(&mut state, Piece::Bytes(piece))?;
                    continue;
                }
                // Made under the lock, so that it hears of what happens from here on.
                Arc::clone(&of.room).notified_owned()
            };
            room.await;
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.finished = true;
        let mut state = self.network.state();
        let _ = self.push(&mut state, Piece::End);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.finished {
            let mut state = self.network.state();
            let _ = self.push(&mut state, Piece::Reset);
        }
    }
}

/// A bulk stream at the end that receives.
struct Receiving {
    network: Arc<Network>,
    link: u32,
    id: u64,
    from: usize,
}

impl BulkReceive for Receiving {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>> {
        let mut state = self.network.state();
        let link = &mut state.links[self.link as usize];
        if link.is_closed(1 - self.from) {
            return Poll::Ready(Err(LinkError::Closed));
        }
        let Some(of) = link.streams.get_mut(&(self.id, self.from)) else {
            return Poll::Ready(Err(LinkError::Reset));
        };
        let count = pieces.len().min(of.arrived.len());
        for (place, piece) in pieces.iter_mut().zip(of.arrived.drain(..count)) {
            *place = piece;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        if of.reset {
            return Poll::Ready(Err(LinkError::Reset));
        }
        if of.ended {
            return Poll::Ready(Ok(0));
        }
        of.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let mut state = self.network.state();
        let link = &mut state.links[self.link as usize];
        if let Some(of) = link.streams.get_mut(&(self.id, self.from)) {
            of.stopped = true;
            of.room.notify_waiters();
        }
    }
}
