//! Ends that do not keep to the rules.

use std::sync::{Arc, Mutex};

use softbus_rpc::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    Streaming, async_trait,
    limits::{STREAM_BATCH_ITEMS, STREAM_BYTES, STREAM_ITEMS},
    stream::StreamError,
};

use super::{Source, collect, rest};
use crate::pair::offer;

const OPEN: u32 = 1;
const ITEMS: u32 = 1;
const END: u32 = 2;

/// What a hostile source does with a sink, each as code and parcel.
type Script = fn() -> Vec<(u32, Parcel)>;

struct HostileSource {
    script: Script,
    sink: Mutex<Option<RemoteObject>>,
}

#[async_trait]
impl RemoteStub for HostileSource {
    fn descriptor(&self) -> &str {
        "softbus.stream.Source"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        if code == OPEN {
            let sink = data.read_remote_object()?;
            let calls = (self.script)();
            for (code, data) in calls {
                let _ = sink.send_request(code, &data, CallOption::one_way()).await;
            }
            *self.sink.lock().unwrap() = Some(sink);
        }
        Ok(())
    }
}

fn items(before: u64, numbers: impl ExactSizeIterator<Item = u64>) -> (u32, Parcel) {
    let mut data = Parcel::new();
    data.raise_to_transport_limit();
    data.write_u64(before).unwrap();
    data.write_u32(numbers.len() as u32).unwrap();
    numbers.for_each(|number| data.write_u64(number).unwrap());
    (ITEMS, data)
}

fn end(items: u64) -> (u32, Parcel) {
    let mut data = Parcel::new();
    data.write_u64(items).unwrap();
    data.write_u32(0).unwrap();
    data.write_string("").unwrap();
    (END, data)
}

/// What the stream of such a source brings.
async fn read(script: Script) -> (Vec<u64>, Option<StreamError>) {
    let sink = Mutex::default();
    let pair = offer(RemoteObject::new(HostileSource { script, sink })).await;
    let mut parcel = Parcel::new();
    parcel.write_remote_object(&pair.remote).unwrap();
    collect(parcel.read::<Streaming<u64>>().unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn more_items_than_may_be_sent() {
    let limit = STREAM_ITEMS as usize;
    let (numbers, error) = read(|| {
        let limit = u64::from(STREAM_ITEMS);
        vec![
            items(0, vec![1; limit as usize].into_iter()),
            items(limit, [2].into_iter()),
            end(limit + 1),
        ]
    })
    .await;
    assert_eq!(numbers, vec![1; limit]);
    assert_eq!(error, Some(StreamError::Broken("more than it may send")));
}

#[tokio::test(start_paused = true)]
async fn more_bytes_than_may_be_sent() {
    let (numbers, error) = read(|| {
        let block = || {
            let (code, mut data) = items(0, [1].into_iter());
            data.write_buffer(&vec![0; STREAM_BYTES as usize]).unwrap();
            (code, data)
        };
        vec![block(), items(1, [2].into_iter())]
    })
    .await;
    assert_eq!(numbers, [1]);
    assert_eq!(error, Some(StreamError::Broken("more than it may send")));
}

#[tokio::test(start_paused = true)]
async fn missing_items_and_items_that_are_none() {
    let broken = Some(StreamError::Broken("items are missing"));
    let (numbers, error) =
        read(|| vec![items(0, [1].into_iter()), items(2, [3].into_iter())]).await;
    assert_eq!((numbers, error), (vec![1], broken.clone()));
    let (numbers, error) = read(|| vec![items(0, [1].into_iter()), end(2)]).await;
    assert_eq!((numbers, error), (vec![1], broken.clone()));
    let (_, error) = read(|| vec![items(0, [].into_iter())]).await;
    assert_eq!(error, broken);
    let (numbers, error) = read(|| {
        let (code, mut data) = items(0, [1].into_iter());
        data.rewind_write(8).unwrap();
        data.write_u32(3).unwrap();
        data.write_u64(1).unwrap();
        vec![(code, data)]
    })
    .await;
    assert_eq!(numbers, [1]);
    assert!(
        matches!(error, Some(StreamError::Malformed(_))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_no_source() {
    struct Nothing;

    #[async_trait]
    impl RemoteStub for Nothing {
        fn descriptor(&self) -> &str {
            ""
        }

        async fn on_remote_request(
            &self,
            _: &Caller,
            _: u32,
            _: &mut Parcel,
            _: &mut Parcel,
        ) -> Result<(), HandlerError> {
            Err(HandlerError::UnknownMethod)
        }
    }

    let pair = offer(RemoteObject::new(Nothing)).await;
    for object in [pair.remote.clone(), RemoteObject::new(Nothing)] {
        let mut parcel = Parcel::new();
        parcel.write_remote_object(&object).unwrap();
        let (_, error) = collect(parcel.read::<Streaming<u64>>().unwrap()).await;
        let unknown = SendRequestError::UnknownMethod { code: OPEN };
        assert_eq!(error, Some(StreamError::Open(unknown)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_opened_once_and_with_little_credit_sends_little() {
    struct Sink;

    #[async_trait]
    impl RemoteStub for Sink {
        fn descriptor(&self) -> &str {
            ""
        }

        async fn on_remote_request(
            &self,
            _: &Caller,
            _: u32,
            _: &mut Parcel,
            _: &mut Parcel,
        ) -> Result<(), HandlerError> {
            Ok(())
        }
    }

    let source = Source::default();
    let mut parcel = Parcel::new();
    parcel.write(&source.stream(0_u64..)).unwrap();
    let object = parcel.read_remote_object().unwrap();
    drop(parcel);
    let pair = offer(object).await;
    let open = async |items: u32| {
        let mut data = Parcel::new();
        data.write_remote_object(&RemoteObject::new(Sink)).unwrap();
        data.write_u32(items).unwrap();
        data.write_u64(1000).unwrap();
        pair.remote
            .send_request(OPEN, &data, CallOption::two_way())
            .await
            .map(drop)
    };
    assert_eq!(open(5).await, Ok(()));
    assert_eq!(open(5).await, Err(SendRequestError::Refused));
    rest().await;
    assert_eq!(source.made(), 5);
}

/// Counts the calls that bring items, and the items.
struct Counter(Arc<Mutex<(u64, u64)>>);

#[async_trait]
impl RemoteStub for Counter {
    fn descriptor(&self) -> &str {
        ""
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        data: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        if code == ITEMS {
            let mut count = self.0.lock().unwrap();
            assert_eq!(data.read_u64()?, count.1, "the items that came before");
            count.0 += 1;
            count.1 += u64::from(data.read_u32()?);
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn items_that_are_ready_travel_together() {
    let mut parcel = Parcel::new();
    parcel.write(&Streaming::iter(0..10_000_u64)).unwrap();
    let object = parcel.read_remote_object().unwrap();
    drop(parcel);
    let pair = offer(object).await;
    let count = Arc::<Mutex<(u64, u64)>>::default();
    let sink = RemoteObject::new(Counter(Arc::clone(&count)));
    let mut data = Parcel::new();
    data.write_remote_object(&sink).unwrap();
    data.write_u32(u32::MAX).unwrap();
    data.write_u64(u64::MAX).unwrap();
    let opened = pair.remote.send_request(OPEN, &data, CallOption::two_way());
    opened.await.unwrap();
    rest().await;
    let calls = 10_000_u64.div_ceil(STREAM_BATCH_ITEMS.into());
    assert_eq!(*count.lock().unwrap(), (calls, 10_000));
}
