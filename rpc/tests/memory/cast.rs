//! Row 73: an object becomes a typed one by its descriptor, or not at all.

use std::time::Duration;

use proto::ServiceId;
use softbus_rpc::{Allow, SendRequestError, ServiceOptions, remote_interface};

use crate::pair::{bus, pair};

#[remote_interface(descriptor = "org.example.Lamp")]
trait Lamp {
    async fn is_lit(&self) -> bool;
}

#[remote_interface(descriptor = "org.example.Door")]
trait Door {
    async fn is_open(&self) -> bool;
}

struct Lit;

impl Lamp for Lit {
    async fn is_lit(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn an_object_is_cast_by_its_descriptor() {
    let (a, b) = (bus(1), bus(2));
    let (at_a, _at_b) = pair(&a, &b).await;
    let stub = LampStub::new(Lit).into_object();
    let service = ServiceId::new(7).unwrap();
    let all = ServiceOptions::distributed(Allow::trusted());
    b.samgr().add(service, &stub, all).unwrap();
    let wait = Duration::from_secs(5);
    let proxy = at_a.get_service(service, wait).await.unwrap();
    for object in [&stub, &proxy] {
        let lamp = object.cast::<LampProxy>().await.unwrap().unwrap();
        assert_eq!(lamp.as_object(), object);
        assert!(lamp.is_lit().await.unwrap());
        assert!(object.cast::<DoorProxy>().await.unwrap().is_none());
    }

    assert!(b.revoke(&stub));
    let dead = |cast: Result<Option<LampProxy>, SendRequestError>| {
        matches!(cast, Err(SendRequestError::DeadObject { .. }))
    };
    assert!(dead(stub.cast().await));
    assert!(dead(proxy.cast().await));
}
