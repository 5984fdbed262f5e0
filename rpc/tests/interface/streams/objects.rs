//! Streams whose items carry objects: other streams and proxies, of which a batch takes only so many.

use softbus_rpc::{
    Parcelable, Streaming, parcel::MAX_OBJECTS, remote_interface, stream::StreamError,
};

use super::{Said, Source, WordProxy, WordStub, collect, rest};
use crate::pair::offer;

#[derive(Parcelable)]
struct Page {
    numbers: Streaming<u64>,
    text: Vec<u8>,
}

#[remote_interface(descriptor = "org.example.Shelf")]
trait Shelf {
    async fn streams(&self, count: u64) -> Streaming<Streaming<u64>>;
    async fn groups(&self, sizes: Vec<u64>) -> Streaming<Vec<WordProxy>>;
    async fn pages(&self, lengths: Vec<u64>) -> Streaming<Page>;
    async fn read(&self, streams: Streaming<Streaming<u64>>) -> Result<u64, String>;
}

fn groups(sizes: Vec<u64>) -> impl Iterator<Item = Vec<WordProxy>> {
    sizes.into_iter().map(|size| {
        let words = (0..size).map(|word| WordStub::new(Said(word.to_string())).into());
        words.collect()
    })
}

impl Shelf for Source {
    async fn streams(&self, count: u64) -> Streaming<Streaming<u64>> {
        let source = self.clone();
        Streaming::iter((0..count).map(move |end| source.stream(0..end)))
    }

    async fn groups(&self, sizes: Vec<u64>) -> Streaming<Vec<WordProxy>> {
        self.stream(groups(sizes))
    }

    async fn pages(&self, lengths: Vec<u64>) -> Streaming<Page> {
        Streaming::iter(lengths.into_iter().map(|length| Page {
            numbers: Streaming::iter(0..3),
            text: vec![7; length as usize],
        }))
    }

    async fn read(&self, mut streams: Streaming<Streaming<u64>>) -> Result<u64, String> {
        let mut sum = 0;
        while let Some(stream) = streams.next().await {
            let (numbers, error) = collect(stream.map_err(|error| error.to_string())?).await;
            if let Some(error) = error {
                return Err(error.to_string());
            }
            sum += numbers.iter().sum::<u64>();
        }
        Ok(sum)
    }
}

#[tokio::test(start_paused = true)]
async fn more_streams_in_a_stream_than_a_batch_takes() {
    const COUNT: u64 = 200;
    let source = Source::default();
    let pair = offer(ShelfStub::new(source.clone())).await;
    let shelf = ShelfProxy::new(pair.remote.clone());
    let before = pair.peers.0.usage();
    let mut streams = shelf.streams(COUNT).await.unwrap();
    for end in 0..COUNT {
        let stream = streams.next().await.unwrap().unwrap();
        assert_eq!(collect(stream).await, ((0..end).collect(), None));
    }
    assert!(streams.next().await.is_none());
    let given = Streaming::iter((0..COUNT).map(|end| Streaming::iter(0..end)));
    let sum: u64 = (0..COUNT).map(|end| (0..end).sum::<u64>()).sum();
    assert_eq!(shelf.read(given).await, Ok(sum));
    drop(streams);
    rest().await;
    assert_eq!(*source.dropped.borrow(), COUNT);
    assert_eq!(pair.peers.0.usage(), before);
}

#[tokio::test(start_paused = true)]
async fn items_that_fill_a_batch_with_objects() {
    let pair = offer(ShelfStub::new(Source::default())).await;
    let shelf = ShelfProxy::new(pair.remote.clone());
    let most = MAX_OBJECTS as u64;
    let sizes = [1, most, 0, most, most, 40, 40, 0, 1, most - 1, 1, most, 1];
    let (all, error) = collect(shelf.groups(sizes.to_vec()).await.unwrap()).await;
    assert_eq!(error, None);
    assert_eq!(
        all.iter()
            .map(|group| group.len() as u64)
            .collect::<Vec<_>>(),
        sizes
    );
    for group in all {
        for (place, word) in group.iter().enumerate() {
            assert_eq!(word.text().await.unwrap(), place.to_string());
        }
    }
    // One more than any parcel takes: what came before it arrives all the same.
    let (all, error) = collect(shelf.groups(vec![1, 2, most + 1, 3]).await.unwrap()).await;
    assert_eq!(all.len(), 2);
    assert!(
        matches!(error, Some(StreamError::ItemNotSent(_))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn streams_in_items_that_find_no_room_for_their_bytes() {
    let pair = offer(ShelfStub::new(Source::default())).await;
    let shelf = ShelfProxy::new(pair.remote.clone());
    // The second does not fit behind the first, and is as large as an item may be.
    let lengths = vec![16 * 1024, 1024 * 1024 - 64, 1, 16 * 1024, 1024 * 1024 - 64];
    let mut pages = shelf.pages(lengths.clone()).await.unwrap();
    for length in lengths {
        let page = pages.next().await.unwrap().unwrap();
        assert_eq!(page.text.len() as u64, length);
        assert_eq!(collect(page.numbers).await, (vec![0, 1, 2], None));
    }
    assert!(pages.next().await.is_none());
}
