//! Two ends of a link that moves from a stream to another link, in the middle of everything: whatever happens, no byte of a lane is
//! lost, doubled or overtaken, and an end that cannot go on says so.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use softbus::{
    fuzzing::Moving,
    rpc::link::{Lane, LaneReceive, LaneSend, Link, LinkClosed, MemoryLink},
};
use tokio::{io::duplex, task::JoinHandle};

use super::Input;

/// Call lanes, beside control.
const LANES: u16 = 2;
/// What the stream holds between its two ends, so that a lane waits.
const PIPE: usize = 2048;
const STEPS: usize = 200;
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);
/// Longer than it takes to miss the other end, in a time that costs nothing.
const LONG: Duration = Duration::from_secs(30);

/// What happens, one step after the other.
pub fn run(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut input = Input(data);
        let mut pair = Pair::begin().await;
        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            pair.step(&mut input).await;
        }
        pair.end().await;
    });
}

struct Pair {
    ends: [End; 2],
    /// Carries the stream; without it the stream is cut.
    cable: JoinHandle<()>,
    /// Whether something was done after which the link need not live.
    harmed: bool,
    bulk: u64,
}

struct End {
    moving: Moving,
    lanes: Vec<Half>,
    /// What it can move to.
    next: Option<(Arc<dyn Link>, Vec<Lane>)>,
    closed: JoinHandle<LinkClosed>,
    /// Bulk bodies that the other end sends, by id, with their length.
    taken: JoinHandle<BTreeMap<u64, usize>>,
    sent: BTreeMap<u64, usize>,
}

struct Half {
    send: Box<dyn LaneSend>,
    receive: Box<dyn LaneReceive>,
    /// Given away so far, and what the lane has not taken yet.
    written: usize,
    rest: BytesMut,
    read: usize,
}

/// Byte `index` of a lane of an end: another one would show.
fn byte(end: usize, lane: usize, index: usize) -> u8 {
    (index * 31 + index / 251 + lane * 7 + end * 101) as u8
}

async fn all(link: &dyn Link) -> Vec<Lane> {
    let mut lanes = vec![link.control().await.expect("nothing has happened yet")];
    lanes.extend(link.lanes(LANES).await.expect("nothing has happened yet"));
    lanes
}

async fn once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

impl End {
    async fn begin(stream: tokio::io::DuplexStream, next: MemoryLink) -> Self {
        let moving = Moving::new(stream, KEEP_ALIVE, IDLE);
        let link = moving.link();
        let half = |Lane { send, receive }| Half {
            send,
            receive,
            written: 0,
            rest: BytesMut::new(),
            read: 0,
        };
        let lanes = all(&*link).await.into_iter().map(half).collect();
        let next: Arc<dyn Link> = Arc::new(next);
        let next_lanes = all(&*next).await;
        let closed = Arc::clone(&link);
        Self {
            moving,
            lanes,
            next: Some((next, next_lanes)),
            closed: tokio::spawn(async move { closed.closed().await }),
            taken: tokio::spawn(take_bulk(link)),
            sent: BTreeMap::new(),
        }
    }

    /// Whether it did.
    fn moves(&mut self) -> bool {
        assert_eq!(self.moving.lanes_to_move().is_some(), self.can_move());
        let Some((next, lanes)) = self.next.take() else {
            return false;
        };
        self.moving.go_on(next, lanes)
    }

    fn can_move(&self) -> bool {
        self.next.is_some() && !self.closed.is_finished()
    }
}

/// Bulk bodies, until the link ends.
async fn take_bulk(link: Arc<dyn Link>) -> BTreeMap<u64, usize> {
    let mut taken = BTreeMap::new();
    while let Ok((id, mut stream)) = link.accept_bulk().await {
        let mut pieces = [const { Bytes::new() }; 4];
        let mut length = 0;
        // A failed one is not counted.
        let whole = loop {
            match poll_fn(|cx| stream.poll_read(cx, &mut pieces)).await {
                Ok(0) => break true,
                Ok(count) => {
                    for piece in &pieces[..count] {
                        assert!(piece.iter().all(|byte| *byte == id as u8));
                        length += piece.len();
                    }
                }
                Err(_) => break false,
            }
        };
        if whole {
            assert_eq!(taken.insert(id, length), None, "a body came twice");
        }
    }
    taken
}

impl Pair {
    async fn begin() -> Self {
        let ((one, near), (other, far)) = (duplex(PIPE), duplex(PIPE));
        let (next_one, next_other) = MemoryLink::pair();
        let cable = tokio::spawn(async move {
            let (mut near, mut far) = (near, far);
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
        Self {
            ends: [
                End::begin(one, next_one).await,
                End::begin(other, next_other).await,
            ],
            cable,
            harmed: false,
            bulk: 0,
        }
    }

    async fn step(&mut self, input: &mut Input<'_>) {
        let what = input.u8();
        let (end, lane) = (usize::from(what >> 7), input.below(LANES as usize + 1));
        match what % 32 {
            0..=9 => {
                self.write(end, lane, 1 + usize::from(input.u16()) % 5000)
                    .await
            }
            10..=19 => self.read(end, lane).await,
            20 | 21 => {
                let moved = self.ends[end].moves();
                assert!(moved || self.harmed || self.ends[end].next.is_none());
            }
            22..=24 => self.bulk(end, usize::from(input.u16())).await,
            25 if input.u8().is_multiple_of(4) => {
                self.harmed = true;
                self.ends[end].moving.link().close(0x100, "leaving");
            }
            26 if input.u8().is_multiple_of(4) => {
                self.harmed = true;
                self.cable.abort();
            }
            27 => tokio::time::sleep(Duration::from_millis(input.u16().into())).await,
            _ => tokio::task::yield_now().await,
        }
    }

    async fn write(&mut self, end: usize, lane: usize, count: usize) {
        let half = &mut self.ends[end].lanes[lane];
        let more = half.written..half.written + count;
        half.rest.extend(more.map(|index| byte(end, lane, index)));
        half.written += count;
        self.flush(end, lane).await;
    }

    /// Whether the lane has taken all.
    async fn flush(&mut self, end: usize, lane: usize) -> bool {
        let half = &mut self.ends[end].lanes[lane];
        if half.rest.is_empty() {
            return true;
        }
        let Half { send, rest, .. } = half;
        let written = once(|cx| send.poll_write(cx, rest)).await;
        assert!(
            self.harmed || !matches!(written, Some(Err(_))),
            "{written:?}"
        );
        half.rest.is_empty()
    }

    async fn read(&mut self, end: usize, lane: usize) {
        let half = &mut self.ends[end].lanes[lane];
        let mut came = BytesMut::new();
        let read = once(|cx| half.receive.poll_read(cx, &mut came)).await;
        if let Some(Ok(count)) = read {
            assert_eq!(count, came.len());
        }
        assert!(
            self.harmed || !matches!(read, Some(Err(_) | Ok(0))),
            "{read:?}"
        );
        for (index, read) in (half.read..).zip(&came) {
            assert_eq!(
                *read,
                byte(1 - end, lane, index),
                "byte {index} of lane {lane}"
            );
        }
        half.read += came.len();
        let written = &self.ends[1 - end].lanes[lane];
        let given = written.written - written.rest.len();
        assert!(
            self.ends[end].lanes[lane].read <= given,
            "nobody has written that"
        );
    }

    async fn bulk(&mut self, end: usize, length: usize) {
        self.bulk += 1;
        let id = self.bulk;
        let link = self.ends[end].moving.link();
        if !self.harmed {
            self.ends[end].sent.insert(id, length);
        }
        // It may have to wait for another one.
        tokio::spawn(async move {
            if let Ok(mut stream) = link.open_bulk(id).await
                && stream.write(vec![id as u8; length].into()).await.is_ok()
            {
                stream.finish();
            }
        });
    }

    async fn end(mut self) {
        let any_moved = self.ends.iter().any(|end| end.next.is_none());
        for end in 0..2 {
            if any_moved && self.ends[end].can_move() {
                let moved = self.ends[end].moves();
                assert!(moved || self.harmed);
            }
        }
        // As long as something moves.
        for _ in 0..STEPS {
            for end in 0..2 {
                for lane in 0..=LANES.into() {
                    self.flush(end, lane).await;
                    self.read(end, lane).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(LONG).await;
        let lives = self.ends.each_ref().map(|end| !end.closed.is_finished());
        assert_eq!(
            lives[0], lives[1],
            "one end goes on, and the other does not"
        );
        assert!(lives[0] || self.harmed, "nobody has harmed it");
        if lives[0] {
            self.is_whole(any_moved);
        }
        self.ends[0].moving.link().close(0, "over");
        for end in 0..2 {
            let taken = (&mut self.ends[end].taken)
                .await
                .expect("it does not panic");
            let sent = &self.ends[1 - end].sent;
            assert!(
                taken
                    .iter()
                    .all(|(id, length)| self.harmed || sent.get(id) == Some(length))
            );
            assert!(
                !lives[0] || self.harmed || taken.len() == sent.len(),
                "{taken:?} of {sent:?}"
            );
            let closed = (&mut self.ends[end].closed).await;
            closed.expect("it does not panic");
        }
    }

    /// Everything has come.
    fn is_whole(&self, moved: bool) {
        for end in 0..2 {
            for (lane, half) in self.ends[end].lanes.iter().enumerate() {
                let written = self.ends[1 - end].lanes[lane].written;
                assert_eq!(half.read, written, "of lane {lane}");
            }
            let link = self.ends[end].moving.link();
            assert_eq!(link.transport() == "memory", moved);
        }
    }
}
