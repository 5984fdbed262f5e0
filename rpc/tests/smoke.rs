//! One call over a memory link: the smallest whole thing.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::{sync::Arc, time::Duration};

use proto::{BootId, DeviceId, ServiceId};
use softbus_rpc::{
    Allow, Bus, BusConfig, CallOption, Caller, HandlerError, MemoryLink, Parcel, Peer,
    RemoteObject, RemoteStub, ServiceOptions, async_trait,
    opening::{self, Incoming, Remote},
    session::{Scope, passing_rules::Party},
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
                reply.write_string(&text)?;
                Ok(())
            }
            2 => {
                let raw = data.read_raw_data(1 << 20)?;
                reply.write_raw_data(raw)?;
                Ok(())
            }
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

fn party(number: u8) -> Party {
    Party {
        device: DeviceId::from_bytes([number; 32]),
        process: 0,
    }
}

fn bus(number: u8) -> Arc<Bus> {
    let boot = BootId {
        epoch: 1,
        random: number.into(),
    };
    Bus::new(BusConfig::new(party(number), boot))
}

async fn pair(a: &Arc<Bus>, b: &Arc<Bus>) -> (Peer, Peer) {
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |bus: &Arc<Bus>| Remote {
        party: bus.party(),
        scope: Scope::OtherDevice,
    };
    let (at_a, at_b) = tokio::join!(opening::connect(a, Arc::new(to_b), remote(b), 0), async {
        Incoming::accept(Arc::new(to_a), remote(a))
            .await
            .unwrap()
            .welcome(b)
            .await
    });
    (at_a.unwrap(), at_b.unwrap())
}

#[tokio::test]
async fn echo_over_a_memory_link() {
    let (a, b) = (bus(1), bus(2));
    let (at_a, _at_b) = pair(&a, &b).await;
    let service = ServiceId::new(7).unwrap();
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr()
        .add(service, &RemoteObject::new(Echo), options)
        .unwrap();

    let echo = at_a
        .get_service(service, Duration::from_secs(5))
        .await
        .unwrap();
    let mut data = Parcel::new();
    data.write_string("hello").unwrap();
    let mut reply = echo
        .send_request(1, &data, CallOption::two_way())
        .await
        .unwrap();
    assert_eq!(reply.read_string().unwrap(), "hello");
    assert_eq!(echo.descriptor().await.unwrap(), "org.example.Echo");

    let mut data = Parcel::new();
    data.write_raw_data(vec![7; 1 << 20]).unwrap();
    let mut reply = echo
        .send_request(2, &data, CallOption::two_way())
        .await
        .unwrap();
    assert_eq!(reply.read_raw_data(1 << 20).unwrap().len(), 1 << 20);
}
