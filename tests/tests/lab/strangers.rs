//! Devices that have, or claim, the name of another one, and strangers that do not stop.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use softbus::{
    DeviceEvent, Identity, Interfaces, Node, RemoteObject, TrustStore, discovery::InstanceName,
    transport::Transports,
};
use tempfile::TempDir;
use testkit::{
    avahi::Avahi,
    ledger::{LEDGER, Teller, audit, ledger},
    netns::Lab,
    scenarios::{
        SERVICE, for_all, measured, next_event,
        workbench::{reverse, workbench},
    },
    strangers::{Flood, txt},
    wait::{run_within, wait_until_async},
    world::{
        Device,
        lab::LabWorld,
        node::{NodeDevice, Vanish},
    },
};

use crate::site::{SOON, over_both};

over_both! {
    two_devices_of_one_name_are_told_apart,
    who_announces_itself_as_another_device_does_not_keep_that_from_being_found,
    a_stranger_that_floods_the_network_hinders_nobody,
}

/// Two of a kind, called alike by who bought them.
fn two_devices_of_one_name_are_told_apart(transports: Transports) {
    let Some(world) = LabWorld::or_skip(3) else {
        return;
    };
    let mut world = world.over(transports);
    run_within(4 * SOON, async {
        let observer = world.node();
        let twins = [(), ()].map(|()| world.node_with(|builder| builder.name("kitchen")));
        let benches = twins.each_ref().map(|twin| {
            let (stub, bench) = workbench();
            twin.add(SERVICE, &stub, for_all()).unwrap();
            bench
        });
        for (twin, bench) in twins.iter().zip(&benches) {
            let proxy = observer.get(SERVICE, &twin.id()).await.unwrap();
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
            assert_eq!(*bench.entered.borrow(), 1);
        }
        let called_so = || {
            let devices = observer.node().devices().into_iter();
            devices
                .filter(|device| device.name.as_deref() == Some("kitchen"))
                .count()
        };
        assert!(wait_until_async(SOON, async || called_so() == 2).await);
    });
}

/// Devices that trust each other, each to be started at a place of the lab.
struct Known {
    lab: Lab,
    trust: TrustStore,
    transports: Transports,
    directory: TempDir,
}

impl Known {
    fn or_skip(devices: usize, transports: Transports) -> Option<Self> {
        let lab = Lab::or_skip(devices)?;
        Some(Self {
            lab,
            trust: TrustStore::in_memory(),
            transports,
            directory: tempfile::tempdir().unwrap(),
        })
    }

    /// Where a device writes down the calls that it made and served.
    fn home(&self, place: usize) -> PathBuf {
        self.directory.path().join(place.to_string())
    }

    fn identity(&self) -> Identity {
        let identity = Identity::generate().unwrap();
        self.trust.trust(*identity.device_id(), "").unwrap();
        identity
    }

    fn start(&self, place: usize, identity: Identity) -> NodeDevice {
        let builder = Node::builder()
            .identity(identity)
            .trust(self.trust.clone())
            .transports(self.transports)
            .mdns(Interfaces::All);
        let start = || NodeDevice::start(builder, Vanish::Crash);
        let device = self.lab.within(place, start).unwrap();
        device.add(SERVICE, &workbench().0, for_all()).unwrap();
        fs::create_dir_all(self.home(place)).unwrap();
        let ledger = ledger(&self.home(place)).unwrap();
        device.add(LEDGER, &ledger, for_all()).unwrap();
        device
    }

    /// A device calls the ledgers of others from now on.
    fn at_work(&self, place: usize, device: &NodeDevice, others: &[&NodeDevice]) -> Teller {
        let others = others.iter().map(|other| other.id()).collect();
        let (node, home) = (device.node(), self.home(place));
        Teller::start(&node, &home, others, 8, Duration::from_millis(5)).unwrap()
    }
}

/// Somebody was there before with the very name of a device, and says that it is the device.
fn who_announces_itself_as_another_device_does_not_keep_that_from_being_found(
    transports: Transports,
) {
    let Some(known) = Known::or_skip(3, transports) else {
        return;
    };
    let Some(avahi) = Avahi::or_skip(&known.lab, 3) else {
        return;
    };
    let (one, two) = (known.identity(), known.identity());
    let name = InstanceName::new(two.device_id());
    let txt = txt(*two.device_id());
    let txt: Vec<_> = txt.iter().map(String::as_str).collect();
    let _claim = avahi
        .publish(name.as_str(), "_softbus._udp", 9, &txt)
        .unwrap();
    run_within(4 * SOON, async {
        let one = known.start(1, one);
        let id = *two.device_id();
        let mut events = one.events().unwrap();
        // It believes the claim, as far as to knock there.
        let claimed = wait_until_async(SOON, async || {
            let devices = one.node().devices();
            devices.iter().any(|device| device.id == id)
        });
        assert!(claimed.await);
        let begun = Instant::now();
        let two = known.start(2, two);
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(id));
        measured("online beside who has its name", begun.elapsed());
        for (caller, called) in [(&one, &two), (&two, &one)] {
            let proxy = caller.get(SERVICE, &called.id()).await.unwrap();
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        }
    });
}

/// The median of many calls, all of which succeed.
async fn median(proxy: &RemoteObject) -> Duration {
    let mut took = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        assert_eq!(reverse(proxy, 2019).await, Ok(9102));
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[took.len() / 2]
}

/// What a stranger can do from outside: devices that know each other call on, and one that comes meanwhile is found.
fn a_stranger_that_floods_the_network_hinders_nobody(transports: Transports) {
    let Some(known) = Known::or_skip(4, transports) else {
        return;
    };
    let [one, two, three] = [(); 3].map(|()| known.identity());
    run_within(6 * SOON, async {
        let (one, two) = (known.start(1, one), known.start(2, two));
        let proxy = one.get(SERVICE, &two.id()).await.unwrap();
        measured("median of a call before a flood", median(&proxy).await);

        let port = two.node().local_addr().unwrap().port();
        let tellers = [
            known.at_work(1, &one, &[&two]),
            known.at_work(2, &two, &[&one]),
        ];
        let two_listens = (known.lab.address(2), port);
        let flood = Flood::start(&known.lab, 4, two_listens, transports).unwrap();
        let begun = Instant::now();
        assert!(wait_until_async(SOON, async || flood.sent() > 2000).await);
        measured("median of a call beside a flood", median(&proxy).await);
        let mut events = one.events().unwrap();
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(two.id()));
        let come = Instant::now();
        let three = known.start(3, three);
        assert_eq!(
            next_event(&mut events).await,
            DeviceEvent::Online(three.id())
        );
        measured("online beside a flood, from the start", come.elapsed());
        let to_three = one.get(SERVICE, &three.id()).await.unwrap();
        assert_eq!(reverse(&to_three, 2019).await, Ok(9102));
        let rate = flood.sent() as f64 / begun.elapsed().as_secs_f64();
        drop(flood);
        let forged = one.node().devices().len();
        println!("{rate:.0} packets a second, {forged} devices known");
        assert!(!proxy.is_dead());
        for teller in tellers {
            teller.rest().await.unwrap();
        }
        let homes = [(1, &one), (2, &two)].map(|(place, device)| (device.id(), known.home(place)));
        let homes = homes.iter().map(|(id, home)| (id.to_string(), &**home));
        let totals = audit(homes).unwrap().unwrap();
        println!("{totals}");
        // Each is answered: nobody was ever away.
        assert_eq!((totals.unknown.0, totals.not_done), (0, 0), "{totals}");
        assert!(totals.answered > 100, "{totals}");
        measured("median of a call after a flood", median(&proxy).await);
    });
}
