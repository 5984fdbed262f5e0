//! What of a call only the other device's end of the session sees.

use bytes::{BufMut, BytesMut};
use proto::{
    Handle, ObjectId,
    frame::{Call, Frame, Grant, ObjectKind, Status},
};
use softbus::rpc::{CallOption, Parcel};
use testkit::world::raw::{BOOT, CALLS, RawPeer};

use crate::{
    objects::{KEEP, shelf},
    world::{SERVICE, World},
};

/// A call that hands an object of the sender's own over.
fn handing(call: Call) -> Call {
    let (mut body, number) = (BytesMut::new(), 5);
    for word in [0x534f_4c54, 0, 0] {
        body.put_u32_le(word);
    }
    let object = Grant::Granted {
        handle: Handle::new(number, 77),
        kind: ObjectKind::Anonymous,
        object: ObjectId {
            boot: BOOT,
            number: number.into(),
        },
    };
    Call {
        grants: [object].into_iter().collect(),
        body: body.freeze(),
        ..call
    }
}

#[tokio::test]
async fn a_call_that_may_be_repeated_is_passed_on_as_one() {
    let world = World::new().await;
    let (stub, here) = shelf();
    world.process.offer(&stub);
    world.register(&world.process).await;
    let (mut other, _session) = RawPeer::in_session(&world.host.bus).await;
    let handle = other.get(SERVICE.get()).await;
    let call = handing(other.call(handle, KEEP, &[]));
    assert_eq!(other.status_of(call).await, Status::Ok);
    let object = here.kept.lock().unwrap().remove(0);
    for (option, idempotent) in [
        (CallOption::one_way(), false),
        (CallOption::one_way().idempotent(), true),
    ] {
        object
            .send_request(9, &Parcel::new(), option)
            .await
            .unwrap();
        let called = loop {
            match other.receive(CALLS).await {
                Some(Frame::Call(call)) => break call,
                other => assert!(other.is_some(), "the session goes on"),
            }
        };
        assert_eq!((called.code, called.idempotent), (9, idempotent));
    }
}
