use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::{mpsc, watch};

use super::{
    BulkReceive, BulkSend, Descriptor, Lane, LaneReceive, LaneSend, Link, LinkClosed, LinkError,
};

/// How many bytes a lane holds before its writer waits.
const PIPE_CAPACITY: usize = 256 * 1024;
/// How many pieces a bulk stream, and how many streams a link holds before its writer waits.
const BULK_QUEUE: usize = 8;
/// The largest piece of a bulk body.
const BULK_PIECE: usize = 64 * 1024;

/// A link within one process: a complete soft-bus without a network, for tests and for trying things out.
#[derive(Debug)]
pub struct MemoryLink {
    shared: Arc<Shared>,
    side: usize,
    bulk_out: mpsc::Sender<(u64, mpsc::Receiver<Piece>)>,
    bulk_in: tokio::sync::Mutex<mpsc::Receiver<(u64, mpsc::Receiver<Piece>)>>,
}

#[derive(Debug)]
struct Shared {
    /// A pipe for each direction of each lane.
    pipes: Mutex<BTreeMap<(u16, usize), Arc<Pipe>>>,
    closed: watch::Sender<Option<(usize, u32, String)>>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

impl MemoryLink {
    /// Two ends of a link; the first is the side that dials.
    pub fn pair() -> (Self, Self) {
        let shared = Arc::new(Shared {
            pipes: Mutex::new(BTreeMap::new()),
            closed: watch::Sender::new(None),
        });
        let (to_b, from_a) = mpsc::channel(BULK_QUEUE);
        let (to_a, from_b) = mpsc::channel(BULK_QUEUE);
        let end = |side, bulk_out, bulk_in| Self {
            shared: Arc::clone(&shared),
            side,
            bulk_out,
            bulk_in: tokio::sync::Mutex::new(bulk_in),
        };
        (end(0, to_b, from_b), end(1, to_a, from_a))
    }

    fn lane(&self, number: u16) -> Lane {
        let mut pipes = self
            .shared
            .pipes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut pipe = |side| Arc::clone(pipes.entry((number, side)).or_default());
        let lane = Lane {
            send: Box::new(Sending(pipe(self.side))),
            receive: Box::new(Receiving(pipe(1 - self.side))),
        };
        if self.shared.closed.borrow().is_some() {
            pipes.values().for_each(|pipe| pipe.close());
        }
        lane
    }
}

#[async_trait]
impl Link for MemoryLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        Ok(self.lane(0))
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        Ok((1..=count).map(|number| self.lane(number)).collect())
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        let (sender, receiver) = mpsc::channel(BULK_QUEUE);
        self.bulk_out
            .send((id, receiver))
            .await
            .map_err(|_| LinkError::Closed)?;
        Ok(Box::new(sender))
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let mut closed = self.shared.closed.subscribe();
        let mut bulk_in = self.bulk_in.lock().await;
        let stream = tokio::select! {
            stream = bulk_in.recv() => stream,
            _ = closed.wait_for(Option::is_some) => None,
        };
        let (id, stream) = stream.ok_or(LinkError::Closed)?;
        Ok((id, Box::new(stream)))
    }

    fn close(&self, code: u32, text: &str) {
        self.shared.closed.send_if_modified(|closed| {
            let first = closed.is_none();
            if first {
                *closed = Some((self.side, code, text.to_owned()));
            }
            first
        });
        let pipes = self
            .shared
            .pipes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pipes.values().for_each(|pipe| pipe.close());
    }

    async fn closed(&self) -> LinkClosed {
        let mut closed = self.shared.closed.subscribe();
        let closed = closed
            .wait_for(Option::is_some)
            .await
            .map(|closed| closed.clone());
        match closed {
            Ok(Some((side, code, text))) if side != self.side => LinkClosed::ByPeer { code, text },
            _ => LinkClosed::ByUs,
        }
    }

    fn transport(&self) -> &'static str {
        "memory"
    }

    fn carries_descriptors(&self) -> bool {
        true
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        self.close(0, "dropped");
    }
}

/// One direction of a lane.
#[derive(Debug, Default)]
struct Pipe(Mutex<PipeState>);

#[derive(Debug, Default)]
struct PipeState {
    bytes: BytesMut,
    descriptors: Vec<Descriptor>,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

struct Sending(Arc<Pipe>);

impl LaneSend for Sending {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        self.poll_write_with(cx, bytes, &[])
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
        descriptors: &[Descriptor],
    ) -> Poll<Result<(), LinkError>> {
        let mut pipe = self.0.lock();
        if pipe.closed {
            return Poll::Ready(Err(LinkError::Closed));
        }
        let room = PIPE_CAPACITY.saturating_sub(pipe.bytes.len());
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = room.min(bytes.len());
        pipe.bytes.extend_from_slice(&bytes[..len]);
        bytes.advance(len);
        pipe.descriptors.extend_from_slice(descriptors);
        let reader = pipe.reader.take();
        drop(pipe);
        if let Some(reader) = reader {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pipe = self.0.lock();
        if pipe.bytes.is_empty() || pipe.closed {
            return Poll::Ready(());
        }
        pipe.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

struct Receiving(Arc<Pipe>);

impl LaneReceive for Receiving {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        let mut pipe = self.0.lock();
        if pipe.bytes.is_empty() {
            if pipe.closed {
                return Poll::Ready(Ok(0));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = pipe.bytes.len();
        buffer.extend_from_slice(&pipe.bytes);
        pipe.bytes.clear();
        let writer = pipe.writer.take();
        drop(pipe);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Ok(len))
    }

    fn take_descriptors(&mut self) -> Vec<Descriptor> {
        std::mem::take(&mut self.0.lock().descriptors)
    }
}

#[async_trait]
impl BulkSend for mpsc::Sender<Piece> {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(BULK_PIECE));
            self.send(Piece::Bytes(piece))
                .await
                .map_err(|_| LinkError::Reset)?;
        }
        // A queue with room takes the end too; `finish` cannot wait.
        let permit = self.reserve().await.map_err(|_| LinkError::Reset)?;
        drop(permit);
        Ok(())
    }

    fn finish(&mut self) {
        let _ = self.try_send(Piece::End);
    }
}

impl BulkReceive for mpsc::Receiver<Piece> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>> {
        Poll::Ready(match ready!(self.poll_recv(cx)) {
            Some(Piece::Bytes(bytes)) => {
                pieces[0] = bytes;
                Ok(1)
            }
            Some(Piece::End) => Ok(0),
            None => Err(LinkError::Reset),
        })
    }
}
