//! What a session has of a QUIC connection: streams as lanes, as `softbus/src/link/quic.rs` has them.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use quinn_proto::{Dir, ReadError, StreamId, VarInt, WriteError};
use rpc::link::{BulkReceive, BulkSend, Lane, LaneReceive, LaneSend, Link, LinkClosed, LinkError};

use super::{End, QuicNetwork};

/// Bytes at the head of a bulk stream: its number.
const HEAD: usize = 8;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct QuicLink {
    network: Arc<QuicNetwork>,
    number: u32,
}

impl QuicLink {
    pub(super) const fn new(network: Arc<QuicNetwork>, number: u32) -> Self {
        Self { network, number }
    }

    /// Waits until the connection has what is asked for.
    async fn until<T>(&self, get: impl Fn(&mut End) -> Option<T>) -> Result<T, LinkError> {
        loop {
            let changed = {
                let state = &mut *self.network.state();
                let end = &mut state.ends[self.number as usize];
                if end.closed.is_some() {
                    return Err(LinkError::Closed);
                }
                if end.connected
                    && let Some(got) = get(end)
                {
                    return Ok(got);
                }
                Arc::clone(&end.changed).notified_owned()
            };
            changed.await;
        }
    }

    fn half(&self, id: StreamId) -> Half {
        Half {
            network: Arc::clone(&self.network),
            number: self.number,
            id,
            ended: false,
        }
    }

    /// The next stream both ways: opened and announced with a byte by who dialled, accepted by the other.
    async fn lane(&self) -> Result<Lane, LinkError> {
        let id = self.until(|end| match end.dialled {
            true => end.connection.streams().open(Dir::Bi),
            false => end.connection.streams().accept(Dir::Bi),
        });
        let id = id.await?;
        let dialled = self.network.state().ends[self.number as usize].dialled;
        let (mut send, mut receive) = (self.half(id), self.half(id));
        if dialled {
            let mut byte = BytesMut::from(&[0][..]);
            poll_fn(|cx| LaneSend::poll_write(&mut send, cx, &mut byte)).await?;
        } else {
            receive.read_exact(1).await?;
        }
        Ok(Lane {
            send: Box::new(send),
            receive: Box::new(receive),
        })
    }
}

#[async_trait]
impl Link for QuicLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        self.lane().await
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        let mut lanes = Vec::new();
        for _ in 0..count {
            lanes.push(self.lane().await?);
        }
        Ok(lanes)
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        let stream = self.until(|end| end.connection.streams().open(Dir::Uni));
        let mut half = self.half(stream.await?);
        half.write_all(Bytes::copy_from_slice(&id.to_le_bytes()))
            .await?;
        Ok(Box::new(half))
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let stream = self.until(|end| end.connection.streams().accept(Dir::Uni));
        let mut half = self.half(stream.await?);
        let head = half.read_exact(HEAD).await?;
        let id = u64::from_le_bytes(*head.first_chunk().ok_or(LinkError::Unexpected)?);
        Ok((id, Box::new(half)))
    }

    fn close(&self, code: u32, text: &str) {
        let state = &mut *self.network.state();
        let end = &mut state.ends[self.number as usize];
        if end.closed.is_some() {
            return;
        }
        let text = Bytes::copy_from_slice(text.as_bytes());
        end.connection
            .close(self.network.calendar.time(), VarInt::from_u32(code), text);
        end.close(LinkClosed::ByUs);
        self.network.flush(state, self.number);
    }

    async fn closed(&self) -> LinkClosed {
        loop {
            let changed = {
                let state = self.network.state();
                let end = &state.ends[self.number as usize];
                if let Some(how) = &end.closed {
                    return how.clone();
                }
                Arc::clone(&end.changed).notified_owned()
            };
            changed.await;
        }
    }

    fn transport(&self) -> &'static str {
        "simulated quic"
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        self.close(0, "dropped");
    }
}

/// One direction of a stream.
struct Half {
    network: Arc<QuicNetwork>,
    number: u32,
    id: StreamId,
    /// The stream has been finished, or read to its end.
    ended: bool,
}

impl Half {
    fn poll_write_some(
        &mut self,
        cx: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, LinkError>> {
        let state = &mut *self.network.state();
        let end = &mut state.ends[self.number as usize];
        if end.closed.is_some() {
            return Poll::Ready(Err(LinkError::Closed));
        }
        let written = end.connection.send_stream(self.id).write(bytes);
        let written = match written {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(WriteError::Blocked) => {
                end.writers.insert(self.id, cx.waker().clone());
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(LinkError::Reset)),
        };
        self.network.flush(state, self.number);
        written
    }

    async fn write_all(&mut self, mut bytes: Bytes) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.poll_write_some(cx, &bytes)).await?;
            bytes.advance(written);
        }
        Ok(())
    }

    /// At most `most` bytes; nothing at the end of the stream.
    fn poll_read_some(&mut self, cx: &Context<'_>, most: usize) -> Poll<Result<Bytes, LinkError>> {
        if self.ended {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let state = &mut *self.network.state();
        let end = &mut state.ends[self.number as usize];
        if end.closed.is_some() {
            return Poll::Ready(Err(LinkError::Closed));
        }
        let mut stream = end.connection.recv_stream(self.id);
        let Ok(mut chunks) = stream.read(true) else {
            return Poll::Ready(Err(LinkError::Reset));
        };
        let read = chunks.next(most);
        let transmits = chunks.finalize().should_transmit();
        let read = match read {
            Ok(Some(chunk)) => Poll::Ready(Ok(chunk.bytes)),
            Ok(None) => {
                self.ended = true;
                Poll::Ready(Ok(Bytes::new()))
            }
            Err(ReadError::Blocked) => {
                end.readers.insert(self.id, cx.waker().clone());
                Poll::Pending
            }
            Err(ReadError::Reset(_)) => {
                self.ended = true;
                Poll::Ready(Err(LinkError::Reset))
            }
        };
        if transmits {
            self.network.flush(state, self.number);
        }
        read
    }

    async fn read_exact(&mut self, len: usize) -> Result<BytesMut, LinkError> {
        let mut read = BytesMut::new();
        while read.len() < len {
            let left = len - read.len();
            let bytes = poll_fn(|cx| self.poll_read_some(cx, left)).await?;
            if bytes.is_empty() {
                return Err(LinkError::Unexpected);
            }
            read.extend_from_slice(&bytes);
        }
        Ok(read)
    }
}

impl LaneSend for Half {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        self.poll_write_some(cx, bytes)
            .map_ok(|written| bytes.advance(written))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = &mut *self.network.state();
        let end = &mut state.ends[self.number as usize];
        if end.closed.is_some() || end.finished.contains(&self.id) {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut self.ended, true) {
            let _ = end.connection.send_stream(self.id).finish();
        }
        end.writers.insert(self.id, cx.waker().clone());
        self.network.flush(state, self.number);
        Poll::Pending
    }
}

impl LaneReceive for Half {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        self.poll_read_some(cx, usize::MAX).map_ok(|bytes| {
            buffer.extend_from_slice(&bytes);
            bytes.len()
        })
    }
}

#[async_trait]
impl BulkSend for Half {
    async fn write(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        self.write_all(bytes).await
    }

    fn finish(&mut self) {
        self.ended = true;
        let state = &mut *self.network.state();
        let end = &mut state.ends[self.number as usize];
        if end.closed.is_none() {
            let _ = end.connection.send_stream(self.id).finish();
            self.network.flush(state, self.number);
        }
    }
}

impl BulkReceive for Half {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>> {
        self.poll_read_some(cx, usize::MAX).map_ok(|bytes| {
            let some = usize::from(!bytes.is_empty());
            pieces[0] = bytes;
            some
        })
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if self.ended || self.id.dir() == Dir::Bi {
            return;
        }
        let state = &mut *self.network.state();
        let end = &mut state.ends[self.number as usize];
        if end.closed.is_some() {
            return;
        }
        // Given up by who sends, or not wanted by who receives.
        let code = VarInt::from_u32(0);
        let sends = self.id.initiator().is_client() == end.dialled;
        if sends {
            let _ = end.connection.send_stream(self.id).reset(code);
        } else {
            let _ = end.connection.recv_stream(self.id).stop(code);
        }
        self.network.flush(state, self.number);
    }
}
