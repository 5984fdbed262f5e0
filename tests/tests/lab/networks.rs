//! Interfaces that come later.

use std::time::Instant;

use softbus::{
    Identity, Node, TrustStore,
    discovery::{Source, StaticPeers},
    transport::Transports,
};
use testkit::{
    netns::Lab,
    scenarios::{
        SERVICE, for_all, measured,
        workbench::{reverse, workbench},
    },
    wait::run_within,
    world::{
        Device,
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
