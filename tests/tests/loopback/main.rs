//! Every scenario over QUIC on 127.0.0.1, and what only nodes can show. No multicast.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod admission;
mod devices;
mod faults;
mod pairing;
mod policy;
mod services;
mod sessions;
#[cfg(target_os = "linux")]
mod through_host;
mod versions;

use std::time::Duration;

use testkit::{
    scenarios::{presence, sizes},
    wait::run_within,
    world::{World, loopback::LoopbackWorld},
};

const DEADLINE: Duration = Duration::from_secs(60);

fn run(scenario: impl AsyncFnOnce(&mut dyn World)) {
    run_in(async |world: &mut LoopbackWorld| scenario(world).await);
}

/// For what needs more of a world than every world has.
fn run_in(scenario: impl AsyncFnOnce(&mut LoopbackWorld)) {
    let mut world = LoopbackWorld::new();
    run_within(DEADLINE, scenario(&mut world));
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
testkit::scenarios_of_nodes!(tests);

#[test]
fn a_restarted_device_replaces_the_one_before() {
    run(presence::a_restarted_device_replaces_the_one_before);
}

#[test]
fn a_hundred_megabytes_of_raw_data() {
    run(sizes::a_hundred_megabytes_of_raw_data);
}
