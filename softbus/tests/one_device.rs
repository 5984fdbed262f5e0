//! Several processes of one device, as nodes that share a host: real sockets, in one process of the tests.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails its test")]

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use softbus::{
    CallOption, Caller, DeathLink, DeathReason, GetServiceError, HandlerError, Identity, Node,
    NodeBuilder, Parcel, RemoteObject, RemoteStub, ServiceId, ServiceOptions, async_trait,
    error::StartNodeError,
    local::LocalError,
    rpc::{AddServiceError, Quotas, SendRequestError, ServiceEvent},
};
use tokio::{sync::mpsc, time::timeout};

const SERVICE: ServiceId = ServiceId::new(7).unwrap();
const OTHER: ServiceId = ServiceId::new(8).unwrap();
const SOON: Duration = Duration::from_secs(20);
/// Answers with the process and user that call.
const WHO: u32 = 1;
/// Keeps the object of the request.
const KEEP: u32 = 2;
/// Gives back what was kept.
const GIVE: u32 = 3;
/// Calls what was kept, and answers with its answer.
const CALL: u32 = 4;
/// Answers with a new object.
const ANOTHER: u32 = 5;

#[derive(Default)]
struct Bench {
    kept: std::sync::Mutex<Option<RemoteObject>>,
}

#[async_trait]
impl RemoteStub for Bench {
    fn descriptor(&self) -> &str {
        "org.example.Bench"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let kept = || {
            self.kept
                .lock()
                .unwrap()
                .clone()
                .ok_or(HandlerError::Code(1))
        };
        match code {
            WHO => {
                reply.write_bool(caller.is_local())?;
                reply.write_u32(caller.pid().unwrap_or(0))?;
                reply.write_u32(caller.uid().unwrap_or(u32::MAX))?;
            }
            KEEP => *self.kept.lock().unwrap() = Some(data.read_remote_object()?),
            GIVE => reply.write_remote_object(&kept()?)?,
            CALL => {
                let option = CallOption::two_way();
                let called = kept()?.send_request(WHO, &Parcel::new(), option).await;
                called.map_err(|error| HandlerError::Failed(error.to_string()))?;
            }
            ANOTHER => reply.write_remote_object(&RemoteObject::new(Self::default()))?,
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

struct Bus {
    directory: tempfile::TempDir,
    path: PathBuf,
    host: Node,
}

fn host_builder(directory: &std::path::Path) -> NodeBuilder {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let identity = directory.join("identity");
    Node::builder().identity_dir(identity).listen(any)
}

impl Bus {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus").join("bus.sock");
        let host = host_builder(directory.path()).host_local(&path);
        let host = host.start().await.unwrap();
        Self {
            directory,
            path,
            host,
        }
    }

    async fn process(&self) -> Node {
        Node::attach(&self.path).await.unwrap()
    }
}

fn bench() -> RemoteObject {
    RemoteObject::new(Bench::default())
}

async fn get(node: &Node, service: ServiceId) -> RemoteObject {
    let got = node.samgr().get(service, &node.device_id()).await;
    got.unwrap()
}

async fn call(object: &RemoteObject, code: u32) -> Parcel {
    let option = CallOption::two_way();
    object
        .send_request(code, &Parcel::new(), option)
        .await
        .unwrap()
}

async fn keep(object: &RemoteObject, kept: &RemoteObject) {
    let mut data = Parcel::new();
    data.write_remote_object(kept).unwrap();
    let option = CallOption::two_way();
    object.send_request(KEEP, &data, option).await.unwrap();
}

fn watch(object: &RemoteObject) -> (DeathLink, mpsc::UnboundedReceiver<DeathReason>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let tell = move |reason| {
        let _ = sender.send(reason);
    };
    (object.link_to_death(tell).unwrap(), receiver)
}

async fn told(receiver: &mut mpsc::UnboundedReceiver<DeathReason>) -> DeathReason {
    timeout(SOON, receiver.recv()).await.unwrap().unwrap()
}

/// Asks again until something is so.
async fn eventually<F: Future<Output = bool>>(so: impl Fn() -> F) {
    let deadline = Instant::now() + SOON;
    while !so().await {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What the host found out in all the time there was is what the process is told.
#[tokio::test]
async fn a_device_that_is_not_found_is_unreachable_for_processes_too() {
    let bus = Bus::start().await;
    let process = bus.process().await;
    let nowhere = Identity::generate().unwrap();
    let nowhere = *nowhere.device_id();
    bus.host.trust().unwrap().trust(nowhere, "nowhere").unwrap();
    for node in [&bus.host, &process] {
        let wait = Duration::from_millis(200);
        let got = node.samgr().get_within(SERVICE, &nowhere, wait).await;
        assert!(
            matches!(got, Err(GetServiceError::Unreachable(_))),
            "{got:?}"
        );
    }
}

#[tokio::test]
async fn a_service_of_a_process_is_called_by_the_host_and_by_another_process() {
    let bus = Bus::start().await;
    let (p, q) = (bus.process().await, bus.process().await);
    assert_eq!(p.device_id(), bus.host.device_id());
    assert!(p.is_attached() && p.local_addr().is_none() && p.trust().is_none());
    let options = ServiceOptions::local();
    p.samgr()
        .register(SERVICE, &bench(), options)
        .await
        .unwrap();
    for node in [&bus.host, &q, &p] {
        let mut who = call(&get(node, SERVICE).await, WHO).await;
        assert!(who.read_bool().unwrap());
        assert_eq!(who.read_u32().unwrap(), std::process::id());
    }
    let device = q.device_id();
    assert_eq!(q.samgr().list_of(&device).await.unwrap(), [SERVICE]);
    assert_eq!(bus.host.samgr().list(), [SERVICE]);
    assert!(bus.host.samgr().check(SERVICE).is_some());
    let absent = q.samgr().get(OTHER, &device).await.unwrap_err();
    assert_eq!(absent, GetServiceError::Absent);
}

#[tokio::test]
async fn a_service_of_the_host_is_called_by_a_process() {
    let bus = Bus::start().await;
    let stub = bench();
    bus.host
        .samgr()
        .add(SERVICE, &stub, ServiceOptions::local())
        .unwrap();
    let p = bus.process().await;
    let proxy = get(&p, SERVICE).await;
    assert!(call(&proxy, WHO).await.read_bool().unwrap());
    assert_eq!(proxy.as_proxy().unwrap().service(), Some(SERVICE));
    let (_link, mut deaths) = watch(&proxy);
    bus.host.samgr().remove(SERVICE).unwrap();
    assert_eq!(told(&mut deaths).await, DeathReason::ServiceRemoved);
}

#[tokio::test]
async fn two_processes_that_open_at_once_have_one_session() {
    let bus = Bus::start().await;
    let (p, q) = (bus.process().await, bus.process().await);
    let options = ServiceOptions::local();
    p.samgr()
        .register(SERVICE, &bench(), options.clone())
        .await
        .unwrap();
    q.samgr().register(OTHER, &bench(), options).await.unwrap();
    let (of_p, of_q) = tokio::join!(get(&q, SERVICE), get(&p, OTHER));
    call(&of_p, WHO).await;
    call(&of_q, WHO).await;
    // One with the host, and one with each other.
    assert_eq!((p.usage().len(), q.usage().len()), (2, 2));
    assert_eq!(bus.host.usage().len(), 2);
}

#[tokio::test]
async fn a_proxy_of_one_process_goes_to_a_third() {
    let bus = Bus::start().await;
    let (p, q, r) = (
        bus.process().await,
        bus.process().await,
        bus.process().await,
    );
    let options = ServiceOptions::local();
    p.samgr()
        .register(SERVICE, &bench(), options.clone())
        .await
        .unwrap();
    r.samgr().register(OTHER, &bench(), options).await.unwrap();
    let of_p = get(&q, SERVICE).await;
    let anonymous = call(&of_p, ANOTHER).await.read_remote_object().unwrap();
    let at_r = get(&q, OTHER).await;
    // A named one and an anonymous one, from whom does not have them himself.
    for object in [&of_p, &anonymous] {
        keep(&at_r, object).await;
        call(&at_r, CALL).await;
        let back = call(&at_r, GIVE).await.read_remote_object().unwrap();
        assert_eq!(&back, object);
        assert_eq!(
            back.as_proxy().unwrap().service(),
            object.as_proxy().unwrap().service()
        );
    }
    // Its own stub comes home.
    let own = RemoteObject::new(Bench::default());
    keep(&at_r, &own).await;
    let home = call(&at_r, GIVE).await.read_remote_object().unwrap();
    assert!(home == own && home.as_proxy().is_none());
}

#[tokio::test]
async fn a_service_ends_with_its_registration_and_with_its_process() {
    let bus = Bus::start().await;
    let (p, q) = (bus.process().await, bus.process().await);
    let options = ServiceOptions::local();
    p.samgr()
        .register(SERVICE, &bench(), options.clone())
        .await
        .unwrap();
    let proxy = get(&q, SERVICE).await;
    let (_link, mut deaths) = watch(&proxy);
    p.samgr().remove(SERVICE).unwrap();
    assert_eq!(told(&mut deaths).await, DeathReason::ServiceRemoved);
    let host = bus.host.samgr();
    eventually(async || host.check(SERVICE).is_none()).await;

    p.samgr()
        .register(SERVICE, &bench(), options)
        .await
        .unwrap();
    let proxy = get(&q, SERVICE).await;
    let anonymous = call(&proxy, ANOTHER).await.read_remote_object().unwrap();
    let (_link, mut deaths) = watch(&proxy);
    // On the device itself anonymous stubs may be watched.
    let (_anonymous_link, mut anonymous_deaths) = watch(&anonymous);
    p.shutdown().await;
    assert_eq!(told(&mut deaths).await, DeathReason::ProcessDied);
    assert_eq!(told(&mut anonymous_deaths).await, DeathReason::ProcessDied);
    eventually(async || host.check(SERVICE).is_none()).await;
    let gone = q.samgr().get(SERVICE, &q.device_id()).await;
    assert_eq!(gone.unwrap_err(), GetServiceError::Absent);
}

#[tokio::test]
async fn who_takes_an_id_replaces_who_had_it() {
    let bus = Bus::start().await;
    let (p, q) = (bus.process().await, bus.process().await);
    let options = ServiceOptions::local();
    let mut seen = bus.host.samgr().watch(SERVICE).unwrap();
    p.samgr()
        .register(SERVICE, &bench(), options.clone())
        .await
        .unwrap();
    let proxy = get(&q, SERVICE).await;
    let (_link, mut deaths) = watch(&proxy);
    q.samgr()
        .register(SERVICE, &bench(), options)
        .await
        .unwrap();
    // The first one is told, and its proxies die.
    assert_eq!(told(&mut deaths).await, DeathReason::ServiceRemoved);
    assert!(p.samgr().check(SERVICE).is_none());
    let of_q = get(&p, SERVICE).await;
    assert!(of_q != proxy);
    call(&of_q, WHO).await;
    assert_eq!(seen.next().await, ServiceEvent::Added);
}

#[tokio::test]
async fn what_is_not_ones_own_cannot_be_registered() {
    let bus = Bus::start().await;
    let (p, q) = (bus.process().await, bus.process().await);
    p.samgr()
        .register(SERVICE, &bench(), ServiceOptions::local())
        .await
        .unwrap();
    let proxy = get(&q, SERVICE).await;
    let refused = q
        .samgr()
        .register(OTHER, &proxy, ServiceOptions::local())
        .await;
    assert_eq!(refused.unwrap_err(), AddServiceError::NotOurs);
}

#[tokio::test]
async fn without_the_host_sessions_go_on_and_services_are_registered_with_the_next() {
    let bus = Bus::start().await;
    let (p, q) = (bus.process().await, bus.process().await);
    let device = q.device_id();
    let of_host = bench();
    bus.host
        .samgr()
        .add(OTHER, &of_host, ServiceOptions::local())
        .unwrap();
    p.samgr()
        .register(SERVICE, &bench(), ServiceOptions::local())
        .await
        .unwrap();
    let of_p = get(&q, SERVICE).await;
    let (_link, mut deaths) = watch(&get(&q, OTHER).await);
    let Bus {
        directory,
        path,
        host,
    } = bus;
    let absent = host_builder(directory.path()).attach(&path);
    host.shutdown().await;
    drop(host);
    assert_eq!(told(&mut deaths).await, DeathReason::HostGone);
    call(&of_p, WHO).await;
    let absent = absent.start().await.unwrap_err();
    assert_eq!(
        absent,
        StartNodeError::Local(LocalError::Absent(path.clone()))
    );

    // Meanwhile: registered here, and with the host when there is one.
    p.samgr()
        .add(OTHER, &bench(), ServiceOptions::local())
        .unwrap();
    let host = host_builder(directory.path()).host_local(&path);
    let host = host.start().await.unwrap();
    for service in [SERVICE, OTHER] {
        let found = host.samgr().wait_for(service, &device, SOON).await.unwrap();
        call(&found, WHO).await;
        let found = q.samgr().wait_for(service, &device, SOON).await.unwrap();
        call(&found, WHO).await;
        assert!(found == of_p || service == OTHER);
    }
    assert!(!of_p.is_dead());
    // The session of the two is the one there was.
    assert_eq!(q.usage().len(), 2);
}

#[tokio::test]
async fn the_first_of_several_is_the_host_and_the_others_attach() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    let start = || host_builder(directory.path()).attach_or_host(&path).start();
    let (a, b, c) = tokio::join!(start(), start(), start());
    let nodes = [a.unwrap(), b.unwrap(), c.unwrap()];
    let hosts = nodes.iter().filter(|node| !node.is_attached()).count();
    assert_eq!(hosts, 1);
    let again = host_builder(directory.path())
        .host_local(&path)
        .start()
        .await;
    assert_eq!(
        again.unwrap_err(),
        StartNodeError::Local(LocalError::InUse(path.clone()))
    );
}

#[tokio::test]
async fn descriptors_are_as_many_as_the_builder_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus").join("bus.sock");
    let mut quotas = Quotas::DEFAULT;
    quotas.file_descriptors = 2;
    let options = ServiceOptions::local();
    let host = host_builder(directory.path()).quotas(quotas);
    let host = host.host_local(&path).service(SERVICE, &bench(), options);
    let host = host.start().await.unwrap();
    let process = Node::attach(&path).await.unwrap();
    let proxy = get(&process, SERVICE).await;
    let send = async |descriptors: usize| {
        let mut data = Parcel::new();
        for _ in 0..descriptors {
            data.write_file_descriptor(std::io::pipe().unwrap().0)
                .unwrap();
        }
        let option = CallOption::two_way();
        proxy.send_request(WHO, &data, option).await.map(drop)
    };
    assert_eq!(send(2).await, Ok(()));
    let over = SendRequestError::Busy {
        limit: Some(2),
        value: Some(3),
        retry_after: None,
    };
    assert_eq!(send(3).await, Err(over));
    assert_eq!(send(2).await, Ok(()), "what came is closed");
    process.shutdown().await;
    host.shutdown().await;
}
