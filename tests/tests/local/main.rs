//! Processes of one device, on Unix sockets: file descriptors and shared memory, and processes that mean harm. One test at
//! a time: they count what this process has open.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod another_process;
mod closed;
mod door;
mod handed;
mod hostile;
mod inherited;
mod passed;
mod raw;
mod stage;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use testkit::wait::run_within;

const SOON: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(60);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test, on a runtime of its own.
fn run(test: impl Future<Output = ()>) {
    let _alone = alone();
    run_within(DEADLINE, test);
}
