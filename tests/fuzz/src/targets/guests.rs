//! What processes of one device ask of the system ability manager of the one that hosts the bus, over sessions of their own.

use std::{sync::Arc, time::Duration};

use proto::{BootId, DeviceId, ServiceId, openharmony::samgr as code};
use softbus_rpc::{
    Allow, Bus, BusConfig, CallOption, MemoryLink, Parcel, Peer, RemoteObject, ServiceOptions,
    fuzzing::{a_stub, home_of, root_of},
    opening::{self, Credentials, Incoming, Remote},
    session::passing_rules::Party,
};

use super::Input;

/// Those that mean something to the host, beside all others.
const CODES: [u32; 9] = [
    code::GET_SYSTEM_ABILITY,
    code::CHECK_SYSTEM_ABILITY,
    code::LOAD_SYSTEM_ABILITY,
    code::LIST_CALLABLE,
    code::WAIT_FOR_SYSTEM_ABILITY,
    code::ADD_SYSTEM_ABILITY,
    code::REGISTRATION_ENDED,
    code::HOST_DESK,
    code::LAST_CODE,
];
/// Users of the processes, neither of which is that of the host.
const USERS: [u32; 2] = [4_000_001, 4_000_002];
/// The host's own services are those; processes try these and more.
const OURS: [u32; 2] = [1, 2];
const IDS: usize = 6;
const STEPS: usize = 48;
const SOON: Duration = Duration::from_secs(5);

/// What two processes do, one step after the other.
pub fn run(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut device = Device::start().await;
        let mut input = Input(data);
        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            device.step(&mut input).await;
            device.settles().await;
        }
        device.ends().await;
    });
}

struct Device {
    host: Arc<Bus>,
    ours: [RemoteObject; 2],
    guests: [Option<Guest>; 2],
}

/// A process and both ends of its session.
struct Guest {
    bus: Arc<Bus>,
    to_host: Peer,
    at_host: Peer,
}

fn id(number: u32) -> ServiceId {
    ServiceId::new(number).expect("not zero")
}

fn party(process: u64) -> Party {
    Party {
        device: DeviceId::from_bytes([1; 32]),
        process,
    }
}

fn bus(process: u64) -> Arc<Bus> {
    let boot = BootId {
        epoch: 1,
        random: process + 1,
    };
    Bus::new(BusConfig::new(party(process), boot))
}

impl Guest {
    /// `index` is 0 or 1.
    async fn start(host: &Arc<Bus>, index: usize) -> Self {
        let process = index as u64 + 7;
        let bus = bus(process);
        let (near, far) = MemoryLink::pair();
        let credentials = |pid, uid| Credentials { pid, uid };
        let host_is = Remote::process(party(Party::HOST), credentials(1, 0));
        let guest_is = Remote::process(party(process), credentials(7, USERS[index]));
        let (to_host, at_host) =
            tokio::join!(opening::connect(&bus, Arc::new(near), host_is, 0), async {
                let incoming = Incoming::accept(host, Arc::new(far), guest_is).await;
                incoming.expect("it says hello").welcome(host).await
            });
        Self {
            bus,
            to_host: to_host.expect("a session"),
            at_host: at_host.expect("a session"),
        }
    }

    /// Whether this process has a service of this id.
    fn has(&self, service: ServiceId) -> bool {
        self.bus.samgr().own().contains(&service)
    }

    /// What a body may bring: a stub that is registered or not, something of the host's, or nothing.
    async fn object(&self, input: &mut Input<'_>) -> Option<RemoteObject> {
        match input.u8() % 4 {
            0 => None,
            1 => Some(a_stub()),
            2 => self.bus.samgr().check(id(number(input))),
            _ => self.to_host.get_service(id(OURS[0]), SOON).await.ok(),
        }
    }

    /// Asks as nobody does that keeps to the interface, and does not mind the answer.
    async fn asks(&self, input: &mut Input<'_>) {
        let code = match input.u8() {
            known @ 0..=0xdf => CODES[usize::from(known) % CODES.len()],
            _ => u32::try_from(input.number()).unwrap_or(u32::MAX),
        };
        let mut data = Parcel::new();
        let mut written = data.write_u32(number(input));
        if let Some(object) = self.object(input).await {
            written = written.and_then(|()| data.write_remote_object(&object));
        }
        let length = input.below(40) / 4 * 4;
        let rest = input.bytes(length);
        written = written.and_then(|()| data.write_buffer(rest));
        written.expect("there is room");
        let option = CallOption::two_way().wait(Duration::from_millis(50));
        let root = root_of(&self.to_host);
        let Ok(mut reply) = root.send_request(code, &data, option).await else {
            return;
        };
        assert!(reply.object_count() <= 1);
        let _ = reply.read_i32();
    }
}

fn number(input: &mut Input<'_>) -> u32 {
    1 + input.below(IDS) as u32
}

impl Device {
    async fn start() -> Self {
        let host = bus(Party::HOST);
        let ours = [a_stub(), a_stub()];
        let all = [
            ServiceOptions::local(),
            ServiceOptions::distributed(Allow::trusted()),
        ];
        for ((number, stub), options) in OURS.into_iter().zip(&ours).zip(all) {
            let added = host.samgr().add(id(number), stub, options);
            added.expect("there is room");
        }
        let guests = [
            Some(Guest::start(&host, 0).await),
            Some(Guest::start(&host, 1).await),
        ];
        Self { host, ours, guests }
    }

    async fn step(&mut self, input: &mut Input<'_>) {
        let index = input.below(2);
        let Some(guest) = &self.guests[index] else {
            self.guests[index] = Some(Guest::start(&self.host, index).await);
            return;
        };
        match input.u8() % 8 {
            0..=2 => {
                let service = id(number(input));
                let options = match input.bool() {
                    true => ServiceOptions::local(),
                    false => ServiceOptions::distributed(Allow::trusted()),
                };
                let added = guest.bus.samgr().add(service, &a_stub(), options);
                added.expect("there is room");
                let registered = guest.bus.samgr();
                let registered = registered.register_with(&guest.to_host, service).await;
                if registered.is_err() {
                    let _ = guest.bus.samgr().remove(service);
                }
            }
            3 => drop(guest.bus.samgr().remove(id(number(input)))),
            4 if input.u8().is_multiple_of(4) => {
                guest
                    .to_host
                    .close(softbus_rpc::DeathReason::ProcessDied, 0, "");
                self.guests[index] = None;
            }
            _ => guest.asks(input).await,
        }
    }

    /// Until nobody has anything to do; then what stands at the host is what processes have registered, and its own.
    async fn settles(&self) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let samgr = self.host.samgr();
        for (number, ours) in OURS.into_iter().zip(&self.ours) {
            assert_eq!(samgr.check(id(number)).as_ref(), Some(ours), "{number}");
        }
        for service in samgr.list() {
            if OURS.contains(&service.get()) {
                continue;
            }
            let standing = samgr.check(service).expect("it is listed");
            let home = home_of(&standing).expect("the host has registered nothing more");
            let guests = self.guests.iter().flatten();
            let mut homes = guests.filter(|guest| guest.bus.party() == home);
            assert!(
                homes.any(|guest| guest.has(service)),
                "{service} of {home:?}, which does not have it"
            );
        }
        for guest in self.guests.iter().flatten() {
            assert!(guest.at_host.end().is_none(), "nothing they ask is a fault");
        }
    }

    async fn ends(mut self) {
        for guest in &mut self.guests {
            if let Some(guest) = guest.take() {
                let reason = softbus_rpc::DeathReason::ProcessDied;
                guest.to_host.close(reason, 0, "");
            }
        }
        self.settles().await;
        assert_eq!(self.host.samgr().list(), OURS.map(id), "the rest is gone");
        assert!(self.host.usage().is_empty(), "and nothing is held of them");
    }
}
