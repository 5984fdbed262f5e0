//! Two devices and a half: a process and the host of its device, and two more devices, all joined by memory links.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use proto::{BootId, DeviceId, ServiceId, message::DeathReason};
use softbus::rpc::{
    AddServiceError, Allow, Bus, BusConfig, CallOption, Caller, GetServiceError, HandlerError,
    MemoryLink, Neighbours, Parcel, Peer, RelayRules, RemoteObject, RemoteStub, ServiceOptions,
    async_trait,
    limits::DEFAULT_LANES,
    opening::{self, Credentials, Incoming, Remote},
    session::passing_rules::Party,
};

/// Whose processes there are: nobody, and not who runs the test.
const OTHER_USER: u32 = 65534;
/// The service that hands out objects of other devices, at the host.
const LOBBY: ServiceId = ServiceId::new(1).unwrap();
/// A service of another device.
pub(crate) const SERVICE: ServiceId = ServiceId::new(7).unwrap();

pub(crate) fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 32])
}

/// A process of a device on the bus.
pub(crate) struct Place {
    pub(crate) bus: Arc<Bus>,
    peers: Arc<Reachable>,
}

/// The sessions of a place, by who is at the other end.
#[derive(Default)]
pub(crate) struct Reachable(Mutex<HashMap<Party, Peer>>);

#[async_trait]
impl Neighbours for Reachable {
    fn is_trusted(&self, _: &DeviceId) -> bool {
        true
    }

    async fn session(&self, with: Party, _: Instant) -> Result<Peer, GetServiceError> {
        let peers = self.0.lock().unwrap();
        let peer = peers.get(&with).cloned();
        peer.ok_or_else(|| GetServiceError::Unreachable("nobody".to_owned()))
    }
}

impl Place {
    fn new(number: u8, process: u64, lanes: u16) -> Self {
        let party = Party {
            device: device(number),
            process,
        };
        let boot = BootId {
            epoch: 1,
            random: u64::from(number) << 8 | process,
        };
        let place = Self {
            bus: Bus::new(BusConfig {
                lanes,
                ..BusConfig::new(party, boot)
            }),
            peers: Arc::default(),
        };
        let peers: Weak<Reachable> = Arc::downgrade(&place.peers);
        assert!(place.bus.set_neighbours(peers));
        place
    }

    /// Offers a service to everybody.
    pub(crate) fn offer(&self, object: &RemoteObject) {
        let options = ServiceOptions::distributed(Allow::trusted());
        self.bus.samgr().add(SERVICE, object, options).unwrap();
    }

    /// Registers a service here and with the host of the device.
    pub(crate) async fn register(
        &self,
        service: u32,
        object: &RemoteObject,
    ) -> Result<(), AddServiceError> {
        let service = ServiceId::new(service).unwrap();
        let samgr = self.bus.samgr();
        samgr.add(service, object, ServiceOptions::local())?;
        let host = self.peer(self.bus.party().device);
        samgr.register_with(&host, service).await
    }

    fn peer(&self, of: DeviceId) -> Peer {
        self.peers.0.lock().unwrap()[&Party::host_of(of)].clone()
    }
}

/// A party of calls that the host may not let out.
#[derive(Default)]
pub(crate) struct Egress {
    pub(crate) closed: Mutex<Option<ServiceId>>,
}

impl RelayRules for Egress {
    fn may_leave(&self, caller: &Caller, _: DeviceId, service: Option<ServiceId>) -> bool {
        caller.is_local() && (service.is_none() || service != *self.closed.lock().unwrap())
    }
}

pub(crate) struct World {
    pub(crate) process: Place,
    /// Another process of the same device.
    pub(crate) sibling: Place,
    pub(crate) host: Place,
    pub(crate) other: Place,
    pub(crate) third: Place,
    pub(crate) egress: Arc<Egress>,
}

/// What the host's system ability manager does for its processes.
struct Lobby {
    bus: Weak<Bus>,
    peers: Weak<Reachable>,
}

#[async_trait]
impl RemoteStub for Lobby {
    fn descriptor(&self) -> &str {
        "test.Lobby"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        _: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let (bus, peers) = (self.bus.upgrade().unwrap(), self.peers.upgrade().unwrap());
        let soon = Instant::now();
        let party = Party::host_of(device(code as u8));
        let peer = peers.session(party, soon).await.unwrap();
        let got = peer.get_service(SERVICE, Duration::from_secs(5)).await;
        let object = got.map_err(|error| HandlerError::Failed(error.to_string()))?;
        let relayed = bus.relay_to(caller, object.as_proxy().unwrap());
        let relayed = relayed.map_err(|_| HandlerError::Refused)?;
        Ok(reply.write_remote_object(&relayed)?)
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_lanes(DEFAULT_LANES).await
    }

    /// All sessions have so many lanes.
    pub(crate) async fn with_lanes(lanes: u16) -> Self {
        let world = Self {
            process: Place::new(1, 1, lanes),
            sibling: Place::new(1, 2, lanes),
            host: Place::new(1, Party::HOST, lanes),
            other: Place::new(2, Party::HOST, lanes),
            third: Place::new(3, Party::HOST, lanes),
            egress: Arc::default(),
        };
        let Self { host, .. } = &world;
        assert!(host.bus.set_relay(Arc::clone(&world.egress) as _));
        let lobby = Lobby {
            bus: Arc::downgrade(&host.bus),
            peers: Arc::downgrade(&host.peers),
        };
        let options = ServiceOptions::distributed(Allow::trusted());
        let lobby = RemoteObject::new(lobby);
        host.bus.samgr().add(LOBBY, &lobby, options).unwrap();
        join(&world.process, host).await;
        join(&world.sibling, host).await;
        join(&world.process, &world.sibling).await;
        join(host, &world.other).await;
        join(host, &world.third).await;
        join(&world.other, &world.third).await;
        world
    }

    /// The service of another device, as a process has it.
    pub(crate) async fn get_from(
        &self,
        place: &Place,
        of: u8,
    ) -> Result<RemoteObject, softbus::rpc::SendRequestError> {
        let host = place.peer(device(1));
        let lobby = host.get_service(LOBBY, Duration::from_secs(5)).await;
        let option = CallOption::two_way();
        let reply = lobby
            .unwrap()
            .send_request(of.into(), &Parcel::new(), option)
            .await;
        Ok(reply?.read_remote_object().unwrap())
    }

    /// The service of the other device, as the process has it.
    pub(crate) async fn get(&self) -> RemoteObject {
        self.get_from(&self.process, 2).await.unwrap()
    }

    /// The same, as the host has it.
    pub(crate) async fn get_at_host(&self) -> RemoteObject {
        let peer = self.host.peer(device(2));
        peer.get_service(SERVICE, Duration::from_secs(5))
            .await
            .unwrap()
    }

    /// The service of the host, as one of its processes has it.
    pub(crate) async fn service_of_host(&self, process: &Place) -> RemoteObject {
        self.ask_host(process).await.unwrap()
    }

    /// What the host says of its service to one of its processes.
    pub(crate) async fn ask_host(&self, process: &Place) -> Result<RemoteObject, GetServiceError> {
        let host = process.peer(device(1));
        host.get_service(SERVICE, Duration::from_secs(5)).await
    }

    /// The service of its sibling, as the process has it: over their own session.
    pub(crate) async fn service_of_sibling(&self) -> RemoteObject {
        let sibling = self.process.peers.0.lock().unwrap()[&self.sibling.bus.party()].clone();
        let got = sibling.get_service(SERVICE, Duration::from_secs(5)).await;
        got.unwrap()
    }

    /// Registers what a process offers with the host.
    pub(crate) async fn register(&self, place: &Place) {
        let host = place.peer(device(1));
        let registered = place.bus.samgr().register_with(&host, SERVICE).await;
        registered.unwrap();
    }

    /// The host's service, as another device has it.
    pub(crate) async fn host_at_other(&self) -> RemoteObject {
        let peer = self.other.peer(device(1));
        let got = peer.get_service(SERVICE, Duration::from_secs(5)).await;
        got.unwrap()
    }

    /// The third device's service, as the other one has it.
    pub(crate) async fn third_at_other(&self) -> RemoteObject {
        let peer = self.other.peer(device(3));
        peer.get_service(SERVICE, Duration::from_secs(5))
            .await
            .unwrap()
    }

    /// The session of two places ends.
    pub(crate) fn part(&self, from: &Place, with: u8) {
        let peer = from.peer(device(with));
        peer.close(
            DeathReason::DeviceUnreachable,
            opening::close_code::LEAVING,
            "test",
        );
    }
}

async fn join(a: &Place, b: &Place) {
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |place: &Place, seen_from: &Place| {
        let party = place.bus.party();
        if party.device == seen_from.bus.party().device {
            let pid = 100 + party.process as u32;
            Remote::process(
                party,
                Credentials {
                    pid,
                    uid: OTHER_USER,
                },
            )
        } else {
            Remote::device(party)
        }
    };
    let (at_a, at_b) = tokio::join!(
        opening::connect(&a.bus, Arc::new(to_b), remote(b, a), 0),
        async {
            let incoming = Incoming::accept(&b.bus, Arc::new(to_a), remote(a, b)).await;
            incoming.unwrap().welcome(&b.bus).await
        }
    );
    let insert = |place: &Place, of: &Place, peer| {
        let mut peers = place.peers.0.lock().unwrap();
        peers.insert(of.bus.party(), peer);
    };
    insert(a, b, at_a.unwrap());
    insert(b, a, at_b.unwrap());
}
