//! A link that begins on TCP and moves to QUIC once that gets through: the session on it notices nothing.
//!
//! The bytes of each lane go on where they stopped. Both ends get the lanes of the new link; each then ends every lane on the old
//! one and writes on to the new, and reads the old to its end before it reads the new. No byte is lost, doubled or overtaken, so no call is, and
//! no proxy dies. Bulk streams stay where they were opened. When both ends have ended everything on the old link, it is closed; fails it before,
//! bytes may be missing, and the whole link fails.

pub(crate) mod fuzzing;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use bytes::BytesMut;
use rpc::link::{BulkReceive, BulkSend, Lane, LaneReceive, LaneSend, Link, LinkClosed, LinkError};
use tokio::sync::{mpsc, watch};

use super::stream::{Handle, StreamLink};

type BulkStream = (u64, Box<dyn BulkReceive>);

/// A link on a stream, and later on another link.
pub(crate) struct MovingLink {
    first: StreamLink,
    /// By number of the lane.
    places: Mutex<Vec<Arc<Place>>>,
    next: watch::Sender<Option<Arc<dyn Link>>>,
    /// Bulk streams of the next link; whoever takes those has it, so that their end is seen.
    bulk: Mutex<Option<mpsc::Sender<BulkStream>>>,
    accepted: tokio::sync::Mutex<mpsc::Receiver<BulkStream>>,
}

impl MovingLink {
    pub(crate) fn new(first: StreamLink) -> Arc<Self> {
        // What waits here is open at the sender, which is bounded.
        let (bulk, accepted) = mpsc::channel(1);
        Arc::new(Self {
            first,
            places: Mutex::default(),
            next: watch::Sender::new(None),
            bulk: Mutex::new(Some(bulk)),
            accepted: tokio::sync::Mutex::new(accepted),
        })
    }

    /// What it began on.
    pub(crate) const fn first(&self) -> &StreamLink {
        &self.first
    }

    /// How many call lanes the next link has to have; `None` when it has moved, or cannot.
    pub(crate) fn lanes_to_move(&self) -> Option<u16> {
        let lanes = self.places().len().checked_sub(1)?;
        let moved = self.next.borrow().is_some() || self.first.is_over();
        u16::try_from(lanes)
            .ok()
            .filter(|lanes| !moved && *lanes > 0)
    }

    /// Goes on with another link, whose lanes are these, control first. The other end does the same. Whether it did.
    pub(crate) fn go_on(&self, next: Arc<dyn Link>, lanes: Vec<Lane>) -> bool {
        let places = self.places().clone();
        if lanes.len() != places.len() || self.first.is_over() {
            return false;
        }
        let moved = self.next.send_if_modified(|place| {
            let first = place.is_none();
            if first {
                *place = Some(Arc::clone(&next));
            }
            first
        });
        if !moved {
            return false;
        }
        for (place, lane) in places.iter().zip(lanes) {
            place.put(lane);
        }
        self.first.finish();
        places.iter().for_each(|place| place.wake());
        let bulk = self
            .bulk
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(bulk) = bulk {
            tokio::spawn(forward(next, bulk));
        }
        true
    }

    fn places(&self) -> MutexGuard<'_, Vec<Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Arc<dyn Link>> {
        self.next.borrow().clone()
    }

    fn lane(&self, number: u16, lane: Lane) -> Lane {
        let place = Arc::<Place>::default();
        self.places().push(Arc::clone(&place));
        Lane {
            send: Box::new(Sending {
                current: lane.send,
                place: Arc::clone(&place),
                moved: false,
            }),
            receive: Box::new(Receiving {
                current: lane.receive,
                place,
                old: self.first.handle(number),
                moved: false,
            }),
        }
    }
}

/// Takes the bulk streams of a link, whose own wait for one cannot be given up and begun again.
async fn forward(link: Arc<dyn Link>, to: mpsc::Sender<BulkStream>) {
    loop {
        let accepted = tokio::select! {
            accepted = link.accept_bulk() => accepted,
            () = to.closed() => return,
        };
        match accepted {
            Ok(stream) => {
                if to.send(stream).await.is_err() {
                    return;
                }
            }
            Err(LinkError::Unexpected) => {
                return link.close(rpc::opening::close_code::PROTOCOL, "unexpected stream");
            }
            Err(_) => return,
        }
    }
}

#[async_trait]
impl Link for MovingLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        Ok(self.lane(0, self.first.control().await?))
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        let lanes = self.first.lanes(count).await?;
        let lanes = (1..).zip(lanes);
        Ok(lanes
            .map(|(number, lane)| self.lane(number, lane))
            .collect())
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        if self.next().is_none() {
            match self.first.open_bulk(id).await {
                // It has moved meanwhile.
                Err(LinkError::Closed) => {}
                opened => return opened,
            }
        }
        self.next().ok_or(LinkError::Closed)?.open_bulk(id).await
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let mut accepted = self.accepted.lock().await;
        tokio::select! {
            stream = self.first.accept_bulk() => match stream {
                Err(LinkError::Closed) if self.next().is_some() => {}
                other => return other,
            },
            stream = accepted.recv() => return stream.ok_or(LinkError::Closed),
        }
        accepted.recv().await.ok_or(LinkError::Closed)
    }

    fn close(&self, code: u32, text: &str) {
        if let Some(next) = self.next() {
            next.close(code, text);
        }
        self.first.close(code, text);
    }

    async fn closed(&self) -> LinkClosed {
        let mut moved = self.next.subscribe();
        let has_moved = async {
            let _ = moved.wait_for(Option::is_some).await;
        };
        let end = tokio::select! {
            biased;
            () = has_moved => None,
            end = self.first.closed() => Some(end),
        };
        // What ends in the same moment may have moved before.
        let Some(next) = self.next() else {
            return end.unwrap_or(LinkClosed::ByUs);
        };
        tokio::select! {
            end = next.closed() => {
                self.first.close(0, "moved");
                end
            }
            end = self.first.closed() => {
                if self.first.is_read_to_the_end() {
                    return next.closed().await;
                }
                let (code, text) = match &end {
                    LinkClosed::ByPeer { code, text } => (*code, text.as_str()),
                    _ => (rpc::opening::close_code::TIMEOUT, "lost while moving"),
                };
                next.close(code, text);
                end
            }
        }
    }

    fn transport(&self) -> &'static str {
        self.next()
            .map_or_else(|| self.first.transport(), |next| next.transport())
    }

    fn is_worth_polling(&self) -> bool {
        true
    }
}

impl Drop for MovingLink {
    fn drop(&mut self) {
        self.close(0, "dropped");
    }
}

impl std::fmt::Debug for MovingLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MovingLink")
            .field("transport", &self.transport())
            .finish_non_exhaustive()
    }
}

/// Where the halves of a lane find those of the next link.
#[derive(Default)]
struct Place {
    filled: AtomicBool,
    next: Mutex<Next>,
}

#[derive(Default)]
struct Next {
    send: Option<Box<dyn LaneSend>>,
    receive: Option<Box<dyn LaneReceive>>,
    sender: Option<Waker>,
    receiver: Option<Waker>,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, lane: Lane) {
        let mut next = self.lock();
        next.send = Some(lane.send);
        next.receive = Some(lane.receive);
        drop(next);
        self.filled.store(true, Ordering::Release);
    }

    fn wake(&self) {
        let mut next = self.lock();
        let wakers = [next.sender.take(), next.receiver.take()];
        drop(next);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }
}

struct Sending {
    current: Box<dyn LaneSend>,
    place: Arc<Place>,
    moved: bool,
}

impl Sending {
    /// Goes on with the next lane, if there is one. The end of the old one is said already.
    fn move_on(&mut self) -> bool {
        if self.moved || !self.place.is_filled() {
            return false;
        }
        let next = self.place.lock().send.take();
        self.moved = next.is_some();
        if let Some(next) = next {
            self.current = next;
        }
        self.moved
    }
}

impl LaneSend for Sending {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        self.move_on();
        let written = self.current.poll_write(cx, bytes);
        match written {
            // It was ended while this looked.
            Poll::Ready(Err(_)) if self.move_on() => self.current.poll_write(cx, bytes),
            Poll::Pending if !self.moved => {
                self.place.lock().sender = Some(cx.waker().clone());
                if self.move_on() {
                    return self.current.poll_write(cx, bytes);
                }
                Poll::Pending
            }
            written => written,
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.move_on();
        self.current.poll_finish(cx)
    }
}

struct Receiving {
    current: Box<dyn LaneReceive>,
    place: Arc<Place>,
    old: Handle,
    moved: bool,
}

impl LaneReceive for Receiving {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        let read = self.current.poll_read(cx, buffer);
        if self.moved || !matches!(read, Poll::Ready(Ok(0))) {
            return read;
        }
        // To its end; or the stream is gone, which is told elsewhere.
        let mut next = self.place.lock();
        if let Some(lane) = next.receive.take_if(|_| self.old.has_ended()) {
            drop(next);
            self.current = lane;
            self.moved = true;
            return self.current.poll_read(cx, buffer);
        }
        if self.old.is_over() {
            return read;
        }
        next.receiver = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
