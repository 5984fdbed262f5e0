//! Strangers on 127.0.0.1 pair. What goes wrong is in `softbus/tests/pairing.rs`.

use softbus::{Identity, Node};
use testkit::{
    scenarios::pairing::{self, Strangers},
    world::loopback::LOCAL,
};

fn run(scenario: impl AsyncFnOnce(&Strangers)) {
    crate::run_in(async |_| {
        let [phone, tv] = [(); 2].map(|()| {
            let builder = Node::builder().identity(Identity::generate().unwrap());
            builder.listen(LOCAL).start()
        });
        let (phone, tv) = (phone.await.unwrap(), tv.await.unwrap());
        let tv_at = tv.local_addr().unwrap();
        scenario(&Strangers { phone, tv, tv_at }).await;
    });
}

#[test]
fn strangers_pair_by_code() {
    run(pairing::by_code);
}

#[test]
fn strangers_pair_by_qr_text() {
    run(pairing::by_qr);
}

#[test]
fn strangers_pair_by_comparing() {
    run(pairing::by_comparing);
}

#[test]
fn a_wrong_code_pairs_nobody() {
    run(pairing::by_a_wrong_code);
}
