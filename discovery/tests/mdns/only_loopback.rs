//! The guard every test takes that makes an mDNS engine: an engine joins multicast groups on every interface the moment
//! it is made, so it must not be made where there is another interface than loopback.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One engine's test at a time: they all use port 5353, and would find each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// `Some` if the calling thread is in a network namespace whose only interface is loopback; the engine must be made on
/// this thread or one it starts. Otherwise says `SKIPPED` and why, and fails the test if `SOFTBUS_NO_SKIP=1`.
///
/// To run these tests: `cargo test -p softbus-discovery --no-run`, then
/// `unshare -rn sh -c 'ip link set lo up; cargo test --offline -p softbus-discovery'`.
pub(crate) fn only_loopback() -> Option<MutexGuard<'static, ()>> {
    // Not /sys, which may show another namespace than the thread's.
    let table = std::fs::read_to_string("/proc/thread-self/net/dev");
    let reason = match table.as_deref().map(interfaces) {
        Ok(names) if names == ["lo"] => {
            return Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(names) => format!("there are other interfaces than lo: {names:?}"),
        Err(error) => format!("the interfaces are not known: {error}"),
    };
    assert!(
        std::env::var_os("SOFTBUS_NO_SKIP").is_none_or(|value| value != "1"),
        "would be skipped: {reason}"
    );
    eprintln!("SKIPPED: {reason}");
    None
}

fn interfaces(table: &str) -> Vec<&str> {
    table
        .lines()
        .skip(2)
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect()
}
