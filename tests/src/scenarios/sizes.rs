//! What fits, how long it takes, and that nothing is left of it.

use std::time::Duration;

use bytes::Bytes;
use softbus::{
    Parcel, RemoteObject, SendRequestError,
    rpc::{limits::MAX_REMOTE_PARCEL, parcel::WriteParcelError},
};
use tokio::time::Instant;

use super::{
    measured, pair, reached, settled, usage_of,
    workbench::{call, code, delegate, reverse, workbench},
};
use crate::world::World;

/// Row 99: 3 KB, 16 KB, 63 KB and just under 1 MiB pass, 2 MiB are refused with an error that says so.
pub async fn payloads_up_to_one_mebibyte(world: &mut dyn World) {
    let pair = pair(world).await;
    // A number of four bytes stands before the buffer.
    let limit = world.largest_parcel();
    let largest = limit - 4;
    for len in [3 << 10, 16 << 10, 63 << 10, largest] {
        let mut data = with_room(limit);
        data.write_u32(len as u32).unwrap();
        let sent: Vec<u8> = (0..len).map(|i| i as u8).collect();
        data.write_buffer(&sent).unwrap();
        let mut reply = call(&pair.proxy, code::BUFFER, &data).await.unwrap();
        assert!(reply.read_buffer(len).unwrap() == sent, "{len} bytes");
    }

    let refused = Parcel::new().raise_capacity(2 << 20);
    assert_eq!(
        refused,
        Err(WriteParcelError::CapacityExceeded {
            limit: MAX_REMOTE_PARCEL,
            size: 2 << 20
        })
    );
    // What the table of objects needs counts too.
    let mut data = with_room(limit);
    data.write_remote_object(&workbench().0).unwrap();
    data.write_buffer(&vec![0; limit - data.data_size()])
        .unwrap();
    let refused = call(&pair.proxy, code::BUFFER, &data).await.unwrap_err();
    let SendRequestError::RequestTooLarge { size, limit: told } = refused else {
        panic!("{refused:?}");
    };
    assert!(told == limit && size > limit, "{size}, limit {told}");
}

/// Row 99, the way back.
pub async fn a_reply_that_is_too_large_is_an_error(world: &mut dyn World) {
    let pair = pair(world).await;
    let mut data = Parcel::new();
    data.write_u32(2 << 20).unwrap();
    let refused = call(&pair.proxy, code::LARGE_REPLY, &data).await;
    assert_eq!(refused.unwrap_err(), SendRequestError::ReplyTooLarge);
    assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
}

/// Row 100: 10 KB and 10 MB, there and back.
pub async fn raw_data_in_both_directions(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    for len in [1, 10_000, 32 << 10, (32 << 10) + 1, 10_000_000] {
        raw_there_and_back(&pair.proxy, len).await;
    }
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
}

/// Row 100: 100 MB, once.
pub async fn a_hundred_megabytes_of_raw_data(world: &mut dyn World) {
    let pair = pair(world).await;
    raw_there_and_back(&pair.proxy, 100_000_000).await;
}

/// Row 100: 10 MB there and back, a hundred times over one session.
pub async fn ten_megabytes_a_hundred_times(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    let sent = pattern(10_000_000);
    let begun = Instant::now();
    for _ in 0..100 {
        sent_there_and_back(&pair.proxy, &sent).await;
    }
    measured("100 times 10 MB there and back", begun.elapsed());
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
}

/// Row 103: what a call and the passing of an object take, for the record. OpenHarmony's tests note 15 and 50 ms.
pub async fn latency_is_recorded(world: &mut dyn World) {
    let pair = pair(world).await;
    let (mut calls, mut objects) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let begun = Instant::now();
        assert_eq!(reverse(&pair.proxy, 2019).await, Ok(9102));
        calls.push(begun.elapsed());
        let (stub, _) = workbench();
        let begun = Instant::now();
        assert_eq!(delegate(&pair.proxy, &stub, 2019).await, Ok(9102));
        objects.push(begun.elapsed());
    }
    measured("call, median", percentile(&mut calls, 50));
    measured("call, p99", percentile(&mut calls, 99));
    let what = "call with an object that is called back";
    measured(&format!("{what}, median"), percentile(&mut objects, 50));
    measured(&format!("{what}, p99"), percentile(&mut objects, 99));
}

/// Calls of 64 bytes end while 100 MiB of raw data are under way to the same object, and do not wait for them.
pub async fn small_calls_go_on_beside_a_large_transfer(world: &mut dyn World) {
    const LEN: usize = 100 << 20;
    let pair = pair(world).await;
    let mut alone = Vec::new();
    for _ in 0..300 {
        alone.push(small_call(&pair.proxy).await);
    }
    let (proxy, mut large) = (pair.proxy.clone(), Parcel::new());
    large.write_u32(LEN as u32).unwrap();
    large.write_raw_data(vec![7; LEN]).unwrap();
    let begun = Instant::now();
    let mut transfer = tokio::spawn(async move {
        let mut reply = call(&proxy, code::RAW, &large).await.unwrap();
        assert_eq!(reply.read_raw_data(LEN).unwrap().len(), LEN);
    });
    let mut beside = Vec::new();
    loop {
        tokio::select! {
            biased;
            ended = &mut transfer => break ended.unwrap(),
            took = small_call(&pair.proxy) => beside.push(took),
        }
    }
    let in_all = begun.elapsed();
    measured("100 MiB there and back", in_all);
    // Each of these began and ended while the transfer had not.
    assert!(beside.len() >= 10, "{beside:?}");
    measured("64 B call alone, p99", percentile(&mut alone, 99));
    let median = percentile(&mut beside, 50);
    measured("64 B call beside 100 MiB, median", median);
    measured("64 B call beside 100 MiB, p99", percentile(&mut beside, 99));
    // In one run on one machine, however fast: a call behind the transfer would take about as long as it.
    assert!(median < in_all / 10, "{median:?} of {in_all:?}");
}

async fn small_call(proxy: &RemoteObject) -> Duration {
    let mut data = Parcel::new();
    data.write_u32(60).unwrap();
    data.write_buffer(&[7; 60]).unwrap();
    let begun = Instant::now();
    let mut reply = call(proxy, code::BUFFER, &data).await.unwrap();
    assert_eq!(reply.read_buffer(60), Ok(&[7; 60][..]));
    begun.elapsed()
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

/// Row 101: a thousand calls.
pub async fn a_thousand_calls_leave_nothing_behind(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    for number in 0..1000 {
        assert_eq!(reverse(&pair.proxy, 1000 + number).await.unwrap() % 10, 1);
    }
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
}

/// Row 101: a thousand objects, each passed, called back and given up.
pub async fn a_thousand_objects_leave_nothing_behind(world: &mut dyn World) {
    let pair = pair(world).await;
    let before = (usage_of(&*pair.a, &*pair.b), usage_of(&*pair.b, &*pair.a));
    for _ in 0..1000 {
        let (stub, bench) = workbench();
        assert_eq!(delegate(&pair.proxy, &stub, 2019).await, Ok(9102));
        drop(stub);
        reached(&bench.destroyed, 1).await;
    }
    settled(&*pair.a, &*pair.b, before.0).await;
    settled(&*pair.b, &*pair.a, before.1).await;
}

async fn raw_there_and_back(proxy: &RemoteObject, len: usize) {
    sent_there_and_back(proxy, &pattern(len)).await;
}

fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i % 251) as u8).collect()
}

async fn sent_there_and_back(proxy: &RemoteObject, sent: &Bytes) {
    let mut data = Parcel::new();
    data.write_u32(sent.len() as u32).unwrap();
    data.write_raw_data(sent.clone()).unwrap();
    let mut reply = call(proxy, code::RAW, &data).await.unwrap();
    let len = sent.len();
    assert!(reply.read_raw_data(len).unwrap() == sent, "{len} bytes");
}

fn with_room(capacity: usize) -> Parcel {
    let mut parcel = Parcel::new();
    parcel.raise_capacity(capacity).unwrap();
    parcel
}
