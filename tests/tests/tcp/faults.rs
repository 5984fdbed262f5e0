//! Every scenario of faults over TCP, through relays of our own.

use softbus::transport::Transports;
use testkit::world::{loopback::LoopbackWorld, relayed::RelayedWorld};

use crate::DEADLINE;

/// Decides what is lost.
const SEED: u64 = 8;

fn run(scenario: impl AsyncFnOnce(&mut RelayedWorld)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = LoopbackWorld::new().over(Transports::Tcp);
    let mut world = world.with_relays(SEED);
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
testkit::scenarios_of_cuts!(tests);
testkit::scenarios_of_cuts_and_nodes!(tests);
testkit::scenarios_of_mutes!(tests);
testkit::scenarios_of_loss!(tests);
testkit::scenarios_of_delay!(tests);
testkit::scenarios_of_bandwidth!(tests);
testkit::scenarios_of_moves!(tests);
testkit::scenarios_of_sleep!(tests);
testkit::scenarios_of_outages!(tests);
