//! The number of threads of blocking handlers, and threads that are lent to them. What is set is the process's, so this is a
//! test of its own.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread::{self, ThreadId},
    time::Duration,
};

use softbus_rpc::{
    CallOption, Caller, Execution, HandlerError, Parcel, RemoteObject, RemoteStub, StubOptions,
    async_trait, lend_thread, limits, raise_blocking_threads, take_back_thread,
};

const MEET: u32 = 1;
const WHERE: u32 = 2;
const LEAVE: u32 = 3;

/// Handlers that meet: none of them ends before all of them run.
struct Meeting {
    all: Barrier,
    seen: mpsc::Sender<ThreadId>,
}

#[async_trait]
impl RemoteStub for Meeting {
    fn descriptor(&self) -> &str {
        "org.example.Meeting"
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
            MEET => drop(self.all.wait()),
            WHERE => {}
            LEAVE => drop(take_back_thread()),
            _ => return Err(HandlerError::UnknownMethod),
        }
        self.seen
            .send(thread::current().id())
            .map_err(|_| HandlerError::Refused)
    }
}

async fn call(object: &RemoteObject, code: u32) {
    let option = CallOption::two_way().wait(Duration::from_secs(60));
    let done = object.send_request(code, &Parcel::new(), option).await;
    assert!(done.is_ok(), "{done:?}");
}

// Rows 25, 91 and 92.
#[tokio::test]
async fn threads_are_raised_and_lent() {
    let max = limits::MAX_BLOCKING_THREADS;
    assert_eq!(raise_blocking_threads(1), limits::BLOCKING_THREADS);
    assert_eq!(raise_blocking_threads(1000), max);
    assert!(!take_back_thread(), "this one is not lent");

    let (seen, threads) = mpsc::channel();
    let object = RemoteObject::new(Meeting {
        all: Barrier::new(max + 1),
        seen,
    });
    let lent = thread::spawn(|| {
        lend_thread();
        thread::current().id()
    });
    // As many as there are threads, and the one that is lent.
    let object = Arc::new(object);
    let calls: Vec<_> = (0..=max)
        .map(|_| {
            let object = Arc::clone(&object);
            tokio::spawn(async move { call(&object, MEET).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let meeting: Vec<_> = threads.try_iter().collect();
    assert!(meeting.contains(&lent.thread().id()));

    // It comes before the others, once it waits again.
    loop {
        call(&object, WHERE).await;
        if threads.recv().unwrap() == lent.thread().id() {
            break;
        }
    }
    loop {
        call(&object, LEAVE).await;
        if threads.recv().unwrap() == lent.thread().id() {
            break;
        }
    }
    let id = lent.join().unwrap();
    call(&object, WHERE).await;
    assert_ne!(threads.recv().unwrap(), id);
}
