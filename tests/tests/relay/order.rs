//! One-way calls of one proxy run in order, and a two-way call behind them comes behind them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use softbus::rpc::{
    CallOption, Caller, Execution, HandlerError, Parcel, RemoteObject, RemoteStub, StubOptions,
    async_trait,
};
use testkit::wait::wait_until_async;
use tokio::sync::Semaphore;

use crate::world::World;

const NOTE: u32 = 1;

struct Notebook {
    notes: Mutex<Vec<i32>>,
    /// Each note takes one.
    allowed: Semaphore,
}

#[async_trait]
impl RemoteStub for Shared {
    fn descriptor(&self) -> &str {
        "test.Notebook"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Serial)
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        data: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.0.allowed.acquire().await.unwrap().forget();
        self.0.notes.lock().unwrap().push(data.read_i32()?);
        Ok(())
    }
}

struct Shared(Arc<Notebook>);

fn notebook(allowed: usize) -> (RemoteObject, Arc<Notebook>) {
    let notebook = Arc::new(Notebook {
        notes: Mutex::default(),
        allowed: Semaphore::new(allowed),
    });
    (RemoteObject::new(Shared(Arc::clone(&notebook))), notebook)
}

async fn note(proxy: &RemoteObject, number: i32) {
    let mut data = Parcel::new();
    data.write_i32(number).unwrap();
    let patient = CallOption::one_way().wait(Duration::from_secs(3000));
    let sent = proxy.send_request(NOTE, &data, patient).await;
    sent.unwrap();
}

async fn noted(notebook: &Notebook, count: i32) {
    let all = async || notebook.notes.lock().unwrap().len() == count as usize;
    assert!(wait_until_async(Duration::from_secs(60), all).await);
    assert_eq!(*notebook.notes.lock().unwrap(), Vec::from_iter(0..count));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_the_one_way_calls_before_it() {
    let world = World::new().await;
    let (stub, notebook) = notebook(0);
    world.other.offer(&stub);
    let proxy = world.get().await;
    for number in 0..500 {
        note(&proxy, number).await;
    }
    proxy.flush(Duration::from_secs(60)).await.unwrap();
    // What had not been passed on by now would be lost.
    world.part(&world.process, 1);
    notebook.allowed.add_permits(500);
    noted(&notebook, 500).await;
}

#[tokio::test(start_paused = true)]
async fn who_sends_faster_than_the_service_runs_waits_and_nothing_is_lost() {
    let world = World::new().await;
    let (stub, notebook) = notebook(0);
    world.other.offer(&stub);
    let proxy = world.get().await;
    // More than two sessions take unacknowledged.
    let all = 3000;
    let sending = async {
        for number in 0..all {
            note(&proxy, number).await;
        }
    };
    let mut sending = std::pin::pin!(sending);
    let early = tokio::time::timeout(Duration::from_secs(60), &mut sending).await;
    assert!(early.is_err(), "the sender waits");
    notebook.allowed.add_permits(all as usize);
    sending.await;
    noted(&notebook, all).await;
}
