//! Calls that go on whatever happens, and what became of each.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use softbus::{CallError, CallOption, DeviceId, Node, SendRequestError};
use tokio::sync::oneshot;

use super::marks::{MARKS, MarksProxy};
use crate::program::{Result, clock, stats};

/// How long nobody is called after a call that failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(5);

/// How long a call of a stream waits.
const WAIT: Duration = Duration::from_secs(2);

pub(super) struct Stream {
    stop: oneshot::Sender<()>,
    log: Rc<RefCell<Log>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Log {
    /// How many were begun: their numbers are those below.
    begun: u64,
    /// Those that were answered, as ranges.
    answered: Vec<(u64, u64)>,
    /// Those that certainly were not made, and those of which that is not known.
    failed: Vec<u64>,
    unknown: Vec<u64>,
    kinds: BTreeMap<String, u64>,
    took: Vec<f64>,
    /// When the last was answered, and the longest time between two answers.
    last: Option<f64>,
    gap: f64,
}

impl Log {
    fn answered(&mut self, number: u64, took: f64) {
        match self.answered.last_mut() {
            Some((_, to)) if *to + 1 == number => *to = number,
            _ => self.answered.push((number, number)),
        }
        self.took.push(took);
        let now = clock::now();
        if let Some(last) = self.last.replace(now) {
            self.gap = self.gap.max(now - last);
        }
    }

    fn to_json(&self, event: &str) -> Value {
        json!({
            "event": event,
            "begun": self.begun,
            "never_ended": 0,
            "answered": self.answered,
            "failed": self.failed,
            "unknown": self.unknown,
            "kinds": self.kinds,
            "p50": stats::percentile(&self.took, 50),
            "p99": stats::percentile(&self.took, 99),
            "gap": self.gap,
        })
    }

    fn failed(&mut self, number: u64, error: &CallError) {
        *self.kinds.entry(error.to_string()).or_default() += 1;
        match error {
            CallError::Send(
                SendRequestError::Indeterminate
                | SendRequestError::TimedOut { .. }
                | SendRequestError::Cancelled,
            ) => self.unknown.push(number),
            _ => self.failed.push(number),
        }
    }
}

impl Stream {
    pub(super) fn begin(node: &Node, device: DeviceId, run: u64) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let log: Rc<RefCell<Log>> = Rc::default();
        let (node, calls) = (node.clone(), Rc::clone(&log));
        let task = tokio::task::spawn_local(async move {
            let go_on = |_: &Log| stopped.try_recv().is_err();
            call_on(
                &node,
                device,
                run,
                CallOption::two_way().wait(WAIT),
                &calls,
                go_on,
            )
            .await;
        });
        Self { stop, log, task }
    }

    /// Waits for the call that is under way: each has to end.
    pub(super) async fn end(self) -> Result<Value> {
        let silent = self.log.borrow().last.map(|last| clock::now() - last);
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        let mut said = self.log.borrow().to_json("streamed");
        said["never_ended"] = u64::from(ended.is_err()).into();
        said["silent"] = silent.into();
        Ok(said)
    }
}

/// As many calls, or as many as there is time for, whatever becomes of each.
pub(super) async fn counted(
    node: &Node,
    device: DeviceId,
    run: u64,
    count: u64,
    at_most: Duration,
) -> Value {
    let (log, begun) = (RefCell::default(), Instant::now());
    let go_on = |log: &Log| log.begun < count && begun.elapsed() < at_most;
    call_on(node, device, run, CallOption::two_way(), &log, go_on).await;
    let log = log.into_inner();
    let mut said = log.to_json("called");
    said["most"] = stats::most(&log.took).into();
    said["per_second"] = (log.took.len() as f64 / begun.elapsed().as_secs_f64()).into();
    said
}

async fn call_on(
    node: &Node,
    device: DeviceId,
    run: u64,
    option: CallOption,
    log: &RefCell<Log>,
    mut go_on: impl FnMut(&Log) -> bool,
) {
    let mut proxy = None;
    while go_on(&log.borrow()) {
        let Some(known) = &proxy else {
            let got = node
                .samgr()
                .get_within(MARKS, &device, Duration::from_secs(2))
                .await;
            proxy = got.ok().map(MarksProxy::new);
            if proxy.is_none() {
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
            continue;
        };
        let number = {
            let mut log = log.borrow_mut();
            log.begun += 1;
            log.begun - 1
        };
        let begun = Instant::now();
        let ended = known.with_option(option).mark(run, number).await;
        match ended {
            Ok(_) => {
                let took = begun.elapsed().as_secs_f64() * 1000.0;
                log.borrow_mut().answered(number, took);
            }
            Err(error) => {
                log.borrow_mut().failed(number, &error);
                if known.as_object().is_dead() {
                    proxy = None;
                }
                // What fails at once would fail for ever if nobody else got a turn.
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
    }
}
