//! Devices as processes in the lab, and what happens to them: found, killed, started again, cut off, losing packets.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{scenarios::measured, wait::wait_until};

use crate::site::{SOON, Site, over_both};

over_both! {
    three_devices_find_and_call_each_other: 3,
    a_killed_device_is_missed_and_found_again: 2,
    a_device_that_crashes_and_comes_back_is_noticed_at_once: 2,
    a_device_that_loses_power_is_missed_and_found_again: 2,
    a_device_that_leaves_is_missed_at_once: 2,
    a_partition_is_noticed_by_both_sides_and_heals: 3,
    an_introduced_process_needs_nobody_in_between: 3,
    a_process_that_the_home_does_not_trust_is_not_introduced: 3,
    a_process_that_does_not_trust_the_home_is_told_so: 3,
    calls_succeed_while_a_fifth_of_the_packets_is_lost: 2,
}

fn three_devices_find_and_call_each_other(site: &mut Site) {
    let mut nodes: Vec<_> = (1..=3).map(|place| site.start(place)).collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        let mut others: Vec<_> = (1..=3).filter(|place| place - 1 != index).collect();
        while !others.is_empty() {
            let online = node.wait_for("online", SOON);
            others.retain(|place| online["device"] != site.id(*place));
        }
    }
    for (index, node) in nodes.iter_mut().enumerate() {
        for other in (1..=3).filter(|place| place - 1 != index) {
            node.succeeds(&format!("call {}", site.id(other)));
        }
    }
}

/// Rows 79 and 109, and the figures of the closing note.
fn a_killed_device_is_missed_and_found_again(site: &mut Site) {
    let mut watcher = site.start(1);
    let mut victim = site.start(2);
    let both_started = victim.started;
    watcher.wait_for_device("online", &site.id(2), SOON);
    measured(
        "discovery, from the start of the second device",
        both_started.elapsed(),
    );
    let call = format!("call {}", site.id(2));
    measured("first call, look-up included", watcher.succeeds(&call));

    let killed = Instant::now();
    victim.process.kill().unwrap();
    let died = watcher.wait_for_device("died", &site.id(2), Duration::from_secs(10));
    measured("death notice after SIGKILL", killed.elapsed());
    assert!(
        ["process died", "device unreachable"].contains(&died["reason"].as_str().unwrap()),
        "{died}"
    );
    watcher.wait_for_device("offline", &site.id(2), SOON);

    let mut again = site.start(2);
    watcher.wait_for_device("online", &site.id(2), SOON);
    measured("found again, from the start", again.started.elapsed());
    watcher.succeeds(&call);
    again.succeeds(&format!("call {}", site.id(1)));
}

/// One that is started again at once recognises the packets of the connections it had.
fn a_device_that_crashes_and_comes_back_is_noticed_at_once(site: &mut Site) {
    let mut watcher = site.start(1);
    let mut victim = site.start(2);
    watcher.wait_for_device("online", &site.id(2), SOON);
    let call = format!("call {}", site.id(2));
    watcher.succeeds(&call);
    let killed = Instant::now();
    victim.process.kill().unwrap();
    let _again = site.start(2);
    watcher.wait_for_device("died", &site.id(2), Duration::from_secs(10));
    measured("death notice after SIGKILL and restart", killed.elapsed());
    watcher.wait_for_device("online", &site.id(2), SOON);
    watcher.succeeds(&call);
}

/// Nobody is left who could say that it is gone: no process, no host, no cable.
fn a_device_that_loses_power_is_missed_and_found_again(site: &mut Site) {
    let (mut watcher, mut victim) = (site.start(1), site.start(2));
    let call = format!("call {}", site.id(2));
    watcher.succeeds(&call);
    site.lab.power_off(2).unwrap();
    let off = Instant::now();
    victim.process.kill().unwrap();
    let died = watcher.wait_for_device("died", &site.id(2), SOON);
    measured("death notice after a power loss", off.elapsed());
    assert_eq!(died["reason"], "device unreachable");
    watcher.wait_for_device("offline", &site.id(2), SOON);

    site.lab.power_on(2).unwrap();
    let mut again = site.start(2);
    watcher.wait_for_device("online", &site.id(2), SOON);
    measured("found again after a power loss", again.started.elapsed());
    watcher.succeeds(&call);
    again.succeeds(&format!("call {}", site.id(1)));
}

/// A leave in which the device has time to say goodbye.
fn a_device_that_leaves_is_missed_at_once(site: &mut Site) {
    let mut watcher = site.start(1);
    let mut leaver = site.start(2);
    watcher.wait_for_device("online", &site.id(2), SOON);
    watcher.succeeds(&format!("call {}", site.id(2)));
    let left = Instant::now();
    leaver.process.send_line("leave").unwrap();
    watcher.wait_for_device("died", &site.id(2), SOON);
    measured("death notice after a graceful leave", left.elapsed());
    let offline = watcher.wait_for_device("offline", &site.id(2), SOON);
    assert_eq!(offline["reason"], "left");
    assert!(leaver.process.wait(SOON).unwrap().success());
}

fn a_partition_is_noticed_by_both_sides_and_heals(site: &mut Site) {
    let mut nodes: Vec<_> = (1..=3).map(|place| site.start(place)).collect();
    let [one, two, three] = &mut nodes[..] else {
        unreachable!("three were started")
    };
    two.wait_for_device("online", &site.id(3), SOON);
    one.succeeds(&format!("call {}", site.id(3)));
    one.succeeds(&format!("call {}", site.id(2)));

    let cut = Instant::now();
    site.lab.cut(3).unwrap();
    one.wait_for_device("died", &site.id(3), Duration::from_secs(10));
    measured("death notice after a cut cable", cut.elapsed());
    two.wait_for_device("offline", &site.id(3), SOON);
    three.wait_for_device("offline", &site.id(1), SOON);
    one.succeeds(&format!("call {}", site.id(2)));

    let healed = Instant::now();
    site.lab.heal(3).unwrap();
    one.wait_for_device("online", &site.id(3), SOON);
    measured("back online after a heal", healed.elapsed());
    one.succeeds(&format!("call {}", site.id(3)));
    three.succeeds(&format!("call {}", site.id(2)));
}

/// Row 107 as three processes: who introduced the others is killed at once, later the home is too.
fn an_introduced_process_needs_nobody_in_between(site: &mut Site) {
    let (mut a, mut b, mut c) = (site.start(1), site.start(2), site.start(3));
    a.succeeds(&format!("introduce {} {}", site.id(2), site.id(3)));
    a.process.kill().unwrap();
    let introduced = c.wait_for("introduced", SOON);
    assert_eq!(introduced["device"], site.id(2));
    assert_eq!(introduced["result"], 9102);
    c.succeeds("again");
    // Over TCP that is told before it is introduced, over QUIC later.
    assert!(wait_until(SOON, || !c.has_online(&site.id(1))));
    c.succeeds("again");
    b.process.send_line("callers").unwrap();
    let mut callers = b.wait_for("callers", SOON)["devices"].clone();
    let callers = callers.as_array_mut().unwrap();
    callers.retain(|caller| *caller != site.id(1));
    assert_eq!(*callers, [site.id(3), site.id(3), site.id(3)]);
    b.process.kill().unwrap();
    c.wait_for_device("died", &site.id(2), SOON);
}

/// Row 107 as three processes: the home has not paired with who is to get its object, and who introduces is told so.
fn a_process_that_the_home_does_not_trust_is_not_introduced(site: &mut Site) {
    site.forget(2, 3);
    let (mut a, mut b, _c) = (site.start(1), site.start(2), site.start(3));
    let introduce = format!("introduce {} {}", site.id(2), site.id(3));
    let error = a.fails(&introduce);
    assert!(
        error.contains("receiver not trusted by the object's device"),
        "{error}"
    );
    b.process.send_line("callers").unwrap();
    let callers = b.wait_for("callers", SOON)["devices"].clone();
    assert_eq!(callers, Value::Array(Vec::new()));
}

/// Row 107 as three processes: who gets the object has not paired with its home, and reads that where the object stood.
fn a_process_that_does_not_trust_the_home_is_told_so(site: &mut Site) {
    site.forget(3, 2);
    let (mut a, _b, mut c) = (site.start(1), site.start(2), site.start(3));
    a.succeeds(&format!("introduce {} {}", site.id(2), site.id(3)));
    let missing = c.wait_for("missing", SOON);
    let error = missing["error"].as_str().unwrap();
    assert!(error.contains("its device is not trusted here"), "{error}");
}

fn calls_succeed_while_a_fifth_of_the_packets_is_lost(site: &mut Site) {
    let mut one = site.start(1);
    let _two = site.start(2);
    one.wait_for_device("online", &site.id(2), SOON);
    site.lab.drop_percent(20).unwrap();
    let took = one.succeeds(&format!("calls {} 50", site.id(2)));
    measured("50 calls at 20 % loss", took);
}
