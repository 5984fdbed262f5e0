//! Two nodes in one process on 127.0.0.1, told of each other: no multicast, no namespace.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::time::Duration;

use softbus::{
    Allow, CallOption, Caller, DeviceEvent, HandlerError, Identity, Node, Parcel, RemoteObject,
    RemoteStub, ServiceId, ServiceOptions, TrustStore, async_trait,
};

struct Echo;

#[async_trait]
impl RemoteStub for Echo {
    fn descriptor(&self) -> &str {
        "org.example.Echo"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            1 => {
                let text = data.read_string()?;
                Ok(reply.write_string(&text)?)
            }
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

async fn pair() -> (Node, Node) {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let (trust_a, trust_b) = (TrustStore::in_memory(), TrustStore::in_memory());
    trust_a.trust(*b.device_id(), "b").unwrap();
    trust_b.trust(*a.device_id(), "a").unwrap();
    let local = "127.0.0.1:0".parse().unwrap();
    let a = Node::builder()
        .identity(a)
        .trust(trust_a)
        .listen(local)
        .start()
        .await
        .unwrap();
    let b = Node::builder()
        .identity(b)
        .trust(trust_b)
        .listen(local)
        .static_peer(a.device_id(), a.local_addr().unwrap())
        .start()
        .await
        .unwrap();
    (a, b)
}

#[tokio::test]
async fn echo_over_quic() {
    let (a, b) = pair().await;
    let service = ServiceId::new(7).unwrap();
    a.samgr()
        .add(
            service,
            &RemoteObject::new(Echo),
            ServiceOptions::distributed(Allow::trusted()),
        )
        .unwrap();
    let echo = b.samgr().get(service, &a.device_id()).await.unwrap();
    let mut data = Parcel::new();
    data.write_string("hello").unwrap();
    let mut reply = echo
        .send_request(1, &data, CallOption::two_way())
        .await
        .unwrap();
    assert_eq!(reply.read_string().unwrap(), "hello");

    let mut events = b.device_events();
    assert_eq!(events.next().await, DeviceEvent::Online(a.device_id()));
    let (died, death) = tokio::sync::oneshot::channel();
    let died = std::sync::Mutex::new(Some(died));
    let _link = echo
        .link_to_death(move |reason| {
            if let Some(died) = died.lock().unwrap().take() {
                let _ = died.send(reason);
            }
        })
        .unwrap();
    a.shutdown().await;
    let reason = tokio::time::timeout(Duration::from_secs(2), death)
        .await
        .unwrap()
        .unwrap();
    println!("{reason}");
    assert!(matches!(events.next().await, DeviceEvent::Offline(..)));
    assert!(echo.is_dead());
    b.shutdown().await;
}
