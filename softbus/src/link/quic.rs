//! A session's lanes and bulk streams on a QUIC connection.
//!
//! | stream | opened by | begins with |
//! |---|---|---|
//! | control and call lanes, bidirectional | the side that dialled | `SBL1`, `u16` number of the lane |
//! | first of a connection that takes over a session, bidirectional | the side that dialled | `SBM1`, `u64` name of the session |
//! | bulk, unidirectional | the sender | `SBK1`, `u64` id |

pub(crate) mod beginning;
mod closing;
pub(crate) mod config;
pub(crate) mod socket;

pub(crate) use closing::close;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use quinn::{
    Connection, ConnectionError, ReadError, ReadExactError, RecvStream, SendStream, VarInt,
};
use rpc::link::{BulkReceive, BulkSend, Lane, LaneReceive, LaneSend, Link, LinkClosed, LinkError};

use super::end::by_peer;
use beginning::{Beginning, LONGEST, MOVE, NotRead};

/// Lanes go before bulk: a call must not wait for a transfer that shares its connection.
const LANE_PRIORITY: i32 = 1;
/// Packets' worth taken from a lane at a time: few, so that what they ask is answered while the next ones come.
const CHUNKS: usize = 4;
/// How long a bulk stream may take to say what it is.
const PREAMBLE_TIME: Duration = Duration::from_secs(5);

/// One QUIC connection, admitted.
#[derive(Debug)]
pub(crate) struct QuicLink {
    connection: Connection,
    dialled: bool,
    /// The control lane, where it was accepted before somebody asked for it.
    control: Mutex<Option<Lane>>,
}

/// What the side that dialled wants of a connection.
pub(crate) enum Purpose {
    /// A session.
    Session,
    /// To go on with this one, which is on another connection. To be answered here.
    Move(u64, SendStream),
}

impl QuicLink {
    pub(crate) fn new(connection: Connection, dialled: bool) -> Self {
        Self {
            connection,
            dialled,
            control: Mutex::default(),
        }
    }

    /// Waits for the side that dialled to say what it wants.
    ///
    /// # Errors
    /// The connection is gone, or it wants something else.
    pub(crate) async fn purpose(&self) -> Result<Purpose, LinkError> {
        let accepted = self.connection.accept_bi().await;
        let (send, mut receive) = accepted.map_err(|_| LinkError::Closed)?;
        match begins(&mut receive).await? {
            Beginning::Move(name) => Ok(Purpose::Move(name, send)),
            Beginning::Lane(0) => {
                let control = lane(send, receive);
                *self.control.lock().unwrap_or_else(PoisonError::into_inner) = Some(control);
                Ok(Purpose::Session)
            }
            _ => Err(LinkError::Unexpected),
        }
    }

    /// Asks to go on with a session.
    ///
    /// # Errors
    /// The other side will not, and has closed the connection, or the connection is gone.
    pub(crate) async fn ask_to_move(&self, session: u64) -> Result<(), LinkError> {
        let opened = self.connection.open_bi().await;
        let (mut send, mut receive) = opened.map_err(|_| LinkError::Closed)?;
        let question = Beginning::Move(session).to_bytes();
        let asked = send.write_all(&question).await;
        asked.map_err(|_| LinkError::Closed)?;
        let _ = send.finish();
        let mut answer = [0; 4];
        receive.read_exact(&mut answer).await.map_err(read_error)?;
        match answer {
            MOVE => Ok(()),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// Says that it is so.
    pub(crate) async fn agree_to_move(mut answer: SendStream) -> Result<(), LinkError> {
        let said = answer.write_all(&MOVE).await;
        said.map_err(|_| LinkError::Closed)?;
        let _ = answer.finish();
        Ok(())
    }

    async fn open_lane(&self, number: u16) -> Result<Lane, LinkError> {
        let (mut send, receive) = self
            .connection
            .open_bi()
            .await
            .map_err(|_| LinkError::Closed)?;
        send.write_all(&Beginning::Lane(number).to_bytes())
            .await
            .map_err(|_| LinkError::Closed)?;
        Ok(lane(send, receive))
    }

    async fn accept_lane(&self) -> Result<(u16, Lane), LinkError> {
        let (send, mut receive) = self
            .connection
            .accept_bi()
            .await
            .map_err(|_| LinkError::Closed)?;
        match begins(&mut receive).await? {
            Beginning::Lane(number) => Ok((number, lane(send, receive))),
            _ => Err(LinkError::Unexpected),
        }
    }
}

/// Reads what a stream begins with.
async fn begins(stream: &mut RecvStream) -> Result<Beginning, LinkError> {
    let (mut bytes, mut there) = ([0; LONGEST], 0);
    loop {
        match Beginning::read(&bytes[..there]) {
            Ok(beginning) => return Ok(beginning),
            Err(NotRead::Longer(length)) => {
                let rest = &mut bytes[there..length];
                stream.read_exact(rest).await.map_err(read_error)?;
                there = length;
            }
            Err(NotRead::Unknown) => return Err(LinkError::Unexpected),
        }
    }
}

fn lane(send: SendStream, receive: RecvStream) -> Lane {
    // Fails only on a stream that is gone, which the first write then says.
    let _ = send.set_priority(LANE_PRIORITY);
    let send = LaneWriter {
        stream: send,
        delivered: None,
    };
    Lane {
        send: Box::new(send),
        receive: Box::new(LaneReader(receive)),
    }
}

#[async_trait]
impl Link for QuicLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        if self.dialled {
            return self.open_lane(0).await;
        }
        let known = self
            .control
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(lane) = known {
            return Ok(lane);
        }
        match self.accept_lane().await? {
            (0, lane) => Ok(lane),
            _ => Err(LinkError::Unexpected),
        }
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        if self.dialled {
            let mut lanes = Vec::new();
            for number in 1..=count {
                lanes.push(self.open_lane(number).await?);
            }
            return Ok(lanes);
        }
        let mut lanes: Vec<Option<Lane>> = (0..count).map(|_| None).collect();
        for _ in 0..count {
            let (number, lane) = self.accept_lane().await?;
            let place = usize::from(number)
                .checked_sub(1)
                .and_then(|index| lanes.get_mut(index));
            match place {
                Some(place @ None) => *place = Some(lane),
                _ => return Err(LinkError::Unexpected),
            }
        }
        Ok(lanes.into_iter().flatten().collect())
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        let mut stream = self
            .connection
            .open_uni()
            .await
            .map_err(|_| LinkError::Closed)?;
        stream
            .write_all(&Beginning::Bulk(id).to_bytes())
            .await
            .map_err(|_| LinkError::Closed)?;
        Ok(Box::new(BulkWriter {
            stream,
            finished: false,
        }))
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let accepted = self.connection.accept_uni().await;
        let mut stream = accepted.map_err(|_| LinkError::Closed)?;
        // Its sender says it at once. Without it nobody knows which call waits for the stream.
        let begins = tokio::time::timeout(PREAMBLE_TIME, begins(&mut stream)).await;
        match begins {
            Ok(Ok(Beginning::Bulk(id))) => Ok((id, Box::new(BulkReader(stream)))),
            Ok(Err(LinkError::Closed)) => Err(LinkError::Closed),
            _ => Err(LinkError::Unexpected),
        }
    }

    fn close(&self, code: u32, text: &str) {
        close(&self.connection, VarInt::from_u32(code), text.as_bytes());
    }

    async fn closed(&self) -> LinkClosed {
        link_closed(self.connection.closed().await)
    }

    fn transport(&self) -> &'static str {
        "quic"
    }

    fn is_worth_polling(&self) -> bool {
        true
    }
}

/// What QUIC says of the end of a connection, in the terms of a link.
pub(crate) fn link_closed(error: ConnectionError) -> LinkClosed {
    match error {
        ConnectionError::ApplicationClosed(close) => by_peer(
            u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX),
            &close.reason,
        ),
        ConnectionError::LocallyClosed => LinkClosed::ByUs,
        ConnectionError::TimedOut => LinkClosed::TimedOut,
        ConnectionError::Reset => LinkClosed::Reset,
        other => LinkClosed::Failed(other.to_string()),
    }
}

fn read_error(error: ReadExactError) -> LinkError {
    match error {
        ReadExactError::ReadError(ReadError::ConnectionLost(_)) => LinkError::Closed,
        _ => LinkError::Unexpected,
    }
}

struct LaneWriter {
    stream: SendStream,
    /// Resolves when the peer has all of a stream that was finished.
    delivered: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl LaneSend for LaneWriter {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        // Given away whole: quinn would have to copy what it is only lent.
        let mut pieces = [std::mem::take(bytes).freeze()];
        // As for reading, the future holds no state of its own between polls.
        let written = pin!(self.stream.write_chunks(&mut pieces)).poll(cx);
        let [rest] = pieces;
        if !rest.is_empty() {
            *bytes = rest.into();
        }
        match ready!(written) {
            Ok(_) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(LinkError::Closed)),
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { stream, delivered } = self;
        let delivered = delivered.get_or_insert_with(|| {
            // Fails on a stream that is gone, of which `stopped` tells too.
            let _ = stream.finish();
            let stopped = stream.stopped();
            Box::pin(async move {
                let _ = stopped.await;
            })
        });
        delivered.as_mut().poll(cx)
    }
}

struct LaneReader(RecvStream);

impl LaneReceive for LaneReader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        let mut chunks = [const { Bytes::new() }; CHUNKS];
        // The future holds no state of its own between polls, so it can be made anew for each.
        let read = pin!(self.0.read_chunks(&mut chunks)).poll(cx);
        match ready!(read) {
            Ok(Some(count)) => {
                let chunks = &chunks[..count];
                let len = chunks.iter().map(Bytes::len).sum();
                buffer.reserve(len);
                for chunk in chunks {
                    buffer.extend_from_slice(chunk);
                }
                Poll::Ready(Ok(len))
            }
            Ok(None) => Poll::Ready(Ok(0)),
            Err(_) => Poll::Ready(Err(LinkError::Closed)),
        }
    }
}

struct BulkWriter {
    stream: SendStream,
    finished: bool,
}

#[async_trait]
impl BulkSend for BulkWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), LinkError> {
        self.stream
            .write_chunk(bytes)
            .await
            .map_err(|_| LinkError::Reset)
    }

    fn finish(&mut self) {
        self.finished = true;
        // Fails only when the peer has stopped the stream, and then it knows.
        let _ = self.stream.finish();
    }
}

impl Drop for BulkWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Without this, quinn would finish the stream, and half a body would look like a whole one.
            let _ = self.stream.reset(VarInt::from_u32(0));
        }
    }
}

struct BulkReader(RecvStream);

impl BulkReceive for BulkReader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>> {
        // As for a lane.
        let read = ready!(pin!(self.0.read_chunks(pieces)).poll(cx));
        Poll::Ready(
            read.map(Option::unwrap_or_default)
                .map_err(|_| LinkError::Reset),
        )
    }
}
