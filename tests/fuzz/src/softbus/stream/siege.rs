//! One end of a stream and its user, and a peer that may say anything. What must hold is that nobody holds more than agreed, that what is
//! read is what was sent, and that the end does not wait for the peer.

mod peer;

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use softbus::{
    fuzzing::Besieged,
    rpc::link::{BulkReceive, BulkSend, Lane, LaneReceive, LaneSend, Link},
};

use super::{HEADER, Input, MAX_PAYLOAD};
use peer::{Peer, pattern};

/// What a stream holds between its two ends.
const PIPE: usize = 64 * 1024;
/// Lanes for calls, once that is agreed.
const LANES: u16 = 2;
/// Lanes that there can be, as long as it is not.
const MAX_LANES: usize = 65;
/// What one lane, one bulk stream, and what is to be written may have.
const LANE: usize = 256 * 1024;
const WINDOW: usize = 1024 * 1024;
const OUT: usize = 512 * 1024;
/// Bulk streams in each direction.
const STREAMS: usize = 16;

const KEEP_ALIVE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);

pub(super) struct Siege {
    link: Option<Box<dyn Link>>,
    shared: Besieged,
    agreed: bool,
    lanes: Vec<Half>,
    sending: Vec<Box<dyn BulkSend>>,
    receiving: Vec<Box<dyn BulkReceive>>,
    peer: Peer,
}

/// A lane as its user has it.
struct Half {
    send: Box<dyn LaneSend>,
    receive: Option<Box<dyn LaneReceive>>,
    written: usize,
    read: usize,
}

impl Siege {
    pub(super) async fn begin(input: &mut Input<'_>) -> Self {
        let (one, other) = tokio::io::duplex(PIPE);
        let (shared, link) = Besieged::new(one, KEEP_ALIVE, IDLE);
        let agreed = input.bool();
        let mut lanes = vec![link.control().await.expect("it is there")];
        if agreed {
            lanes.extend(link.lanes(LANES).await.expect("none is used"));
        }
        let half = |Lane { send, receive }| Half {
            send,
            receive: Some(receive),
            written: 0,
            read: 0,
        };
        Self {
            link: Some(link),
            shared,
            agreed,
            lanes: lanes.into_iter().map(half).collect(),
            sending: Vec::new(),
            receiving: Vec::new(),
            peer: Peer::new(other, IDLE),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.shared.is_gone()
    }

    pub(super) async fn step(&mut self, input: &mut Input<'_>) {
        match input.u8() % 16 {
            what @ 0..=8 => self.peer.says(what, input),
            9 => self.peer.listens(),
            10 | 11 => self.read_lane(input).await,
            12 => self.write_lane(input).await,
            13 => self.send_bulk(input).await,
            14 => self.receive_bulk(input).await,
            _ => self.other(input).await,
        }
        // As often as it takes until the driver has nothing to do.
        for _ in 0..4 {
            self.peer.speaks();
            tokio::task::yield_now().await;
        }
    }

    async fn read_lane(&mut self, input: &mut Input<'_>) {
        let which = input.below(self.lanes.len());
        let honest = self.peer.is_honest();
        let lane = &mut self.lanes[which];
        let Some(receive) = &mut lane.receive else {
            return;
        };
        let mut came = BytesMut::new();
        let read = once(|cx| receive.poll_read(cx, &mut came)).await;
        if let Some(Ok(read)) = read {
            assert_eq!(read, came.len());
        }
        if honest {
            assert_eq!(came, pattern(which as u32, lane.read, came.len()));
            lane.read += came.len();
            assert!(lane.read <= self.peer.sent_on(which as u32));
        }
    }

    async fn write_lane(&mut self, input: &mut Input<'_>) {
        let which = input.below(self.lanes.len());
        let lane = &mut self.lanes[which];
        let len = usize::from(input.u16());
        let mut bytes = BytesMut::from(&*pattern(which as u32, lane.written, len));
        let _ = once(|cx| lane.send.poll_write(cx, &mut bytes)).await;
        lane.written += len - bytes.len();
    }

    async fn send_bulk(&mut self, input: &mut Input<'_>) {
        let which = input.below(self.sending.len() + 1);
        let Some(link) = &self.link else {
            return;
        };
        let what = input.u8() % 4;
        let Some(stream) = self.sending.get_mut(which) else {
            let mut opened = link.open_bulk(input.number());
            if let Some(Ok(stream)) = once(|cx| opened.as_mut().poll(cx)).await {
                drop(opened);
                self.sending.push(stream);
                assert!(self.sending.len() <= STREAMS);
            }
            return;
        };
        match what {
            0 => drop(self.sending.swap_remove(which)),
            1 => {
                stream.finish();
                drop(self.sending.swap_remove(which));
            }
            _ => {
                let bytes = Bytes::from(vec![1; usize::from(input.u16()) * 32]);
                let mut written = stream.write(bytes);
                let _ = once(|cx| written.as_mut().poll(cx)).await;
            }
        }
    }

    async fn receive_bulk(&mut self, input: &mut Input<'_>) {
        let which = input.below(self.receiving.len() + 1);
        let Some(link) = &self.link else {
            return;
        };
        let Some(stream) = self.receiving.get_mut(which) else {
            let mut accepted = link.accept_bulk();
            if let Some(Ok((_, stream))) = once(|cx| accepted.as_mut().poll(cx)).await {
                drop(accepted);
                self.receiving.push(stream);
                assert!(self.receiving.len() <= STREAMS);
            }
            return;
        };
        if input.u8().is_multiple_of(8) {
            return drop(self.receiving.swap_remove(which));
        }
        let mut pieces = [const { Bytes::new() }; 8];
        if let Some(Ok(count)) = once(|cx| stream.poll_read(cx, &mut pieces)).await {
            let came = pieces[..count].iter().all(|piece| !piece.is_empty());
            assert!(came, "an empty piece would be the end");
        }
    }

    async fn other(&mut self, input: &mut Input<'_>) {
        let which = input.below(self.lanes.len());
        let lane = &mut self.lanes[which];
        match input.u8() % 16 {
            0 => lane.receive = None,
            1 => drop(once(|cx| lane.send.poll_finish(cx)).await),
            2 => {
                if let Some(link) = &self.link {
                    link.close(7, "enough");
                }
            }
            3 => self.link = None,
            _ => {
                let time = Duration::from_millis(input.number().min(10_000));
                tokio::time::sleep(time).await;
            }
        }
    }

    pub(super) fn check(&mut self) {
        let (lanes, bulk, out) = self.shared.held();
        let known = match self.agreed {
            true => usize::from(LANES) + 1,
            false => MAX_LANES,
        };
        // It is read no further when one has that, and what was read last is taken whole.
        assert!(lanes <= known * LANE + PIPE + MAX_PAYLOAD, "lanes {lanes}");
        assert!(bulk <= STREAMS * WINDOW, "bulk {bulk}");
        assert!(out <= OUT + 2 * MAX_PAYLOAD, "out {out}");
        let written = self.lanes.iter().map(|lane| lane.written);
        self.peer.check(&written.collect::<Vec<_>>());
    }

    /// Its user has gone, and the peer may go or stay as it likes.
    pub(super) async fn end(mut self, input: &mut Input<'_>) {
        self.lanes.clear();
        self.sending.clear();
        self.receiving.clear();
        self.link = None;
        if input.bool() {
            self.peer.listens();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(self.shared.is_gone(), "an end does not wait for the peer");
    }
}

/// One look.
async fn once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    let looked = pin!(poll_fn(|cx| {
        Poll::Ready(match poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    }));
    looked.await
}
