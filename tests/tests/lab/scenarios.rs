//! Every scenario with each device in a network namespace of its own.

use std::time::Duration;

use testkit::{
    scenarios::{presence, watching},
    world::{World, lab::LabWorld},
};

const DEADLINE: Duration = Duration::from_secs(80);

#[track_caller]
fn run(scenario: impl AsyncFnOnce(&mut dyn World)) {
    let Some(mut world) = LabWorld::or_skip(3) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended =
        runtime.block_on(async { tokio::time::timeout(DEADLINE, scenario(&mut world)).await });
    ended.expect("the test ends in time");
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

#[test]
fn a_remote_watch_follows_its_service() {
    run(watching::a_remote_watch_follows_its_service);
}

#[test]
fn a_remote_watch_follows_an_own_service_too() {
    run(watching::a_remote_watch_follows_an_own_service_too);
}

#[test]
fn waits_do_not_hold_up_a_leave() {
    run(watching::waits_do_not_hold_up_a_leave);
}

#[test]
fn a_wait_outlives_a_restart_of_the_device() {
    run(watching::a_wait_outlives_a_restart_of_the_device);
}

#[test]
fn devices_come_and_go_in_order() {
    run(presence::devices_come_and_go_in_order);
}

#[test]
fn a_node_that_starts_again_has_its_peers_and_services_again() {
    run(presence::a_node_that_starts_again_has_its_peers_and_services_again);
}

#[test]
fn a_graceful_leave_is_told_at_once() {
    run(presence::a_graceful_leave_is_told_at_once);
}
