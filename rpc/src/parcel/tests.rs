//! What only the crate itself can do: parcels with objects in them, and parcels that were received. Row numbers are
//! those of the acceptance table.

mod objects;
mod wire;

use async_trait::async_trait;
use bytes::Bytes;

use super::{MalformedParcel, Parcel};
use crate::{RemoteObject, RemoteStub, call::Caller, error::HandlerError};

struct Nobody;

#[async_trait]
impl RemoteStub for Nobody {
    fn descriptor(&self) -> &str {
        "nobody"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        _: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

fn object() -> RemoteObject {
    RemoteObject::new(Nobody)
}

/// The body that is sent of a parcel.
fn body(parcel: &Parcel) -> Bytes {
    let parts = parcel.wire_parts();
    Bytes::from([parts.data, &parts.offsets].concat())
}

/// The parcel as its receiver gets it.
fn received(parcel: &Parcel) -> Result<Parcel, MalformedParcel> {
    let parts = parcel.wire_parts();
    Parcel::from_wire(body(parcel), parts.objects.to_vec(), parts.raw.cloned())
}
