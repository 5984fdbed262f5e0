//! A trusted device that calls as fast as it can, over every limit it was told, and does not care what becomes of that.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use softbus::{
    CallOption, Node, Parcel, RemoteObject, SendRequestError, ServiceId,
    rpc::{Execution, StubOptions},
};
use testkit::scenarios::workbench::{SERVICE, code, parcel, workbench_with};
use tokio::task::JoinSet;

use super::Failure;

/// Where the workbench with the short queue is registered.
pub(crate) const NARROW: ServiceId = ServiceId::new(1406).expect("a number of a service");

/// A workbench that does one thing at a time, with few waiting.
pub(crate) fn narrow() -> RemoteObject {
    let options = StubOptions::execution(Execution::Serial).queue(16);
    workbench_with(options).0
}

/// Calls that go on until [`calm`](Self::calm).
#[derive(Debug)]
pub(crate) struct Flood {
    told: Arc<Told>,
    /// Who aborts them gives up what they wait for.
    at_work: JoinSet<()>,
}

/// What came of the calls.
#[derive(Debug, Default)]
struct Told {
    answered: AtomicU64,
    busy: AtomicU64,
    one_way: AtomicU64,
    one_way_busy: AtomicU64,
    failed: AtomicU64,
    /// Of those that failed, the last.
    error: Mutex<Option<String>>,
}

impl Flood {
    /// `flood DEVICE COUNT`.
    pub(crate) async fn begin(node: &Node, line: &str) -> Result<Self, Failure> {
        let words: Vec<_> = line.split(' ').collect();
        let [_, device, at_a_time] = words[..] else {
            return Err("flood DEVICE COUNT".into());
        };
        let device = device.parse()?;
        let wide = node.samgr().get(SERVICE, &device).await?;
        let narrow = node.samgr().get(NARROW, &device).await?;
        let told = Arc::<Told>::default();
        let mut at_work = JoinSet::new();
        for number in 0..at_a_time.parse::<u32>()? {
            let proxy = [&wide, &narrow][number as usize % 2].clone();
            at_work.spawn(call(proxy, Arc::clone(&told)));
        }
        at_work.spawn(send(wide, Arc::clone(&told)));
        Ok(Self { told, at_work })
    }

    /// Ends them, and says what they were told.
    pub(crate) fn calm(self) -> Value {
        drop(self.at_work);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let error = self.told.error.lock();
        json!({
            "event": "calm",
            "answered": count(&self.told.answered),
            "busy": count(&self.told.busy),
            "one-way": count(&self.told.one_way),
            "one-way busy": count(&self.told.one_way_busy),
            "failed": count(&self.told.failed),
            "error": *error.unwrap_or_else(PoisonError::into_inner),
        })
    }
}

fn took(time: Duration) -> Parcel {
    parcel(|data| data.write_u32(time.as_millis() as u32))
}

/// Two-way calls one after the other, whatever comes of them.
async fn call(proxy: RemoteObject, told: Arc<Told>) {
    let data = took(Duration::from_millis(1));
    loop {
        let option = CallOption::two_way();
        match proxy.send_request(code::TAKE_TIME, &data, option).await {
            Ok(_) => told.answered.fetch_add(1, Ordering::Relaxed),
            Err(SendRequestError::Busy { .. }) => told.busy.fetch_add(1, Ordering::Relaxed),
            Err(error) => told.fail(&error),
        };
        // What is refused here is refused at once, and others are on this thread.
        tokio::task::yield_now().await;
    }
}

/// One-way calls that wait for no room: as many in a row as there is some for.
async fn send(proxy: RemoteObject, told: Arc<Told>) {
    let data = took(Duration::ZERO);
    loop {
        let option = CallOption::one_way().no_wait();
        match proxy.send_request(code::TAKE_TIME, &data, option).await {
            Ok(_) => {
                told.one_way.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(SendRequestError::Busy { .. }) => told.one_way_busy.fetch_add(1, Ordering::Relaxed),
            Err(error) => told.fail(&error),
        };
        tokio::task::yield_now().await;
    }
}

impl Told {
    fn fail(&self, error: &SendRequestError) -> u64 {
        let mut last = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(error.to_string());
        self.failed.fetch_add(1, Ordering::Relaxed)
    }
}
