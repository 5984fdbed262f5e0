//! Streams between devices: how far a producer runs ahead, and how each end learns of the other's.

use std::sync::Arc;

use softbus::{
    RemoteObject, Streaming, remote_interface,
    rpc::{limits::STREAM_ITEMS, stream::StreamError},
};
use tokio::sync::watch;

use super::{
    SERVICE, for_all, reached, settled, usage_of,
    workbench::{reverse, workbench},
};
use crate::world::{Device, World};

/// Items that say what becomes of them.
#[derive(Clone, Debug, Default)]
struct Tally {
    made: Arc<watch::Sender<u64>>,
    dropped: Arc<watch::Sender<u64>>,
}

struct Counted<I>(I, Tally);

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let item = self.0.next();
        self.1
            .made
            .send_modify(|made| *made += u64::from(item.is_some()));
        item
    }
}

impl<I> Drop for Counted<I> {
    fn drop(&mut self) {
        self.1.dropped.send_modify(|dropped| *dropped += 1);
    }
}

#[remote_interface(descriptor = "org.example.Counter")]
trait Counter {
    async fn up_to(&self, end: u64) -> Streaming<u64>;
    async fn then_fail(&self, end: u64) -> Streaming<u64>;
    async fn objects(&self, count: u32) -> Streaming<RemoteObject>;
    async fn sum(&self, numbers: Streaming<u64>) -> Result<u64, String>;
    async fn first(&self, numbers: Streaming<u64>) -> Option<u64>;
}

impl Counter for Tally {
    async fn up_to(&self, end: u64) -> Streaming<u64> {
        Streaming::iter(Counted(0..end, self.clone()))
    }

    async fn then_fail(&self, end: u64) -> Streaming<u64> {
        let (sender, numbers) = Streaming::channel(1);
        tokio::spawn(async move {
            for number in 0..end {
                sender.send(number).await.unwrap();
            }
            sender.fail("as it should").await.unwrap();
        });
        numbers
    }

    async fn objects(&self, count: u32) -> Streaming<RemoteObject> {
        Streaming::iter((0..count).map(|_| workbench().0))
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
}

struct Pair {
    a: Arc<dyn Device>,
    b: Arc<dyn Device>,
    /// Of `b`, on `a`.
    counter: CounterProxy,
    tally: Tally,
}

async fn pair(world: &mut dyn World) -> Pair {
    let (a, b) = (world.device().await, world.device().await);
    let tally = Tally::default();
    let stub = CounterStub::new(tally.clone()).into_object();
    b.add(SERVICE, &stub, for_all()).unwrap();
    let counter = CounterProxy::new(a.get(SERVICE, &b.id()).await.unwrap());
    Pair {
        a,
        b,
        counter,
        tally,
    }
}

/// A producer that nobody reads has made as many items as it has credit for; and never more than that ahead.
pub async fn a_producer_is_ahead_by_its_credit(world: &mut dyn World) {
    let pair = pair(world).await;
    let mut numbers = pair.counter.up_to(u64::MAX).await.unwrap();
    let credit = u64::from(STREAM_ITEMS);
    reached(&pair.tally.made, credit).await;
    for number in 0..20 * credit {
        assert_eq!(numbers.next().await, Some(Ok(number)));
        let ahead = *pair.tally.made.borrow() - number - 1;
        assert!(ahead <= credit, "{ahead} ahead");
    }
}

/// 100,000 items each way, through as much memory as a few take.
pub async fn a_hundred_thousand_items_in_both_directions(world: &mut dyn World) {
    const ITEMS: u64 = 100_000;
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    let mut numbers = pair.counter.up_to(ITEMS).await.unwrap();
    for number in 0..ITEMS {
        assert_eq!(numbers.next().await, Some(Ok(number)));
    }
    assert_eq!(numbers.next().await, None);
    let here = Tally::default();
    let sum = pair
        .counter
        .sum(Streaming::iter(Counted(0..ITEMS, here.clone())))
        .await;
    assert_eq!(sum, Ok(ITEMS * (ITEMS - 1) / 2));
    reached(&here.dropped, 1).await;
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
}

/// Whoever reads a stream may stop, and its producer is dropped: at the other device, and here.
pub async fn a_consumer_may_stop(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = usage_of(&*pair.a, &*pair.b);
    let mut numbers = pair.counter.up_to(u64::MAX).await.unwrap();
    assert_eq!(numbers.next().await, Some(Ok(0)));
    drop(numbers);
    reached(&pair.tally.dropped, 1).await;
    let here = Tally::default();
    let endless = Streaming::iter(Counted(7.., here.clone()));
    assert_eq!(pair.counter.first(endless).await, Ok(Some(7)));
    reached(&here.dropped, 1).await;
    settled(&*pair.a, &*pair.b, before).await;
}

/// An error at the end arrives behind the items before it.
pub async fn a_stream_ends_with_an_error(world: &mut dyn World) {
    let pair = pair(world).await;
    let mut numbers = pair.counter.then_fail(3).await.unwrap();
    for number in 0..3 {
        assert_eq!(numbers.next().await, Some(Ok(number)));
    }
    let failed = StreamError::Failed("as it should".to_owned());
    assert_eq!(numbers.next().await, Some(Err(failed)));
    assert_eq!(numbers.next().await, None);
}

/// A device that vanishes ends the streams to it and from it, as what they are: not at their end.
pub async fn the_end_of_a_session_ends_its_streams(world: &mut dyn World) {
    let pair = pair(world).await;
    let mut numbers = pair.counter.up_to(u64::MAX).await.unwrap();
    assert_eq!(numbers.next().await, Some(Ok(0)));
    let here = Tally::default();
    let endless = Streaming::iter(Counted(0.., here.clone()));
    let counter = pair.counter.clone();
    let sum = tokio::spawn(async move { counter.sum(endless).await });
    reached(&here.made, 1).await;
    pair.b.vanish().await;
    let error = loop {
        match numbers.next().await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    assert!(
        matches!(error, Some(Err(StreamError::Dead { .. }))),
        "{error:?}"
    );
    assert_eq!(numbers.next().await, None);
    reached(&here.dropped, 1).await;
    sum.await.unwrap().unwrap_err();
}

/// Items hold objects, which work, and are released with them.
pub async fn items_hold_objects(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = usage_of(&*pair.b, &*pair.a);
    let mut objects = pair.counter.objects(200).await.unwrap();
    let mut all = Vec::new();
    while let Some(object) = objects.next().await {
        all.push(object.unwrap());
    }
    assert_eq!(all.len(), 200);
    assert_eq!(reverse(&all[199], 2019).await, Ok(9102));
    drop(all);
    drop(objects);
    settled(&*pair.b, &*pair.a, before).await;
}
