use std::sync::Arc;

use proto::frame::Status;

use super::{
    Failure, limit_reached,
    turn::{self, Answered, Reply},
};
use crate::{
    Parcel,
    peer::{PeerShared, max_parcel},
    session::{Outgoing, ServingId},
    telemetry::calls::Observed,
};

/// A request that is being served. However its handler goes, the session is told once that it ended: a handler that is
/// dropped where it waits answers *cancelled*.
pub(super) struct Serving {
    /// `None` once the end has been told.
    peer: Option<Arc<PeerShared>>,
    id: ServingId,
    observed: Observed,
}

impl Serving {
    pub(super) fn new(peer: Arc<PeerShared>, id: ServingId, observed: Observed) -> Self {
        let peer = Some(peer);
        Self { peer, id, observed }
    }

    pub(super) fn id(&self) -> ServingId {
        self.id
    }

    /// Sends what the handler answered.
    pub(super) fn answer(mut self, result: Result<Parcel, Failure>) {
        let Some(peer) = self.peer.take() else { return };
        let reply = match result {
            Ok(parcel) => Self::reply(&peer, parcel),
            Err(failure) => failure.into(),
        };
        self.tell(peer, reply);
    }

    /// No handler runs.
    pub(super) fn refuse(mut self, Failure { status, extensions }: Failure) {
        self.end(Reply::Refused { status, extensions });
    }

    fn reply(peer: &PeerShared, parcel: Parcel) -> Reply {
        let parts = parcel.wire_parts();
        let largest = max_parcel(peer.scope());
        let size = parts.data.len() + parts.offsets.len();
        if size > largest {
            let extensions = limit_reached(largest as u64, size as u64);
            let status = Status::ReplyTooLarge;
            return Reply::Failed { status, extensions };
        }
        // Checked when they were written; what has died since is refused here.
        let objects = parts.objects.iter().map(|object| match object {
            None => Ok(Outgoing::Null),
            Some(object) => peer.pass(object),
        });
        match objects.collect() {
            Ok(objects) => Reply::Parcel {
                offsets: parts.offsets,
                parcel,
                objects,
            },
            Err(_) => Failure::from(Status::PassRefused).into(),
        }
    }

    fn end(&mut self, reply: Reply) {
        if let Some(peer) = self.peer.take() {
            self.tell(peer, reply);
        }
    }

    fn tell(&mut self, peer: Arc<PeerShared>, reply: Reply) {
        let (id, observed) = (self.id, std::mem::take(&mut self.observed));
        turn::end(Answered {
            peer,
            id,
            reply,
            observed,
        });
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end(Failure::from(Status::Cancelled).into());
    }
}

impl From<Failure> for Reply {
    fn from(Failure { status, extensions }: Failure) -> Self {
        Self::Failed { status, extensions }
    }
}
