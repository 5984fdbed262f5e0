//! Many one-way calls that wait for one another are served one after the other, not one inside the other: a peer cannot
//! exhaust the stack with them, and neither can the end of the runtime.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use proto::{BootId, DeviceId, ServiceId};
use softbus_rpc::{
    Allow, Bus, BusConfig, CallOption, Caller, Execution, HandlerError, MemoryLink, Parcel, Peer,
    RemoteObject, RemoteStub, ServiceOptions, StubOptions, async_trait,
    opening::{self, Incoming, Remote},
    session::passing_rules::Party,
};
use tokio::runtime::{Builder, Runtime};

/// As many as may be under way.
const CALLS: u32 = 1000;
/// A quarter of what a thread of a runtime has, and far more than one call needs.
const STACK: usize = 512 * 1024;
const SERVICE: ServiceId = ServiceId::new(7).unwrap();

/// Runs on a thread with a small stack: an overflow ends the whole test.
fn on_a_small_stack(test: impl FnOnce(Runtime) + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK).spawn(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        test(runtime);
    });
    thread.unwrap().join().unwrap();
}

struct Counter {
    execution: Execution,
    served: Arc<AtomicU32>,
}

#[async_trait]
impl RemoteStub for Counter {
    fn descriptor(&self) -> &str {
        "org.example.Counter"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(self.execution)
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.served.fetch_add(1, Ordering::Relaxed);
        match code {
            1 => Ok(()),
            _ => std::future::pending().await,
        }
    }
}

/// A counter on another device.
struct Pair {
    counter: RemoteObject,
    served: Arc<AtomicU32>,
    _peers: (Peer, Peer),
    _buses: (Arc<Bus>, Arc<Bus>),
}

async fn pair(execution: Execution) -> Pair {
    let (a, b) = (bus(1), bus(2));
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |bus: &Arc<Bus>| Remote::device(bus.party());
    let (at_a, at_b) = tokio::join!(opening::connect(&a, Arc::new(to_b), remote(&b), 0), async {
        let incoming = Incoming::accept(&b, Arc::new(to_a), remote(&a))
            .await
            .unwrap();
        incoming.welcome(&b).await
    });
    let peers = (at_a.unwrap(), at_b.unwrap());
    let served = Arc::new(AtomicU32::new(0));
    let stub = Counter {
        execution,
        served: Arc::clone(&served),
    };
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr()
        .add(SERVICE, &RemoteObject::new(stub), options)
        .unwrap();
    let counter = peers.0.get_service(SERVICE, Duration::from_secs(5)).await;
    Pair {
        counter: counter.unwrap(),
        served,
        _peers: peers,
        _buses: (a, b),
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

#[test]
fn calls_that_run_where_they_arrive() {
    on_a_small_stack(|runtime| {
        runtime.block_on(async {
            let pair = pair(Execution::Inline).await;
            let data = Parcel::new();
            for _ in 0..CALLS {
                let sent = pair.counter.send_request(1, &data, CallOption::one_way());
                sent.await.unwrap();
            }
            pair.counter
                .send_request(1, &data, CallOption::two_way())
                .await
                .unwrap();
            while pair.served.load(Ordering::Relaxed) <= CALLS {
                tokio::task::yield_now().await;
            }
        });
    });
}

#[test]
fn calls_that_the_bus_answers_itself() {
    on_a_small_stack(|runtime| {
        runtime.block_on(async {
            let pair = pair(Execution::Concurrent).await;
            for _ in 0..CALLS {
                pair.counter.ping(CallOption::one_way()).await.unwrap();
            }
            pair.counter.ping(CallOption::two_way()).await.unwrap();
        });
    });
}

#[test]
fn calls_that_wait_when_the_runtime_ends() {
    on_a_small_stack(|runtime| {
        let pair = runtime.block_on(async {
            let pair = pair(Execution::Concurrent).await;
            let data = Parcel::new();
            for _ in 0..CALLS {
                // The first never ends, so that the others wait.
                let sent = pair.counter.send_request(2, &data, CallOption::one_way());
                sent.await.unwrap();
            }
            pair.counter.ping(CallOption::two_way()).await.unwrap();
            pair
        });
        drop(runtime);
        assert_eq!(pair.served.load(Ordering::Relaxed), 1);
    });
}
