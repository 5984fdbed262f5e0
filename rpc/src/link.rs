//! What a session needs of a transport: lanes that keep their order, and streams beside them for what is long.

mod descriptor;
mod memory;

pub use descriptor::Descriptor;
pub use memory::MemoryLink;

use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

/// A connection to one peer.
///
/// Lane 0 is control; lanes from 1 carry calls. A link without streams of its own cuts bulk into small chunks and
/// carries everything over one. Authentication is over before a link is made: who the peer is comes with it.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// Opens the control lane, or accepts it on the side that was dialled. Called once, first.
    ///
    /// # Errors
    /// The link is gone.
    async fn control(&self) -> Result<Lane, LinkError>;

    /// Opens `count` call lanes, or accepts them on the side that was dialled; in their order. Called once.
    ///
    /// # Errors
    /// The link is gone, or the other side opened something else.
    async fn lanes(&self, count: u16) -> Result<Vec<Lane>, LinkError>;

    /// Opens a stream for a bulk body.
    ///
    /// # Errors
    /// The link is gone.
    async fn open_bulk(&self, id: u64) -> Result<Box<dyn BulkSend>, LinkError>;

    /// The next stream the peer opens for a bulk body.
    ///
    /// # Errors
    /// The link is gone.
    async fn accept_bulk(&self) -> Result<(u64, Box<dyn BulkReceive>), LinkError>;

    /// Ends the link; what has not been written is lost.
    fn close(&self, code: u32, text: &str);

    /// Waits for the end of the link, by either side.
    async fn closed(&self) -> LinkClosed;

    /// What the transport is, for logs: `quic`, `tcp`, `unix`, `memory`.
    fn transport(&self) -> &'static str;

    /// Whether the thread may have to sleep until something comes, so that looking for it a moment longer can be quicker. Not where
    /// both ends are in one process.
    fn is_worth_polling(&self) -> bool {
        false
    }

    /// Whether its call lanes carry file descriptors. Only a link within one device can.
    fn carries_descriptors(&self) -> bool {
        false
    }
}

/// Both directions of a lane.
pub struct Lane {
    /// Towards the peer.
    pub send: Box<dyn LaneSend>,
    /// From the peer.
    pub receive: Box<dyn LaneReceive>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// The sending half of a lane.
pub trait LaneSend: Send + 'static {
    /// Writes from the front of `bytes` and advances it; ready when at least something was taken.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>>;

    /// The same, on a lane that carries descriptors: these travel with the first byte. When something was taken they have gone,
    /// and otherwise they are left as they were.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
        descriptors: &[Descriptor],
    ) -> Poll<Result<(), LinkError>> {
        let _ = (cx, bytes, descriptors);
        Poll::Ready(Err(LinkError::Unexpected))
    }

    /// Says that nothing more will be written; ready when the peer has everything, or the link is gone.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// The receiving half of a lane.
pub trait LaneReceive: Send + 'static {
    /// Appends what has come; ready with 0 at the end of the lane.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>>;

    /// The descriptors that came with what was read since the last time. To be asked after each read.
    fn take_descriptors(&mut self) -> Vec<Descriptor> {
        Vec::new()
    }
}

/// A bulk stream towards the peer. Dropped before `finish`, it is reset.
#[async_trait]
pub trait BulkSend: Send + 'static {
    /// Writes all of `bytes`, as fast as the peer takes them.
    ///
    /// # Errors
    /// The link is gone, or the peer does not want the stream.
    async fn write(&mut self, bytes: Bytes) -> Result<(), LinkError>;

    /// Ends the stream.
    fn finish(&mut self);
}

/// A bulk stream from the peer. Dropped before its end, it is stopped.
pub trait BulkReceive: Send + 'static {
    /// Takes what has come, in as many pieces as there is room for; ready with their number, 0 at the end of a stream
    /// that was finished.
    ///
    /// # Errors
    /// The link is gone, or the peer gave the stream up.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut [Bytes],
    ) -> Poll<Result<usize, LinkError>>;
}

/// Why a link does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The link has ended.
    #[error("link closed")]
    Closed,
    /// The peer gave up or refused this stream; the link lives.
    #[error("stream reset")]
    Reset,
    /// The peer opened something no session opens.
    #[error("unexpected stream")]
    Unexpected,
    /// File descriptors were lost on their way: the peer sent more at a time than it may, or this process has no room for
    /// more. Those that came have been closed.
    #[error("file descriptors lost")]
    Descriptors,
}

/// Who ended a link, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkClosed {
    /// We did.
    ByUs,
    /// The peer did, and said why.
    ByPeer {
        /// Its close code.
        code: u32,
        /// Its text; untrusted.
        text: String,
    },
    /// The peer is not heard any more.
    TimedOut,
    /// The peer has restarted and knows nothing of the link.
    Reset,
    /// The transport failed.
    Failed(String),
}
