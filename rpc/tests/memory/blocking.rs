//! Stubs that run on the pool of threads, whole.

use std::{
    sync::{Arc, Condvar, Mutex},
    thread::ThreadId,
    time::Duration,
};

use proto::ServiceId;
use softbus_rpc::{
    Allow, CallOption, Caller, Execution, HandlerError, Parcel, RemoteObject, RemoteStub,
    SendRequestError, ServiceOptions, StubOptions, async_trait, limits,
};

use crate::pair::{bus, pair};

const SERVICE: ServiceId = ServiceId::new(7).unwrap();
const HOLD: u32 = 1;
const WHERE: u32 = 2;
const CALL_ON: u32 = 3;

/// What blocks handlers, and how many it blocks.
#[derive(Default)]
struct Held {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Held {
    /// Blocks its thread until it is released.
    fn hold(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(
            self.changed
                .wait_while(state, |(_, released)| !*released)
                .unwrap(),
        );
    }

    fn release(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    fn holding(&self) -> usize {
        self.state.lock().unwrap().0
    }
}

struct Blocking {
    held: Arc<Held>,
    next: Option<RemoteObject>,
    threads: Arc<Mutex<Vec<ThreadId>>>,
}

#[async_trait]
impl RemoteStub for Blocking {
    fn descriptor(&self) -> &str {
        "org.example.Blocking"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Blocking)
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            HOLD => self.held.hold(),
            WHERE => {
                tokio::task::yield_now().await;
                let thread = std::thread::current().id();
                self.threads.lock().unwrap().push(thread);
            }
            CALL_ON => {
                let next = self.next.as_ref().ok_or(HandlerError::Refused)?;
                // All of them have a thread before one of them asks for another.
                self.held.hold();
                let done = next
                    .send_request(WHERE, &Parcel::new(), CallOption::two_way())
                    .await;
                done.map_err(|error| HandlerError::Failed(error.to_string()))?;
            }
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

fn stub(next: Option<RemoteObject>) -> (RemoteObject, Arc<Held>, Arc<Mutex<Vec<ThreadId>>>) {
    let (held, threads) = <(Arc<Held>, Arc<Mutex<Vec<ThreadId>>>)>::default();
    let object = RemoteObject::new(Blocking {
        held: Arc::clone(&held),
        next,
        threads: Arc::clone(&threads),
    });
    (object, held, threads)
}

async fn until(mut reached: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("it comes to this");
}

fn begin(
    proxy: &RemoteObject,
    code: u32,
) -> tokio::task::JoinHandle<Result<Parcel, SendRequestError>> {
    let proxy = proxy.clone();
    tokio::spawn(async move {
        proxy
            .send_request(code, &Parcel::new(), CallOption::two_way())
            .await
    })
}

/// One test for all that fills the pool, which the whole process shares. Row 91: sixteen threads; a seventeenth handler
/// waits for one and then runs, and the thread that reads requests is not among them.
#[tokio::test]
async fn blocking_stubs_share_sixteen_threads() {
    let (a, b) = (bus(1), bus(2));
    let (at_a, _at_b) = pair(&a, &b).await;
    let (object, held, threads) = stub(None);
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr().add(SERVICE, &object, options.clone()).unwrap();
    let wait = Duration::from_secs(5);
    let proxy = at_a.get_service(SERVICE, wait).await.unwrap();

    let calls: Vec<_> = (0..limits::BLOCKING_THREADS + 1)
        .map(|_| begin(&proxy, HOLD))
        .collect();
    until(|| held.holding() == limits::BLOCKING_THREADS).await;
    let inside = object.stats().unwrap().running;
    assert!(
        inside >= 16,
        "and the reader is not one of the threads: {inside}"
    );
    held.release();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(held.holding(), limits::BLOCKING_THREADS + 1);

    // A call without a proxy blocks no less.
    object
        .send_request(WHERE, &Parcel::new(), CallOption::two_way())
        .await
        .unwrap();
    begin(&proxy, WHERE).await.unwrap().unwrap();
    let here = std::thread::current().id();
    assert!(threads.lock().unwrap().iter().all(|thread| *thread != here));

    // Every thread is taken by a handler that waits for one: those it calls get threads beyond their number.
    let (next, _, done) = stub(None);
    let (object, held, _) = stub(Some(next));
    b.samgr().add(SERVICE, &object, options).unwrap();
    let proxy = at_a.get_service(SERVICE, wait).await.unwrap();
    let calls: Vec<_> = (0..limits::BLOCKING_THREADS)
        .map(|_| begin(&proxy, CALL_ON))
        .collect();
    until(|| held.holding() == limits::BLOCKING_THREADS).await;
    held.release();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(done.lock().unwrap().len(), limits::BLOCKING_THREADS);
}

/// A handler that blocks holds its place until it has really ended, whoever has given up on it.
#[tokio::test]
async fn a_blocked_handler_holds_its_place_until_it_ends() {
    let (a, b) = (bus(1), bus(2));
    let (at_a, _at_b) = pair(&a, &b).await;
    let (object, held, _) = stub(None);
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr().add(SERVICE, &object, options).unwrap();
    let wait = Duration::from_secs(5);
    let proxy = at_a.get_service(SERVICE, wait).await.unwrap();
    let call = begin(&proxy, HOLD);
    until(|| held.holding() == 1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    // The cancel has arrived: a later frame of the object has.
    proxy.ping(CallOption::two_way()).await.unwrap();
    assert_eq!(object.stats().unwrap().running, 1);
    held.release();
    until(|| object.stats().unwrap().running == 0).await;
}
