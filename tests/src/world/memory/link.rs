//! A link between two devices of which the network may take one away.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use softbus::{
    async_trait,
    rpc::{
        MemoryLink,
        link::{BulkReceive, BulkSend, Lane, LaneReceive, Link, LinkClosed, LinkError},
    },
};
use tokio::sync::watch;

/// How long a device may be silent before it is taken for gone: what it is between nodes.
const SILENCE: Duration = Duration::from_secs(5);

/// What the network does with a device.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    pub(super) cut: bool,
    pub(super) muted: bool,
}

/// Where a link begins, and where it ends.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) from: watch::Receiver<Reach>,
    pub(super) to: watch::Receiver<Reach>,
}

impl Way {
    pub(super) fn is_open(&self) -> bool {
        let from = *self.from.borrow();
        !from.cut && !from.muted && !self.to.borrow().cut
    }

    fn back(&self) -> Self {
        Self {
            from: self.to.clone(),
            to: self.from.clone(),
        }
    }

    async fn changed(&mut self) {
        // Whoever decides it lives longer than what is asked here.
        tokio::select! {
            Ok(()) = self.from.changed() => {}
            Ok(()) = self.to.changed() => {}
            else => std::future::pending().await,
        }
    }

    /// Waits until what is sent arrives.
    async fn open(mut self) {
        while !self.is_open() {
            self.changed().await;
        }
    }

    /// Whether what is sent arrives, and what is answered.
    fn is_open_both_ways(&self) -> bool {
        self.is_open() && self.back().is_open()
    }

    /// Waits until one has not heard from the other for so long that both give up.
    async fn given_up(mut self) {
        loop {
            while self.is_open_both_ways() {
                self.changed().await;
            }
            let mut later = self.clone();
            let healed = async {
                while !later.is_open_both_ways() {
                    later.changed().await;
                }
            };
            if tokio::time::timeout(SILENCE, healed).await.is_err() {
                return;
            }
        }
    }
}

/// One end.
pub(super) struct CuttableLink {
    pub(super) link: MemoryLink,
    /// One of the two has gone without a word, and the other notices at once.
    pub(super) gone: [watch::Receiver<bool>; 2],
    /// How what the other end sends comes here.
    pub(super) way: Way,
}

impl CuttableLink {
    fn gated(&self, lane: Lane) -> Lane {
        Lane {
            send: lane.send,
            receive: Box::new(Gated {
                inner: lane.receive,
                gate: Gate::new(&self.way),
            }),
        }
    }
}

#[async_trait]
impl Link for CuttableLink {
    async fn control(&self) -> Result<Lane, LinkError> {
        Ok(self.gated(self.link.control().await?))
    }

    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError> {
        let lanes = self.link.lanes(count).await?;
        Ok(lanes.into_iter().map(|lane| self.gated(lane)).collect())
    }

    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError> {
        self.link.open_bulk(id).await
    }

    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError> {
        let (id, inner) = self.link.accept_bulk().await?;
        let gate = Gate::new(&self.way);
        Ok((id, Box::new(Gated { inner, gate })))
    }

    fn close(&self, code: u32, text: &str) {
        self.link.close(code, text);
    }

    async fn closed(&self) -> LinkClosed {
        let [mut here, mut there] = self.gone.clone();
        let told = async {
            let closed = self.link.closed().await;
            if matches!(closed, LinkClosed::ByPeer { .. }) {
                self.way.clone().open().await;
            }
            closed
        };
        tokio::select! {
            biased;
            _ = here.wait_for(|gone| *gone) => LinkClosed::TimedOut,
            _ = there.wait_for(|gone| *gone) => LinkClosed::TimedOut,
            closed = told => closed,
            () = self.way.clone().given_up() => LinkClosed::TimedOut,
        }
    }

    fn transport(&self) -> &'static str {
        "memory"
    }
}

/// Holds back what comes as long as nothing may.
struct Gate {
    way: Way,
    opening: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Gate {
    fn new(way: &Way) -> Self {
        Self {
            way: way.clone(),
            opening: None,
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.way.is_open() {
            let opening = || Box::pin(self.way.clone().open()) as _;
            ready!(self.opening.get_or_insert_with(opening).as_mut().poll(cx));
            self.opening = None;
        }
        Poll::Ready(())
    }
}

struct Gated<T> {
    inner: T,
    gate: Gate,
}

impl LaneReceive for Gated<Box<dyn LaneReceive>> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        ready!(self.gate.poll_open(cx));
        self.inner.poll_read(cx, buffer)
    }
}

impl BulkReceive for Gated<Box<dyn BulkReceive>> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>> {
        ready!(self.gate.poll_open(cx));
        self.inner.poll_read(cx, pieces)
    }
}
