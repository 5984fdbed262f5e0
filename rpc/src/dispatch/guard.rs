use std::sync::Arc;

use proto::frame::{Extensions, Status};

use crate::{
    peer::PeerShared,
    session::{Answer, ServingId},
};

/// A request that is being served. However its handler goes, the session is told once that it ended: a handler that is
/// dropped where it waits answers *cancelled*.
pub(super) struct Serving {
    peer: Arc<PeerShared>,
    id: ServingId,
    ended: bool,
}

impl Serving {
    pub(super) fn new(peer: Arc<PeerShared>, id: ServingId) -> Self {
        Self {
            peer,
            id,
            ended: false,
        }
    }

    pub(super) fn id(&self) -> ServingId {
        self.id
    }

    pub(super) fn peer(&self) -> &PeerShared {
        &self.peer
    }

    pub(super) fn end(mut self, answer: &Answer<'_>) {
        self.ended = true;
        self.peer
            .run(|state, _| state.session.finish(self.id, answer));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.ended {
            let (status, extensions) = (Status::Cancelled, Extensions::default());
            let answer = Answer::Error { status, extensions };
            self.peer
                .run(|state, _| state.session.finish(self.id, &answer));
        }
    }
}
