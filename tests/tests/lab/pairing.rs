//! Strangers on two machines pair.

use std::net::Ipv4Addr;

use softbus::{Identity, Node};
use testkit::{
    netns::Lab,
    scenarios::pairing::{self, Strangers},
    world::node::{NodeDevice, Vanish},
};

const PORT: u16 = 4100;

#[track_caller]
fn run(scenario: impl AsyncFnOnce(&Strangers)) {
    let Some(lab) = Lab::or_skip(2) else { return };
    let [phone, tv] = [1, 2].map(|place| {
        let identity = Identity::generate().unwrap();
        let builder = Node::builder().identity(identity).port(PORT);
        let start = || NodeDevice::start(builder, Vanish::Crash);
        lab.within(place, start).unwrap()
    });
    let strangers = Strangers {
        phone: phone.node(),
        tv: tv.node(),
        tv_at: (Ipv4Addr::new(10, 77, 0, 2), PORT).into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(scenario(&strangers));
}

#[test]
fn two_machines_pair_by_code() {
    run(pairing::by_code);
}

#[test]
fn two_machines_pair_by_qr_text() {
    run(pairing::by_qr);
}

#[test]
fn two_machines_pair_by_comparing() {
    run(pairing::by_comparing);
}

#[test]
fn a_wrong_code_pairs_no_two_machines() {
    run(pairing::by_a_wrong_code);
}
