//! Every scenario of faults through relays of our own, over QUIC only and over TCP only.

use softbus::transport::Transports;
use testkit::{
    wait::run_within,
    world::{loopback::LoopbackWorld, relayed::RelayedWorld},
};

use crate::DEADLINE;

/// Decides what is lost.
const SEED: u64 = 8;

fn run_over(transports: Transports, scenario: impl AsyncFnOnce(&mut RelayedWorld)) {
    let mut world = LoopbackWorld::new().over(transports).with_relays(SEED);
    run_within(DEADLINE, scenario(&mut world));
}

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            super::run_over(TRANSPORTS, testkit::scenarios::$module::$name);
        }
    )* };
}

macro_rules! faults_over {
    ($($transport:ident: $transports:ident),* $(,)?) => { $(
        mod $transport {
            const TRANSPORTS: softbus::transport::Transports = softbus::transport::Transports::$transports;

            testkit::scenarios_of_all_faults!(tests);
        }
    )* };
}
faults_over! { quic: Quic, tcp: Tcp }
