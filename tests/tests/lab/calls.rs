//! Calls under way while the network, or a device, goes: each of them ends, and none is done twice that must not be.

use testkit::{
    ledger::{audit, served},
    site::{Node, SOON, Site},
    wait::wait_until,
};

use crate::site::over_both;

over_both! {
    a_partition_loses_no_call_silently_and_doubles_none: 3,
    a_killed_device_loses_no_call_silently_and_doubles_none: 3,
    a_device_that_sleeps_loses_no_call_silently_and_doubles_none: 3,
}

/// Three devices that call each other as fast as they can.
fn at_work(site: &Site) -> [Node; 3] {
    let mut nodes = [1, 2, 3].map(|place| site.start(place));
    for node in &mut nodes {
        for _ in 0..2 {
            node.wait_for("online", SOON);
        }
    }
    for node in &mut nodes {
        node.process.send_line("work 8 5").unwrap();
    }
    nodes
}

/// The calls of a device, and those to it, are in full swing.
fn in_full_swing(site: &Site, place: usize) {
    let home = site.home(place);
    let enough = served(&home).unwrap() + 200;
    assert!(wait_until(SOON, || served(&home).unwrap() >= enough));
}

/// All calls end, and what their callers were told is what was done.
fn judge(site: &Site, nodes: &mut [Node; 3]) {
    for node in nodes.iter_mut() {
        node.told("rest", "rests");
    }
    let homes = [1, 2, 3].map(|place| (site.id(place), site.home(place)));
    let homes = homes
        .each_ref()
        .map(|(id, home)| (id.clone(), home.as_path()));
    let totals = audit(homes).unwrap().unwrap();
    println!("{totals}");
    assert!(totals.answered > 400, "{totals}");
    // It was not between two calls each time.
    let hit = totals.unknown.0 + totals.not_done + totals.orphaned + totals.repeated;
    assert!(hit > 0, "{totals}");
}

fn a_partition_loses_no_call_silently_and_doubles_none(site: &mut Site) {
    let mut nodes = at_work(site);
    for _ in 0..2 {
        in_full_swing(site, 3);
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
    let mut nodes = at_work(site);
    // By TCP it is noticed at once, and a kill may well be between two calls of everybody.
    for _ in 0..5 {
        in_full_swing(site, 3);
        nodes[2].process.kill().unwrap();
        nodes[0].wait_for_device("offline", &site.id(3), SOON);
        nodes[2] = site.start(3);
        nodes[2].process.send_line("work 8 5").unwrap();
        nodes[0].wait_for_device("online", &site.id(3), SOON);
        nodes[1].wait_for_device("online", &site.id(3), SOON);
    }
    judge(site, &mut nodes);
}

/// It reads nothing while it sleeps, and finds calls when it wakes whose callers have given up.
fn a_device_that_sleeps_loses_no_call_silently_and_doubles_none(site: &mut Site) {
    let mut nodes = at_work(site);
    in_full_swing(site, 3);
    nodes[2].process.suspend().unwrap();
    nodes[0].wait_for_device("offline", &site.id(3), SOON);
    nodes[1].wait_for_device("offline", &site.id(3), SOON);
    nodes[2].process.resume().unwrap();
    nodes[0].wait_for_device("online", &site.id(3), SOON);
    nodes[1].wait_for_device("online", &site.id(3), SOON);
    judge(site, &mut nodes);
}
