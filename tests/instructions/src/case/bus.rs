//! A typed call as applications make it, over a memory link on one thread: tables, checks, deadline, tasks, both ends.

use std::{future::Future, hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use proto::{BootId, DeviceId, ServiceId};
use rpc::{
    Allow, Bus, BusConfig, Execution, MemoryLink, Peer, RemoteObject, ServiceOptions, StubOptions,
    fuzzing::a_stub,
    opening::{self, Incoming, Remote},
    remote_interface,
    session::passing_rules::Party,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use super::Case;

const SERVICE: ServiceId = ServiceId::new(1500).unwrap();
const WAIT: Duration = Duration::from_secs(8);
/// Calls of one round, and the tasks that make them.
const TOGETHER: usize = 64;
const CALLERS: usize = 16;

#[remote_interface(descriptor = "org.example.instructions.Echo")]
trait Echo {
    async fn echo(&self, payload: Bytes) -> Bytes;
    async fn take(&self, object: RemoteObject);
    #[oneway]
    async fn notify(&self, payload: Bytes);
}

struct Service;

impl Echo for Service {
    async fn echo(&self, payload: Bytes) -> Bytes {
        payload
    }

    async fn take(&self, _object: RemoteObject) {}

    async fn notify(&self, payload: Bytes) {
        black_box(payload);
    }
}

fn bus(number: u8) -> Arc<Bus> {
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

/// Two buses with a session, and the one's service as the other sees it.
struct World {
    runtime: Runtime,
    proxy: EchoProxy,
    _sessions: (Peer, Peer),
    _buses: (Arc<Bus>, Arc<Bus>),
}

impl World {
    fn new(execution: Execution) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime of one thread needs nothing");
        let (here, there) = (bus(1), bus(2));
        let options = StubOptions::execution(execution);
        let stub = EchoStub::with_options(Service, options).into_object();
        let options = ServiceOptions::distributed(Allow::trusted());
        let added = there.samgr().add(SERVICE, &stub, options);
        added.expect("the first service");
        let (ours, theirs) = runtime.block_on(joined(&here, &there));
        let object = runtime.block_on(ours.get_service(SERVICE, WAIT));
        Self {
            runtime,
            proxy: EchoProxy::new(object.expect("it is there")),
            _sessions: (ours, theirs),
            _buses: (here, there),
        }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

async fn joined(here: &Arc<Bus>, there: &Arc<Bus>) -> (Peer, Peer) {
    let remote = |bus: &Bus| Remote::device(bus.party());
    let (to_there, to_here) = MemoryLink::pair();
    let accept = async {
        let incoming = Incoming::accept(there, Arc::new(to_here), remote(here)).await?;
        incoming.welcome(there).await
    };
    let connect = opening::connect(here, Arc::new(to_there), remote(there), 0);
    let (ours, theirs) = tokio::join!(connect, accept);
    (
        ours.expect("the other end welcomes"),
        theirs.expect("the other end says hello"),
    )
}

fn echoing(execution: Execution) -> Box<dyn Case> {
    let world = World::new(execution);
    let payload = Bytes::from_static(&[0x5a; 64]);
    Box::new(move || {
        let reply = world.run(world.proxy.echo(payload.clone()));
        black_box(reply.expect("an echo"));
    })
}

/// A call whose handler runs where it arrives.
pub(super) fn call() -> Box<dyn Case> {
    echoing(Execution::Inline)
}

/// One whose handler has a task of its own.
pub(super) fn call_default() -> Box<dyn Case> {
    echoing(Execution::Concurrent)
}

/// Calls of many tasks at a time, which share locks, wakes and writes.
pub(super) fn calls_together() -> Box<dyn Case> {
    let world = World::new(Execution::Inline);
    let payload = Bytes::from_static(&[0x5a; 64]);
    Box::new(move || {
        world.run(async {
            let mut callers = JoinSet::new();
            for _ in 0..CALLERS {
                let (proxy, payload) = (world.proxy.clone(), payload.clone());
                callers.spawn(async move {
                    for _ in 0..TOGETHER / CALLERS {
                        let reply = proxy.echo(payload.clone()).await;
                        black_box(reply.expect("an echo"));
                    }
                });
            }
            callers.join_all().await;
        });
    })
}

/// One-way calls in a row, and one that comes when they have all been served.
pub(super) fn one_way_together() -> Box<dyn Case> {
    let world = World::new(Execution::Inline);
    let payload = Bytes::from_static(&[0x5a; 64]);
    Box::new(move || {
        world.run(async {
            for _ in 0..TOGETHER {
                let sent = world.proxy.notify(payload.clone()).await;
                sent.expect("there is room");
            }
            let reply = world.proxy.echo(payload.clone()).await;
            black_box(reply.expect("an echo"));
        });
    })
}

/// A call with a new object in it, which the callee lets go of.
pub(super) fn object() -> Box<dyn Case> {
    let world = World::new(Execution::Inline);
    Box::new(move || {
        let taken = world.run(world.proxy.take(a_stub()));
        taken.expect("taken");
    })
}
