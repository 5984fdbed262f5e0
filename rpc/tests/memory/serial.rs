//! A serial stub and what its own handlers call: only what they wait for runs beside them, one at a time.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use softbus_rpc::{
    CallOption, Caller, Execution, HandlerError, Parcel, RemoteObject, RemoteStub,
    SendRequestError, StubOptions, async_trait,
};

use crate::pair::offer;

/// Takes a moment.
const WORK: u32 = 1;
/// Calls its own `WORK` and waits for it.
const NEST: u32 = 2;
/// Calls its own `WORK` one-way and goes on for a while.
const POST: u32 = 3;
/// Calls its own `NEST` and `WORK` at the same time.
const JOIN: u32 = 4;
/// Lets the other device call it as often as it likes, in this way.
const FLOOD: u32 = 5;
const FLOOD_ONE_WAY: u32 = 6;

/// Who does one thing at a time, and counts how many it does.
#[derive(Default)]
struct Clerk {
    itself: Mutex<Option<RemoteObject>>,
    other: Mutex<Option<RemoteObject>>,
    now: AtomicUsize,
    most: AtomicUsize,
    done: AtomicUsize,
}

async fn call(to: &RemoteObject, code: u32, option: CallOption) -> Result<(), HandlerError> {
    let sent = to.send_request(code, &Parcel::new(), option).await;
    sent.map(drop)
        .map_err(|error| HandlerError::Failed(error.to_string()))
}

#[async_trait]
impl RemoteStub for Clerk {
    fn descriptor(&self) -> &str {
        "org.example.Clerk"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Serial).queue(4)
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        let moment = Duration::from_millis(10);
        let itself = self.itself.lock().unwrap().clone().unwrap();
        let other = self.other.lock().unwrap().clone();
        let ended = match code {
            WORK => {
                tokio::time::sleep(moment).await;
                Ok(())
            }
            NEST => call(&itself, WORK, CallOption::two_way()).await,
            POST => {
                let posted = call(&itself, WORK, CallOption::one_way()).await;
                tokio::time::sleep(10 * moment).await;
                posted
            }
            JOIN => {
                let nest = call(&itself, NEST, CallOption::two_way());
                let work = call(&itself, WORK, CallOption::two_way());
                let (nest, work) = tokio::join!(nest, work);
                nest.and(work)
            }
            _ => {
                let mut data = Parcel::new();
                data.write_remote_object(&itself)?;
                let other = other.unwrap();
                let two_way = CallOption::two_way();
                let sent = other.send_request(code, &data, two_way).await;
                sent.map(drop)
                    .map_err(|error| HandlerError::Failed(error.to_string()))
            }
        };
        self.now.fetch_sub(1, SeqCst);
        self.done.fetch_add(1, SeqCst);
        ended
    }
}

/// Calls back what it is given, 200 times at once, and counts what was refused.
#[derive(Default)]
struct Flood {
    busy: AtomicUsize,
}

#[async_trait]
impl RemoteStub for Flood {
    fn descriptor(&self) -> &str {
        "org.example.Flood"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let clerk = data.read_remote_object()?;
        let option = match code {
            FLOOD => CallOption::two_way(),
            _ => CallOption::one_way(),
        };
        let work = Parcel::new();
        let mut calls: Vec<_> = (0..200)
            .map(|_| Box::pin(clerk.send_request(WORK, &work, option)))
            .collect();
        // In this task, so that each of them belongs to the call.
        let mut all = pin!(poll_fn(|cx| {
            calls.retain_mut(|call| match call.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(ended) => {
                    if let Err(SendRequestError::Busy { .. }) = ended {
                        self.busy.fetch_add(1, SeqCst);
                    }
                    false
                }
            });
            if calls.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        all.as_mut().await;
        clerk.flush(Duration::from_secs(1)).await.ok();
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    }
}

/// A clerk, and a flood on another device that it can call.
async fn clerk() -> (RemoteObject, Arc<Clerk>, Arc<Flood>, impl Sized) {
    let flood = Arc::new(Flood::default());
    let (other, alive) = offer(&RemoteObject::from_arc(flood.clone())).await;
    let clerk = Arc::new(Clerk::default());
    let object = RemoteObject::from_arc(clerk.clone());
    *clerk.itself.lock().unwrap() = Some(object.clone());
    *clerk.other.lock().unwrap() = Some(other);
    (object, clerk, flood, alive)
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_waits_for_its_turn() {
    for (code, done) in [(POST, 2), (FLOOD_ONE_WAY, 2)] {
        let (object, clerk, _flood, _alive) = clerk().await;
        call(&object, code, CallOption::two_way()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(clerk.most.load(SeqCst), 1);
        assert!(clerk.done.load(SeqCst) >= done);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_handler_waits_for_runs_one_at_a_time_and_ends() {
    let (object, clerk, _flood, _alive) = clerk().await;
    call(&object, JOIN, CallOption::two_way()).await.unwrap();
    assert_eq!(clerk.done.load(SeqCst), 4);
    assert_eq!(
        clerk.most.load(SeqCst),
        3,
        "the first one, what it waits for, and what that waits for"
    );
}

#[tokio::test(start_paused = true)]
async fn whom_a_serial_stub_calls_does_not_get_past_its_queue() {
    let (object, clerk, flood, _alive) = clerk().await;
    call(&object, FLOOD, CallOption::two_way()).await.unwrap();
    assert_eq!(clerk.most.load(SeqCst), 2);
    // One beside the handler that waits, and two behind it: four are in the queue.
    assert_eq!(flood.busy.load(SeqCst), 197);
}
