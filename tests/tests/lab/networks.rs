//! Interfaces that come and go, and devices that are on two networks.

use std::{net::IpAddr, sync::Arc, time::Instant};

use softbus::{
    DeviceEvent, Identity, Node, TrustStore,
    discovery::{Source, StaticPeers},
    presence::OfflineReason,
    transport::Transports,
};
use testkit::{
    netns::{Lab, Network},
    scenarios::{
        SERVICE, for_all, measured, next_event,
        workbench::{reverse, workbench},
    },
    wait::run_within,
    world::{
        Device,
        lab::LabWorld,
        node::{NodeDevice, Vanish},
    },
};

use crate::site::{SOON, Site, over_both};

over_both! {
    a_device_whose_interface_comes_up_later_is_found: 2,
}

mod in_one_process {
    use super::*;

    over_both! {
        an_interface_that_comes_up_is_dialled_from_at_once,
        a_device_that_loses_one_of_two_networks_is_back_over_the_other,
    }
}

/// As a laptop whose cable is plugged in after it was switched on. It speaks on that interface only.
fn a_device_whose_interface_comes_up_later_is_found(site: &mut Site) {
    site.lab.link_down(2).unwrap();
    let mut early = site.start(1);
    let mut late = site.start_with(2, |command| {
        command.args(["--only", "eth0"]);
    });
    // Whoever looks for a device gives it eight seconds: by then the search has failed, and waits.
    late.fails(&format!("call {}", site.id(1)));
    site.lab.link_up(2).unwrap();
    let up = Instant::now();
    for (node, other) in [(&mut late, 1), (&mut early, 2)] {
        node.wait_for_device("online", &site.id(other), SOON);
    }
    measured("online, from when the interface is up", up.elapsed());
    late.succeeds(&format!("call {}", site.id(1)));
    early.succeeds(&format!("call {}", site.id(2)));
}

/// Nobody tells a device that is told where another one is, and has no interface, when that is there again: it notices.
fn an_interface_that_comes_up_is_dialled_from_at_once(transports: Transports) {
    let Some(lab) = Lab::or_skip(2) else { return };
    run_within(4 * SOON, async {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let trust = TrustStore::in_memory();
        for device in [a.device_id(), b.device_id()] {
            trust.trust(*device, "").unwrap();
        }
        let start = |place, identity| {
            let list = StaticPeers::new(Source::STATIC, []).unwrap();
            let builder = Node::builder()
                .identity(identity)
                .trust(trust.clone())
                .transports(transports)
                .discovery(Box::new(list.clone()));
            let device = lab.within(place, || NodeDevice::start(builder, Vanish::Crash));
            (device.unwrap(), list)
        };
        let ((a, a_list), (b, _list)) = (start(1, a), start(2, b));
        b.add(SERVICE, &workbench().0, for_all()).unwrap();
        lab.link_down(1).unwrap();
        let port = b.node().local_addr().unwrap().port();
        a_list
            .insert(b.id(), (lab.address(2), port).into())
            .unwrap();
        // Eight seconds of dials, with longer pauses each time.
        a.get(SERVICE, &b.id()).await.unwrap_err();
        lab.link_up(1).unwrap();
        let up = Instant::now();
        let proxy = a.get(SERVICE, &b.id()).await.unwrap();
        measured("dialled, from when the interface is up", up.elapsed());
        assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    });
}

async fn two(world: &mut LabWorld) -> [Arc<NodeDevice>; 2] {
    let devices = [world.node(), world.node()];
    devices[1].add(SERVICE, &workbench().0, for_all()).unwrap();
    devices
}

/// The network that the one session of a device is on.
fn network_of(device: &NodeDevice) -> Network {
    let device = device.node().devices().into_iter().next().unwrap();
    assert!(device.is_online());
    match device.addresses[0].ip().to_canonical() {
        IpAddr::V4(v4) if v4.octets()[..2] == [10, 77] => Network::First,
        IpAddr::V4(v4) if v4.octets()[..2] == [10, 78] => Network::Second,
        other => panic!("{other}"),
    }
}

fn a_device_that_loses_one_of_two_networks_is_back_over_the_other(transports: Transports) {
    let Some(world) = LabWorld::or_skip(2) else {
        return;
    };
    let mut world = world.over(transports);
    world.lab().add_second_network().unwrap();
    run_within(4 * SOON, async {
        let [a, b] = two(&mut world).await;
        let id = b.id();
        let mut events = a.events().unwrap();
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(id));
        for _ in 0..2 {
            let network = network_of(&a);
            let proxy = a.get(SERVICE, &id).await.unwrap();
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
            world.lab().cut_on(network, 2).unwrap();
            let cut = Instant::now();
            let gone = next_event(&mut events).await;
            assert_eq!(gone, DeviceEvent::Offline(id, OfflineReason::TimedOut));
            assert_eq!(next_event(&mut events).await, DeviceEvent::Online(id));
            measured("back over the other network", cut.elapsed());
            assert_ne!(network_of(&a), network);
            let proxy = a.get(SERVICE, &id).await.unwrap();
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
            world.lab().heal_on(network, 2).unwrap();
        }
    });
}
