//! Bulk streams on one stream of bytes: as many as QUIC allows, each with credit of its own, in turns.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rpc::link::{BulkReceive, BulkSend, LinkError};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Shared,
    frame::{Frame, MAX_PAYLOAD, Malformed},
    state::Pieces,
};

/// Streams that may be open in each direction.
pub(super) const STREAMS: usize = 16;
/// How much of one may be under way and not taken.
pub(super) const WINDOW: usize = 1024 * 1024;
/// Pieces of one that may wait: four times as many as honest ends cut.
const PIECES: usize = 256;
/// How much is taken before its sender hears of it.
const CREDIT: usize = WINDOW / 4;

/// The bulk streams of a link.
#[derive(Debug, Default)]
pub(super) struct Streams {
    outgoing: BTreeMap<u32, Outgoing>,
    /// The number of ours that was opened last.
    opened: u32,
    /// The one that had its turn last.
    served: u32,
    incoming: BTreeMap<u32, Incoming>,
    /// The number of the peer's that was opened last.
    seen: u32,
    accepted: Vec<(u32, u64)>,
    acceptor: Option<Waker>,
    over: bool,
}

#[derive(Debug)]
struct Outgoing {
    pending: Bytes,
    credit: usize,
    ending: Ending,
    writer: Option<Waker>,
    /// Until the receiver is done with it.
    _permit: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    AfterPending,
    Said,
}

#[derive(Debug, Default)]
struct Incoming {
    pieces: Pieces,
    /// What the peer may still send.
    window: usize,
    /// What was taken and the peer does not know of.
    taken: usize,
    end: Option<Result<(), LinkError>>,
    reader: Option<Waker>,
}

impl Streams {
    /// A number for a stream of ours.
    fn open(&mut self, permit: OwnedSemaphorePermit) -> u32 {
        self.opened += 1;
        let stream = Outgoing {
            pending: Bytes::new(),
            credit: WINDOW,
            ending: Ending::No,
            writer: None,
            _permit: permit,
        };
        self.outgoing.insert(self.opened, stream);
        self.opened
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.incoming.is_empty()
    }

    /// Bytes that have come and are not taken.
    pub(super) fn held(&self) -> usize {
        let pieces = self.incoming.values().flat_map(|stream| &stream.pieces);
        pieces.map(Bytes::len).sum()
    }

    /// What the peer says of one.
    pub(super) fn handle(&mut self, frame: Frame, wake: &mut Vec<Waker>) -> Result<(), Malformed> {
        match frame {
            Frame::Open(number, id) => {
                if number != self.seen.wrapping_add(1) || self.incoming.len() >= STREAMS {
                    return Err(Malformed("number of a stream, or too many"));
                }
                self.seen = number;
                let window = WINDOW;
                self.incoming.insert(
                    number,
                    Incoming {
                        window,
                        ..Incoming::default()
                    },
                );
                self.accepted.push((number, id));
                wake.extend(self.acceptor.take());
            }
            Frame::Bulk(number, bytes) => {
                let Some(stream) = self.of_peer(number)? else {
                    return Ok(());
                };
                let window = stream.window.checked_sub(bytes.len());
                stream.window = window.ok_or(Malformed("more than was granted"))?;
                if stream.pieces.len() >= PIECES {
                    return Err(Malformed("too many pieces"));
                }
                stream.pieces.push_back(bytes);
                wake.extend(stream.reader.take());
            }
            Frame::End(number) => self.end_of_peer(number, Ok(()), wake)?,
            Frame::Reset(number) => self.end_of_peer(number, Err(LinkError::Reset), wake)?,
            Frame::Done(number) => {
                if let Some(stream) = self.outgoing.remove(&number) {
                    wake.extend(stream.writer);
                }
            }
            Frame::Credit(number, bytes) => {
                if let Some(stream) = self.outgoing.get_mut(&number) {
                    stream.credit += bytes as usize;
                    if stream.credit > WINDOW {
                        return Err(Malformed("credit for what was not sent"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `None` for one that we are done with, of which more may be under way.
    fn of_peer(&mut self, number: u32) -> Result<Option<&mut Incoming>, Malformed> {
        if number > self.seen {
            return Err(Malformed("stream that was not opened"));
        }
        let stream = self.incoming.get_mut(&number);
        if stream.as_ref().is_some_and(|stream| stream.end.is_some()) {
            return Err(Malformed("stream that has ended"));
        }
        Ok(stream)
    }

    fn end_of_peer(
        &mut self,
        number: u32,
        end: Result<(), LinkError>,
        wake: &mut Vec<Waker>,
    ) -> Result<(), Malformed> {
        if let Some(stream) = self.of_peer(number)? {
            stream.end = Some(end);
            wake.extend(stream.reader.take());
        }
        Ok(())
    }

    /// A piece of the next one that has something to send, and may.
    pub(super) fn put_piece(&mut self, out: &mut BytesMut, wake: &mut Vec<Waker>) {
        let has_turn = |stream: &Outgoing| match stream.ending {
            Ending::Said => false,
            Ending::AfterPending if stream.pending.is_empty() => true,
            _ => !stream.pending.is_empty() && stream.credit > 0,
        };
        let after = self.outgoing.range(self.served.wrapping_add(1)..);
        let mut all = after.chain(self.outgoing.range(..=self.served));
        let Some(number) = all.find_map(|(number, stream)| has_turn(stream).then_some(*number))
        else {
            return;
        };
        self.served = number;
        let Some(stream) = self.outgoing.get_mut(&number) else {
            return;
        };
        let len = stream.pending.len().min(stream.credit).min(MAX_PAYLOAD);
        if len > 0 {
            stream.credit -= len;
            Frame::Bulk(number, stream.pending.split_to(len)).put(out);
        }
        if stream.pending.is_empty() {
            wake.extend(stream.writer.take());
            if stream.ending == Ending::AfterPending {
                stream.ending = Ending::Said;
                Frame::End(number).put(out);
            }
        }
    }

    /// The link is gone.
    pub(super) fn end(&mut self, wake: &mut Vec<Waker>) {
        self.over = true;
        for (_, stream) in std::mem::take(&mut self.outgoing) {
            wake.extend(stream.writer);
        }
        for stream in self.incoming.values_mut() {
            stream.end.get_or_insert(Err(LinkError::Closed));
            wake.extend(stream.reader.take());
        }
        wake.extend(self.acceptor.take());
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u32, u64), LinkError>> {
        if !self.accepted.is_empty() {
            return Poll::Ready(Ok(self.accepted.remove(0)));
        }
        if self.over {
            return Poll::Ready(Err(LinkError::Closed));
        }
        self.acceptor = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes `bytes` when what was given before is gone.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
        bytes: &mut Bytes,
    ) -> Poll<Result<(), LinkError>> {
        let Some(stream) = self.outgoing.get_mut(&number) else {
            return Poll::Ready(Err(LinkError::Reset));
        };
        if !stream.pending.is_empty() {
            stream.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        stream.pending = std::mem::take(bytes);
        Poll::Ready(Ok(()))
    }

    /// Takes what has come, and says how much its sender is to be told of.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
        pieces: &mut [Bytes],
    ) -> Poll<Result<(usize, usize), LinkError>> {
        let Some(stream) = self.incoming.get_mut(&number) else {
            return Poll::Ready(Err(LinkError::Closed));
        };
        let count = stream.pieces.len().min(pieces.len());
        if count == 0 {
            return match &stream.end {
                Some(end) => Poll::Ready(end.clone().map(|()| (0, 0))),
                None => {
                    stream.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        for (place, piece) in pieces.iter_mut().zip(stream.pieces.drain(..count)) {
            stream.taken += piece.len();
            *place = piece;
        }
        if stream.taken < CREDIT || stream.end.is_some() {
            return Poll::Ready(Ok((count, 0)));
        }
        let credit = std::mem::take(&mut stream.taken);
        stream.window += credit;
        Poll::Ready(Ok((count, credit)))
    }
}

/// A stream of ours.
pub(super) struct BulkWriter {
    shared: Arc<Shared>,
    number: u32,
    finished: bool,
}

impl BulkWriter {
    pub(super) fn open(
        shared: &Arc<Shared>,
        id: u64,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, LinkError> {
        let number = shared.run(|state| {
            if state.is_over() || state.is_leaving() {
                return Err(LinkError::Closed);
            }
            let number = state.streams.open(permit);
            // Before any end of a lane that comes later: who has seen those knows of all streams.
            state.put(&Frame::Open(number, id));
            Ok(number)
        })?;
        Ok(Self {
            shared: Arc::clone(shared),
            number,
            finished: false,
        })
    }
}

#[async_trait]
impl BulkSend for BulkWriter {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), LinkError> {
        // A first time with the bytes, and a second time without, which waits until they are gone.
        for _ in 0..2 {
            let written = std::future::poll_fn(|cx| {
                self.shared.run(|state| {
                    let written = state.streams.poll_write(cx, self.number, &mut bytes);
                    state.wake_driver();
                    written
                })
            });
            written.await?;
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.finished = true;
        self.shared.run(|state| {
            if let Some(stream) = state.streams.outgoing.get_mut(&self.number) {
                stream.ending = Ending::AfterPending;
            }
            state.wake_driver();
        });
    }
}

impl Drop for BulkWriter {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.shared.run(|state| {
            if let Some(stream) = state.streams.outgoing.get_mut(&self.number) {
                stream.pending = Bytes::new();
                stream.ending = Ending::Said;
                state.put(&Frame::Reset(self.number));
            }
        });
    }
}

/// A stream of the peer's.
pub(super) struct BulkReader {
    shared: Arc<Shared>,
    number: u32,
}

impl BulkReader {
    /// The next one that it opens.
    pub(super) async fn accept(shared: &Arc<Shared>) -> Result<(u64, Self), LinkError> {
        let accepted = std::future::poll_fn(|cx| shared.run(|state| state.streams.poll_accept(cx)));
        let (number, id) = accepted.await?;
        let shared = Arc::clone(shared);
        Ok((id, Self { shared, number }))
    }
}

impl BulkReceive for BulkReader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>> {
        self.shared.run(|state| {
            let read = state.streams.poll_read(cx, self.number, pieces);
            read.map_ok(|(count, credit)| {
                if credit > 0 && !state.is_over() {
                    // At most a window.
                    state.put(&Frame::Credit(self.number, credit as u32));
                }
                count
            })
        })
    }
}

impl Drop for BulkReader {
    fn drop(&mut self) {
        self.shared.run(|state| {
            if state.streams.incoming.remove(&self.number).is_some() && !state.is_over() {
                state.put(&Frame::Done(self.number));
            }
        });
    }
}
