//! Streams in both directions through the host.

use std::time::Duration;

use softbus::rpc::{Streaming, remote_interface, stream::StreamError};
use tokio::sync::mpsc;

use crate::world::World;

#[remote_interface(descriptor = "test.Meter")]
trait Meter {
    async fn count(&self, to: u32) -> Streaming<u32>;
    async fn sum(&self, of: Streaming<u32>) -> u64;
    async fn quiet(&self) -> Streaming<u32>;
}

struct Device(mpsc::UnboundedSender<()>);

impl Meter for Device {
    async fn count(&self, to: u32) -> Streaming<u32> {
        Streaming::iter(0..to)
    }

    async fn sum(&self, mut of: Streaming<u32>) -> u64 {
        let mut sum = 0;
        while let Some(Ok(item)) = of.next().await {
            sum += u64::from(item);
        }
        sum
    }

    async fn quiet(&self) -> Streaming<u32> {
        let (sender, stream) = Streaming::channel(1);
        let closed = self.0.clone();
        tokio::spawn(async move {
            sender.closed().await;
            let _ = closed.send(());
        });
        stream
    }
}

async fn meter() -> (World, MeterProxy, mpsc::UnboundedReceiver<()>) {
    let world = World::new().await;
    let (sender, closed) = mpsc::unbounded_channel();
    world
        .other
        .offer(&MeterStub::new(Device(sender)).into_object());
    let meter = MeterProxy::from(world.get().await);
    (world, meter, closed)
}

#[tokio::test(start_paused = true)]
async fn streams_flow_in_both_directions() {
    const ITEMS: u32 = 20_000;
    let (_world, meter, _closed) = meter().await;
    let mut stream = meter.count(ITEMS).await.unwrap();
    for expected in 0..ITEMS {
        assert_eq!(stream.next().await.unwrap().unwrap(), expected);
    }
    assert!(stream.next().await.is_none());
    let sum = meter.sum(Streaming::iter(0..ITEMS)).await.unwrap();
    assert_eq!(sum, u64::from(ITEMS) * u64::from(ITEMS - 1) / 2);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_stops_ends_its_stream_at_the_producer() {
    let (_world, meter, mut closed) = meter().await;
    let stream = meter.quiet().await.unwrap();
    drop(stream);
    let told = tokio::time::timeout(Duration::from_secs(20), closed.recv()).await;
    assert_eq!(told.unwrap(), Some(()));
}

#[tokio::test(start_paused = true)]
async fn a_lost_device_ends_its_streams_on_both_sides() {
    let (world, meter, mut closed) = meter().await;
    let mut stream = meter.quiet().await.unwrap();
    let waiting = async { stream.next().await };
    let lose = async {
        // The stream is open when the device has heard of its consumer.
        meter.count(1).await.unwrap().next().await;
        world.part(&world.host, 2);
    };
    let (ended, ()) = tokio::join!(waiting, lose);
    assert!(matches!(
        ended,
        Some(Err(StreamError::Dead { .. } | StreamError::Abandoned))
    ));
    let told = tokio::time::timeout(Duration::from_secs(20), closed.recv()).await;
    assert_eq!(told.unwrap(), Some(()));
}
