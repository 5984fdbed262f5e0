//! Devices that have, or claim, the name of another one, and strangers that do not stop.

use std::{
    iter,
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use softbus::{
    DeviceEvent, DeviceId, Identity, Interfaces, Node, RemoteObject, TrustStore,
    discovery::{Announcement, InstanceName, ProtocolVersions},
};
use testkit::{
    avahi::Avahi,
    netns::Lab,
    scenarios::{
        SERVICE, for_all, measured, next_event,
        workbench::{reverse, workbench},
    },
    wait::wait_until_async,
    world::{
        Device,
        lab::LabWorld,
        node::{NodeDevice, Vanish},
    },
};

use crate::{run_within, site::SOON};

/// Two of a kind, called alike by who bought them.
#[test]
fn two_devices_of_one_name_are_told_apart() {
    let Some(mut world) = LabWorld::or_skip(3) else {
        return;
    };
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
}

impl Known {
    fn or_skip(devices: usize) -> Option<Self> {
        let lab = Lab::or_skip(devices)?;
        Some(Self {
            lab,
            trust: TrustStore::in_memory(),
        })
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
            .mdns(Interfaces::All);
        let start = || NodeDevice::start(builder, Vanish::Crash);
        let device = self.lab.within(place, start).unwrap();
        device.add(SERVICE, &workbench().0, for_all()).unwrap();
        device
    }
}

/// What a device says of itself in its TXT record.
fn txt(device: DeviceId) -> Vec<String> {
    let versions = ProtocolVersions::new(1, 1).unwrap();
    let entries = Announcement::new(device, versions, 1).to_txt().into_iter();
    entries
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// Somebody was there before with the very name of a device, and says that it is the device.
#[test]
fn who_announces_itself_as_another_device_does_not_keep_that_from_being_found() {
    let Some(known) = Known::or_skip(3) else {
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

/// An answer of multicast DNS that nobody asked for: a device at this address and port.
fn announcement(device: DeviceId, address: Ipv4Addr, port: u16) -> Vec<u8> {
    fn name(packet: &mut Vec<u8>, labels: &[&str]) {
        for label in labels {
            packet.push(label.len() as u8);
            packet.extend(label.as_bytes());
        }
        packet.push(0);
    }
    let instance = InstanceName::new(&device);
    let instance = [instance.as_str(), "_softbus", "_udp", "local"];
    let host = [&instance[0][..16], "local"];
    let mut records: Vec<(&[&str], u16, Vec<u8>)> = Vec::new();
    let mut pointer = Vec::new();
    name(&mut pointer, &instance);
    records.push((&instance[1..], 12, pointer));
    let mut service = vec![0, 0, 0, 0];
    service.extend(port.to_be_bytes());
    name(&mut service, &host);
    records.push((&instance, 33, service));
    let entries = txt(device);
    let text = entries
        .iter()
        .flat_map(|entry| iter::once(entry.len() as u8).chain(entry.bytes()));
    records.push((&instance, 16, text.collect()));
    records.push((&host, 1, address.octets().to_vec()));

    let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
    for (owner, kind, data) in records {
        name(&mut packet, owner);
        packet.extend(kind.to_be_bytes());
        // In the Internet, for two minutes.
        packet.extend([0, 1, 0, 0, 0, 120]);
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
    }
    packet
}

/// Somebody who announces a thousand devices that there are not, over and over, and between that sends noise to a port.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(lab: &Lab, place: usize, noise_to: (Ipv4Addr, u16)) -> Self {
        let address = lab.address(place);
        let packets = (0..1000_u16).map(|number| {
            let mut id = [0xf1; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            announcement(DeviceId::from_bytes(id), address, 1000 + number)
        });
        let packets: Vec<_> = packets.collect();
        let socket = lab.within(place, || UdpSocket::bind((address, 5353)).unwrap());
        socket.set_multicast_ttl_v4(255).unwrap();
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let mut packets = packets.iter().cycle();
            while !stopped.load(Ordering::Relaxed) {
                let packet = packets.next().unwrap();
                for (packet, to) in [(&packet[..], MDNS), (&[0xc5; 1200], noise_to)] {
                    let went = socket.send_to(packet, to).is_ok();
                    count.fetch_add(went.into(), Ordering::Relaxed);
                }
            }
        });
        Self {
            stop,
            sent,
            thread: Some(thread),
        }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

const MDNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);

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
#[test]
fn a_stranger_that_floods_the_network_hinders_nobody() {
    let Some(known) = Known::or_skip(4) else {
        return;
    };
    let [one, two, three] = [(); 3].map(|()| known.identity());
    run_within(6 * SOON, async {
        let (one, two) = (known.start(1, one), known.start(2, two));
        let proxy = one.get(SERVICE, &two.id()).await.unwrap();
        measured("median of a call before a flood", median(&proxy).await);

        let port = two.node().local_addr().unwrap().port();
        let flood = Flood::start(&known.lab, 4, (known.lab.address(2), port));
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
        measured("median of a call after a flood", median(&proxy).await);
    });
}
