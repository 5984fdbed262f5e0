use std::sync::Arc;

use proto::{DeviceId, frame::Status};

use super::{
    Failure, limit_reached,
    turn::{self, Answered, Objects, Reply},
};
use crate::{
    Parcel, introduction, limits,
    peer::{PeerShared, max_parcel, now},
    remote::LocalObject,
    session::{Scope, ServingId},
    telemetry::calls::Observed,
};

/// A request that is being served. However its handler goes, the session is told once that it ended: a handler that is
/// dropped where it waits answers *cancelled*.
pub(super) struct Serving {
    /// `None` once the end has been told.
    peer: Option<Arc<PeerShared>>,
    id: ServingId,
    ways: Ways,
    observed: Observed,
}

/// Which rules a reply goes by.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    scope: Scope,
    /// The device that gets it, when the peer only relays.
    beyond: Option<DeviceId>,
}

impl Ways {
    /// Those of another device where either end is on one.
    pub(super) fn new(peer: &PeerShared, target: &LocalObject, beyond: Option<DeviceId>) -> Self {
        let scope = match target.is_relay() {
            true => Scope::OtherDevice,
            false => peer.scope_of(beyond.as_ref()),
        };
        Self { scope, beyond }
    }
}

impl Serving {
    pub(super) fn new(
        peer: Arc<PeerShared>,
        id: ServingId,
        ways: Ways,
        observed: Observed,
    ) -> Self {
        let peer = Some(peer);
        Self {
            peer,
            id,
            ways,
            observed,
        }
    }

    pub(super) fn id(&self) -> ServingId {
        self.id
    }

    /// Sends what the handler answered.
    pub(super) fn answer(&mut self, result: Result<Parcel, Failure>) {
        let Some(peer) = self.peer.take() else { return };
        let reply = match result {
            Ok(parcel) => match Self::reply(&peer, self.ways, parcel) {
                Ok(reply) => reply,
                Err(parcel) => {
                    let observed = std::mem::take(&mut self.observed);
                    return Self::introduce(peer, self.id, self.ways, observed, parcel);
                }
            },
            Err(failure) => failure.into(),
        };
        self.tell(peer, reply);
    }

    /// No handler runs.
    pub(super) fn refuse(&mut self, Failure { status, extensions }: Failure) {
        self.end(Reply::Refused { status, extensions });
    }

    /// What goes out, or the parcel again when devices have to be asked first.
    fn reply(peer: &PeerShared, ways: Ways, parcel: Parcel) -> Result<Reply, Parcel> {
        let parts = parcel.wire_parts();
        let largest = max_parcel(ways.scope);
        let size = parts.data.len() + parts.offsets.len();
        if size > largest {
            let extensions = limit_reached(largest as u64, size as u64);
            let status = Status::ReplyTooLarge;
            return Ok(Reply::Failed { status, extensions });
        }
        if parts.objects.is_empty() {
            let objects = None;
            return Ok(Reply::Parcel { parcel, objects });
        }
        match peer.pass_all(parts.objects, ways.beyond.as_ref()) {
            Ok(Some(outgoing)) => {
                let offsets = parts.offsets;
                let objects = Some(Box::new(Objects { offsets, outgoing }));
                Ok(Reply::Parcel { parcel, objects })
            }
            Ok(None) => Err(parcel),
            // Checked when they were written; one has died since.
            Err(_) => Ok(Failure::from(Status::PassRefused).into()),
        }
    }

    /// Sends a reply once the devices of the objects in it have been asked. The handler has ended, so this is a task that
    /// ends as a handler does when nobody waits any more.
    fn introduce(
        peer: Arc<PeerShared>,
        id: ServingId,
        ways: Ways,
        observed: Observed,
        parcel: Parcel,
    ) {
        let mut serving = Self::new(Arc::clone(&peer), id, ways, observed);
        let awaited = {
            let session = &mut peer.lock().session;
            session.is_awaited(id).then(|| session.deadline_of(id))
        };
        let Some(deadline) = awaited else {
            return serving.end(Failure::from(Status::Cancelled).into());
        };
        let until = deadline.unwrap_or_else(|| now() + limits::DEFAULT_WAIT);
        let asker = Arc::clone(&peer);
        let task = peer.runtime().spawn(async move {
            let (offsets, asked) = {
                let parts = parcel.wire_parts();
                let asked =
                    introduction::ask(&asker, ways.beyond.as_ref(), parts.objects, until).await;
                (parts.offsets, asked)
            };
            serving.end(match asked {
                Ok(outgoing) => {
                    let objects = Some(Box::new(Objects { offsets, outgoing }));
                    Reply::Parcel { parcel, objects }
                }
                Err(error) => {
                    tracing::info!(%error, "reply refused");
                    Failure::from(Status::PassRefused).into()
                }
            });
        });
        peer.set_handler(id, task.abort_handle());
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
