use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use softbus::rpc::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    async_trait, remote_interface,
};
use tokio::sync::Notify;

use crate::world::{World, device};

/// What the service of the other device is asked for.
pub(crate) mod code {
    /// Takes a buffer and returns it.
    pub(crate) const ECHO: u32 = 1;
    /// Takes raw data and returns it.
    pub(crate) const RAW: u32 = 2;
    /// Answers a code of its own.
    pub(crate) const FAIL: u32 = 3;
    /// Never ends.
    pub(crate) const HANG: u32 = 4;
    /// Panics.
    pub(crate) const PANIC: u32 = 5;
}

/// The service, and what it has seen.
#[derive(Default)]
pub(crate) struct Service {
    pub(crate) callers: Mutex<Vec<Caller>>,
    pub(crate) entered: Notify,
    pub(crate) left: Notify,
}

pub(crate) struct Shared(pub(crate) Arc<Service>);

struct Inside<'a>(&'a Notify);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl RemoteStub for Shared {
    fn descriptor(&self) -> &str {
        "test.Service"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.0.callers.lock().unwrap().push(caller.clone());
        let _inside = Inside(&self.0.left);
        self.0.entered.notify_one();
        match code {
            code::ECHO => {
                reply.raise_capacity(1 << 20)?;
                let bytes = data.read_u8_vec()?;
                Ok(reply.write_u8_vec(&bytes)?)
            }
            code::RAW => {
                let len = data.read_i32()? as usize;
                Ok(reply.write_raw_data(data.read_raw_data(len)?)?)
            }
            code::FAIL => Err(HandlerError::Code(77)),
            code::HANG => std::future::pending().await,
            code::PANIC => panic!("as it was told"),
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

/// A world in which the other device has the service.
pub(crate) async fn served() -> (World, Arc<Service>) {
    let world = World::new().await;
    let service = Arc::<Service>::default();
    world
        .other
        .offer(&RemoteObject::new(Shared(Arc::clone(&service))));
    (world, service)
}

#[tokio::test(start_paused = true)]
async fn a_process_calls_another_device_through_its_host() {
    let (world, service) = served().await;
    let proxy = world.get().await;
    assert_eq!(proxy.device(), Some(device(2)));
    assert_eq!(proxy.descriptor().await.unwrap(), "test.Service");
    proxy.ping(CallOption::two_way()).await.unwrap();
    let mut data = Parcel::new();
    data.write_u8_vec(b"through").unwrap();
    let reply = proxy
        .send_request(code::ECHO, &data, CallOption::two_way())
        .await;
    assert_eq!(reply.unwrap().read_u8_vec().unwrap(), b"through");
    let callers = service.callers.lock().unwrap();
    let caller = callers.first().unwrap();
    assert_eq!((caller.device(), caller.pid()), (device(1), None));
    assert!(!caller.is_local());
}

#[tokio::test(start_paused = true)]
async fn what_is_legal_between_devices_is_legal_through_a_host() {
    let (world, _service) = served().await;
    let proxy = world.get().await;
    let mut data = Parcel::new();
    data.raise_capacity(1 << 20).unwrap();
    // The largest parcel to another device: more than a process may send to its host.
    data.write_u8_vec(&vec![7; (1 << 20) - 4]).unwrap();
    let reply = proxy
        .send_request(code::ECHO, &data, CallOption::two_way())
        .await;
    assert_eq!(reply.unwrap().data_size(), 1 << 20);
    let len = 3 << 20;
    let mut data = Parcel::new();
    data.write_i32(len).unwrap();
    data.write_raw_data(vec![9; len as usize]).unwrap();
    let reply = proxy
        .send_request(code::RAW, &data, CallOption::two_way())
        .await;
    assert_eq!(
        reply.unwrap().read_raw_data(len as usize).unwrap(),
        vec![9; len as usize]
    );
}

/// The other way round: the host sends a process more than processes send each other.
#[tokio::test(start_paused = true)]
async fn what_is_legal_between_devices_reaches_a_process() {
    let world = World::new().await;
    world.process.offer(&service_of_nobody());
    world.register(&world.process).await;
    let proxy = world.host_at_other().await;
    let mut data = Parcel::new();
    data.raise_capacity(1 << 20).unwrap();
    data.write_u8_vec(&vec![7; (1 << 20) - 4]).unwrap();
    let option = CallOption::two_way();
    let reply = proxy.send_request(code::ECHO, &data, option).await;
    assert_eq!(reply.unwrap().data_size(), 1 << 20);
    // One byte more does not leave its device.
    let mut data = Parcel::new();
    data.raise_capacity(1 << 20).unwrap();
    data.write_remote_object(&service_of_nobody()).unwrap();
    let rest = (1 << 20) - data.data_size();
    data.write_buffer(&vec![7; rest]).unwrap();
    let refused = proxy.send_request(code::ECHO, &data, option).await;
    let Err(SendRequestError::RequestTooLarge { size, limit }) = refused else {
        panic!("{refused:?}");
    };
    assert!(limit == 1 << 20 && size > limit, "{size}, limit {limit}");
}

fn service_of_nobody() -> RemoteObject {
    RemoteObject::new(Shared(Arc::default()))
}

#[tokio::test(start_paused = true)]
async fn failures_arrive_as_they_are() {
    let (world, _service) = served().await;
    let proxy = world.get().await;
    for (code, expected) in [
        (code::FAIL, SendRequestError::Service(77)),
        (code::PANIC, SendRequestError::Panicked),
        (99, SendRequestError::UnknownMethod { code: 99 }),
        (code::ECHO, SendRequestError::MalformedRequest),
    ] {
        let failed = proxy
            .send_request(code, &Parcel::new(), CallOption::two_way())
            .await;
        assert_eq!(failed.unwrap_err(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_has_the_deadline_of_one_to_another_device() {
    let (world, service) = served().await;
    let proxy = world.get().await;
    let begun = tokio::time::Instant::now();
    let failed = proxy
        .send_request(code::HANG, &Parcel::new(), CallOption::two_way())
        .await;
    let eight = Duration::from_secs(8);
    assert_eq!(
        failed.unwrap_err(),
        SendRequestError::TimedOut { after: eight }
    );
    assert!(begun.elapsed() >= eight && begun.elapsed() < 2 * eight);
    service.left.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_goes_through() {
    let (world, service) = served().await;
    let proxy = world.get().await;
    let hour = CallOption::two_way().wait(Duration::from_secs(3000));
    let nothing = Parcel::new();
    let begun = tokio::time::Instant::now();
    tokio::select! {
        _ = proxy.send_request(code::HANG, &nothing, hour) => panic!("it does not end"),
        () = service.entered.notified() => {}
    }
    service.left.notified().await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[remote_interface(descriptor = "test.Counter")]
trait Counter {
    async fn add(&self, number: i32) -> i32;
}

mod later {
    #[super::remote_interface(descriptor = "test.Counter")]
    pub(super) trait Counter {
        async fn add(&self, number: i64) -> i64;
    }
}

struct Counting;

impl Counter for Counting {
    async fn add(&self, number: i32) -> i32 {
        number + 1
    }
}

#[tokio::test(start_paused = true)]
async fn the_interface_is_checked_at_its_home() {
    let world = World::new().await;
    world.other.offer(&CounterStub::new(Counting).into_object());
    let object = world.get().await;
    let counter = CounterProxy::from(object.clone());
    assert_eq!(counter.add(1).await.unwrap(), 2);
    // Another process speaks another version, over the same session of the host.
    let of_sibling = world.get_from(&world.sibling, 2).await.unwrap();
    let other = later::CounterProxy::from(of_sibling);
    let refused = other.add(1).await.unwrap_err();
    assert_eq!(
        refused.send_error(),
        Some(&SendRequestError::InterfaceMismatch)
    );
    assert_eq!(counter.add(2).await.unwrap(), 3);
    let described = object.describe(CallOption::two_way()).await.unwrap();
    assert_eq!(described.descriptor, "test.Counter");
}
