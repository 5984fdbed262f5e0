//! What takes its time, or counts what the whole process has: one test at a time, over QUIC on 127.0.0.1.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use testkit::{
    scenarios::{SOON, cycles::connects_and_kills_leave_nothing_behind, sizes},
    wait::{run_within, wait_until},
    world::{World, loopback::LoopbackWorld},
};

const DEADLINE: Duration = Duration::from_secs(120);

/// What one of them does shows in the counts and times of the others.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<T>(scenario: impl AsyncFnOnce(&mut dyn World) -> T) -> T {
    let mut world = LoopbackWorld::new();
    run_within(DEADLINE, scenario(&mut world))
}

#[test]
fn ten_megabytes_a_hundred_times() {
    let _alone = alone();
    run(sizes::ten_megabytes_a_hundred_times);
}

#[test]
fn latency_is_recorded() {
    let _alone = alone();
    run(sizes::latency_is_recorded);
}

#[test]
fn small_calls_go_on_beside_a_large_transfer() {
    let _alone = alone();
    run(sizes::small_calls_go_on_beside_a_large_transfer);
}

/// Descriptors, sockets among them, and threads of this process.
#[cfg(target_os = "linux")]
fn open() -> [usize; 2] {
    ["/proc/self/fd", "/proc/self/task"].map(|list| std::fs::read_dir(list).unwrap().count())
}

/// Row 161 over real sockets: 300 cycles, or as many as fit into 20 s. The thousand of that row are in the tests over memory links.
#[cfg(target_os = "linux")]
#[test]
fn killed_nodes_leave_no_descriptor_and_no_thread() {
    let _alone = alone();
    run(async |world| {
        let a_few = connects_and_kills_leave_nothing_behind(world, 3, SOON).await;
        assert_eq!(a_few, 3);
    });
    // What is made once, by whoever comes first, is there now.
    let before = open();
    run(async |world| {
        let at_most = Duration::from_secs(20);
        let cycles = connects_and_kills_leave_nothing_behind(world, 300, at_most).await;
        println!("{cycles} cycles");
        assert!(cycles >= 10, "{cycles}");
    });
    // Of the threads one may be the test harness's.
    let as_before = || open()[0] == before[0] && open()[1] <= before[1] + 1;
    assert!(
        wait_until(SOON, as_before),
        "{:?} and not {before:?}",
        open()
    );
}
