//! A session's lanes between two processes of one device, on Unix sockets.
//!
//! | socket | carries |
//! |---|---|
//! | control, a stream | lane 0 |
//! | call, a stream | lane 1, the only one: nothing is lost between processes, so nothing waits behind it; and file descriptors |
//! | packets | a frozen shared memory for each bulk body, the close code, and from a host sessions with other processes |
//!
//! A bulk body is written to shared memory once and looked at where it is: the receiver copies nothing.

mod lane;
pub(crate) mod packets;

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use async_trait::async_trait;
use bytes::Bytes;
use rpc::{
    ashmem::{Ashmem, AshmemWriter},
    link::{BulkReceive, BulkSend, Lane, Link, LinkClosed, LinkError},
};
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::end::End;
use packets::{Incoming, Packet, Pair};

/// How much of a bulk body is copied before others run.
const COPY: usize = 256 * 1024;
/// Packets that wait to be written, or to be taken. Sessions open a few streams at a time.
const PACKETS: usize = 64;
/// Sessions with others that wait for a process to take what came before, each with four descriptors.
const PAIRS: usize = 4;

/// The three sockets of one end.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) control: UnixStream,
    pub(crate) call: UnixStream,
    pub(crate) packets: OwnedFd,
}

/// A connection to another process of this device.
#[derive(Debug)]
pub(crate) struct UnixLink {
    control: Mutex<Option<UnixStream>>,
    call: Mutex<Option<UnixStream>>,
    outgoing: mpsc::Sender<Packet>,
    pairs: Arc<Semaphore>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<(u64, Option<Bytes>)>>,
    end: End,
}

impl UnixLink {
    /// A link on connected sockets. Must be called on a runtime.
    pub(crate) fn new(sockets: Sockets) -> io::Result<Self> {
        Self::start(sockets, None)
    }

    /// A link with the host of our bus, and the sessions with other processes that it hands us.
    pub(crate) fn to_host(sockets: Sockets) -> io::Result<(Self, mpsc::Receiver<Pair>)> {
        let (pairs, received) = mpsc::channel(PACKETS);
        Ok((Self::start(sockets, Some(pairs))?, received))
    }

    fn start(sockets: Sockets, pairs: Option<mpsc::Sender<Pair>>) -> io::Result<Self> {
        let (outgoing, to_send) = mpsc::channel(PACKETS);
        let (bulk, incoming) = mpsc::channel(PACKETS);
        let end = End::new();
        packets::start(sockets.packets, to_send, Incoming { bulk, pairs }, &end)?;
        Ok(Self {
            control: Mutex::new(Some(sockets.control)),
            call: Mutex::new(Some(sockets.call)),
            outgoing,
            pairs: Arc::new(Semaphore::new(PAIRS)),
            incoming: tokio::sync::Mutex::new(incoming),
            end,
        })
    }

    /// Waits until the process at the other end, which attached to us, may be handed a session with another process.
    ///
    /// # Errors
    /// The link is gone.
    pub(crate) async fn pair_place(&self) -> Result<PairPlace, LinkError> {
        // The semaphore is never closed.
        let waits = Arc::clone(&self.pairs).acquire_owned().await;
        let waits = waits.map_err(|_| LinkError::Closed)?;
        let place = self.outgoing.clone().reserve_owned().await;
        let place = place.map_err(|_| LinkError::Closed)?;
        Ok(PairPlace { place, waits })
    }

    /// The same, if it may be handed one now.
    pub(crate) fn try_pair_place(&self) -> Option<PairPlace> {
        let waits = Arc::clone(&self.pairs).try_acquire_owned().ok()?;
        let place = self.outgoing.clone().try_reserve_owned().ok()?;
        Some(PairPlace { place, waits })
    }
}

/// A place for a session with another process, on its way to the process at the other end.
#[derive(Debug)]
pub(crate) struct PairPlace {
    place: mpsc::OwnedPermit<Packet>,
    waits: OwnedSemaphorePermit,
}

impl PairPlace {
    /// Hands it over.
    pub(crate) fn give(self, pair: Pair) {
        self.place.send(Packet::Pair(pair, Some(self.waits)));
    }
}

fn take(socket: &Mutex<Option<UnixStream>>) -> Result<UnixStream, LinkError> {
    let mut socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
    socket.take().ok_or(LinkError::Unexpected)
}

#[async_trait]
impl Link for UnixLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        Ok(lane::control(take(&self.control)?))
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        if count != 1 {
            return Err(LinkError::Unexpected);
        }
        Ok(vec![lane::call(take(&self.call)?)])
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        let permit = self.outgoing.clone().reserve_owned().await;
        let permit = permit.map_err(|_| LinkError::Closed)?;
        let memory = AshmemWriter::new("softbus-bulk").map_err(|_| LinkError::Reset)?;
        Ok(Box::new(BulkWriter {
            id,
            sending: Some((permit, memory)),
        }))
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let mut incoming = self.incoming.lock().await;
        let (id, body) = incoming.recv().await.ok_or(LinkError::Closed)?;
        Ok((id, Box::new(BulkReader { body, ended: false })))
    }

    fn close(&self, code: u32, text: &str) {
        self.end.close(code, text);
    }

    async fn closed(&self) -> LinkClosed {
        self.end.wait().await
    }

    fn transport(&self) -> &'static str {
        "unix"
    }

    fn is_worth_polling(&self) -> bool {
        true
    }

    fn carries_descriptors(&self) -> bool {
        true
    }
}

struct BulkWriter {
    id: u64,
    sending: Option<(mpsc::OwnedPermit<Packet>, AshmemWriter)>,
}

#[async_trait]
impl BulkSend for BulkWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        for piece in bytes.chunks(COPY) {
            let (_, memory) = self.sending.as_mut().ok_or(LinkError::Reset)?;
            memory.append(piece).map_err(|_| LinkError::Reset)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn finish(&mut self) {
        let Some((permit, memory)) = self.sending.take() else {
            return;
        };
        let id = self.id;
        permit.send(match memory.finish() {
            Ok(memory) => Packet::Bulk { id, memory },
            // No descriptors left, say.
            Err(_) => Packet::Reset { id },
        });
    }
}

impl Drop for BulkWriter {
    fn drop(&mut self) {
        if let Some((permit, _)) = self.sending.take() {
            permit.send(Packet::Reset { id: self.id });
        }
    }
}

/// A body that has come, or the news that it will not.
struct BulkReader {
    body: Option<Bytes>,
    ended: bool,
}

impl BulkReceive for BulkReader {
    fn poll_read(
        &mut self,
        _: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>> {
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(Ok(0));
        }
        let body = self.body.take().ok_or(LinkError::Reset);
        Poll::Ready(body.map(|body| {
            pieces[0] = body;
            1
        }))
    }
}

/// A body in place.
fn body_of(memory: &Ashmem) -> Option<Bytes> {
    memory.map().ok().map(Bytes::from_owner)
}
