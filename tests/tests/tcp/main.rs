//! Every scenario over TLS on TCP, on 127.0.0.1: what a session is like where no UDP gets through.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::time::Duration;

use softbus::transport::{Transport, Transports};
use testkit::{
    scenarios::{self, presence, sizes},
    world::{World, loopback::LoopbackWorld},
};

const DEADLINE: Duration = Duration::from_secs(60);

fn run(scenario: impl AsyncFnOnce(&mut dyn World)) {
    run_in(async |world: &mut LoopbackWorld| scenario(world).await);
}

fn run_in(scenario: impl AsyncFnOnce(&mut LoopbackWorld)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut world = LoopbackWorld::new().over(Transports::Tcp);
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
testkit::scenarios_of_nodes!(tests);

#[test]
fn a_restarted_device_replaces_the_one_before() {
    run(presence::a_restarted_device_replaces_the_one_before);
}

#[test]
fn a_hundred_megabytes_of_raw_data() {
    run(sizes::a_hundred_megabytes_of_raw_data);
}

#[test]
fn the_transport_of_a_session_is_told() {
    run_in(async |world| {
        let (a, b) = (world.node(), world.node());
        let mut events = a.node().device_events();
        scenarios::next_event(&mut events).await;
        let devices = a.node().devices();
        let of_b = devices
            .iter()
            .find(|device| device.id == b.node().device_id());
        assert_eq!(of_b.unwrap().transport, Some(Transport::Tcp));
    });
}
