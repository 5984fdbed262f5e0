//! What keeps what alive.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use proto::{ServiceId, message::DeathReason};
use softbus_rpc::{
    Allow, CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, ServiceOptions,
    async_trait,
};

use crate::pair::{bus, pair};

/// Keeps what it is given, as a service keeps the listeners of its callers.
#[derive(Default)]
struct Keeper(Mutex<Vec<RemoteObject>>);

#[async_trait]
impl RemoteStub for Keeper {
    fn descriptor(&self) -> &str {
        "org.example.Keeper"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let object = data.read_remote_object()?;
        self.0.lock().unwrap().push(object);
        Ok(())
    }
}

/// A service that keeps callbacks of its callers, on a bus that ends, is not kept by what it keeps.
#[tokio::test]
async fn a_service_that_keeps_callbacks_goes_with_its_bus() {
    let (a, b) = (bus(1), bus(2));
    let (at_a, at_b) = pair(&a, &b).await;
    let keeper = Arc::new(Keeper::default());
    let kept: Weak<Keeper> = Arc::downgrade(&keeper);
    let service = ServiceId::new(7).unwrap();
    let all = ServiceOptions::distributed(Allow::trusted());
    let stub = RemoteObject::from_arc(keeper);
    b.samgr().add(service, &stub, all).unwrap();
    drop(stub);
    let wait = Duration::from_secs(5);
    let proxy = at_a.get_service(service, wait).await.unwrap();
    let mut data = Parcel::new();
    let callback = RemoteObject::new(Keeper::default());
    data.write_remote_object(&callback).unwrap();
    let reply = proxy.send_request(1, &data, CallOption::two_way());
    reply.await.unwrap();

    at_b.close(DeathReason::DeviceUnreachable, 0, "");
    at_a.ended().await;
    assert!(kept.upgrade().is_some(), "its bus is there");
    drop((b, at_b));
    // Tasks of the session notice its end.
    let gone = async {
        while kept.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(wait, gone).await;
    assert!(gone.is_ok(), "nobody has it any more");
}
