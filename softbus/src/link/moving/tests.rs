//! Two ends that move from a stream to a link in memory, in the middle of everything.

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use rpc::link::MemoryLink;

use super::*;
use crate::link::stream::Timing;

const LANES: u16 = 3;
const PIPE: usize = 4096;
const LENGTH: usize = 400_000;

fn stream(io: tokio::io::DuplexStream) -> StreamLink {
    let timing = Timing {
        keep_alive: Duration::from_secs(1),
        idle: Duration::from_secs(5),
    };
    StreamLink::new(io, timing, "tcp")
}

/// Both ends, with their lanes, control first.
async fn pair() -> [(Arc<MovingLink>, Vec<Lane>); 2] {
    let (one, other) = tokio::io::duplex(PIPE);
    let (a, b) = (MovingLink::new(stream(one)), MovingLink::new(stream(other)));
    let (a_lanes, b_lanes) = (all(&*a).await, all(&*b).await);
    [(a, a_lanes), (b, b_lanes)]
}

async fn all(link: &dyn Link) -> Vec<Lane> {
    let mut lanes = vec![link.control().await.unwrap()];
    lanes.extend(link.lanes(LANES).await.unwrap());
    lanes
}

/// Byte `index` of lane `number`: another one would show.
fn byte(number: usize, index: usize) -> u8 {
    (index * 31 + number * 7 + index / 256) as u8
}

/// Writes and reads a whole lane at once, as the task of a lane does.
async fn exchange(number: usize, mut lane: Lane) -> Lane {
    let all: Vec<u8> = (0..LENGTH).map(|index| byte(number, index)).collect();
    let mut out = BytesMut::from(&all[..]);
    let mut came = BytesMut::new();
    poll_fn(|cx| {
        while came.len() < LENGTH {
            match lane.receive.poll_read(cx, &mut came) {
                Poll::Ready(read) => assert!(read.unwrap() > 0, "lane {number} ended"),
                Poll::Pending => break,
            }
        }
        while !out.is_empty() {
            // In small pieces, so that the move falls between them.
            let mut piece = out.split_to(out.len().min(1000));
            let written = lane.send.poll_write(cx, &mut piece);
            piece.unsplit(std::mem::take(&mut out));
            out = piece;
            match written {
                Poll::Ready(written) => written.unwrap(),
                Poll::Pending => break,
            }
        }
        match out.is_empty() && came.len() == LENGTH {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    assert_eq!(came, all, "lane {number}");
    lane
}

fn exchange_all(lanes: Vec<Lane>, tasks: &mut tokio::task::JoinSet<Lane>) {
    for (number, lane) in lanes.into_iter().enumerate() {
        tasks.spawn(exchange(number, lane));
    }
}

async fn some_time(looks: usize) {
    for _ in 0..looks {
        tokio::task::yield_now().await;
    }
}

/// The ends move at different moments, on two threads too; whatever was under way comes once and in order.
async fn bytes_survive(between: usize, apart: usize) {
    let [(a, a_lanes), (b, b_lanes)] = pair().await;
    let mut tasks = tokio::task::JoinSet::new();
    exchange_all(a_lanes, &mut tasks);
    exchange_all(b_lanes, &mut tasks);
    some_time(between).await;
    let (next_a, next_b) = MemoryLink::pair();
    let lanes = all(&next_a).await;
    assert!(a.go_on(Arc::new(next_a), lanes));
    some_time(apart).await;
    let lanes = all(&next_b).await;
    assert!(b.go_on(Arc::new(next_b), lanes));
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!((a.transport(), b.transport()), ("memory", "memory"));
    a.first().gone().await;
    b.first().gone().await;
    let lives = tokio::time::timeout(Duration::from_millis(20), a.closed());
    assert!(lives.await.is_err(), "the old stream is not missed");
    b.close(0x100, "leaving");
    let left = LinkClosed::ByPeer {
        code: 0x100,
        text: "leaving".to_owned(),
    };
    assert_eq!(a.closed().await, left);
}

#[tokio::test(start_paused = true)]
async fn no_byte_is_lost_or_doubled() {
    for between in [0, 1, 10, 100, 1000] {
        for apart in [0, 1, 50, 500] {
            bytes_survive(between, apart).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_is_lost_or_doubled_on_two_threads() {
    for between in [0, 3, 30, 300] {
        bytes_survive(between, between % 7).await;
    }
}

async fn drain(mut stream: Box<dyn BulkReceive>) -> usize {
    let mut pieces = [const { Bytes::new() }; 4];
    let mut total = 0;
    loop {
        match poll_fn(|cx| stream.poll_read(cx, &mut pieces))
            .await
            .unwrap()
        {
            0 => return total,
            count => total += pieces[..count].iter().map(Bytes::len).sum::<usize>(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bulk_ends_where_it_began() {
    let [(a, _a_lanes), (b, _b_lanes)] = pair().await;
    let mut before = a.open_bulk(1).await.unwrap();
    let (next_a, next_b) = MemoryLink::pair();
    let (a_lanes, b_lanes) = (all(&next_a).await, all(&next_b).await);
    assert!(a.go_on(Arc::new(next_a), a_lanes) && b.go_on(Arc::new(next_b), b_lanes));
    let mut after = a.open_bulk(2).await.unwrap();
    let send = async {
        for stream in [&mut before, &mut after] {
            stream.write(vec![7; LENGTH].into()).await.unwrap();
            stream.finish();
        }
    };
    let take = async {
        for _ in 0..2 {
            let (_, stream) = b.accept_bulk().await.unwrap();
            assert_eq!(drain(stream).await, LENGTH);
        }
    };
    tokio::join!(send, take);
    a.first().gone().await;
}

/// Who waits for a bulk stream hears of the end, on whatever link that is.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_bulk_of_a_link_that_moved_and_ended() {
    let [(a, _a_lanes), (b, _b_lanes)] = pair().await;
    let (next_a, next_b) = MemoryLink::pair();
    let (a_lanes, b_lanes) = (all(&next_a).await, all(&next_b).await);
    assert!(a.go_on(Arc::new(next_a), a_lanes) && b.go_on(Arc::new(next_b), b_lanes));
    a.close(0, "over");
    for end in [a, b] {
        let accepted = tokio::time::timeout(Duration::from_secs(60), end.accept_bulk());
        let accepted = accepted.await.expect("it does not wait for ever");
        assert_eq!(accepted.map(drop), Err(LinkError::Closed));
    }
}

/// What the old stream had not delivered is gone, and nobody may go on as if it had been.
#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_while_it_is_left_ends_the_link() {
    let (one, other) = tokio::io::duplex(PIPE);
    let a = MovingLink::new(stream(one));
    let _lanes = all(&*a).await;
    let (next_a, next_b) = MemoryLink::pair();
    let lanes = all(&next_a).await;
    assert!(a.go_on(Arc::new(next_a), lanes));
    drop(other);
    assert_eq!(a.closed().await, LinkClosed::Reset);
    assert!(matches!(next_b.closed().await, LinkClosed::ByPeer { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_link_moves_once_and_only_while_it_lives() {
    let [(a, _lanes), (b, _)] = pair().await;
    assert_eq!(a.lanes_to_move(), Some(LANES));
    let next = || async {
        let (next, _other) = MemoryLink::pair();
        let lanes = all(&next).await;
        (Arc::new(next), lanes)
    };
    let (link, lanes) = next().await;
    assert!(a.go_on(link, lanes));
    assert_eq!(a.lanes_to_move(), None);
    let (link, lanes) = next().await;
    assert!(!a.go_on(link, lanes));
    b.close(1, "");
    b.first().gone().await;
    let (link, lanes) = next().await;
    assert!(!b.go_on(link, lanes));
}
