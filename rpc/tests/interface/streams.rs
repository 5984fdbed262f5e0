//! Streams as arguments and results.

mod hostile;
mod objects;

use std::{sync::Arc, time::Duration};

use softbus_rpc::{
    CallError, DeathReason, Parcelable, RemoteObject, SendRequestError, Streaming,
    limits::{MAX_STREAM_ITEM, STREAM_BYTES, STREAM_ITEMS, STREAMS_PER_PEER},
    parcel::WriteParcelError,
    remote_interface,
    stream::{StreamClosed, StreamError},
};
use tokio::sync::watch;

use crate::pair::{Pair, offer, offer_locally};

#[remote_interface(descriptor = "org.example.Word")]
trait Word {
    async fn text(&self) -> String;
}

struct Said(String);

impl Word for Said {
    async fn text(&self) -> String {
        self.0.clone()
    }
}

#[remote_interface(descriptor = "org.example.Numbers")]
trait Numbers {
    async fn up_to(&self, end: u64) -> Streaming<u64>;
    async fn blocks(&self, size: u64) -> Streaming<Vec<u8>>;
    async fn perhaps(&self, there: bool) -> Result<Streaming<u64>, String>;
    async fn failing(&self) -> Streaming<u64>;
    async fn panicking(&self) -> Streaming<u64>;
    async fn slow(&self) -> Streaming<u64>;
    async fn words(&self, count: u64) -> Streaming<WordProxy>;
    async fn sum(&self, numbers: Streaming<u64>) -> Result<u64, String>;
    async fn first(&self, numbers: Streaming<u64>) -> Option<u64>;
    async fn doubled(&self, numbers: Streaming<u64>) -> Streaming<u64>;
    async fn back(&self, numbers: Streaming<u64>) -> Streaming<u64>;
}

/// Streams that say what becomes of them.
#[derive(Clone, Default)]
struct Source {
    made: Arc<watch::Sender<u64>>,
    dropped: Arc<watch::Sender<u64>>,
}

struct Counted<I> {
    items: I,
    source: Source,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let item = self.items.next();
        if item.is_some() {
            self.source.made.send_modify(|made| *made += 1);
        }
        item
    }
}

impl<I> Drop for Counted<I> {
    fn drop(&mut self) {
        self.source.dropped.send_modify(|dropped| *dropped += 1);
    }
}

impl Source {
    fn stream<I: Iterator<Item: Send + 'static> + Send + 'static>(
        &self,
        items: I,
    ) -> Streaming<I::Item> {
        let source = self.clone();
        Streaming::iter(Counted { items, source })
    }

    fn made(&self) -> u64 {
        *self.made.borrow()
    }
}

/// On a clock that stands still this returns when everything has come to rest.
async fn reached(count: &watch::Sender<u64>, wanted: u64) {
    let mut count = count.subscribe();
    let reached = count.wait_for(|count| *count >= wanted);
    let reached = tokio::time::timeout(Duration::from_secs(3600), reached);
    reached.await.unwrap().unwrap();
}

/// On a clock that stands still: nobody has anything to do any more.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(100)).await;
}

impl Numbers for Source {
    async fn up_to(&self, end: u64) -> Streaming<u64> {
        self.stream(0..end)
    }

    async fn blocks(&self, size: u64) -> Streaming<Vec<u8>> {
        self.stream(std::iter::repeat_n(vec![7; size as usize], 100))
    }

    async fn perhaps(&self, there: bool) -> Result<Streaming<u64>, String> {
        if there {
            Ok(self.stream(0..3))
        } else {
            Err("no numbers today".to_owned())
        }
    }

    async fn failing(&self) -> Streaming<u64> {
        let (sender, numbers) = Streaming::channel(1);
        tokio::spawn(async move {
            sender.send(1).await.unwrap();
            sender.fail("out of numbers").await.unwrap();
        });
        numbers
    }

    async fn panicking(&self) -> Streaming<u64> {
        Streaming::iter((0..2).map(|number| match number {
            0 => number,
            _ => panic!("as it should"),
        }))
    }

    async fn slow(&self) -> Streaming<u64> {
        let (sender, numbers) = Streaming::channel(1);
        let dropped = Arc::clone(&self.dropped);
        tokio::spawn(async move {
            for number in 0..2 {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                sender.send(number).await.unwrap();
            }
            sender.closed().await;
            assert_eq!(sender.send(2).await, Err(StreamClosed));
            dropped.send_modify(|dropped| *dropped += 1);
        });
        numbers
    }

    async fn words(&self, count: u64) -> Streaming<WordProxy> {
        self.stream((0..count).map(|number| WordStub::new(Said(number.to_string())).into()))
    }

    async fn sum(&self, mut numbers: Streaming<u64>) -> Result<u64, String> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number.map_err(|error| error.to_string())?;
        }
        Ok(sum)
    }

    async fn first(&self, mut numbers: Streaming<u64>) -> Option<u64> {
        numbers.next().await.and_then(Result::ok)
    }

    async fn doubled(&self, mut numbers: Streaming<u64>) -> Streaming<u64> {
        let (sender, doubled) = Streaming::channel(4);
        tokio::spawn(async move {
            while let Some(Ok(number)) = numbers.next().await {
                if sender.send(number * 2).await.is_err() {
                    return;
                }
            }
        });
        doubled
    }

    async fn back(&self, numbers: Streaming<u64>) -> Streaming<u64> {
        numbers
    }
}

/// A service on another device, and one in this process.
async fn both_ways(check: impl AsyncFn(NumbersProxy, Source)) {
    let source = Source::default();
    let pair = offer(NumbersStub::new(source.clone())).await;
    check(NumbersProxy::new(pair.remote.clone()), source).await;
    let source = Source::default();
    check(NumbersStub::new(source.clone()).into_proxy(), source).await;
}

async fn collect<T: Parcelable + Send>(mut items: Streaming<T>) -> (Vec<T>, Option<StreamError>) {
    let mut all = Vec::new();
    let mut error = None;
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => all.push(item),
            Err(found) => error = Some(found),
        }
    }
    (all, error)
}

#[tokio::test(start_paused = true)]
async fn items_arrive_in_order_up_to_the_end() {
    both_ways(async |numbers, source| {
        for count in [0, 1, 5000] {
            let (all, error) = collect(numbers.up_to(count).await.unwrap()).await;
            assert_eq!((all, error), ((0..count).collect(), None));
        }
        reached(&source.dropped, 3).await;
        let (all, _) = collect(numbers.perhaps(true).await.unwrap()).await;
        assert_eq!(all, [0, 1, 2]);
        let error = numbers.perhaps(false).await.unwrap_err();
        assert_eq!(error, CallError::App("no numbers today".to_owned()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_an_argument_too() {
    both_ways(async |numbers, _| {
        let sum = numbers.sum(Streaming::iter(1..=5000)).await;
        assert_eq!(sum, Ok(5000 * 5001 / 2));
        let doubled = numbers.doubled(Streaming::iter(0..3000)).await.unwrap();
        assert_eq!(
            collect(doubled).await.0,
            (0..3000).map(|n| n * 2).collect::<Vec<_>>()
        );
        let failing = Streaming::fallible(Items(vec![Err("broken"), Ok(1)]));
        let error = numbers.sum(failing).await.unwrap_err();
        assert_eq!(error, CallError::App("broken".to_owned()));
    })
    .await;
}

/// A stream by hand.
struct Items<T>(Vec<T>);

impl<T: Unpin> softbus_rpc::stream::Stream for Items<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        std::task::Poll::Ready(self.0.pop())
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_is_never_further_ahead_than_its_credit() {
    both_ways(async |numbers, source| {
        let mut stream = numbers.up_to(100_000).await.unwrap();
        rest().await;
        assert_eq!(source.made(), u64::from(STREAM_ITEMS));
        for number in 0..100_000 {
            assert_eq!(stream.next().await, Some(Ok(number)));
            let ahead = source.made() - number - 1;
            assert!(ahead <= u64::from(STREAM_ITEMS), "{ahead} ahead");
        }
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.next().await, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credit_is_of_bytes_too() {
    both_ways(async |numbers, source| {
        let size = 64 * 1024;
        let mut blocks = numbers.blocks(size).await.unwrap();
        rest().await;
        assert_eq!(source.made(), STREAM_BYTES / size);
        for taken in 1..=100 {
            assert_eq!(blocks.next().await.unwrap().unwrap().len() as u64, size);
            let ahead = source.made() - taken;
            assert!(ahead <= STREAM_BYTES / size, "{ahead} ahead");
        }
        assert_eq!(blocks.next().await, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_loses_interest_ends_the_producer() {
    both_ways(async |numbers, source| {
        // Never looked at, looked at once, and while it waits.
        drop(numbers.up_to(u64::MAX).await.unwrap());
        reached(&source.dropped, 1).await;
        let mut stream = numbers.up_to(u64::MAX).await.unwrap();
        assert_eq!(stream.next().await, Some(Ok(0)));
        drop(stream);
        reached(&source.dropped, 2).await;
        let mut slow = numbers.slow().await.unwrap();
        assert_eq!(slow.next().await, Some(Ok(0)));
        assert_eq!(slow.next().await, Some(Ok(1)));
        drop(slow);
        reached(&source.dropped, 3).await;
        // The other end.
        let here = Source::default();
        assert_eq!(numbers.first(here.stream(5..)).await, Ok(Some(5)));
        reached(&here.dropped, 1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_end_well_says_why() {
    both_ways(async |numbers, _| {
        let failed = StreamError::Failed("out of numbers".to_owned());
        assert_eq!(
            collect(numbers.failing().await.unwrap()).await,
            (vec![1], Some(failed))
        );
        let panicked = collect(numbers.panicking().await.unwrap()).await;
        assert_eq!(panicked.1, Some(StreamError::Abandoned));
        let long = "\u{e9}".repeat(2000);
        let stream: Streaming<u64> = Streaming::fallible(Items(vec![Err(long)]));
        let stream = numbers.back(stream).await;
        // Between devices no object goes back to where it came from, but a stream is passed on.
        let (_, error) = collect(stream.unwrap()).await;
        assert_eq!(error, Some(StreamError::Failed("\u{e9}".repeat(512))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_quiet_for_hours() {
    both_ways(async |numbers, source| {
        let (all, error) = {
            let mut slow = numbers.slow().await.unwrap();
            (
                [slow.next().await, slow.next().await],
                tokio::time::timeout(Duration::from_secs(36_000), slow.next()).await,
            )
        };
        assert_eq!(all, [Some(Ok(0)), Some(Ok(1))]);
        error.unwrap_err();
        reached(&source.dropped, 1).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_ends_both_ends() {
    let source = Source::default();
    let Pair { remote, peers, .. } = offer(NumbersStub::new(source.clone())).await;
    let numbers = NumbersProxy::new(remote);
    let mut stream = numbers.up_to(u64::MAX).await.unwrap();
    let here = Source::default();
    let argument = numbers.doubled(here.stream(0..)).await.unwrap();
    rest().await;
    peers.1.close(DeathReason::DeviceUnreachable, 0, "cut");
    reached(&source.dropped, 1).await;
    reached(&here.dropped, 1).await;
    // What has arrived is there.
    for number in 0..u64::from(STREAM_ITEMS) {
        assert_eq!(stream.next().await, Some(Ok(number)));
    }
    let reason = DeathReason::DeviceUnreachable;
    assert_eq!(stream.next().await, Some(Err(StreamError::Dead { reason })));
    assert_eq!(stream.next().await, None);
    assert_eq!(
        collect(argument).await.1,
        Some(StreamError::Dead { reason })
    );
}

#[tokio::test(start_paused = true)]
async fn items_may_be_objects() {
    both_ways(async |numbers, _| {
        let (words, error) = collect(numbers.words(200).await.unwrap()).await;
        assert_eq!((words.len(), error), (200, None));
        assert_eq!(words[0].text().await.unwrap(), "0");
        assert_eq!(words[199].text().await.unwrap(), "199");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_item_is_as_large_as_a_parcel_and_no_larger() {
    both_ways(async |numbers, _| {
        for size in [900_000, 500_000] {
            let (blocks, error) = collect(numbers.blocks(size).await.unwrap()).await;
            assert_eq!((blocks.len(), error), (100, None));
            assert!(blocks.iter().all(|block| *block == vec![7; size as usize]));
        }
        let (blocks, error) = collect(numbers.blocks(MAX_STREAM_ITEM + 1).await.unwrap()).await;
        assert_eq!(blocks.len(), 0);
        assert!(
            matches!(error, Some(StreamError::ItemNotSent(_))),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_may_not_be_passed_ends_the_stream() {
    #[remote_interface(descriptor = "org.example.Objects")]
    trait Objects {
        async fn take(&self, objects: Streaming<RemoteObject>) -> u32;
    }

    struct Taker;

    impl Objects for Taker {
        async fn take(&self, objects: Streaming<RemoteObject>) -> u32 {
            let (objects, error) = collect(objects).await;
            assert!(
                matches!(error, Some(StreamError::ItemNotSent(_))),
                "{error:?}"
            );
            objects.len() as u32
        }
    }

    let pair = offer(ObjectsStub::new(Taker)).await;
    let objects = ObjectsProxy::new(pair.remote.clone());
    // The first is sent before the second is looked at, for both are ready together: a batch is sent or not.
    let back = Streaming::iter([pair.remote.clone()]);
    assert_eq!(objects.take(back).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_sent_once() {
    let stream = Streaming::iter(0..1_u64);
    let mut parcel = softbus_rpc::Parcel::new();
    parcel.write(&stream).unwrap();
    let again = parcel.write(&stream);
    assert_eq!(
        again,
        Err(WriteParcelError::InvalidValue("stream sent before"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_here_can_be_read_here() {
    assert_eq!(collect(Streaming::iter(0..3_u64)).await.0, [0, 1, 2]);
    assert_eq!(Streaming::<Vec<u8>>::type_name(), "Stream<Vec<u8>>");
}

#[tokio::test(start_paused = true)]
async fn as_many_streams_as_may_be_open_and_no_more() {
    let source = Source::default();
    let pair = offer_locally(NumbersStub::new(source.clone())).await;
    let numbers = NumbersProxy::new(pair.remote.clone());
    let mut open = Vec::new();
    for _ in 0..STREAMS_PER_PEER {
        let mut stream = numbers.up_to(u64::MAX).await.unwrap();
        assert_eq!(stream.next().await, Some(Ok(0)));
        open.push(stream);
    }
    let (_, error) = collect(numbers.up_to(1).await.unwrap()).await;
    let limit = Some(STREAMS_PER_PEER as u64);
    let busy = SendRequestError::Busy {
        limit,
        value: limit.map(|limit| limit + 1),
        retry_after: None,
    };
    assert_eq!(error, Some(StreamError::Open(busy)));
    open.clear();
    reached(&source.dropped, STREAMS_PER_PEER as u64 + 1).await;
    assert_eq!(
        collect(numbers.up_to(1).await.unwrap()).await,
        (vec![0], None)
    );
}

#[tokio::test(start_paused = true)]
async fn streams_leave_nothing_behind() {
    let pair = offer(NumbersStub::new(Source::default())).await;
    let numbers = NumbersProxy::new(pair.remote.clone());
    let usage = || (pair.peers.0.usage(), pair.peers.1.usage());
    let before = usage();
    for _ in 0..3 {
        collect(numbers.up_to(3000).await.unwrap()).await;
        numbers.sum(Streaming::iter(0..3000)).await.unwrap();
        drop(numbers.up_to(u64::MAX).await.unwrap());
    }
    rest().await;
    assert_eq!(usage(), before);
}
