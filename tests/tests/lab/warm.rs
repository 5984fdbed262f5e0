//! A device that comes where it is known, or knows the others, already: nothing has to be asked of the network first.

use std::{process::Command, time::Duration};

use testkit::{
    scenarios::measured,
    site::{Node, SOON, Site},
};

use crate::site::over_both;

over_both! {
    a_device_that_is_known_comes_back: 5,
    a_device_that_knows_where_the_others_are_asks_nobody: 5,
}

/// Until a device that has just started is online to all the others, and they are to it.
fn online_to_all(site: &Site, newcomer: &mut Node, place: usize, others: &mut [Node]) -> Duration {
    let mut missing: Vec<_> = (1..=others.len()).collect();
    while !missing.is_empty() {
        let online = newcomer.wait_for("online", SOON);
        missing.retain(|other| online["device"] != site.id(*other));
    }
    for node in others {
        node.wait_for_device("online", &site.id(place), SOON);
    }
    newcomer.started.elapsed()
}

/// The others have its records, and had sessions with it; it has nothing but its identity. First it crashes, then it leaves.
fn a_device_that_is_known_comes_back(site: &mut Site) {
    let mut others = [1, 2, 3, 4].map(|place| site.start(place));
    site.all_are_online(&mut others);
    let mut one = site.start(5);
    let cold = online_to_all(site, &mut one, 5, &mut others);
    measured("online to four, cold", cold);

    one.process.kill().unwrap();
    let mut one = site.start(5);
    let warm = online_to_all(site, &mut one, 5, &mut others);
    measured("online to four, after a crash", warm);
    one.succeeds(&format!("call {}", site.id(1)));

    one.process.send_line("leave").unwrap();
    assert!(one.process.wait(SOON).unwrap().success());
    let mut one = site.start(5);
    let warm = online_to_all(site, &mut one, 5, &mut others);
    measured("online to four, after a leave", warm);
    for (index, node) in others.iter_mut().enumerate() {
        one.succeeds(&format!("call {}", site.id(index + 1)));
        node.succeeds(&format!("call {}", site.id(5)));
    }
}

/// Nobody speaks mDNS here.
fn a_device_that_knows_where_the_others_are_asks_nobody(site: &mut Site) {
    const PORT: u16 = 4711;
    let knowing = |place: usize, others: &[usize]| {
        site.start_with(place, |command: &mut Command| {
            command.args(["--port", &PORT.to_string()]);
            for other in others {
                let address = format!("{}:{PORT}", site.lab.address(*other));
                command.args(["--peer", &site.id(*other), &address]);
            }
        })
    };
    // The first knows somebody who is not there yet, because who knows nobody looks for everybody.
    let mut others = [
        knowing(1, &[2]),
        knowing(2, &[1]),
        knowing(3, &[1, 2]),
        knowing(4, &[1, 2, 3]),
    ];
    site.all_are_online(&mut others);
    let mut one = knowing(5, &[1, 2, 3, 4]);
    let warm = online_to_all(site, &mut one, 5, &mut others);
    measured("online to four whose addresses are known", warm);
    for (index, node) in others.iter_mut().enumerate() {
        one.succeeds(&format!("call {}", site.id(index + 1)));
        node.succeeds(&format!("call {}", site.id(5)));
    }
}
