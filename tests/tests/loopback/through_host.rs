//! Processes attached to a node call services of other devices, and are called by them: through the sockets of one device and
//! QUIC to the other.

use std::{path::PathBuf, sync::Arc, time::Duration};

use softbus::{
    CallOption, Caller, DeathReason, DeviceId, GetServiceError, Node, Parcel, RemoteObject,
    SendRequestError, ServiceId, async_trait,
    rpc::{parcel::PassObjectError, session::passing_rules::Party},
};
use testkit::{
    scenarios::{
        SERVICE, SOON, for_all, next, obituaries, objects, reached, sizes,
        workbench::{Bench, code, workbench},
    },
    world::{
        Device, World,
        loopback::LoopbackWorld,
        node::{NodeDevice, Vanish},
    },
};

use crate::run_in;

const OTHER: ServiceId = ServiceId::new(1402).unwrap();

/// A device whose bus a process is attached to, and another device with a workbench.
struct Scene {
    host: Arc<NodeDevice>,
    process: Node,
    other: Arc<dyn Device>,
    bench: Arc<Bench>,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Scene {
    async fn new(world: &mut LoopbackWorld) -> Self {
        Self::with(world, |builder| builder).await
    }

    async fn with(
        world: &mut LoopbackWorld,
        with: impl FnOnce(softbus::NodeBuilder) -> softbus::NodeBuilder,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus").join("bus.sock");
        let host = world.node_with(|builder| with(builder.host_local(&path)));
        let process = Node::attach(&path).await.unwrap();
        let other = world.device().await;
        let (stub, bench) = workbench();
        other.add(SERVICE, &stub, for_all()).unwrap();
        Self {
            host,
            process,
            other,
            bench,
            path,
            _directory: directory,
        }
    }

    async fn get(&self) -> RemoteObject {
        let got = self.process.samgr().get(SERVICE, &self.other.id()).await;
        got.unwrap()
    }
}

async fn reverse(proxy: &RemoteObject, number: i32) -> Result<i32, SendRequestError> {
    let mut data = Parcel::new();
    data.write_i32(number).unwrap();
    let option = CallOption::two_way();
    let mut reply = proxy.send_request(code::REVERSE, &data, option).await?;
    Ok(reply.read_i32().unwrap())
}

async fn keep(by: &RemoteObject, object: &RemoteObject) -> Result<(), SendRequestError> {
    let mut data = Parcel::new();
    data.write_remote_object(object).unwrap();
    let kept = by
        .send_request(code::KEEP, &data, CallOption::two_way())
        .await;
    kept.map(drop)
}

/// Rows 58 and 86: the interface is the same, and the device is the caller.
#[test]
fn a_process_calls_a_service_of_another_device() {
    run_in(async |world: &mut LoopbackWorld| {
        let scene = Scene::new(world).await;
        let proxy = scene.get().await;
        assert_eq!(proxy.device(), Some(scene.other.id()));
        assert_eq!(reverse(&proxy, 29).await.unwrap(), 92);
        let caller = (Party::host_of(scene.process.device_id()), false);
        assert_eq!(scene.bench.callers(), [caller]);
        let list = scene.process.samgr().list_of(&scene.other.id()).await;
        assert_eq!(list.unwrap(), [SERVICE]);
        let absent = scene.process.samgr().get(OTHER, &scene.other.id()).await;
        assert!(matches!(
            absent,
            Err(GetServiceError::Refused | GetServiceError::Absent)
        ));
    });
}

#[test]
fn raw_data_passes_the_host_in_both_directions() {
    run_in(async |world: &mut LoopbackWorld| {
        let scene = Scene::new(world).await;
        let proxy = scene.get().await;
        let sent: Vec<u8> = (0..5 << 20).map(|n: u32| n as u8).collect();
        let mut data = Parcel::new();
        data.write_i32(sent.len() as i32).unwrap();
        data.write_raw_data(sent.clone()).unwrap();
        let reply = proxy
            .send_request(code::RAW, &data, CallOption::two_way())
            .await;
        assert_eq!(reply.unwrap().read_raw_data(sent.len()).unwrap(), sent);
    });
}

/// A service that a process registers is had by other devices, and dies with its process.
#[test]
fn another_device_calls_a_service_of_a_process() {
    run_in(async |world: &mut LoopbackWorld| {
        let scene = Scene::new(world).await;
        let (stub, bench) = workbench();
        let samgr = scene.process.samgr();
        samgr.register(OTHER, &stub, for_all()).await.unwrap();
        let here = scene.process.device_id();
        let proxy = scene.other.get(OTHER, &here).await.unwrap();
        assert_eq!(reverse(&proxy, 17).await.unwrap(), 71);
        assert_eq!(bench.callers(), [(scene.other.party(), false)]);
        let (tell, mut told) = obituaries();
        let link = proxy.link_to_death(tell).unwrap();
        scene.process.shutdown().await;
        let reason = next(&mut told).await;
        assert!(
            matches!(
                reason,
                DeathReason::ProcessDied | DeathReason::ServiceRemoved
            ),
            "{reason:?}"
        );
        drop(link);
        assert!(scene.other.get(OTHER, &here).await.is_err());
    });
}

/// Callbacks of a process, and the reasons of deaths.
#[test]
fn callbacks_and_deaths_pass_the_host() {
    run_in(async |world: &mut LoopbackWorld| {
        let scene = Scene::new(world).await;
        let proxy = scene.get().await;
        let (callback, called) = workbench();
        keep(&proxy, &callback).await.unwrap();
        let kept = scene.bench.kept()[0].clone();
        assert_eq!(reverse(&kept, 35).await.unwrap(), 53);
        assert_eq!(called.callers(), [(scene.other.party(), false)]);
        let (tell, mut told) = obituaries();
        let link = proxy.link_to_death(tell).unwrap();
        scene.other.remove(SERVICE).unwrap();
        assert_eq!(next(&mut told).await, DeathReason::ServiceRemoved);
        drop(link);
    });
}

/// A call under way is cancelled at the other device.
#[test]
fn a_cancel_passes_the_host() {
    run_in(async |world: &mut LoopbackWorld| {
        let scene = Scene::new(world).await;
        let proxy = scene.get().await;
        let nothing = Parcel::new();
        let long = CallOption::two_way().wait(Duration::from_secs(3000));
        tokio::select! {
            ended = proxy.send_request(code::HOLD, &nothing, long) => panic!("{ended:?}"),
            () = reached(&scene.bench.entered, 1) => {}
        }
        reached(&scene.bench.left, 1).await;
    });
}

/// Row 106: what came from another device goes to no second process of this one.
#[test]
fn a_proxy_of_another_device_is_not_passed_on_locally() {
    run_in(async |world: &mut LoopbackWorld| {
        let scene = Scene::new(world).await;
        let proxy = scene.get().await;
        let second = Node::attach(&scene.path).await.unwrap();
        let (stub, bench) = workbench();
        second
            .samgr()
            .register(OTHER, &stub, for_all())
            .await
            .unwrap();
        let own = scene.process.device_id();
        let sibling = scene.process.samgr().get(OTHER, &own).await.unwrap();
        let (at_host, on_host) = workbench();
        scene.host.add(SERVICE, &at_host, for_all()).unwrap();
        let host = scene.process.samgr().get(SERVICE, &own).await.unwrap();
        for local in [&sibling, &host] {
            let reason = PassObjectError::SecondLocalPass;
            let refused = keep(local, &proxy).await.unwrap_err();
            assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
        }
        let registered = scene
            .process
            .samgr()
            .register(OTHER, &proxy, for_all())
            .await;
        assert!(registered.is_err());
        let reason = PassObjectError::BackToOrigin;
        let refused = keep(&proxy, &proxy).await.unwrap_err();
        assert_eq!(refused, SendRequestError::Pass { index: 0, reason });
        assert!(bench.kept().is_empty() && on_host.kept().is_empty());
        // A stub of its own goes to both.
        let (callback, _called) = workbench();
        keep(&sibling, &callback).await.unwrap();
        keep(&proxy, &callback).await.unwrap();
        let kept = scene.bench.kept()[0].clone();
        assert_eq!(reverse(&kept, 12).await.unwrap(), 21);
    });
}

/// A rule of the host says who may call out.
#[test]
fn the_host_lets_out_whom_its_rule_names() {
    run_in(async |world: &mut LoopbackWorld| {
        let rule = |process: &Caller, _: DeviceId, service: Option<ServiceId>| {
            process.pid() == Some(std::process::id()) && service == Some(OTHER)
        };
        let scene = Scene::with(world, |builder| builder.egress(rule)).await;
        let (stub, _bench) = workbench();
        scene.other.add(OTHER, &stub, for_all()).unwrap();
        let other = scene.other.id();
        let refused = scene.process.samgr().get(SERVICE, &other).await;
        assert_eq!(refused.unwrap_err(), GetServiceError::Refused);
        let proxy = scene.process.samgr().get(OTHER, &other).await.unwrap();
        assert_eq!(reverse(&proxy, 46).await.unwrap(), 64);
    });
}

/// The host is gone: so are the objects of other devices, and the reason says why.
#[test]
fn objects_of_other_devices_die_with_the_host() {
    run_in(async |world: &mut LoopbackWorld| {
        let scene = Scene::new(world).await;
        let proxy = scene.get().await;
        let (tell, mut told) = obituaries();
        let link = proxy.link_to_death(tell).unwrap();
        scene.host.crash();
        assert_eq!(next(&mut told).await, DeathReason::HostGone);
        drop(link);
        let dead = tokio::time::timeout(SOON, reverse(&proxy, 1))
            .await
            .unwrap();
        let reason = DeathReason::HostGone;
        assert_eq!(dead.unwrap_err(), SendRequestError::DeadObject { reason });
    });
}

/// Each device is a process that is attached to the only other one of its device: a call passes two hosts.
struct TwoHosts<'a> {
    hosts: &'a mut LoopbackWorld,
    running: Vec<Arc<NodeDevice>>,
    directory: tempfile::TempDir,
}

#[async_trait(?Send)]
impl World for TwoHosts<'_> {
    async fn device(&mut self) -> Arc<dyn Device> {
        let name = format!("{}/bus.sock", self.running.len());
        let path = self.directory.path().join(name);
        let host = self.hosts.node_with(|builder| builder.host_local(&path));
        self.running.push(host);
        let process = NodeDevice::start(Node::builder().attach(&path), Vanish::Crash);
        Arc::new(process.unwrap())
    }

    async fn restart(&mut self, _: &Arc<dyn Device>) -> Arc<dyn Device> {
        panic!(
            "this world is for scenarios that restart nobody: host and process would have to be started again"
        )
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        self.hosts.distrust(device, other);
    }
}

fn run_through_two_hosts(scenario: impl AsyncFnOnce(&mut dyn World)) {
    run_in(async |hosts: &mut LoopbackWorld| {
        let mut world = TwoHosts {
            hosts,
            running: Vec::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        scenario(&mut world).await;
    });
}

#[test]
fn what_is_legal_between_devices_is_legal_through_two_hosts() {
    run_through_two_hosts(sizes::payloads_up_to_one_mebibyte);
}

#[test]
fn a_callback_is_taken_back_through_two_hosts() {
    run_through_two_hosts(objects::a_callback_is_taken_back_with_an_equal_reference);
}
