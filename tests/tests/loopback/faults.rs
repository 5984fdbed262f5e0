//! Every scenario of faults over QUIC, through relays of our own.

use softbus::transport::Transports;
use testkit::{
    wait::run_within,
    world::{loopback::LoopbackWorld, relayed::RelayedWorld},
};

use crate::DEADLINE;

/// Decides what is lost.
const SEED: u64 = 8;

fn run(scenario: impl AsyncFnOnce(&mut RelayedWorld)) {
    let world = LoopbackWorld::new().over(Transports::Quic);
    let mut world = world.with_relays(SEED);
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
testkit::scenarios_of_all_faults!(tests);
