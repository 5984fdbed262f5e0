//! A session's lanes and bulk streams on one stream of bytes: TCP with TLS, where QUIC does not get through.
//!
//! One task moves bytes between the stream and what is under way on it ([`driver`]). Frames of lanes go before bulk, which
//! goes in pieces of at most 16 KiB, so a call never waits for more than a piece and what the system has taken.
//!
//! *A call*: the lane's task gives bytes to [`State::poll_write`], which appends them as frames; the driver writes them, the
//! other driver reads them into the lane's buffer and wakes the lane's task there. *A bulk body*: [`BulkWriter`] lends its bytes, the driver
//! takes a piece whenever nothing else waits and there is credit, and the reader gives credit back as it takes them. *A close*: what lanes
//! have queued is written, then the code; the other end hands its readers what came before and then says why. *A failure*: silence
//! for too long, or what the system says.

mod bulk;
mod driver;
mod frame;
pub(crate) mod fuzzing;
mod state;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::BytesMut;
use rpc::link::{BulkReceive, BulkSend, Lane, LaneReceive, LaneSend, Link, LinkClosed, LinkError};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{Semaphore, watch},
};

use super::end::End;
use crate::presence::Profile;
use bulk::{BulkReader, BulkWriter};
use frame::Frame;
use state::State;

/// How long it may take to turn somebody away.
const REFUSE_TIME: Duration = Duration::from_millis(500);

/// How silence is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// After this the peer is asked whether it is there.
    pub(crate) keep_alive: Duration,
    /// And after this it is taken not to be. The smaller one of both ends counts.
    pub(crate) idle: Duration,
}

impl From<Profile> for Timing {
    fn from(profile: Profile) -> Self {
        Self {
            keep_alive: profile.keep_alive(),
            idle: profile.idle_timeout(),
        }
    }
}

/// A link on one stream of bytes. Who is at its other end is known.
#[derive(Debug)]
pub(crate) struct StreamLink {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    transport: &'static str,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    end: End,
    /// Grows whenever something comes.
    received: AtomicU64,
    /// The stream is closed.
    gone: watch::Sender<bool>,
}

impl Shared {
    /// Does something with the state, and wakes afterwards whoever is to look again.
    fn run<R>(&self, command: impl FnOnce(&mut State) -> R) -> R {
        let (result, wake) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = command(&mut state);
            (result, std::mem::take(&mut state.wake))
        };
        for waker in wake {
            waker.wake();
        }
        result
    }
}

impl StreamLink {
    /// A link on a stream, and the task that runs it. Must be called on a runtime.
    pub(crate) fn new<S>(stream: S, timing: Timing, transport: &'static str) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            end: End::new(),
            received: AtomicU64::new(0),
            gone: watch::Sender::new(false),
        });
        tokio::spawn(driver::drive(stream, Arc::clone(&shared), timing));
        Self {
            shared,
            permits: Arc::new(Semaphore::new(bulk::STREAMS)),
            transport,
        }
    }

    /// Grows whenever something comes from the peer.
    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Waits until the stream is closed, which is after the end of the link.
    pub(crate) async fn gone(&self) {
        let mut gone = self.shared.gone.subscribe();
        // An error is that nobody says so any more.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Writes no more of any lane, and opens no more bulk streams. When the peer has done so too, and all that are open have ended, the
    /// stream is closed.
    pub(crate) fn finish(&self) {
        self.shared.run(|state| state.finish_all());
    }

    /// Whether the peer has ended every lane: nothing it wrote can be lost any more.
    pub(crate) fn is_read_to_the_end(&self) -> bool {
        self.shared.run(|state| state.is_read_to_the_end())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.shared.run(|state| state.is_over())
    }

    pub(crate) fn handle(&self, lane: u16) -> Handle {
        Handle(Half {
            shared: Arc::clone(&self.shared),
            number: lane,
        })
    }

    fn lane(&self, number: u16) -> Lane {
        let half = Half {
            shared: Arc::clone(&self.shared),
            number,
        };
        Lane {
            send: Box::new(Sending(half.clone())),
            receive: Box::new(Receiving(half)),
        }
    }
}

/// Tells somebody with whom there will be no link why, and closes the stream.
pub(crate) async fn refuse<S>(mut stream: S, timing: Timing, code: u32, text: &'static str)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut out = BytesMut::from(&frame::preamble(timing.idle)[..]);
    Frame::Close(code, text.into()).put(&mut out);
    let refusal = driver::say_goodbye(&mut stream, &out);
    let _ = tokio::time::timeout(REFUSE_TIME, refusal).await;
    let _ = stream.shutdown().await;
}

#[async_trait]
impl Link for StreamLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        Ok(self.lane(0))
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        if !self.shared.run(|state| state.agree(count)) {
            return Err(LinkError::Unexpected);
        }
        Ok((1..=count).map(|number| self.lane(number)).collect())
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::select! {
            permit = permit => permit.map_err(|_| LinkError::Closed)?,
            _ = self.shared.end.wait() => return Err(LinkError::Closed),
        };
        Ok(Box::new(BulkWriter::open(&self.shared, id, permit)?))
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let (id, stream) = BulkReader::accept(&self.shared).await?;
        Ok((id, Box::new(stream)))
    }

    fn close(&self, code: u32, text: &str) {
        self.shared.end.close(code, text);
    }

    async fn closed(&self) -> LinkClosed {
        self.shared.end.wait().await
    }

    fn transport(&self) -> &'static str {
        self.transport
    }

    fn is_worth_polling(&self) -> bool {
        true
    }
}

impl Drop for StreamLink {
    fn drop(&mut self) {
        self.close(0, "dropped");
    }
}

/// What a lane of a stream that is being left is asked.
pub(crate) struct Handle(Half);

impl Handle {
    /// Whether the peer has ended it.
    pub(crate) fn has_ended(&self) -> bool {
        let Half { shared, number } = &self.0;
        shared.run(|state| state.has_ended(*number))
    }

    /// Whether the stream is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.0.shared.run(|state| state.is_over())
    }
}

/// One end of a lane.
#[derive(Clone)]
struct Half {
    shared: Arc<Shared>,
    number: u16,
}

struct Sending(Half);

impl LaneSend for Sending {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        let Half { shared, number } = &self.0;
        shared.run(|state| state.poll_write(cx, *number, bytes))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<()> {
        // The end of the link is said behind it, and heard after all that came before.
        let Half { shared, number } = &self.0;
        shared.run(|state| state.finish(*number));
        Poll::Ready(())
    }
}

struct Receiving(Half);

impl LaneReceive for Receiving {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        let Half { shared, number } = &self.0;
        shared.run(|state| state.poll_read(cx, *number, buffer))
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let Half { shared, number } = &self.0;
        shared.run(|state| state.leave(*number));
    }
}

#[cfg(test)]
mod tests;
