//! The end that produces.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{runtime::Handle, task::AbortHandle};

use super::{Items, code, end};
use crate::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    StubOptions,
    limits::{MAX_STREAM_ITEM, STREAM_BATCH_BYTES, STREAM_BATCH_ITEMS},
    parcel::{Parcelable, WriteParcelError},
    remote::Execution,
};

/// How long to wait at first when there is no room for an item, and nobody says when there will be.
const FIRST_RETRY: Duration = Duration::from_millis(10);
/// The longest wait before another try, whoever says what.
const LAST_RETRY: Duration = Duration::from_secs(1);
/// The most bytes of a text about the end.
const MAX_TEXT: usize = 1024;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Start = Box<dyn FnOnce(RemoteObject, Arc<Credit>) -> Task + Send>;

/// What the consumer holds of a stream: credit comes in here, and when it is released, nobody wants the items any more.
pub(super) struct Source {
    state: Mutex<State>,
    credit: Arc<Credit>,
}

enum State {
    /// Nobody has asked for items.
    Ready(Start),
    Opened(AbortHandle),
    /// Between both.
    Opening,
}

impl Source {
    pub(super) fn new<T: Parcelable + Send>(items: Items<T>) -> Self {
        Self {
            state: Mutex::new(State::Ready(Box::new(|sink, credit| {
                Box::pin(produce(items, sink, credit))
            }))),
            credit: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, caller: &Caller, data: &mut Parcel) -> Result<(), HandlerError> {
        let sink = data.read_remote_object()?;
        let (items, bytes) = (data.read_u32()?, data.read_u64()?);
        let runtime =
            Handle::try_current().map_err(|error| HandlerError::Failed(error.to_string()))?;
        let place = caller
            .open_stream()
            .map_err(|_| HandlerError::Busy { retry_after: None })?;
        let start = {
            let mut state = self.state();
            match std::mem::replace(&mut *state, State::Opening) {
                State::Ready(start) => start,
                opened => {
                    *state = opened;
                    return Err(HandlerError::Refused);
                }
            }
        };
        self.credit.add(items, bytes);
        let task = start(sink, Arc::clone(&self.credit));
        let task = runtime.spawn(async move {
            let _place = place;
            task.await;
        });
        *self.state() = State::Opened(task.abort_handle());
        Ok(())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let State::Opened(task) = &*self.state() {
            task.abort();
        }
    }
}

#[async_trait]
impl RemoteStub for Source {
    fn descriptor(&self) -> &str {
        "softbus.stream.Source"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Inline)
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            code::OPEN => self.open(caller, data),
            code::MORE => {
                self.credit.add(data.read_u32()?, data.read_u64()?);
                Ok(())
            }
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

/// How much may be sent.
#[derive(Default)]
pub(super) struct Credit(Mutex<Left>);

#[derive(Default)]
struct Left {
    items: u64,
    /// The last item may take more than there is.
    bytes: i64,
    waker: Option<Waker>,
}

impl Credit {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, items: u32, bytes: u64) {
        let waker = {
            let mut left = self.left();
            left.items = left.items.saturating_add(items.into());
            left.bytes = left
                .bytes
                .saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
            left.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn spend(&self, items: u32, bytes: u64) {
        let mut left = self.left();
        left.items = left.items.saturating_sub(items.into());
        left.bytes = left
            .bytes
            .saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How many items may be sent, once there are any.
    fn poll_items(&self, cx: &mut Context<'_>) -> Poll<u32> {
        let mut left = self.left();
        if left.items > 0 && left.bytes > 0 {
            return Poll::Ready(u32::try_from(left.items).unwrap_or(u32::MAX));
        }
        left.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Why nothing more is sent.
enum Ending {
    Done,
    Failed(String),
    ItemNotSent(String),
    /// There is nobody to be told.
    NobodyThere,
}

async fn produce<T: Parcelable + Send>(items: Items<T>, sink: RemoteObject, credit: Arc<Credit>) {
    let mut outgoing = Outgoing {
        items: Some(items),
        waiting: None,
        next: empty(),
        ending: None,
        sink,
        sent: 0,
    };
    let ending = outgoing.run(&credit).await;
    let (kind, text) = match ending {
        Ending::NobodyThere => return,
        Ending::Done => (end::DONE, String::new()),
        Ending::Failed(text) => (end::FAILED, text),
        Ending::ItemNotSent(text) => (end::ITEM_NOT_SENT, text),
    };
    let mut data = Parcel::new();
    let written = data
        .write_u64(outgoing.sent)
        .and_then(|()| data.write_u32(kind))
        .and_then(|()| data.write_string(beginning(&text)));
    if written.is_ok() {
        let _ = send(&outgoing.sink, code::END, &data).await;
    }
}

/// As much of a text as is sent.
fn beginning(text: &str) -> &str {
    let end = (0..=MAX_TEXT.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

struct Outgoing<T> {
    /// Until there are no more.
    items: Option<Items<T>>,
    /// An item that found no room in the batch before. It is written: a stream in it could not be written again.
    waiting: Option<Parcel>,
    /// Where an item is written that may find no room. Empty in between.
    next: Parcel,
    ending: Option<Ending>,
    sink: RemoteObject,
    sent: u64,
}

impl<T: Parcelable + Send> Outgoing<T> {
    async fn run(&mut self, credit: &Credit) -> Ending {
        loop {
            let room = poll_fn(|cx| credit.poll_items(cx)).await;
            let batch = poll_fn(|cx| self.poll_batch(cx, room)).await;
            if let Some((data, count)) = batch {
                credit.spend(count, size(&data));
                match send(&self.sink, code::ITEMS, &data).await {
                    Ok(()) => self.sent += u64::from(count),
                    Err(ending) => return ending,
                }
                // A stream that always has items shares its thread all the same.
                tokio::task::yield_now().await;
            } else {
                return self.ending.take().unwrap_or(Ending::Done);
            }
        }
    }

    /// As many items as there are now, and may be sent together; `None` after the last one.
    fn poll_batch(&mut self, cx: &mut Context<'_>, room: u32) -> Poll<Option<(Parcel, u32)>> {
        let mut batch = None;
        let room = room.min(STREAM_BATCH_ITEMS);
        if let Some(item) = self.waiting.take() {
            let mut data = begin(self.sent);
            match add(&mut data, |data| data.append(&item)) {
                Ok(()) => batch = Some((data, 1)),
                Err(text) => self.ending = Some(Ending::ItemNotSent(text)),
            }
        }
        while batch
            .as_ref()
            .is_none_or(|(data, count)| *count < room && size(data) < STREAM_BATCH_BYTES)
            && self.ending.is_none()
        {
            let item = match self.poll_item(cx) {
                Poll::Ready(Some(item)) => item,
                Poll::Ready(None) => break,
                Poll::Pending if batch.is_none() => return Poll::Pending,
                Poll::Pending => break,
            };
            let written = match &mut batch {
                None => {
                    let mut data = begin(self.sent);
                    let written = add(&mut data, |data| data.write(&item));
                    written.map(|()| batch = Some((data, 1)))
                }
                Some((data, count)) => add(&mut self.next, |next| next.write(&item)).map(|()| {
                    if add(data, |data| data.append(&self.next)).is_ok() {
                        *count += 1;
                        // Its objects are those of the batch now.
                        let _ = self.next.rewind_write(0);
                    } else {
                        // In a batch of its own there is more.
                        self.waiting = Some(std::mem::replace(&mut self.next, empty()));
                    }
                }),
            };
            if let Err(text) = written {
                self.ending = Some(Ending::ItemNotSent(text));
            }
            if self.waiting.is_some() {
                break;
            }
        }
        Poll::Ready(batch.map(|(mut data, count)| {
            data.overwrite_u32(COUNT_AT, count);
            (data, count)
        }))
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(items) = &mut self.items else {
            return Poll::Ready(None);
        };
        match std::task::ready!(items.as_mut().poll_next(cx)) {
            Some(Ok(item)) => return Poll::Ready(Some(item)),
            Some(Err(text)) => self.ending = Some(Ending::Failed(text)),
            None => self.ending = Some(Ending::Done),
        }
        self.items = None;
        Poll::Ready(None)
    }
}

/// Where a batch says how many items it has.
const COUNT_AT: usize = 8;

/// A batch without items.
fn begin(sent: u64) -> Parcel {
    let mut data = empty();
    // Twelve bytes fit.
    let _ = data.write_u64(sent).and_then(|()| data.write_u32(0));
    data
}

fn empty() -> Parcel {
    let mut data = Parcel::new();
    data.raise_to_transport_limit();
    data
}

/// Adds an item, or says why it cannot be.
fn add(
    data: &mut Parcel,
    write: impl FnOnce(&mut Parcel) -> Result<(), WriteParcelError>,
) -> Result<(), String> {
    let position = data.write_position();
    write(data).map_err(|error| error.to_string())?;
    let size = size(data);
    if size > MAX_STREAM_ITEM {
        // Back to a position that this parcel has given.
        let _ = data.rewind_write(position);
        let limit = MAX_STREAM_ITEM as usize;
        let size = size as usize;
        return Err(WriteParcelError::CapacityExceeded { limit, size }.to_string());
    }
    Ok(())
}

/// What a batch counts, in bytes.
pub(super) fn size(data: &Parcel) -> u64 {
    let parts = data.wire_parts();
    parts.data.len() as u64 + parts.raw.map_or(0, |raw| raw.len() as u64)
}

/// Sends when there is room. There is no deadline: it waits for as long as the session lasts.
async fn send(sink: &RemoteObject, code: u32, data: &Parcel) -> Result<(), Ending> {
    let mut retries = Retries::default();
    loop {
        let Err(error) = sink.send_request(code, data, CallOption::one_way()).await else {
            return Ok(());
        };
        match error {
            // Nothing was sent: other calls of the lane have the credit.
            SendRequestError::TimedOut { .. } => {}
            SendRequestError::Busy { retry_after, .. } => {
                tokio::time::sleep(retries.pause(retry_after)).await;
            }
            error @ (SendRequestError::Pass { .. }
            | SendRequestError::RequestTooLarge { .. }
            | SendRequestError::Arguments(_)) => {
                return Err(Ending::ItemNotSent(error.to_string()));
            }
            _ => return Err(Ending::NobodyThere),
        }
    }
}

/// How long to wait before each further try of one batch.
struct Retries {
    next: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { next: FIRST_RETRY }
    }
}

impl Retries {
    /// As long as was said, and twice as long each time, at most [`LAST_RETRY`].
    fn pause(&mut self, said: Option<Duration>) -> Duration {
        let pause = self.next.max(said.unwrap_or_default()).min(LAST_RETRY);
        self.next = (self.next * 2).min(LAST_RETRY);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_become_rare_and_heed_what_was_said() {
        let mut retries = Retries::default();
        let pauses: Vec<_> = (0..9).map(|_| retries.pause(None).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        let mut retries = Retries::default();
        assert_eq!(
            retries.pause(Some(Duration::from_millis(300))).as_millis(),
            300
        );
        assert_eq!(retries.pause(Some(Duration::ZERO)).as_millis(), 20);
        assert_eq!(retries.pause(Some(Duration::MAX)), LAST_RETRY);
    }
}
