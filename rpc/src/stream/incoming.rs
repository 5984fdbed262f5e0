//! The end that consumes.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;

use super::{StreamError, code, end, outgoing::size};
use crate::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    StubOptions,
    call::StreamPlace,
    limits::{MAX_STREAM_ITEM, STREAM_BYTES, STREAM_ITEMS},
    parcel::ReadParcelError,
    remote::Execution,
};

type Sending = Pin<Box<dyn Future<Output = Result<Parcel, SendRequestError>> + Send>>;

/// A stream of the other end's.
pub(crate) struct Incoming {
    /// Until the end: letting it go ends the producer's stream.
    source: Option<RemoteObject>,
    queue: Arc<Queue>,
    opening: Option<Sending>,
    /// Credit that is on its way.
    giving: Option<Sending>,
    /// Items and bytes that were taken, and not given back as credit.
    taken: (u32, u64),
    batch: Option<Batch>,
    place: Option<StreamPlace>,
}

impl Incoming {
    /// Asks for items at once: the first ones are on their way before anybody looks for them.
    pub(crate) fn open(source: RemoteObject) -> Self {
        let queue = Arc::new(Queue::default());
        let proxy = source.as_proxy();
        let place = proxy.map(|proxy| proxy.0.peer.caller().open_stream());
        let (place, over) = match place {
            Some(Ok(place)) => (Some(place), None),
            Some(Err(limit)) => (None, Some(limit as u64)),
            None => (None, None),
        };
        let opening = if over.is_some() {
            // Said where the stream is read: the call that brought it has gone well.
            let limit = over;
            queue.end(End::Failed(StreamError::Open(SendRequestError::Busy {
                limit,
                value: limit.map(|limit| limit + 1),
                retry_after: None,
            })));
            None
        } else {
            begin(&source, &queue)
        };
        Self {
            source: Some(source),
            queue,
            opening,
            giving: None,
            taken: (0, 0),
            batch: None,
            place,
        }
    }

    /// The next item, as `read` takes it out of its parcel.
    pub(crate) fn poll_item<R>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut Parcel) -> Result<R, ReadParcelError>,
    ) -> Poll<Option<Result<R, StreamError>>> {
        if self.source.is_none() {
            return Poll::Ready(None);
        }
        if let Some(opening) = &mut self.opening
            && let Poll::Ready(opened) = opening.as_mut().poll(cx)
        {
            self.opening = None;
            if let Err(error) = opened {
                return self.fail(match error {
                    SendRequestError::DeadObject { reason } => StreamError::Dead { reason },
                    error => StreamError::Open(error),
                });
            }
        }
        self.give(cx);
        let mut batch = match self.batch.take() {
            Some(batch) => batch,
            None => match std::task::ready!(self.queue.poll_batch(cx)) {
                Ok(batch) => batch,
                Err(End::Done) => {
                    self.close();
                    return Poll::Ready(None);
                }
                Err(End::Failed(error)) => return self.fail(error),
                Err(End::Lost) => {
                    return self.fail(match self.source.as_ref().and_then(RemoteObject::death) {
                        Some(reason) => StreamError::Dead { reason },
                        None => StreamError::Abandoned,
                    });
                }
            },
        };
        let item = match read(&mut batch.data) {
            Ok(item) => item,
            Err(error) => return self.fail(StreamError::Malformed(error)),
        };
        self.taken.0 += 1;
        batch.items -= 1;
        if batch.items > 0 {
            self.batch = Some(batch);
        } else {
            self.taken.1 += batch.bytes;
            self.give(cx);
        }
        Poll::Ready(Some(Ok(item)))
    }

    /// Gives credit for what was taken, once that is a good part of what was given.
    fn give(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(giving) = &mut self.giving {
                match giving.as_mut().poll(cx) {
                    Poll::Pending => return,
                    // What else went wrong is seen at the sink.
                    Poll::Ready(_) => self.giving = None,
                }
            }
            let (items, bytes) = self.taken;
            if items < STREAM_ITEMS / 4 && bytes < STREAM_BYTES / 4 {
                return;
            }
            self.taken = (0, 0);
            self.queue.allow(items, bytes);
            let Some(source) = self.source.clone() else {
                return;
            };
            self.giving = Some(Box::pin(async move {
                let mut data = Parcel::new();
                // Twelve bytes fit.
                let _ = data.write_u32(items).and_then(|()| data.write_u64(bytes));
                loop {
                    let sent = source
                        .send_request(code::MORE, &data, CallOption::one_way())
                        .await;
                    // Nothing was sent: other calls of the lane have the credit.
                    if !matches!(sent, Err(SendRequestError::TimedOut { .. })) {
                        return sent;
                    }
                }
            }));
        }
    }

    fn fail<R>(&mut self, error: StreamError) -> Poll<Option<Result<R, StreamError>>> {
        self.close();
        Poll::Ready(Some(Err(error)))
    }

    /// Lets go of everything.
    fn close(&mut self) {
        self.opening = None;
        self.giving = None;
        self.batch = None;
        self.source = None;
        self.place = None;
    }
}

/// Sends the source a sink and the first credit. The call is made here; who reads the stream waits for its end.
fn begin(source: &RemoteObject, queue: &Arc<Queue>) -> Option<Sending> {
    let sink = RemoteObject::new(Sink {
        queue: Arc::clone(queue),
    });
    queue.allow(STREAM_ITEMS, STREAM_BYTES);
    // That it is let go is no news before the call has ended.
    let _held = sink.clone();
    let source = source.clone();
    let mut opening: Sending = Box::pin(async move {
        let mut data = Parcel::new();
        data.write_remote_object(&sink)
            .and_then(|()| data.write_u32(STREAM_ITEMS))
            .and_then(|()| data.write_u64(STREAM_BYTES))
            .map_err(SendRequestError::Arguments)?;
        // The source holds the sink from here on: if it lets go, that is noticed.
        drop(sink);
        let sent = source.send_request(code::OPEN, &data, CallOption::two_way());
        sent.await
    });
    match opening
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Pending => Some(opening),
        Poll::Ready(Ok(_)) => None,
        Poll::Ready(Err(error)) => {
            queue.end(End::Failed(StreamError::Open(error)));
            None
        }
    }
}

/// What the source holds of a consumer.
struct Sink {
    queue: Arc<Queue>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.queue.end(End::Lost);
    }
}

#[async_trait]
impl RemoteStub for Sink {
    fn descriptor(&self) -> &str {
        "softbus.stream.Sink"
    }

    fn options(&self) -> StubOptions {
        // On this device's own calls each batch takes a place, and an item may be a batch.
        StubOptions::execution(Execution::Inline).queue(2 * STREAM_ITEMS as usize)
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            code::ITEMS => {
                let (before, items) = (data.read_u64()?, data.read_u32()?);
                let bytes = size(data);
                let data = std::mem::take(data);
                self.queue.push(before, Batch { data, items, bytes });
            }
            code::END => {
                let (items, kind) = (data.read_u64()?, data.read_u32()?);
                let text = data.read_string()?;
                self.queue.finish(items, kind, text);
            }
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

/// Items that have arrived together.
struct Batch {
    /// Read up to the next item.
    data: Parcel,
    /// How many are left in it.
    items: u32,
    /// What it counts.
    bytes: u64,
}

/// Why there are no more items.
enum End {
    Done,
    Failed(StreamError),
    /// The sink was let go before any end.
    Lost,
}

/// What has arrived and was not taken.
#[derive(Default)]
struct Queue(Mutex<Arrived>);

#[derive(Default)]
struct Arrived {
    batches: VecDeque<Batch>,
    /// In all: items and bytes that came, and that may come.
    items: u64,
    bytes: u64,
    may_items: u64,
    may_bytes: u64,
    end: Option<End>,
    waker: Option<Waker>,
}

impl Queue {
    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allow(&self, items: u32, bytes: u64) {
        let mut arrived = self.arrived();
        arrived.may_items += u64::from(items);
        arrived.may_bytes += bytes;
    }

    fn push(&self, before: u64, batch: Batch) {
        let mut arrived = self.arrived();
        if arrived.end.is_some() {
            return;
        }
        let items = arrived.items + u64::from(batch.items);
        let fault = if before != arrived.items || batch.items == 0 {
            Some("items are missing")
        } else if items > arrived.may_items
            || arrived.bytes >= arrived.may_bytes
            || batch.bytes > MAX_STREAM_ITEM
        {
            Some("more than it may send")
        } else {
            None
        };
        if let Some(fault) = fault {
            drop(arrived);
            tracing::warn!(fault, "stream ended");
            return self.end(End::Failed(StreamError::Broken(fault)));
        }
        arrived.items = items;
        arrived.bytes += batch.bytes;
        arrived.batches.push_back(batch);
        wake(arrived);
    }

    fn finish(&self, items: u64, kind: u32, text: String) {
        let all = self.arrived().items == items;
        self.end(match kind {
            end::DONE if all => End::Done,
            end::DONE => End::Failed(StreamError::Broken("items are missing")),
            end::ITEM_NOT_SENT => End::Failed(StreamError::ItemNotSent(text)),
            _ => End::Failed(StreamError::Failed(text)),
        });
    }

    /// The first end counts.
    fn end(&self, end: End) {
        let mut arrived = self.arrived();
        if arrived.end.is_none() {
            arrived.end = Some(end);
            wake(arrived);
        }
    }

    /// The next batch, or how it ended.
    fn poll_batch(&self, cx: &mut Context<'_>) -> Poll<Result<Batch, End>> {
        let mut arrived = self.arrived();
        if let Some(batch) = arrived.batches.pop_front() {
            return Poll::Ready(Ok(batch));
        }
        if let Some(end) = arrived.end.take() {
            return Poll::Ready(Err(end));
        }
        arrived.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Wakes who waits, outside the lock.
fn wake(mut arrived: MutexGuard<'_, Arrived>) {
    let waker = arrived.waker.take();
    drop(arrived);
    if let Some(waker) = waker {
        waker.wake();
    }
}
