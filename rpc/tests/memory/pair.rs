//! Two buses, joined by a memory link.

use std::{sync::Arc, time::Duration};

use proto::{BootId, DeviceId, ServiceId};
use softbus_rpc::{
    Allow, Bus, BusConfig, MemoryLink, Peer, RemoteObject, ServiceOptions,
    opening::{self, Credentials, Incoming, Remote},
    session::passing_rules::Party,
};

pub(crate) fn bus(number: u8) -> Arc<Bus> {
    let party = Party {
        device: DeviceId::from_bytes([number; 32]),
        process: 0,
    };
    let boot = BootId {
        epoch: 1,
        random: number.into(),
    };
    Bus::new(BusConfig::new(party, boot))
}

pub(crate) async fn pair(a: &Arc<Bus>, b: &Arc<Bus>) -> (Peer, Peer) {
    join(a, b, Remote::device).await
}

async fn join(a: &Arc<Bus>, b: &Arc<Bus>, remote: fn(Party) -> Remote) -> (Peer, Peer) {
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |bus: &Arc<Bus>| remote(bus.party());
    let (at_a, at_b) = tokio::join!(opening::connect(a, Arc::new(to_b), remote(b), 0), async {
        let incoming = Incoming::accept(b, Arc::new(to_a), remote(a))
            .await
            .unwrap();
        incoming.welcome(b).await
    });
    (at_a.unwrap(), at_b.unwrap())
}

/// A service as another device has it. Its link lasts as long as the rest.
pub(crate) async fn offer(object: &RemoteObject) -> (RemoteObject, impl Sized + use<>) {
    offer_over(object, Remote::device).await
}

/// The same, as another process of the device has it.
pub(crate) async fn offer_locally(object: &RemoteObject) -> (RemoteObject, impl Sized + use<>) {
    let process = |party| Remote::process(party, Credentials { pid: 1, uid: 1 });
    offer_over(object, process).await
}

async fn offer_over(
    object: &RemoteObject,
    remote: fn(Party) -> Remote,
) -> (RemoteObject, impl Sized + use<>) {
    let (a, b) = (bus(1), bus(2));
    let (at_a, at_b) = join(&a, &b, remote).await;
    let service = ServiceId::new(7).unwrap();
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr().add(service, object, options).unwrap();
    let remote = at_a.get_service(service, Duration::from_secs(5)).await;
    (remote.unwrap(), (a, b, at_a, at_b))
}
