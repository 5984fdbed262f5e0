//! The lab keeps its promises: packets pass, and every fault does what its name says.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod avahi;
mod calls;
mod clock;
mod faults;
mod hostile;
mod interop;
mod links;
mod networks;
mod nodes;
mod pairing;
mod processes;
mod scenarios;
mod sessions;
mod site;
mod strangers;
mod transports;
mod warm;
mod weather;

/// Runs what has to end in time.
#[track_caller]
fn run_within(time: std::time::Duration, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(time, test).await });
    ended.expect("the test ends in time");
}
