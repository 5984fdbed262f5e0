//! Two devices, or two processes of one, with a link between them.

use std::{sync::Arc, time::Duration};

use proto::{BootId, DeviceId, ServiceId};
use softbus_rpc::{
    Allow, Bus, BusConfig, MemoryLink, Peer, RemoteObject, ServiceOptions,
    opening::{self, Incoming, Remote},
    session::{Scope, passing_rules::Party},
};

/// A service on one device, and what the other sees of it. The link lasts as long as this.
pub(crate) struct Pair {
    /// The service's object as the other device has it.
    pub(crate) remote: RemoteObject,
    /// The service's device as the service sees callers.
    pub(crate) client: DeviceId,
    pub(crate) peers: (Peer, Peer),
    _buses: (Arc<Bus>, Arc<Bus>),
}

/// Offers `object` to another device.
pub(crate) async fn offer(object: impl Into<RemoteObject>) -> Pair {
    offer_as(object, ServiceOptions::distributed(Allow::trusted())).await
}

/// Offers `object` to another device, with these options.
pub(crate) async fn offer_as(object: impl Into<RemoteObject>, options: ServiceOptions) -> Pair {
    let device = |number| Party {
        device: DeviceId::from_bytes([number; 32]),
        process: 0,
    };
    let (a, b) = (device(1), device(2));
    between(a, b, Scope::OtherDevice, object.into(), options).await
}

/// Offers `object` to another process.
pub(crate) async fn offer_locally(object: impl Into<RemoteObject>) -> Pair {
    let process = |process| Party {
        device: DeviceId::from_bytes([1; 32]),
        process,
    };
    let (a, b) = (process(1), process(2));
    let options = ServiceOptions::distributed(Allow::trusted());
    between(a, b, Scope::SameDevice, object.into(), options).await
}

async fn between(
    client: Party,
    server: Party,
    scope: Scope,
    object: RemoteObject,
    options: ServiceOptions,
) -> Pair {
    let (a, b) = (bus(client), bus(server));
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |party| Remote {
        party,
        scope,
        credentials: None,
    };
    let (at_a, at_b) = tokio::join!(
        opening::connect(&a, Arc::new(to_b), remote(server), 0),
        async {
            Incoming::accept(&b, Arc::new(to_a), remote(client))
                .await
                .unwrap()
                .welcome(&b)
                .await
        }
    );
    let peers = (at_a.unwrap(), at_b.unwrap());
    let service = ServiceId::new(7).unwrap();
    b.samgr().add(service, &object, options).unwrap();
    let remote = peers
        .0
        .get_service(service, Duration::from_secs(5))
        .await
        .unwrap();
    Pair {
        remote,
        client: client.device,
        peers,
        _buses: (a, b),
    }
}

fn bus(party: Party) -> Arc<Bus> {
    let random = u64::from(party.device.as_bytes()[0]) + party.process;
    Bus::new(BusConfig::new(party, BootId { epoch: 1, random }))
}
