//! Devices joined by memory links, with a stub that does what its callers say.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proto::{BootId, DeviceId, ServiceId};
use softbus_rpc::{
    Allow, Bus, BusConfig, CallOption, Caller, HandlerError, MemoryLink, Parcel, Peer,
    RemoteObject, RemoteStub, SendRequestError, ServiceOptions, StubOptions, async_trait,
    interface::MethodHash,
    opening::{self, Incoming, Remote},
    parcel::MAX_PARCEL_LEN,
    session::{Scope, passing_rules::Party},
    telemetry::{TraceContext, current_trace},
};

pub(crate) const SERVICE: ServiceId = ServiceId::new(7).unwrap();
pub(crate) const DESCRIPTOR: &str = "org.example.Actor";

pub(crate) mod code {
    /// Answers what it was sent.
    pub(crate) const ECHO: u32 = 1;
    /// Passes the request on to the next actor.
    pub(crate) const RELAY: u32 = 2;
    /// Answers after so many milliseconds.
    pub(crate) const SLEEP: u32 = 3;
    /// Answers a code of its own.
    pub(crate) const FAIL: u32 = 4;
    pub(crate) const PANIC: u32 = 5;
    pub(crate) const REFUSE: u32 = 6;
    /// Answers more than a reply may hold.
    pub(crate) const LARGE: u32 = 7;
    /// Answers an object of another device.
    pub(crate) const THIRD_PARTY: u32 = 8;
    /// Logs something.
    pub(crate) const LOG: u32 = 9;
    /// Does some of its work on the blocking pool.
    pub(crate) const BLOCKING: u32 = 10;
    pub(crate) const UNKNOWN: u32 = 99;
}

#[derive(Default)]
pub(crate) struct Actor {
    pub(crate) next: Option<RemoteObject>,
    pub(crate) options: StubOptions,
    /// What the handler saw.
    pub(crate) traces: Arc<Mutex<Vec<Option<TraceContext>>>>,
}

#[async_trait]
impl RemoteStub for Actor {
    fn descriptor(&self) -> &str {
        DESCRIPTOR
    }

    fn methods(&self) -> Vec<MethodHash> {
        vec![MethodHash { code: 1, hash: 1 }]
    }

    fn options(&self) -> StubOptions {
        self.options
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.traces.lock().unwrap().push(current_trace());
        let next = || self.next.clone().unwrap();
        match code {
            code::ECHO => reply.write_string16(&data.read_string16()?)?,
            code::RELAY => {
                let sent = call(&next(), code::ECHO, &data.read_string16()?).await;
                let answer = sent.unwrap().read_string16()?;
                reply.write_string16(&answer)?;
            }
            code::SLEEP => {
                tokio::time::sleep(Duration::from_millis(data.read_u64()?)).await;
            }
            code::FAIL => return Err(HandlerError::Code(7)),
            code::PANIC => panic!("on purpose"),
            code::REFUSE => return Err(HandlerError::Refused),
            code::LARGE => {
                reply.raise_capacity(MAX_PARCEL_LEN).unwrap();
                let text = "x".repeat(600 * 1024);
                reply.write_string16(&text)?;
            }
            code::THIRD_PARTY => reply.write_remote_object(&next())?,
            code::LOG => tracing::info!(target: "test::handler", "in the handler"),
            code::BLOCKING => {
                let trace = softbus_rpc::__private::blocking(current_trace).await;
                self.traces.lock().unwrap().push(trace);
            }
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

/// A bus: device `number`.
pub(crate) fn bus(number: u8) -> Arc<Bus> {
    Bus::new(config(number))
}

pub(crate) fn config(number: u8) -> BusConfig {
    let party = Party {
        device: DeviceId::from_bytes([number; 32]),
        process: 0,
    };
    let boot = BootId {
        epoch: 1,
        random: number.into(),
    };
    BusConfig::new(party, boot)
}

/// A session between two, as each of them has it.
pub(crate) async fn connect(a: &Arc<Bus>, b: &Arc<Bus>) -> (Peer, Peer) {
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |bus: &Arc<Bus>| Remote {
        party: bus.party(),
        scope: Scope::OtherDevice,
        credentials: None,
    };
    let (at_a, at_b) = tokio::join!(opening::connect(a, Arc::new(to_b), remote(b), 0), async {
        let incoming = Incoming::accept(b, Arc::new(to_a), remote(a))
            .await
            .unwrap();
        incoming.welcome(b).await
    });
    (at_a.unwrap(), at_b.unwrap())
}

/// Puts an actor on a bus, where every device may call it.
pub(crate) fn offer(bus: &Arc<Bus>, actor: Actor) {
    let options = ServiceOptions::distributed(Allow::trusted());
    let object = RemoteObject::new(actor);
    bus.samgr().add(SERVICE, &object, options).unwrap();
}

pub(crate) async fn get(peer: &Peer) -> RemoteObject {
    let wait = Duration::from_secs(5);
    peer.get_service(SERVICE, wait).await.unwrap()
}

/// An actor on another device, and what keeps the two connected.
pub(crate) struct Pair {
    pub(crate) actor: RemoteObject,
    pub(crate) here: Peer,
    pub(crate) there: Peer,
    pub(crate) buses: [Arc<Bus>; 2],
}

pub(crate) async fn pair(actor: Actor) -> Pair {
    pair_of([config(1), config(2)], actor).await
}

pub(crate) async fn pair_of(configs: [BusConfig; 2], actor: Actor) -> Pair {
    let buses = configs.map(Bus::new);
    offer(&buses[1], actor);
    let (here, there) = connect(&buses[0], &buses[1]).await;
    let actor = get(&here).await;
    Pair {
        actor,
        here,
        there,
        buses,
    }
}

/// Calls with a text.
pub(crate) async fn call(
    object: &RemoteObject,
    code: u32,
    text: &str,
) -> Result<Parcel, SendRequestError> {
    let mut data = Parcel::new();
    data.write_string16(text).unwrap();
    object
        .send_request(code, &data, CallOption::two_way())
        .await
}

/// Calls a handler that takes so long.
pub(crate) async fn sleep(
    object: &RemoteObject,
    milliseconds: u64,
) -> Result<Parcel, SendRequestError> {
    let mut data = Parcel::new();
    data.write_u64(milliseconds).unwrap();
    object
        .send_request(code::SLEEP, &data, CallOption::two_way())
        .await
}

/// Lets everything that can run now do so: the runtime has one thread and its clock stands still.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
