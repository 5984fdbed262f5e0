//! Somebody who claims to be another device.

use std::time::Instant;

use softbus::{
    DeviceEvent, Identity, Interfaces, Node, TrustStore, discovery::InstanceName,
    transport::Transports,
};
use testkit::{
    avahi::Avahi,
    netns::Lab,
    scenarios::{
        SERVICE, for_all, measured, next_event,
        workbench::{reverse, workbench},
    },
    strangers::txt,
    wait::{run_within, wait_until_async},
    world::{
        Device,
        node::{NodeDevice, Vanish},
    },
};

use crate::site::{SOON, over_both};

over_both! {
    who_announces_itself_as_another_device_does_not_keep_that_from_being_found,
}

/// Somebody was there before with the very name of a device, and says that it is the device.
fn who_announces_itself_as_another_device_does_not_keep_that_from_being_found(
    transports: Transports,
) {
    let Some(lab) = Lab::or_skip(3) else { return };
    let Some(avahi) = Avahi::or_skip(&lab, 3) else {
        return;
    };
    let trust = TrustStore::in_memory();
    let [one, two] = [(); 2].map(|()| {
        let identity = Identity::generate().unwrap();
        trust.trust(*identity.device_id(), "").unwrap();
        identity
    });
    let start = |place, identity| {
        let builder = Node::builder()
            .identity(identity)
            .trust(trust.clone())
            .transports(transports)
            .mdns(Interfaces::All);
        let device = lab.within(place, || NodeDevice::start(builder, Vanish::Crash));
        let device = device.unwrap();
        device.add(SERVICE, &workbench().0, for_all()).unwrap();
        device
    };
    let name = InstanceName::new(two.device_id());
    let txt = txt(*two.device_id());
    let txt: Vec<_> = txt.iter().map(String::as_str).collect();
    let _claim = avahi
        .publish(name.as_str(), "_softbus._udp", 9, &txt)
        .unwrap();
    run_within(4 * SOON, async {
        let one = start(1, one);
        let id = *two.device_id();
        let mut events = one.events().unwrap();
        // It believes the claim, as far as to knock there.
        let claimed = wait_until_async(SOON, async || {
            let devices = one.node().devices();
            devices.iter().any(|device| device.id == id)
        });
        assert!(claimed.await);
        let begun = Instant::now();
        let two = start(2, two);
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(id));
        measured("online beside who has its name", begun.elapsed());
        for (caller, called) in [(&one, &two), (&two, &one)] {
            let proxy = caller.get(SERVICE, &called.id()).await.unwrap();
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        }
    });
}
