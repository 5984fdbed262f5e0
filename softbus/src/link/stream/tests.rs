//! Two ends in one process, on the clock of the test.

mod hostile;

use std::{future::poll_fn, time::Duration};

use bytes::{Bytes, BytesMut};
use rpc::link::{BulkReceive, Lane, Link, LinkClosed, LinkError};

use super::*;

const TIMING: Timing = Timing {
    keep_alive: Duration::from_secs(1),
    idle: Duration::from_secs(5),
};
/// What a stream holds between two ends: less than most that is sent here.
const PIPE: usize = 64 * 1024;

fn pair() -> (StreamLink, StreamLink) {
    let (one, other) = tokio::io::duplex(PIPE);
    let link = |stream| StreamLink::new(stream, TIMING, "test");
    (link(one), link(other))
}

async fn send(lane: &mut Lane, bytes: &[u8]) -> Result<(), LinkError> {
    let mut bytes = BytesMut::from(bytes);
    while !bytes.is_empty() {
        poll_fn(|cx| lane.send.poll_write(cx, &mut bytes)).await?;
    }
    Ok(())
}

/// So many bytes, or less at the end of the lane.
async fn receive(lane: &mut Lane, wanted: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    while bytes.len() < wanted {
        let read = poll_fn(|cx| lane.receive.poll_read(cx, &mut bytes)).await;
        if read.unwrap() == 0 {
            break;
        }
    }
    bytes
}

async fn drain(stream: &mut dyn BulkReceive) -> Result<usize, LinkError> {
    let mut pieces = [const { Bytes::new() }; 8];
    let mut total = 0;
    loop {
        let count = poll_fn(|cx| stream.poll_read(cx, &mut pieces)).await?;
        if count == 0 {
            return Ok(total);
        }
        total += pieces[..count].iter().map(Bytes::len).sum::<usize>();
    }
}

/// Bytes that show when one is missing or out of order.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 251) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn lanes_carry_bytes_in_order_both_ways() {
    let (a, b) = pair();
    let (a_lanes, b_lanes) = (a.lanes(3).await.unwrap(), b.lanes(3).await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for (number, (mut one, mut other)) in a_lanes.into_iter().zip(b_lanes).enumerate() {
        tasks.spawn(async move {
            // More than a stream, a lane and a writer hold together.
            let there = pattern(1_000_000 + number);
            let back = pattern(10 + number);
            let ((), came) = tokio::join!(
                async { send(&mut one, &there).await.unwrap() },
                receive(&mut other, there.len())
            );
            assert_eq!(came, there);
            send(&mut other, &back).await.unwrap();
            assert_eq!(receive(&mut one, back.len()).await, back);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_body_arrives_whole_beside_others() {
    let (a, b) = pair();
    let body = pattern(3_000_000);
    let send = async |id: u64| {
        let mut stream = a.open_bulk(id).await.unwrap();
        stream.write(body.clone().into()).await.unwrap();
        stream.finish();
    };
    let take = async || {
        let (id, mut stream) = b.accept_bulk().await.unwrap();
        assert_eq!(drain(&mut *stream).await, Ok(body.len()), "stream {id}");
        id
    };
    let (_, _, one, other) = tokio::join!(send(7), send(8), take(), take());
    assert_eq!((one, other), (7, 8));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_a_body_is_sent_no_more_than_its_window() {
    let (a, b) = pair();
    let mut stream = a.open_bulk(1).await.unwrap();
    let sending = stream.write(pattern(bulk::WINDOW + 1).into());
    tokio::pin!(sending);
    let stuck = tokio::time::timeout(Duration::from_secs(60), &mut sending).await;
    assert!(stuck.is_err(), "one byte has to wait");
    let (_, mut reader) = b.accept_bulk().await.unwrap();
    let mut pieces = [const { Bytes::new() }; 256];
    let count = poll_fn(|cx| reader.poll_read(cx, &mut pieces))
        .await
        .unwrap();
    let came: usize = pieces[..count].iter().map(Bytes::len).sum();
    assert_eq!(came, bulk::WINDOW);
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_given_up_by_either_end() {
    let (a, b) = pair();
    let mut stream = a.open_bulk(1).await.unwrap();
    stream.write(pattern(10).into()).await.unwrap();
    let (_, mut reader) = b.accept_bulk().await.unwrap();
    drop(stream);
    assert_eq!(drain(&mut *reader).await, Err(LinkError::Reset));

    let mut stream = a.open_bulk(2).await.unwrap();
    let (_, reader) = b.accept_bulk().await.unwrap();
    drop(reader);
    let body = pattern(2 * bulk::WINDOW);
    assert_eq!(stream.write(body.into()).await, Err(LinkError::Reset));
    assert!(a.shared.end.goodbye().is_none(), "the link lives");
}

#[tokio::test(start_paused = true)]
async fn more_streams_than_there_may_be_wait() {
    let (a, b) = pair();
    let mut open = Vec::new();
    for id in 0..bulk::STREAMS as u64 {
        open.push(a.open_bulk(id).await.unwrap());
    }
    let one_more = a.open_bulk(99);
    tokio::pin!(one_more);
    let stuck = tokio::time::timeout(Duration::from_secs(60), &mut one_more).await;
    assert!(stuck.is_err());
    open[0].finish();
    let (_, mut reader) = b.accept_bulk().await.unwrap();
    assert_eq!(drain(&mut *reader).await, Ok(0));
    drop(reader);
    one_more.await.unwrap();
}

/// What a call waits for at most: what is written already, and one piece.
#[tokio::test(start_paused = true)]
async fn lanes_go_before_bulk() {
    let (a, _b) = pair();
    let mut lanes = a.lanes(1).await.unwrap();
    let mut stream = a.open_bulk(1).await.unwrap();
    // A driver that never comes to run: nobody waits here.
    let sending = stream.write(pattern(100_000).into());
    assert!(futures_poll(sending).is_none());
    let mut bytes = BytesMut::from(&b"call"[..]);
    let written = poll_fn(|cx| lanes[0].send.poll_write(cx, &mut bytes)).await;
    written.unwrap();
    let mut out = BytesMut::new();
    a.shared.run(|state| state.fill(&mut out));
    let mut frames = std::iter::from_fn(|| Frame::take(&mut out).unwrap());
    assert_eq!(frames.next(), Some(Frame::Open(1, 1)));
    assert_eq!(
        frames.next(),
        Some(Frame::Lane(1, Bytes::from_static(b"call")))
    );
    let Some(Frame::Bulk(1, piece)) = frames.next() else {
        panic!("a piece of bulk follows")
    };
    assert_eq!(piece.len(), frame::MAX_PAYLOAD);
    assert_eq!(frames.next(), None);
}

/// One look at a future.
fn futures_poll<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_comes_before_the_end() {
    let (a, b) = pair();
    let mut sender = a.lanes(1).await.unwrap().remove(0);
    let mut receiver = b.lanes(1).await.unwrap().remove(0);
    let reply = pattern(50_000);
    send(&mut sender, &reply).await.unwrap();
    poll_fn(|cx| sender.send.poll_finish(cx)).await;
    a.close(0x100, "leaving");
    assert_eq!(a.closed().await, LinkClosed::ByUs);
    assert_eq!(receive(&mut receiver, reply.len() + 1).await, reply);
    let by_peer = LinkClosed::ByPeer {
        code: 0x100,
        text: "leaving".to_owned(),
    };
    assert_eq!(b.closed().await, by_peer);
    a.gone().await;
    assert_eq!(send(&mut sender, b"more").await, Err(LinkError::Closed));
    assert!(b.open_bulk(1).await.is_err());
    assert!(b.accept_bulk().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_reads_before_is_told_all_the_same() {
    let (a, b) = pair();
    let mut sender = a.control().await.unwrap();
    let _unread = b.control().await.unwrap();
    send(&mut sender, b"never read").await.unwrap();
    a.close(0x101, "not admitted");
    assert!(matches!(
        b.closed().await,
        LinkClosed::ByPeer { code: 0x101, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_lives_as_long_as_both_ends_do() {
    let (a, b) = pair();
    let lived = tokio::time::timeout(Duration::from_secs(3600), async {
        tokio::select! {
            end = a.closed() => end,
            end = b.closed() => end,
        }
    });
    assert!(lived.await.is_err());
    assert!(a.received() > 3000, "it was asked every second");
}

#[tokio::test(start_paused = true)]
async fn who_is_not_heard_is_gone() {
    let (one, _silent) = tokio::io::duplex(PIPE);
    let begun = tokio::time::Instant::now();
    let link = StreamLink::new(one, TIMING, "test");
    assert_eq!(link.closed().await, LinkClosed::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), TIMING.idle.as_secs());
}

#[tokio::test(start_paused = true)]
async fn the_smaller_patience_of_the_two_counts() {
    let (one, mut other) = tokio::io::duplex(PIPE);
    let patient = Timing {
        keep_alive: Duration::from_secs(15),
        idle: Duration::from_secs(45),
    };
    let begun = tokio::time::Instant::now();
    let link = StreamLink::new(one, patient, "test");
    other
        .write_all(&frame::preamble(TIMING.idle))
        .await
        .unwrap();
    assert_eq!(link.closed().await, LinkClosed::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), TIMING.idle.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_a_word_is_a_process_that_ended() {
    let (one, other) = tokio::io::duplex(PIPE);
    let link = StreamLink::new(one, TIMING, "test");
    drop(other);
    assert_eq!(link.closed().await, LinkClosed::Reset);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_dropped_is_closed() {
    let (a, b) = pair();
    drop(a);
    assert!(matches!(
        b.closed().await,
        LinkClosed::ByPeer { code: 0, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_hears_why() {
    let (one, other) = tokio::io::duplex(PIPE);
    let link = StreamLink::new(one, TIMING, "test");
    refuse(other, TIMING, 0x101, "not admitted").await;
    let told = LinkClosed::ByPeer {
        code: 0x101,
        text: "not admitted".to_owned(),
    };
    assert_eq!(link.closed().await, told);
}

/// The bytes of `docs/protocol.md`, section 21: neither page nor code can drift.
#[test]
fn frames_are_those_of_the_page() {
    let page = include_str!("../../../../docs/protocol.md");
    let block = page.split("```text\nframes\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let lines = block.lines().map(|line| {
        let digits = line.split("   ").next().unwrap().replace(' ', "");
        data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
    });
    let mut written = vec![frame::preamble(TIMING.idle).to_vec()];
    for frame in [
        Frame::Lane(1, Bytes::from_static(b"call")),
        Frame::Open(1, 12),
        Frame::Credit(1, 1 << 18),
        Frame::Close(0x100, Bytes::from_static(b"leaving")),
    ] {
        let mut out = BytesMut::new();
        frame.put(&mut out);
        written.push(out.to_vec());
    }
    assert_eq!(lines.collect::<Vec<_>>(), written);
}
