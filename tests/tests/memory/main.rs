//! Every scenario over memory links, on a clock that moves only when everybody waits.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod hostile;

use std::time::Duration;

use testkit::{
    scenarios::{SOON, cycles::connects_and_kills_leave_nothing_behind, loading, waits},
    wait::run_on,
    world::{World, memory::MemoryWorld},
};

/// Virtual, so longer than any wait there is.
const DEADLINE: Duration = Duration::from_secs(100_000);

fn run(scenario: impl AsyncFnOnce(&mut dyn World)) {
    run_in(async |world: &mut MemoryWorld| scenario(world).await);
}

/// For what needs more of a world than every world has.
fn run_in(scenario: impl AsyncFnOnce(&mut MemoryWorld)) {
    let mut world = MemoryWorld::default();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true);
    run_on(runtime, DEADLINE, scenario(&mut world));
}

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            run(testkit::scenarios::$module::$name);
        }
    )* };
}
testkit::scenarios!(tests);
testkit::scenarios_on_demand!(tests);
testkit::scenarios_of_devices!(tests);

macro_rules! tests_of_faults {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            run_in(testkit::scenarios::$module::$name);
        }
    )* };
}
testkit::scenarios_of_cuts!(tests_of_faults);
testkit::scenarios_of_mutes!(tests_of_faults);
testkit::scenarios_of_outages!(tests_of_faults);

#[test]
fn the_default_wait_is_eight_seconds() {
    run(waits::the_default_wait_is_eight_seconds);
}

#[test]
fn a_stop_that_takes_too_long_is_not_waited_for() {
    run(loading::a_stop_that_takes_too_long_is_not_waited_for);
}

#[test]
fn waits_have_bounds() {
    run(waits::waits_have_bounds);
}

/// Row 161: a thousand times, and no task, session or entry is left.
#[test]
fn a_thousand_connects_and_kills_leave_nothing_behind() {
    run_in(async |world| {
        let metrics = tokio::runtime::Handle::current().metrics();
        let before = metrics.num_alive_tasks();
        let ever = Duration::MAX;
        let cycles = connects_and_kills_leave_nothing_behind(world, 1000, ever).await;
        assert_eq!(cycles, 1000);
        let ended = async || metrics.num_alive_tasks() == before;
        let ended = testkit::wait::wait_until_async(SOON, ended).await;
        assert!(
            ended,
            "{} tasks and not {before}",
            metrics.num_alive_tasks()
        );
    });
}
