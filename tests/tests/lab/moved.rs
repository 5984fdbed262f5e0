//! A device that gets another address instead of the one that a session goes by.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use softbus::{
    DeathReason, Identity, Node, Parcel, SendRequestError, TrustStore,
    discovery::{Source, StaticPeers},
    presence::Profile,
    transport::Transports,
};
use testkit::{
    netns::Lab,
    scenarios::{
        SERVICE, for_all, measured, next, obituaries, reached,
        workbench::{Bench, call, code, reverse, workbench},
    },
    wait::{run_within, wait_until_async},
    world::{
        Device,
        node::{NodeDevice, Vanish},
    },
};

use crate::site::SOON;

/// With this profile a silence lasts 45 s before it ends a session.
const PROFILE: Profile = Profile::LowPower;
/// Far from that, and from what a new session takes.
const NO_SILENCE: Duration = Duration::from_secs(15);

/// The first dials the second.
const DIALLER: usize = 1;
const DIALLED: usize = 2;

struct Place {
    device: Arc<NodeDevice>,
    bench: Arc<Bench>,
    list: StaticPeers,
}

impl Place {
    fn start(lab: &Lab, place: usize, transports: Transports, trust: &TrustStore) -> Self {
        let identity = Identity::generate().unwrap();
        trust.trust(*identity.device_id(), "").unwrap();
        let list = StaticPeers::new(Source::STATIC, []).unwrap();
        let builder = Node::builder()
            .identity(identity)
            .trust(trust.clone())
            .transports(transports)
            .presence(PROFILE)
            .discovery(Box::new(list.clone()));
        let start = || NodeDevice::start(builder, Vanish::Crash).unwrap();
        let device = Arc::new(lab.within(place, start));
        let (stub, bench) = workbench();
        device.add(SERVICE, &stub, for_all()).unwrap();
        Self {
            device,
            bench,
            list,
        }
    }

    fn is_told_of(&self, other: &Self, address: Ipv4Addr) {
        let port = other.device.node().local_addr().unwrap().port();
        let at = (address, port).into();
        self.list.insert(other.device.id(), at).unwrap();
    }
}

/// A new session replaces the one that is at the address, long before its silence would end it: each side is told once, a call under way
/// ends as of unknown fate, and both can call each other.
fn its_session_is_replaced_at_once(transports: Transports, mover: usize) {
    let Some(lab) = Lab::or_skip(2) else { return };
    run_within(3 * SOON, async {
        let trust = TrustStore::in_memory();
        let [a, b] = [DIALLER, DIALLED].map(|place| Place::start(&lab, place, transports, &trust));
        a.is_told_of(&b, lab.address(DIALLED));
        let of_b = a.device.get(SERVICE, &b.device.id()).await.unwrap();
        // It is dialled already.
        b.is_told_of(&a, lab.address(DIALLER));
        let of_a = b.device.get(SERVICE, &a.device.id()).await.unwrap();
        let ((told_a, mut deaths_a), (told_b, mut deaths_b)) = (obituaries(), obituaries());
        let _links = (
            of_b.link_to_death(told_a).unwrap(),
            of_a.link_to_death(told_b).unwrap(),
        );
        let held = of_b.clone();
        let under_way =
            tokio::spawn(async move { call(&held, code::HOLD, &Parcel::new()).await.unwrap_err() });
        reached(&b.bench.entered, 1).await;

        lab.change_address(mover, Ipv4Addr::new(10, 77, 0, 101))
            .unwrap();
        let moved = Instant::now();
        for deaths in [&mut deaths_a, &mut deaths_b] {
            assert_eq!(next(deaths).await, DeathReason::DeviceUnreachable);
        }
        assert_eq!(under_way.await.unwrap(), SendRequestError::Indeterminate);
        for (caller, called) in [(&a, &b), (&b, &a)] {
            let answers = wait_until_async(SOON, async || {
                let proxy = caller.device.get(SERVICE, &called.device.id()).await;
                let Ok(proxy) = proxy else { return false };
                reverse(&proxy, 2019).await == Ok(9102)
            });
            assert!(answers.await);
        }
        let took = moved.elapsed();
        measured("both call again, from a change of address", took);
        assert!(took < NO_SILENCE, "{took:?}");
        for place in [&a, &b] {
            let usage = place.device.usage();
            assert_eq!(usage.len(), 1, "{usage:?}");
        }
        assert!(deaths_a.try_recv().is_err() && deaths_b.try_recv().is_err());
    });
}

#[test]
fn who_was_dialled_by_quic_dials() {
    its_session_is_replaced_at_once(Transports::Quic, DIALLED);
}

#[test]
fn who_was_dialled_by_tcp_dials() {
    its_session_is_replaced_at_once(Transports::Tcp, DIALLED);
}

#[test]
fn who_has_dialled_by_tcp_dials_again() {
    its_session_is_replaced_at_once(Transports::Tcp, DIALLER);
}

/// As a telephone that goes from one network to the next: its connection goes along.
#[test]
fn who_has_dialled_by_quic_loses_no_call() {
    let Some(lab) = Lab::or_skip(2) else { return };
    run_within(3 * SOON, async {
        let trust = TrustStore::in_memory();
        let [a, b] =
            [DIALLER, DIALLED].map(|place| Place::start(&lab, place, Transports::Quic, &trust));
        a.is_told_of(&b, lab.address(DIALLED));
        let of_b = a.device.get(SERVICE, &b.device.id()).await.unwrap();
        for last in [101, 102, 103] {
            // On a thread of its own: an address is changed by programs, for which this one waits.
            let proxy = of_b.clone();
            let calls = std::thread::spawn(move || {
                run_within(SOON, async {
                    for _ in 0..2000 {
                        assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
                    }
                });
            });
            let address = Ipv4Addr::new(10, 77, 0, last);
            lab.change_address(DIALLER, address).unwrap();
            assert!(calls.join().is_ok());
        }
    });
}
