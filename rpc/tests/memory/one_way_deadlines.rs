//! Until when a one-way call may run: for ever, unless somebody has said until when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use softbus_rpc::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    async_trait,
};
use tokio::{runtime, time::Instant};

use crate::pair::offer;

const WORK: u32 = 1;
const HANG: u32 = 2;

/// Counts what has been done.
#[derive(Default)]
struct Worker {
    begun: AtomicUsize,
    done: AtomicUsize,
}

#[async_trait]
impl RemoteStub for Worker {
    fn descriptor(&self) -> &str {
        "org.example.Worker"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.begun.fetch_add(1, SeqCst);
        if code == HANG {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.done.fetch_add(1, SeqCst);
        Ok(())
    }
}

/// Lets a worker hang, one-way.
struct Foreman(RemoteObject);

#[async_trait]
impl RemoteStub for Foreman {
    fn descriptor(&self) -> &str {
        "org.example.Foreman"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let sent = send(&self.0, HANG, CallOption::one_way()).await;
        sent.map_err(|error| HandlerError::Failed(error.to_string()))
    }
}

fn worker() -> (Arc<Worker>, RemoteObject) {
    let worker = Arc::new(Worker::default());
    let object = RemoteObject::from_arc(worker.clone());
    (worker, object)
}

async fn send(to: &RemoteObject, code: u32, option: CallOption) -> Result<(), SendRequestError> {
    let sent = to.send_request(code, &Parcel::new(), option).await;
    sent.map(drop)
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_runs_however_long_it_waits() {
    let (work, object) = worker();
    let (remote, _alive) = offer(&object).await;
    for to in [remote, object] {
        work.done.store(0, SeqCst);
        for _ in 0..200 {
            send(&to, WORK, CallOption::one_way()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(work.done.load(SeqCst), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_waits_eight_seconds_for_credit() {
    let (_work, object) = worker();
    let (remote, _alive) = offer(&object).await;
    let at_once = CallOption::one_way().no_wait();
    while send(&remote, HANG, at_once).await.is_ok() {}
    let begun = Instant::now();
    let sent = send(&remote, HANG, CallOption::one_way()).await;
    let after = Duration::from_secs(8);
    assert_eq!(sent, Err(SendRequestError::TimedOut { after }));
    assert_eq!(begun.elapsed().as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_was_asked_for_ends_it_in_the_same_process_too() {
    let (work, object) = worker();
    let (remote, _alive) = offer(&object).await;
    let short = CallOption::one_way().wait(Duration::from_secs(1));
    for to in [remote, object.clone()] {
        work.begun.store(0, SeqCst);
        send(&to, HANG, short).await.unwrap();
        // It expires before its turn comes.
        send(&to, WORK, short).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(object.stats().unwrap().running, 0);
        assert_eq!(work.begun.load(SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_call_that_its_sender_serves_ends_it() {
    let (work, object) = worker();
    let (remote, _alive) = offer(&object).await;
    for to in [remote, object.clone()] {
        work.begun.store(0, SeqCst);
        let foreman = RemoteObject::new(Foreman(to));
        let short = CallOption::two_way().wait(Duration::from_secs(1));
        send(&foreman, WORK, short).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(object.stats().unwrap().running, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(object.stats().unwrap().running, 0);
        assert_eq!(work.begun.load(SeqCst), 1);
    }
}

/// What its runtime had begun ends with it; the next one-way call runs on the next runtime.
#[test]
fn the_end_of_a_runtime_does_not_stop_the_one_way_calls_of_an_object() {
    let (work, object) = worker();
    let runtime = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let first = runtime();
    first.block_on(async {
        send(&object, HANG, CallOption::one_way()).await.unwrap();
        send(&object, WORK, CallOption::one_way()).await.unwrap();
        while work.begun.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    });
    drop(first);
    assert_eq!(object.stats().unwrap().running, 0);
    runtime().block_on(async {
        send(&object, WORK, CallOption::one_way()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(work.done.load(SeqCst), 1);
}
