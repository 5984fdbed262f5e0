//! Services and the node they are on: which is there first.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, mpsc},
    time::Duration,
};

use softbus::{
    DeviceId, GetServiceError, Identity, Node, RemoteObject, ServiceId, ServiceOptions, TrustStore,
    async_trait,
    discovery::{
        Advertisement, CloseDiscoveryError, Discovery, Hint, Publication, PublishDeviceError,
        RefreshDiscoveryError, Source, StaticPeers, Watch,
    },
    error::StartNodeError,
    rpc::{AddServiceError, ServiceState},
};
use testkit::{
    scenarios::{
        SERVICE, for_all,
        workbench::{reverse, workbench},
    },
    world::{
        Device,
        loopback::LOCAL,
        node::{NodeDevice, Vanish},
    },
};
use tokio::{sync::watch, time::Instant};

use crate::run_in;

const ON_DEMAND: ServiceId = ServiceId::new(7).unwrap();

/// Says where a node is that has begun to start, and does not let it go on until it may.
#[derive(Debug)]
struct HoldsUp {
    port: Mutex<mpsc::Sender<u16>>,
    go_on: watch::Receiver<bool>,
    empty: StaticPeers,
}

#[async_trait]
impl Discovery for HoldsUp {
    fn kind(&self) -> Source {
        Source::STATIC
    }

    async fn publish(
        &self,
        advertisement: Advertisement,
    ) -> Result<Box<dyn Publication>, PublishDeviceError> {
        self.port.lock().unwrap().send(advertisement.port).unwrap();
        let _ = self.go_on.clone().wait_for(|go_on| *go_on).await;
        Err(PublishDeviceError::Unsupported)
    }

    fn watch(&self) -> Watch {
        self.empty.watch()
    }

    async fn refresh(&self, _: Option<DeviceId>, _: Hint) -> Result<(), RefreshDiscoveryError> {
        Ok(())
    }

    async fn close(&self, _: Duration) -> Result<(), CloseDiscoveryError> {
        Ok(())
    }
}

fn trusting_pair() -> (Identity, Identity, TrustStore) {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let trust = TrustStore::in_memory();
    trust.trust(*a.device_id(), "a").unwrap();
    trust.trust(*b.device_id(), "b").unwrap();
    (a, b, trust)
}

/// A device that is quick to call gets the services that the builder was given, before the node has even started.
#[test]
fn services_of_the_builder_are_there_from_the_start() {
    run_in(async |_| {
        let (a, b, trust) = trusting_pair();
        let there = *b.device_id();
        let (port, found) = mpsc::channel();
        let (go_on, may_go_on) = watch::channel(false);
        let held = HoldsUp {
            port: Mutex::new(port),
            go_on: may_go_on,
            empty: StaticPeers::new(Source::STATIC, []).unwrap(),
        };
        let builder = Node::builder()
            .identity(b)
            .trust(trust.clone())
            .listen(LOCAL)
            .discovery(Box::new(held))
            .service(SERVICE, &workbench().0, for_all())
            .service_on_demand(ON_DEMAND, start_workbench, for_all());
        let starts = std::thread::spawn(move || NodeDevice::start(builder, Vanish::Crash));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, found.recv().unwrap()));
        let caller = Node::builder()
            .identity(a)
            .trust(trust)
            .listen(LOCAL)
            .static_peer(there, address);
        let caller = NodeDevice::start(caller, Vanish::Crash).unwrap();
        for service in [SERVICE, ON_DEMAND] {
            let proxy = caller.get(service, &there).await.unwrap();
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        }
        assert!(!starts.is_finished(), "it is still held up");
        go_on.send_replace(true);
        let callee = starts.join().unwrap().unwrap();
        assert_eq!(callee.list(), [ON_DEMAND, SERVICE]);
        assert_eq!(callee.samgr().state(ON_DEMAND), Some(ServiceState::Loaded));
    });
}

async fn start_workbench() -> Result<RemoteObject, String> {
    Ok(workbench().0)
}

/// What cannot be registered keeps the node from starting.
#[test]
fn a_service_that_cannot_be_registered_stops_the_start() {
    run_in(async |world| {
        let device = world.node();
        let (stub, _) = workbench();
        assert!(device.revoke(&stub));
        let builder = Node::builder()
            .identity(Identity::generate().unwrap())
            .listen(LOCAL)
            .service(SERVICE, &stub, ServiceOptions::local());
        let failed = NodeDevice::start(builder, Vanish::Crash).unwrap_err();
        let error = AddServiceError::DeadObject;
        let service = SERVICE;
        assert_eq!(failed, StartNodeError::Service { service, error });
    });
}

/// Row 98: a get waits for its device, and as long as it was told: a device that comes in time is found.
#[test]
fn a_get_waits_for_its_device() {
    run_in(async |_| {
        let (a, b, trust) = trusting_pair();
        let there = *b.device_id();
        let list = StaticPeers::new(Source::STATIC, []).unwrap();
        let node = |identity: Identity| Node::builder().identity(identity).trust(trust.clone());
        let caller = node(a).listen(LOCAL).discovery(Box::new(list.clone()));
        let caller = NodeDevice::start(caller, Vanish::Crash).unwrap();

        let (begun, wait) = (Instant::now(), Duration::from_millis(200));
        let samgr = caller.node().samgr();
        let absent = samgr.get_within(SERVICE, &there, wait).await.unwrap_err();
        assert!(
            matches!(absent, GetServiceError::Unreachable(_)),
            "{absent:?}"
        );
        assert!(begun.elapsed() >= wait);

        let callee = node(b)
            .listen(LOCAL)
            .service(SERVICE, &workbench().0, for_all());
        let (got, callee) = tokio::join!(caller.get(SERVICE, &there), async {
            let callee = NodeDevice::start(callee, Vanish::Crash).unwrap();
            let address = callee.node().local_addr().unwrap();
            list.replace([(there, address)]).unwrap();
            callee
        });
        assert_eq!(reverse(&got.unwrap(), 2019).await, Ok(9102));
        drop(callee);
    });
}
