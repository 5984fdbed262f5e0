//! Every scenario over TLS on TCP, on 127.0.0.1: what a session is like where no UDP gets through.

use std::time::Duration;

use softbus::{
    CallOption, Parcel,
    transport::{Transport, Transports},
};
use testkit::{
    scenarios::{
        self, presence, sizes,
        workbench::{code, reverse},
    },
    wait::run_within,
    world::{World, loopback::LoopbackWorld},
};

const DEADLINE: Duration = Duration::from_secs(60);

fn run(scenario: impl AsyncFnOnce(&mut dyn World)) {
    run_in(async |world: &mut LoopbackWorld| scenario(world).await);
}

fn run_in(scenario: impl AsyncFnOnce(&mut LoopbackWorld)) {
    let mut world = LoopbackWorld::new().over(Transports::Tcp);
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

/// A transfer goes in pieces, and calls go before it.
#[test]
fn calls_go_on_beside_a_transfer() {
    run(async |world| {
        let pair = scenarios::pair(world).await;
        let sent: Vec<u8> = (0..64_u32 << 20).map(|n| (n / 7) as u8).collect();
        let mut data = Parcel::new();
        data.write_i32(sent.len() as i32).unwrap();
        data.write_raw_data(sent.clone()).unwrap();
        let option = CallOption::two_way();
        let transfer = pair.proxy.send_request(code::RAW, &data, option);
        tokio::pin!(transfer);
        let mut beside = 0;
        let mut reply = loop {
            tokio::select! {
                biased;
                reply = &mut transfer => break reply.unwrap(),
                answer = reverse(&pair.proxy, 2019) => assert_eq!(answer.unwrap(), 9102),
            }
            beside += 1;
        };
        assert_eq!(reply.read_raw_data(sent.len()).unwrap(), sent);
        // Were they behind it, there would be one.
        assert!(beside >= 10, "{beside} calls while 128 MiB went by");
    });
}
