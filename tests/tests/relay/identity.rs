//! Who calls, and under which rules: processes of the device, their host, and other devices, all at once.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use softbus::rpc::{
    CallOption, Caller, Execution, HandlerError, Parcel, RemoteObject, RemoteStub, StubOptions,
    async_trait, limits::BLOCKING_THREADS,
};
use testkit::wait::wait_until_async;

use crate::world::{World, device};

/// Answers who calls, after it has asked others the same.
struct Who(Option<RemoteObject>);

fn write(caller: &Caller, reply: &mut Parcel) -> Result<(), HandlerError> {
    reply.write_buffer(caller.device().as_bytes())?;
    reply.write_bool(caller.is_local())?;
    Ok(reply.write_u32(caller.pid().unwrap_or(0))?)
}

#[async_trait]
impl RemoteStub for Who {
    fn descriptor(&self) -> &str {
        "test.Who"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        _: u32,
        _: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        if let Some(next) = &self.0 {
            let asked = who(next).await;
            // Nested calls are this process's own, whoever it serves.
            assert_eq!(asked, (1, true, std::process::id()));
            tokio::task::yield_now().await;
        }
        write(caller, reply)
    }
}

/// Device, whether it is ours, and process.
async fn who(object: &RemoteObject) -> (u8, bool, u32) {
    let option = CallOption::two_way();
    let reply = object.send_request(1, &Parcel::new(), option).await;
    let mut reply = reply.unwrap();
    let device = reply.read_buffer(32).unwrap()[0];
    let local = reply.read_bool().unwrap();
    (device, local, reply.read_u32().unwrap())
}

/// Rows 85, 86, 88 and 90.
#[tokio::test(start_paused = true)]
async fn each_handler_knows_its_own_caller() {
    let world = World::new().await;
    let inner = RemoteObject::new(Who(None));
    world.host.offer(&inner);
    // What was offered knows where it lives.
    let service = RemoteObject::new(Who(Some(inner)));
    world.host.offer(&service);
    let process = world.service_of_host(&world.process).await;
    let sibling = world.service_of_host(&world.sibling).await;
    let other = world.host_at_other().await;
    for _ in 0..100 {
        let callers = tokio::join!(who(&process), who(&other), who(&sibling), who(&other));
        let remote = (2, false, 0);
        assert_eq!(callers, ((1, true, 101), remote, (1, true, 102), remote));
    }
    assert_eq!(other.device(), Some(device(1)));
}

/// Takes as many seconds as its code says.
struct Slow;

#[async_trait]
impl RemoteStub for Slow {
    fn descriptor(&self) -> &str {
        "test.Slow"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        _: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        tokio::time::sleep(Duration::from_secs(code.into())).await;
        Ok(())
    }
}

/// Row 58: a call to another process of the device takes as long as it takes.
#[tokio::test(start_paused = true)]
async fn a_call_within_the_device_has_no_deadline() {
    let world = World::new().await;
    world.host.offer(&RemoteObject::new(Slow));
    let service = world.service_of_host(&world.process).await;
    let begun = tokio::time::Instant::now();
    let nothing = Parcel::new();
    let hours = service.send_request(9000, &nothing, CallOption::two_way());
    hours.await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(9000));
}

/// Blocks its thread until it is let go.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    open: Condvar,
}

struct Blocking(Arc<Gate>);

#[async_trait]
impl RemoteStub for Blocking {
    fn descriptor(&self) -> &str {
        "test.Blocking"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Blocking)
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        _: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let mut state = self.0.state.lock().unwrap();
        state.0 += 1;
        drop(self.0.open.wait_while(state, |state| !state.1).unwrap());
        Ok(())
    }
}

/// Row 91: with as many handlers as there are threads the next request waits, and then runs.
#[tokio::test]
async fn a_seventeenth_blocking_handler_waits_for_a_thread() {
    let world = World::new().await;
    let gate = Arc::<Gate>::default();
    world
        .host
        .offer(&RemoteObject::new(Blocking(Arc::clone(&gate))));
    let service = world.service_of_host(&world.process).await;
    let calls: Vec<_> = (0..=BLOCKING_THREADS)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let option = CallOption::two_way();
                service
                    .send_request(1, &Parcel::new(), option)
                    .await
                    .unwrap();
            })
        })
        .collect();
    let running = || gate.state.lock().unwrap().0;
    let soon = Duration::from_secs(20);
    assert!(wait_until_async(soon, async || running() == BLOCKING_THREADS).await);
    // All of them have been sent: what comes behind them on the session is answered.
    service.ping(CallOption::two_way()).await.unwrap();
    assert_eq!(running(), BLOCKING_THREADS);
    gate.state.lock().unwrap().1 = true;
    gate.open.notify_all();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(running(), BLOCKING_THREADS + 1);
}

/// Row 84: a stub hears of the end of a process that holds it.
#[tokio::test(start_paused = true)]
async fn a_stub_hears_of_the_end_of_who_holds_it() {
    let world = World::new().await;
    let service = RemoteObject::new(Slow);
    world.host.offer(&service);
    let mut holders = service.watch_holders().unwrap();
    assert_eq!(holders.next().await, Some(0));
    let _held = world.service_of_host(&world.process).await;
    assert_eq!(holders.next().await, Some(1));
    world.part(&world.process, 1);
    let told = tokio::time::timeout(Duration::from_secs(20), holders.next()).await;
    assert_eq!(told.unwrap(), Some(0));
}
