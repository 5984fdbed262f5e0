//! See [`crate::fuzzing`].

use std::{sync::Arc, time::Duration};

use rpc::link::{Lane, Link};
use tokio::io::{AsyncRead, AsyncWrite};

use super::MovingLink;
use crate::link::stream::{StreamLink, Timing};

/// A link that begins on a stream and may move.
#[derive(Clone, Debug)]
pub struct Moving(Arc<MovingLink>);

impl Moving {
    /// On a stream. Must be called on a runtime.
    pub fn new<S>(stream: S, keep_alive: Duration, idle: Duration) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let first = StreamLink::new(stream, Timing { keep_alive, idle }, "fuzz");
        Self(MovingLink::new(first))
    }

    /// As a session has it.
    pub fn link(&self) -> Arc<dyn Link> {
        Arc::clone(&self.0) as Arc<dyn Link>
    }

    /// How many call lanes the next link has to have; `None` when it has moved, or cannot.
    pub fn lanes_to_move(&self) -> Option<u16> {
        self.0.lanes_to_move()
    }

    /// Goes on with another link, whose lanes are these, control first. Whether it did.
    pub fn go_on(&self, next: Arc<dyn Link>, lanes: Vec<Lane>) -> bool {
        self.0.go_on(next, lanes)
    }
}
