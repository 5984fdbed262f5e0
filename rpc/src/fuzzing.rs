//! What the fuzz targets and the test of their inputs need beyond what users have: values that only a connection makes.
//! Not for people: it changes without notice.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Caller, HandlerError, Parcel, RemoteObject, RemoteStub, async_trait,
    parcel::MalformedParcel,
    remote::{LocalObject, StubCell},
};

/// A parcel as it comes from a peer.
pub fn received(
    body: Bytes,
    objects: Vec<Option<RemoteObject>>,
    raw: Option<Bytes>,
) -> Result<Parcel, MalformedParcel> {
    Parcel::from_wire(body, objects, raw)
}

/// A stub that refuses every call.
pub fn a_stub() -> RemoteObject {
    RemoteObject::new(Deaf)
}

/// A stub of ours as a session knows it.
pub fn local(object: &RemoteObject) -> Option<LocalObject> {
    object.local().cloned()
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
