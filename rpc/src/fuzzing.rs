//! What the fuzz targets and the test of their inputs need beyond what users have: values that only a connection makes.
//! Not for people: it changes without notice.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use proto::{BootId, DeviceId, Handle};

use crate::{
    Bus, BusConfig, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, async_trait,
    opening::Remote,
    parcel::{BrokenObject, MalformedParcel},
    remote::{LocalObject, StubCell},
    session::{Scope, passing_rules::Party},
};

pub use crate::introduction::fuzzing::{
    read_answer, read_question, read_tokens, write_answer, write_question, write_tokens,
};

/// A parcel as it comes from a peer.
pub fn received(
    body: Bytes,
    objects: Vec<Option<RemoteObject>>,
    raw: Option<Bytes>,
) -> Result<Parcel, MalformedParcel> {
    let slot = |object: Option<RemoteObject>| object.map(Into::into).ok_or(BrokenObject::Null);
    Parcel::from_wire(body, objects.into_iter().map(slot).collect(), raw)
}

/// A stub that refuses every call.
pub fn a_stub() -> RemoteObject {
    RemoteObject::new(Deaf)
}

/// A bus with nobody on it.
pub fn bus() -> Arc<Bus> {
    let boot = BootId {
        epoch: 1,
        random: 1,
    };
    Bus::new(BusConfig::new(party(1), boot))
}

fn party(device: u8) -> Party {
    Party {
        device: DeviceId::from_bytes([device; 32]),
        process: 0,
    }
}

/// What a bus's system ability manager answers another device, if it answers at once.
pub fn ask_samgr(
    bus: &Arc<Bus>,
    code: u32,
    data: Parcel,
) -> Option<(Result<(), HandlerError>, Parcel)> {
    let root = bus.root();
    let stub = root.stub.stub().cloned()?;
    let remote = Remote {
        party: party(2),
        scope: Scope::OtherDevice,
        credentials: None,
    };
    ask(bus, &remote, &*stub, code, data)
}

/// What a stub answers another process of its device, if it answers at once.
pub fn ask_as_process(
    bus: &Arc<Bus>,
    stub: &dyn RemoteStub,
    code: u32,
    data: Parcel,
) -> Option<(Result<(), HandlerError>, Parcel)> {
    let remote = Remote {
        party: Party {
            process: 7,
            ..party(1)
        },
        scope: Scope::SameDevice,
        credentials: None,
    };
    ask(bus, &remote, stub, code, data)
}

fn ask(
    bus: &Bus,
    remote: &Remote,
    stub: &dyn RemoteStub,
    code: u32,
    mut data: Parcel,
) -> Option<(Result<(), HandlerError>, Parcel)> {
    let caller = Caller::remote(remote, bus.config().quotas.streams);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .ok()?;
    let mut reply = Parcel::new();
    let answered = runtime.block_on(async {
        let mut answer = stub.on_remote_request(&caller, code, &mut data, &mut reply);
        poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await
    });
    match answered {
        Poll::Ready(result) => Some((result, reply)),
        Poll::Pending => None,
    }
}

/// A stub of ours as a session knows it.
pub fn local(object: &RemoteObject) -> Option<LocalObject> {
    object.local().cloned()
}

/// In which process the stub of a proxy is.
pub fn home_of(object: &RemoteObject) -> Option<Party> {
    object.as_proxy().map(crate::RemoteProxy::home)
}

/// What the home of a proxy's stub calls it on their session.
pub fn handle_of(object: &RemoteObject) -> Option<Handle> {
    let proxy = object.as_proxy()?;
    proxy.0.peer.lock().session.import_handle(proxy.0.key)
}

/// What a session begins with at the other end: its system ability manager, to be asked anything.
pub fn root_of(peer: &crate::Peer) -> RemoteObject {
    peer.root()
}

/// Whether both are one stub.
pub fn same(one: &LocalObject, other: &LocalObject) -> bool {
    one.key() == other.key()
}

/// What a session begins with.
pub fn root() -> LocalObject {
    LocalObject::anonymous(Arc::new(StubCell::root(Arc::new(Deaf))))
}

struct Deaf;

#[async_trait]
impl RemoteStub for Deaf {
    fn descriptor(&self) -> &str {
        "Deaf"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        _: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Err(HandlerError::UnknownMethod)
    }
}
