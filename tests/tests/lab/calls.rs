//! Calls under way while the network, or a device, goes: each of them ends, and none is done twice that must not be.

use std::net::Ipv4Addr;

use softbus::transport::Transports;
use testkit::{
    ledger::Totals,
    netns::Network,
    scenarios::measured,
    site::{Node, SOON, Site},
    wait::wait_until,
};

use crate::site::{over_both, site};

over_both! {
    a_partition_loses_no_call_silently_and_doubles_none: 3,
    a_killed_device_loses_no_call_silently_and_doubles_none: 3,
    a_device_that_sleeps_loses_no_call_silently_and_doubles_none: 3,
    a_change_of_address_loses_no_call_silently_and_doubles_none: 3,
    a_network_of_two_that_goes_loses_no_call_silently_and_doubles_none: 3,
}

/// All calls end as [`Site::rest`] says, and some of them were hit.
fn judge(site: &Site, nodes: &mut [Node; 3]) {
    let totals = site.rest(nodes);
    assert!(totals.answered > 400, "{totals}");
    // It was not between two calls each time.
    assert!(hit(&totals) > 0, "{totals}");
}

fn hit(totals: &Totals) -> usize {
    totals.unknown.0 + totals.not_done + totals.orphaned + totals.repeated
}

fn a_partition_loses_no_call_silently_and_doubles_none(site: &mut Site) {
    let mut nodes = site.at_work::<3>();
    for _ in 0..2 {
        site.is_called(3);
        site.lab.cut(3).unwrap();
        nodes[0].wait_for_device("offline", &site.id(3), SOON);
        nodes[2].wait_for_device("offline", &site.id(2), SOON);
        site.lab.heal(3).unwrap();
        nodes[0].wait_for_device("online", &site.id(3), SOON);
        nodes[2].wait_for_device("online", &site.id(2), SOON);
    }
    judge(site, &mut nodes);
}

fn a_killed_device_loses_no_call_silently_and_doubles_none(site: &mut Site) {
    let mut nodes = site.at_work::<3>();
    // By TCP it is noticed at once, and a kill may well be between two calls of everybody.
    for _ in 0..5 {
        site.is_called(3);
        nodes[2].process.kill().unwrap();
        nodes[0].wait_for_device("offline", &site.id(3), SOON);
        nodes[2] = site.start(3);
        nodes[2].process.send_line(&site.work(3, 3)).unwrap();
        nodes[0].wait_for_device("online", &site.id(3), SOON);
        nodes[1].wait_for_device("online", &site.id(3), SOON);
    }
    judge(site, &mut nodes);
}

/// It reads nothing while it sleeps, and finds calls when it wakes whose callers have given up.
fn a_device_that_sleeps_loses_no_call_silently_and_doubles_none(site: &mut Site) {
    let mut nodes = site.at_work::<3>();
    site.is_called(3);
    nodes[2].process.suspend().unwrap();
    nodes[0].wait_for_device("offline", &site.id(3), SOON);
    nodes[1].wait_for_device("offline", &site.id(3), SOON);
    nodes[2].process.resume().unwrap();
    nodes[0].wait_for_device("online", &site.id(3), SOON);
    nodes[1].wait_for_device("online", &site.id(3), SOON);
    judge(site, &mut nodes);
}

/// By QUIC a connection that the device dialled goes with it; by TCP each dies with the address, and those of calls under way whose
/// fate is not known are told so. Its calls, and those to it, go on in either case.
fn a_change_of_address_loses_no_call_silently_and_doubles_none(site: &mut Site) {
    let mut nodes = site.at_work::<3>();
    for last in [101, 102] {
        site.is_called(3);
        let address = Ipv4Addr::new(10, 77, 0, last);
        site.lab.change_address(3, address).unwrap();
        let moved = std::time::Instant::now();
        site.is_called(3);
        measured("200 calls to who has moved, from then", moved.elapsed());
        for place in [1, 2] {
            site.is_called(place);
        }
    }
    let totals = site.rest(&mut nodes);
    assert!(totals.answered > 400, "{totals}");
    site.all_hold_one_session(&mut nodes);
}

/// One of them was in use, and the other one is found to be there.
fn a_network_of_two_that_goes_loses_no_call_silently_and_doubles_none(site: &mut Site) {
    site.lab.add_second_network().unwrap();
    let mut nodes = site.at_work::<3>();
    for network in [Network::First, Network::Second] {
        site.is_called(3);
        site.lab.cut_on(network, 3).unwrap();
        // By the other one, whichever it was on before.
        assert!(wait_until(2 * SOON, || {
            let others = [site.id(1), site.id(2)];
            others.iter().all(|other| nodes[2].has_online(other))
        }));
        site.is_called(3);
        site.lab.heal_on(network, 3).unwrap();
    }
    let totals = site.rest(&mut nodes);
    assert!(totals.answered > 400, "{totals}");
}

/// From QUIC to TCP there is a new session, from TCP to QUIC it is the same one.
#[test]
fn udp_that_is_blocked_and_let_through_again_loses_no_call_silently_and_doubles_none() {
    let Some(site) = site(3) else { return };
    let site = site.over(Transports::All);
    let mut nodes = site.at_work::<3>();
    site.is_called(3);
    site.lab.block_udp(true).unwrap();
    assert!(wait_until(2 * SOON, || nodes
        .iter_mut()
        .all(|node| is_by(node, "tcp"))));
    for place in 1..=3 {
        site.is_called(place);
    }
    site.lab.block_udp(false).unwrap();
    // A pause of up to 15 s between one try and the next.
    assert!(wait_until(2 * SOON, || nodes
        .iter_mut()
        .all(|node| is_by(node, "quic"))));
    for place in 1..=3 {
        site.is_called(place);
    }
    judge(&site, &mut nodes);
}

/// Whether a device talks to both others, and so.
fn is_by(node: &mut Node, transport: &str) -> bool {
    let online = node.told("online", "online now");
    let by = online["by"].as_array().unwrap();
    by.len() == 2 && by.iter().all(|by| by == transport)
}
