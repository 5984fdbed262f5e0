//! Somebody else's mDNS: avahi sees our announcement, and we see what avahi announces.

use std::{net::IpAddr, sync::Arc, time::Duration};

use softbus::{
    DeviceId, Interfaces, Node, TrustStore,
    certs::Identity,
    discovery::{Announcement, InstanceName, ProtocolVersions},
    presence::Presence,
};
use testkit::{
    avahi::Avahi,
    netns::Lab,
    wait::{run_within, wait_for},
    world::{
        Device,
        node::{NodeDevice, Vanish},
    },
};

const SERVICE_TYPE: &str = "_softbus._udp";
const SOON: Duration = Duration::from_secs(30);

fn node(lab: &Lab, place: usize, trusted: &[DeviceId]) -> Arc<NodeDevice> {
    let trust = TrustStore::in_memory();
    for device in trusted {
        trust.trust(*device, "avahi").unwrap();
    }
    let builder = Node::builder()
        .identity(Identity::generate().unwrap())
        .trust(trust)
        .mdns(Interfaces::All);
    let device = lab.within(place, || NodeDevice::start(builder, Vanish::Crash));
    Arc::new(device.unwrap())
}

#[test]
fn avahi_sees_a_node_until_it_leaves() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let Some(avahi) = Avahi::or_skip(&lab, 1) else {
        return;
    };
    let node = node(&lab, 2, &[]);
    let found = wait_for(SOON, || {
        let found = avahi.browse(SERVICE_TYPE).unwrap();
        found.into_iter().find(|service| service.address.is_ipv4())
    });
    let found = found.expect("avahi finds and resolves the node");
    assert_eq!(found.name, InstanceName::new(&node.id()).as_str());
    assert_eq!(found.service_type, SERVICE_TYPE);
    assert_eq!(found.address, IpAddr::from(lab.address(2)));
    assert_eq!(found.port, node.node().local_addr().unwrap().port());
    let txt: Vec<_> = found
        .txt
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(key, value)| (key, Some(value.as_bytes())))
        .collect();
    let read = Announcement::from_txt(&found.name, txt).unwrap();
    assert_eq!((read.id, read.name), (node.id(), None));

    run_within(SOON, node.leave());
    let gone = wait_for(SOON, || {
        let found = avahi.browse(SERVICE_TYPE).unwrap();
        found.is_empty().then_some(())
    });
    gone.expect("a node that leaves says goodbye");
}

#[test]
fn a_node_sees_what_avahi_announces() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let Some(avahi) = Avahi::or_skip(&lab, 1) else {
        return;
    };
    let announced = *Identity::generate().unwrap().device_id();
    let versions = ProtocolVersions::new(1, 1).unwrap();
    let announcement = Announcement::new(announced, versions, 7).with_name("kitchen");
    let txt: Vec<_> = announcement
        .to_txt()
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let txt: Vec<_> = txt.iter().map(String::as_str).collect();
    let name = InstanceName::new(&announced);
    let node = node(&lab, 2, &[announced]);
    let published = avahi.publish(name.as_str(), SERVICE_TYPE, 4711, &txt);
    let published = published.unwrap();

    let found = wait_for(SOON, || {
        let devices = node.node().devices().into_iter();
        let mut found = devices.filter(|device| device.id == announced);
        found.next().filter(|device| !device.addresses.is_empty())
    });
    let found = found.expect("the node hears avahi");
    assert_eq!(found.name.as_deref(), Some("kitchen"));
    assert!(!found.is_online(), "nobody is there who could prove it");
    assert!(
        matches!(found.presence, Presence::Candidate | Presence::Connecting),
        "{:?}",
        found.presence
    );
    let address = (IpAddr::from(lab.address(1)), 4711);
    assert!(found.addresses.contains(&address.into()), "{found:?}");

    drop(published);
    let gone = wait_for(SOON, || {
        let devices = node.node().devices();
        (!devices.iter().any(|device| device.id == announced)).then_some(())
    });
    gone.expect("what is withdrawn is forgotten");
}
