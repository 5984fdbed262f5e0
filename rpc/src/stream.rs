//! Many values over time, as an argument or a result: [`Streaming`].
//!
//! A stream travels as an object. The end that produces exports a source; the end that consumes
//! gives it a sink and credit, and gives more credit as its user takes items. Items, credit and end
//! are one-way calls of these two objects, so the bus already keeps them in order. Whoever loses interest drops his end:
//! the other one's object is released, and that ends its stream.

mod error;
mod incoming;
mod outgoing;

pub use error::StreamError;
pub use futures_core::Stream;

pub(crate) use incoming::Incoming;

use std::{
    borrow::Cow,
    fmt::{self, Display},
    future::poll_fn,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::sync::mpsc;

use crate::{
    Parcel, RemoteObject,
    parcel::{Marshal, Parcelable, ReadParcelError, WriteParcelError},
};

/// What the two ends of a stream say to each other.
mod code {
    /// To the source: the sink, how many items and how many bytes it may send.
    pub(super) const OPEN: u32 = 1;
    /// To the source: how many more items and bytes.
    pub(super) const MORE: u32 = 2;
    /// To the sink: how many items came before, how many these are, and these.
    pub(super) const ITEMS: u32 = 1;
    /// To the sink: how many items there were, and why there are no more.
    pub(super) const END: u32 = 2;
}

/// Why there are no more items, on the wire.
mod end {
    pub(super) const DONE: u32 = 0;
    pub(super) const FAILED: u32 = 1;
    pub(super) const ITEM_NOT_SENT: u32 = 2;
}

/// A stream of values, as an argument or as a result of a method.
///
/// Whoever makes one has items to send; whoever receives one reads them with [`next`](Self::next), or as a
/// [`Stream`].
///
/// ```
/// # extern crate softbus_rpc as softbus;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use softbus::{Streaming, remote_interface};
///
/// #[remote_interface(descriptor = "org.example.Thermometer")]
/// trait Thermometer {
///     /// As a result: the temperature, each time it changes.
///     async fn watch(&self) -> Streaming<f32>;
///     /// As an argument.
///     async fn average(&self, of: Streaming<f32>) -> f32;
/// }
///
/// struct Room;
///
/// impl Thermometer for Room {
///     async fn watch(&self) -> Streaming<f32> {
///         let (sender, temperatures) = Streaming::channel(8);
///         tokio::spawn(async move {
///             for temperature in [20.0, 20.5, 21.0] {
///                 // Waits while the reader is behind, and fails once nobody reads any more.
///                 if sender.send(temperature).await.is_err() {
///                     return;
///                 }
///             }
///         });
///         temperatures
///     }
///
///     async fn average(&self, mut of: Streaming<f32>) -> f32 {
///         let (mut sum, mut count) = (0.0, 0.0);
///         while let Some(Ok(value)) = of.next().await {
///             sum += value;
///             count += 1.0;
///         }
///         sum / count
///     }
/// }
///
/// let thermometer = ThermometerStub::new(Room).into_proxy();
/// let mut temperatures = thermometer.watch().await?;
/// while let Some(temperature) = temperatures.next().await {
///     println!("{}", temperature?);
/// }
/// assert_eq!(thermometer.average(Streaming::iter([1.0, 3.0])).await?, 2.0);
/// # Ok(()) }
/// ```
///
/// # What is promised
///
/// - Items arrive in order, each once, up to the stream's end. A stream that just ends has ended well; every other end
///   is a last item that is a [`StreamError`].
/// - The producer is never more than [`STREAM_ITEMS`](crate::limits::STREAM_ITEMS) items, nor more than
///   [`STREAM_BYTES`](crate::limits::STREAM_BYTES) and one item, ahead of the consumer: it is not polled then. It is
///   polled first when the other end has received the stream.
/// - One item is at most [`MAX_STREAM_ITEM`](crate::limits::MAX_STREAM_ITEM) bytes.
/// - A consumer that drops its stream ends it: the producer's stream is dropped as soon as that is known.
/// - A stream outlives the call that brought it, and may be quiet for as long as the session lasts.
/// - With one device [`STREAMS_PER_PEER`](crate::limits::STREAMS_PER_PEER) streams are open at a time, both directions
///   together; a further one ends with *busy*.
///
/// A stream is sent once: the call that was to send it uses it up, even if the call fails. One that was received may be
/// sent on, and its items then pass through this process.
pub struct Streaming<T>(Mutex<State<T>>);

/// Items, and why there are no more.
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, String>> + Send>>;

enum State<T> {
    /// Made here.
    Produced(Items<T>),
    /// Made at the other end.
    Received(Box<Incoming>),
    /// It has been sent.
    Sent,
}

impl<T: Send + 'static> Streaming<T> {
    /// The items of a stream, which ends well.
    pub fn new(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self::produced(Mapped {
            items: Box::pin(items),
            map: Ok,
        })
    }

    /// The items of a stream up to its first error; the other end gets the error's text, at most 1,024 bytes of it, as
    /// [`StreamError::Failed`]. An error that is a value of its own is an item: `Streaming<Result<T, E>>`.
    pub fn fallible<E: Display + 'static>(
        items: impl Stream<Item = Result<T, E>> + Send + 'static,
    ) -> Self {
        Self::produced(Mapped {
            items: Box::pin(items),
            map: |item: Result<T, E>| item.map_err(|error| error.to_string()),
        })
    }

    /// These items.
    pub fn iter<I: IntoIterator<Item = T, IntoIter: Send + 'static>>(items: I) -> Self {
        Self::produced(Iter(items.into_iter()))
    }

    /// What a sender sends. It may be `capacity` items ahead of what the bus has taken, at least one.
    pub fn channel(capacity: usize) -> (StreamSender<T>, Self) {
        let (sender, items) = mpsc::channel(capacity.max(1));
        (StreamSender { sender }, Self::produced(Received(items)))
    }

    fn produced(items: impl Stream<Item = Result<T, String>> + Send + 'static) -> Self {
        Self(Mutex::new(State::Produced(Box::pin(items))))
    }
}

impl<T: Parcelable + Send> Streaming<T> {
    /// The next item; `None` after the last one, and after an error.
    ///
    /// There is no deadline: it waits for as long as the session lasts, and ends with an error when that is lost. Who
    /// wants to wait no longer than a time puts `tokio::time::timeout` around it, and loses no item by that.
    ///
    /// # Errors
    /// [`StreamError`]: the stream did not end well.
    pub async fn next(&mut self) -> Option<Result<T, StreamError>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, StreamError>>> {
        let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        match state {
            State::Produced(items) => {
                let item = std::task::ready!(items.as_mut().poll_next(cx));
                Poll::Ready(item.map(|item| item.map_err(StreamError::Failed)))
            }
            State::Received(incoming) => incoming.poll_item(cx, T::unmarshal),
            State::Sent => Poll::Ready(None),
        }
    }
}

impl<T: Parcelable + Send> Stream for Streaming<T> {
    type Item = Result<T, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

/// Nothing in it is pinned: the streams in it are in boxes.
impl<T> Unpin for Streaming<T> {}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.write_str(match &*state {
            State::Produced(_) => "Streaming(produced)",
            State::Received(_) => "Streaming(received)",
            State::Sent => "Streaming(sent)",
        })
    }
}

/// An object. Uses the stream up.
impl<T: Parcelable + Send> Marshal for Streaming<T> {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let items: Items<T> = match std::mem::replace(&mut *state, State::Sent) {
            State::Sent => return Err(WriteParcelError::InvalidValue("stream sent before")),
            State::Produced(items) => items,
            State::Received(incoming) => Box::pin(Mapped {
                items: Box::pin(Self(Mutex::new(State::Received(incoming)))),
                map: |item: Result<T, StreamError>| item.map_err(|error| error.to_string()),
            }),
        };
        drop(state);
        let source = RemoteObject::new(outgoing::Source::new(items));
        parcel.write_remote_object(&source)
    }
}

impl<T: Parcelable + Send> Parcelable for Streaming<T> {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        let source = parcel.read_remote_object()?;
        let incoming = Box::new(Incoming::open(source));
        Ok(Self(Mutex::new(State::Received(incoming))))
    }

    fn type_name() -> Cow<'static, str> {
        format!("Stream<{}>", T::type_name()).into()
    }
}

/// Sends the items of a [`Streaming::channel`]. The stream ends, well, when the last sender is dropped.
pub struct StreamSender<T> {
    sender: mpsc::Sender<Result<T, String>>,
}

/// Nobody reads the stream any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the stream any more")]
pub struct StreamClosed;

impl<T> StreamSender<T> {
    /// Sends an item, when there is room for it.
    ///
    /// # Errors
    /// [`StreamClosed`]: the consumer has dropped the stream, or is gone.
    pub async fn send(&self, item: T) -> Result<(), StreamClosed> {
        self.sender.send(Ok(item)).await.map_err(|_| StreamClosed)
    }

    /// Ends the stream with an error, after what was sent.
    ///
    /// # Errors
    /// [`StreamClosed`]: there is nobody to be told.
    pub async fn fail(self, error: impl Display) -> Result<(), StreamClosed> {
        let error = Err(error.to_string());
        self.sender.send(error).await.map_err(|_| StreamClosed)
    }

    /// Waits until nobody reads any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

impl<T> Clone for StreamSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

impl<T> fmt::Debug for StreamSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSender").finish_non_exhaustive()
    }
}

struct Mapped<S, F> {
    items: Pin<Box<S>>,
    map: F,
}

impl<S, F> Unpin for Mapped<S, F> {}

impl<S: Stream, R, F: FnMut(S::Item) -> R> Stream for Mapped<S, F> {
    type Item = R;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let item = std::task::ready!(self.items.as_mut().poll_next(cx));
        Poll::Ready(item.map(&mut self.map))
    }
}

struct Iter<I>(I);

impl<I> Unpin for Iter<I> {}

impl<I: Iterator> Stream for Iter<I> {
    type Item = Result<I::Item, String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

struct Received<T>(mpsc::Receiver<Result<T, String>>);

impl<T> Stream for Received<T> {
    type Item = Result<T, String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
