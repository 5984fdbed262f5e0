//! How many sessions and connections two devices have, however they came to have them: one.

use std::{fs, time::Instant};

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
    site::Site,
    wait::{run_within, wait_until, wait_until_async},
    world::{
        Device,
        node::{NodeDevice, Vanish},
    },
};

use crate::site::SOON;

mod at_once {
    crate::site::over_both! {
        who_dial_each_other_at_once_have_one_session,
    }
    use super::who_dial_each_other_at_once_have_one_session;
}

crate::site::over_both! {
    a_cable_that_comes_and_goes_leaves_one_session_of_each_pair: 3,
}

/// How many connections of TCP a device has: both ends of one on it count as two.
fn connections(lab: &Lab, place: usize) -> usize {
    let tables = lab.within(place, || {
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")))
    });
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    // The fourth word is the state, and this is an established connection.
    lines
        .filter(|line| line.split_whitespace().nth(3) == Some("01"))
        .count()
}

/// How many connections of TCP a device has dialled, whatever became of them.
fn dialled(lab: &Lab, place: usize) -> u64 {
    let table = lab.within(place, || fs::read_to_string("/proc/thread-self/net/snmp"));
    let table = table.unwrap();
    let mut lines = table.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut columns = names.split(' ').zip(values.split(' '));
    let (_, value) = columns.find(|(name, _)| *name == "ActiveOpens").unwrap();
    value.parse().unwrap()
}

/// Two devices that are told at the same moment where the other one is, again and again.
fn who_dial_each_other_at_once_have_one_session(transports: Transports) {
    const TIMES: usize = 8;
    let Some(lab) = Lab::or_skip(2) else { return };
    run_within(3 * SOON, async {
        let begun = Instant::now();
        let mut both = 0;
        for time in 0..TIMES {
            let before = [1, 2].map(|place| dialled(&lab, place));
            let trust = TrustStore::in_memory();
            let [a, b] = [1, 2].map(|place| {
                let identity = Identity::generate().unwrap();
                trust.trust(*identity.device_id(), "").unwrap();
                let list = StaticPeers::new(Source::STATIC, []).unwrap();
                let builder = Node::builder()
                    .identity(identity)
                    .trust(trust.clone())
                    .transports(transports)
                    .discovery(Box::new(list.clone()));
                let start = || NodeDevice::start(builder, Vanish::Crash).unwrap();
                let device = lab.within(place, start);
                device.add(SERVICE, &workbench().0, for_all()).unwrap();
                (device, list)
            });
            let port = |device: &NodeDevice| device.node().local_addr().unwrap().port();
            let at = [
                (lab.address(1), port(&a.0)).into(),
                (lab.address(2), port(&b.0)).into(),
            ];
            // Each node runs on a thread of its own, and both dial at once.
            a.1.insert(b.0.id(), at[1]).unwrap();
            b.1.insert(a.0.id(), at[0]).unwrap();
            for (caller, called) in [(&a.0, &b.0), (&b.0, &a.0)] {
                let proxy = caller.get(SERVICE, &called.id()).await.unwrap();
                assert_eq!(reverse(&proxy, 2019).await, Ok(9102), "round {time}");
            }
            // Of connections by QUIC the kernel knows nothing.
            if transports == Transports::Tcp {
                let left = || [1, 2].map(|place| connections(&lab, place));
                let one = wait_until_async(SOON, async || left() == [1; 2]).await;
                assert!(one, "{:?}", left());
            }
            for (device, other) in [(&a.0, &b.0), (&b.0, &a.0)] {
                let usage = device.usage();
                assert_eq!(usage.len(), 1, "round {time}: {usage:?}");
                assert_eq!(usage[0].0.device, other.id());
                assert!(
                    device
                        .node()
                        .devices()
                        .iter()
                        .all(softbus::Device::is_online)
                );
            }
            // Which of the two stayed is decided: neither dials again.
            let proxy = a.0.get(SERVICE, &b.0.id()).await.unwrap();
            for _ in 0..20 {
                assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
            }
            assert!(!proxy.is_dead());
            let after = [1, 2].map(|place| dialled(&lab, place));
            both += usize::from(before[0] < after[0] && before[1] < after[1]);
        }
        measured(&format!("{TIMES} times told at once"), begun.elapsed());
        if transports == Transports::Tcp {
            println!("both dialled {both} times");
            assert!(both > 0);
        }
    });
}

fn a_cable_that_comes_and_goes_leaves_one_session_of_each_pair(site: &mut Site) {
    let mut nodes = site.at_work::<3>();
    for flap in 1..=10 {
        site.lab.link_down(2).unwrap();
        if flap == 5 {
            // Once it is so long that sessions end.
            nodes[0].wait_for_device("offline", &site.id(2), SOON);
            nodes[2].wait_for_device("offline", &site.id(2), SOON);
        }
        // Calls of others go on meanwhile.
        nodes[0].succeeds(&format!("calls {} 50", site.id(3)));
        site.lab.link_up(2).unwrap();
        nodes[2].succeeds(&format!("calls {} 50", site.id(1)));
    }
    let up = Instant::now();
    site.is_called(2);
    measured("200 calls after the last of ten flaps", up.elapsed());
    site.all_hold_one_session(&mut nodes);
    if site.transports() == Transports::Tcp {
        let left = || [1, 2, 3].map(|place| connections(&site.lab, place));
        assert!(wait_until(SOON, || left() == [2; 3]), "{:?}", left());
    }
    let totals = site.rest(&mut nodes);
    assert!(totals.answered > 100, "{totals}");
    site.all_hold_one_session(&mut nodes);
}
