//! Avahi on two devices of the lab finds what the other publishes.

use std::net::IpAddr;
use std::time::Duration;

use testkit::avahi::{Avahi, Found};
use testkit::netns::Lab;
use testkit::wait::wait_for;

const SERVICE_TYPE: &str = "_softbus-lab._udp";

fn found_over_ipv4(avahi: &Avahi<'_>, name: &str) -> Option<Found> {
    let found = avahi.browse(SERVICE_TYPE).unwrap();
    found
        .into_iter()
        .find(|service| service.name == name && service.address.is_ipv4())
}

#[test]
fn avahi_sees_what_another_avahi_publishes_until_it_is_withdrawn() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let Some(one) = Avahi::or_skip(&lab, 1) else {
        return;
    };
    let Some(two) = Avahi::or_skip(&lab, 2) else {
        return;
    };
    assert_eq!(one.browse(SERVICE_TYPE).unwrap(), []);

    let published = two.publish(
        "Kitchen; the big one",
        SERVICE_TYPE,
        4711,
        &["v=1", "id=abc"],
    );
    let published = published.unwrap();
    assert_eq!(published.name(), "Kitchen; the big one");
    let soon = Duration::from_secs(30);
    let found = wait_for(soon, || found_over_ipv4(&one, published.name())).unwrap();
    assert_eq!(found.address, IpAddr::from(lab.address(2)));
    assert_eq!(found.host, "d2.local");
    assert_eq!(found.port, 4711);
    let mut txt = found.txt;
    txt.sort();
    assert_eq!(txt, ["id=abc", "v=1"]);

    drop(published);
    let gone = || one.browse(SERVICE_TYPE).unwrap().is_empty().then_some(());
    wait_for(soon, gone).expect("a withdrawn service is said goodbye to");
}
