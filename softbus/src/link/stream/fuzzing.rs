//! See [`crate::fuzzing`].

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use rpc::link::Link;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Shared, StreamLink, Timing,
    frame::{self, Frame},
};

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Said(Frame);

impl Said {
    /// Takes the first of what has come, if it is whole.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>, String> {
        let taken = Frame::take(buffer);
        let said = taken.map(|frame| frame.map(Self));
        said.map_err(|error| error.to_string())
    }

    /// Appends it.
    pub fn put(&self, out: &mut BytesMut) {
        self.0.put(out);
    }
}

/// With what an end begins that bears silence for so long.
pub fn preamble(idle: Duration) -> Vec<u8> {
    frame::preamble(idle).to_vec()
}

/// How long the other end bears silence, once it has said so.
pub fn read_preamble(buffer: &mut BytesMut) -> Result<Option<Duration>, String> {
    frame::read_preamble(buffer).map_err(|error| error.to_string())
}

/// A link, and what can be seen of it from outside when it is gone.
#[derive(Clone, Debug)]
pub struct Besieged(Arc<Shared>);

impl Besieged {
    /// A link on a stream. Must be called on a runtime.
    pub fn new<S>(stream: S, keep_alive: Duration, idle: Duration) -> (Self, Box<dyn Link>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let link = StreamLink::new(stream, Timing { keep_alive, idle }, "fuzz");
        (Self(Arc::clone(&link.shared)), Box::new(link))
    }

    /// Bytes that have come on lanes and are not taken, those of bulk bodies, and those that wait to be written.
    pub fn held(&self) -> (usize, usize, usize) {
        self.0.run(|state| state.held())
    }

    /// Whether the stream is closed.
    pub fn is_gone(&self) -> bool {
        *self.0.gone.borrow()
    }
}
