//! The least an RPC system on one byte stream can be: frames with a number, and everything that is queued in one write.
//! No services, no access check, no codec, no deadline. It is a limit, not a system.
//!
//! A frame is `u32` length of the payload, `u32` number of the call, `u8` kind, payload.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use slab::Slab;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    runtime::{Handle, RuntimeFlavor},
    sync::{Notify, oneshot},
};

use crate::{contestant::Client, process};

const HEADER: usize = 9;
/// Beyond this, whoever sends waits.
const FULL: usize = 1 << 20;
const READ: usize = 256 * 1024;
const PIECE: usize = 128 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Echo = 0,
    Put = 1,
    Notify = 2,
    Reply = 3,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Echo, Self::Put, Self::Notify, Self::Reply]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What is to be written.
#[derive(Default)]
struct Outbox {
    queue: Mutex<Vec<u8>>,
    filled: Notify,
    emptied: Notify,
}

impl Outbox {
    /// Queues a frame; whether there is room for more.
    fn push(&self, number: u32, kind: Kind, payload: &[u8]) -> bool {
        let mut queue = lock(&self.queue);
        let idle = queue.is_empty();
        queue.put_u32_le(payload.len() as u32);
        queue.put_u32_le(number);
        queue.put_u8(kind as u8);
        queue.extend_from_slice(payload);
        let room = queue.len() < FULL;
        drop(queue);
        if idle {
            self.filled.notify_one();
        }
        room
    }

    async fn room(&self) {
        loop {
            let emptied = self.emptied.notified();
            if lock(&self.queue).len() < FULL {
                return;
            }
            emptied.await;
        }
    }

    /// Writes what is queued, all at once, for ever.
    async fn write(&self, mut stream: impl AsyncWrite + Unpin) -> Result<()> {
        // With several workers each frame would be written on its own; one step aside lets them gather.
        let many = Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
        let mut writing = Vec::new();
        loop {
            self.filled.notified().await;
            if many {
                tokio::task::yield_now().await;
            }
            loop {
                std::mem::swap(&mut *lock(&self.queue), &mut writing);
                if writing.is_empty() {
                    break;
                }
                self.emptied.notify_waiters();
                stream.write_all(&writing).await?;
                stream.flush().await?;
                writing.clear();
            }
        }
    }
}

/// Takes frames off a stream.
struct Frames(BytesMut);

impl Frames {
    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<()> {
        if self.0.capacity() - self.0.len() < READ / 16 {
            self.0.reserve(READ);
        }
        ensure!(stream.read_buf(&mut self.0).await? > 0, "closed");
        Ok(())
    }

    fn next(&mut self) -> Option<(u32, Option<Kind>, Bytes)> {
        let mut header = self.0.get(..HEADER)?;
        let length = header.get_u32_le() as usize;
        let number = header.get_u32_le();
        let kind = Kind::from_byte(header.get_u8());
        if self.0.len() < HEADER + length {
            self.0.reserve(HEADER + length - self.0.len());
            return None;
        }
        self.0.advance(HEADER);
        Some((number, kind, self.0.split_to(length).freeze()))
    }
}

/// The calling end.
#[derive(Clone)]
pub(super) struct MuxClient(Arc<Calls>);

#[derive(Default)]
struct Calls {
    out: Outbox,
    waiting: Mutex<Slab<oneshot::Sender<Bytes>>>,
}

impl MuxClient {
    pub(super) fn new<R, W>(mut read: R, write: W) -> Self
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let calls = Arc::new(Calls::default());
        tokio::spawn({
            let calls = Arc::clone(&calls);
            async move { calls.out.write(write).await }
        });
        tokio::spawn({
            let calls = Arc::clone(&calls);
            async move {
                let mut frames = Frames(BytesMut::new());
                while frames.fill(&mut read).await.is_ok() {
                    while let Some((number, _, payload)) = frames.next() {
                        let caller = lock(&calls.waiting).try_remove(number as usize);
                        if let Some(caller) = caller {
                            let _ = caller.send(payload);
                        }
                    }
                }
                lock(&calls.waiting).clear();
            }
        });
        Self(calls)
    }

    async fn call(&self, kind: Kind, payload: &[u8]) -> Result<Bytes> {
        let (caller, reply) = oneshot::channel();
        let number = lock(&self.0.waiting).insert(caller) as u32;
        if !self.0.out.push(number, kind, payload) {
            self.0.out.room().await;
        }
        Ok(reply.await?)
    }
}

impl Client for MuxClient {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        Ok(self.call(Kind::Echo, payload).await?.len())
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        self.call(Kind::Put, payload).await.map(drop)
    }

    async fn notify(&self, payload: &Bytes) -> Result<()> {
        if !self.0.out.push(0, Kind::Notify, payload) {
            self.0.out.room().await;
        }
        Ok(())
    }

    async fn transfer(&self, bytes: usize) -> Result<()> {
        let piece = super::piece(PIECE);
        for _ in 0..bytes / PIECE {
            self.notify(&piece).await?;
        }
        self.put(&Bytes::new()).await
    }
}

/// The serving end: answers where it reads.
pub(super) async fn serve<R, W>(mut read: R, write: W) -> Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let out = Arc::new(Outbox::default());
    let writer = tokio::spawn({
        let out = Arc::clone(&out);
        async move { out.write(write).await }
    });
    let mut frames = Frames(BytesMut::new());
    let end = loop {
        if let Err(end) = frames.fill(&mut read).await {
            break end;
        }
        while let Some((number, kind, payload)) = frames.next() {
            match kind {
                Some(Kind::Echo) => drop(out.push(number, Kind::Reply, &payload)),
                Some(Kind::Put) => drop(out.push(number, Kind::Reply, &[])),
                Some(Kind::Notify) => process::received().await,
                Some(Kind::Reply) | None => {}
            }
        }
    };
    writer.abort();
    Err(end)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
