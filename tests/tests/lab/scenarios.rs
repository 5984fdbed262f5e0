//! Every scenario with each device in a network namespace of its own: by QUIC alone, and by TCP alone.

use std::time::Duration;

use softbus::transport::Transports;
use testkit::{
    wait::run_within,
    world::{World, clocks::ClockWorld, lab::LabWorld},
};

const DEADLINE: Duration = Duration::from_secs(80);

#[track_caller]
fn run(scenario: impl AsyncFnOnce(&mut dyn World)) {
    run_over(Transports::Quic, async |world| scenario(world).await);
}

/// For what needs more of a world than every world has.
#[track_caller]
fn run_over(transports: Transports, scenario: impl AsyncFnOnce(&mut LabWorld)) {
    // A place for a stranger is left.
    let Some(world) = LabWorld::or_skip(4) else {
        return;
    };
    let mut world = world.over(transports);
    run_within(DEADLINE, scenario(&mut world));
}

/// For what needs a wall clock that can be set.
#[track_caller]
fn run_by_the_clock(transports: Transports, scenario: impl AsyncFnOnce(&mut ClockWorld)) {
    let lab_node = env!("CARGO_BIN_EXE_lab_node");
    if let Some(mut world) = ClockWorld::or_skip(lab_node, 2, transports) {
        run_within(DEADLINE, scenario(&mut world));
    }
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

/// By TCP alone, what is above.
mod by_tcp {
    macro_rules! tests {
        ($($module:ident :: $name:ident),* $(,)?) => { $(
            #[test]
            fn $name() {
                super::run_over(super::Transports::Tcp, async |world| {
                    testkit::scenarios::$module::$name(world).await;
                });
            }
        )* };
    }
    testkit::scenarios!(tests);
    testkit::scenarios_on_demand!(tests);
    testkit::scenarios_of_devices!(tests);
    testkit::scenarios_of_nodes!(tests);
}

/// What can be done to devices of a lab, over QUIC only and over TCP only.
macro_rules! tests_of_faults {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            super::run_over(TRANSPORTS, testkit::scenarios::$module::$name);
        }
    )* };
}

macro_rules! tests_of_clocks {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            super::run_by_the_clock(TRANSPORTS, testkit::scenarios::$module::$name);
        }
    )* };
}

macro_rules! faults_over {
    ($($transport:ident: $transports:ident),* $(,)?) => { $(
        mod $transport {
            const TRANSPORTS: softbus::transport::Transports = softbus::transport::Transports::$transports;

            testkit::scenarios_of_all_faults!(tests_of_faults);
            testkit::scenarios_of_flaps!(tests_of_faults);
            testkit::scenarios_of_multicast!(tests_of_faults);
            testkit::scenarios_of_clocks!(tests_of_clocks);
        }
    )* };
}
faults_over! { quic: Quic, tcp: Tcp }
