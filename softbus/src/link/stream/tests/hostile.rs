//! A peer that was admitted, and does what none may.

use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;

fn link() -> (StreamLink, DuplexStream) {
    let (one, other) = tokio::io::duplex(PIPE);
    (StreamLink::new(one, TIMING, "test"), other)
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut out = BytesMut::from(&frame::preamble(TIMING.idle)[..]);
    for frame in frames {
        frame.put(&mut out);
    }
    out.to_vec()
}

fn header(kind: u8, reserved: u8, len: u16, number: u32) -> Vec<u8> {
    let mut out = bytes(&[]);
    out.extend([kind, reserved]);
    out.extend(len.to_le_bytes());
    out.extend(number.to_le_bytes());
    out
}

fn body(len: usize) -> Bytes {
    vec![1; len].into()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_ends_the_link() {
    let opened = |count: u32| (1..=count).map(|number| Frame::Open(number, 0));
    let window: Vec<_> = opened(1)
        .chain(
            (0..=bulk::WINDOW / frame::MAX_PAYLOAD)
                .map(|_| Frame::Bulk(1, body(frame::MAX_PAYLOAD))),
        )
        .collect();
    let crumbs: Vec<_> = opened(1)
        .chain((0..1000).map(|_| Frame::Bulk(1, body(1))))
        .collect();
    let cases = [
        ("no preamble", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("reserved byte", header(9, 1, 0, 0)),
        ("length", header(1, 0, 16 * 1024 + 1, 0)),
        ("kind", header(200, 0, 0, 0)),
        (
            "ping with a payload",
            header(9, 0, 1, 0).into_iter().chain([0]).collect(),
        ),
        ("empty lane", header(1, 0, 0, 0)),
        ("lane above all", bytes(&[Frame::Lane(65, body(1))])),
        ("lane above those agreed", bytes(&[Frame::Lane(3, body(1))])),
        (
            "lane after its end",
            bytes(&[Frame::LaneEnd(1), Frame::Lane(1, body(1))]),
        ),
        ("second end", bytes(&[Frame::LaneEnd(1), Frame::LaneEnd(1)])),
        (
            "stream that was not opened",
            bytes(&[Frame::Bulk(1, body(1))]),
        ),
        ("end of what was not opened", bytes(&[Frame::End(7)])),
        ("stream out of order", bytes(&[Frame::Open(2, 0)])),
        (
            "stream twice",
            bytes(&[Frame::Open(1, 0), Frame::Open(1, 0)]),
        ),
        ("too many streams", bytes(&opened(17).collect::<Vec<_>>())),
        ("above the window", bytes(&window)),
        ("crumbs", bytes(&crumbs)),
        (
            "after the end",
            bytes(&[Frame::Open(1, 0), Frame::End(1), Frame::Bulk(1, body(1))]),
        ),
    ];
    for (what, sent) in cases {
        let (link, mut peer) = link();
        let _lanes = link.lanes(2).await.unwrap();
        let write = async {
            // It may hang up before it has all.
            let _ = peer.write_all(&sent).await;
            let _ = peer.read_to_end(&mut Vec::new()).await;
        };
        let (end, ()) = tokio::join!(link.closed(), write);
        assert!(matches!(end, LinkClosed::Failed(_)), "{what}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn credit_that_was_not_earned_ends_the_link() {
    let (link, mut peer) = link();
    let _stream = link.open_bulk(1).await.unwrap();
    let credit = bytes(&[Frame::Credit(1, 1)]);
    peer.write_all(&credit).await.unwrap();
    assert!(matches!(link.closed().await, LinkClosed::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn what_crosses_the_end_of_a_stream_is_no_fault() {
    let (link, mut peer) = link();
    peer.write_all(&bytes(&[Frame::Open(1, 5)])).await.unwrap();
    let (_, reader) = link.accept_bulk().await.unwrap();
    drop(reader);
    let mut late = BytesMut::new();
    for frame in [
        Frame::Bulk(1, body(10)),
        Frame::End(1),
        Frame::Done(4),
        Frame::Credit(4, 9),
        Frame::Open(2, 6),
    ] {
        frame.put(&mut late);
    }
    peer.write_all(&late).await.unwrap();
    let (id, _reader) = link.accept_bulk().await.unwrap();
    assert_eq!(id, 6);
}

/// It asks and never listens: what it would be answered must not pile up here.
#[tokio::test(start_paused = true)]
async fn who_never_reads_is_read_no_further_and_given_up() {
    for flood in [vec![Frame::Ping], vec![Frame::Open(0, 0), Frame::Reset(0)]] {
        let (link, mut peer) = link();
        peer.write_all(&bytes(&[])).await.unwrap();
        let accept = async {
            while let Ok((_, stream)) = link.accept_bulk().await {
                drop(stream);
            }
        };
        let write = async {
            for number in 1.. {
                let mut out = BytesMut::new();
                for frame in &flood {
                    match frame {
                        Frame::Open(..) => Frame::Open(number, 0).put(&mut out),
                        Frame::Reset(_) => Frame::Reset(number).put(&mut out),
                        other => other.put(&mut out),
                    }
                }
                // Until it is hung up on, or has had enough of a peer that takes everything.
                if number > 200_000 || peer.write_all(&out).await.is_err() {
                    return;
                }
            }
        };
        let most = async {
            tokio::join!(accept, write);
            link.shared.run(|state| state.out.capacity())
        };
        let waited = tokio::time::timeout(Duration::from_secs(600), most).await;
        assert!(waited.unwrap() < 4 << 20);
    }
}

/// Any bytes at all are a frame or refused, and never more.
#[test]
fn any_bytes_are_frames_or_refused() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut buffer = BytesMut::new();
        for _ in 0..64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let byte = (seed >> 56) as u8;
            // Mostly kinds and lengths that exist.
            buffer.extend([if byte > 200 { byte } else { byte % 12 }]);
        }
        while let Ok(Some(frame)) = Frame::take(&mut buffer) {
            let mut again = BytesMut::new();
            frame.put(&mut again);
            assert_eq!(Frame::take(&mut again), Ok(Some(frame)));
        }
    }
}
