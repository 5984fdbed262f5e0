//! What happens to devices that nobody kills: asleep, on a bad cable, somewhere else, heard by nobody.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use testkit::{process::ReportError, scenarios::measured};

use crate::site::{SOON, Site, over_both, site};

over_both! {
    a_device_that_sleeps_is_missed_and_is_back_when_it_wakes: 2,
    a_device_that_sleeps_for_half_a_minute_is_back_when_it_wakes: 2,
    a_cable_that_comes_and_goes_leaves_one_connection_that_works: 3,
    who_is_heard_by_nobody_is_missed_and_knows_it: 2,
}

/// As a telephone that sleeps: it hears nothing, says nothing, and does not know that time has passed.
fn a_device_that_sleeps_is_missed_and_is_back_when_it_wakes(site: &mut Site) {
    sleeps_at_least(Duration::ZERO, site);
}

/// By then every wait and every dial for it has been given up, and the next dial is a long time off.
fn a_device_that_sleeps_for_half_a_minute_is_back_when_it_wakes(site: &mut Site) {
    sleeps_at_least(Duration::from_secs(30), site);
}

fn sleeps_at_least(time: Duration, site: &mut Site) {
    let (mut watcher, mut sleeper) = (site.start(1), site.start(2));
    watcher.succeeds(&format!("call {}", site.id(2)));
    sleeper.succeeds(&format!("call {}", site.id(1)));
    sleeper.process.suspend().unwrap();
    let asleep = Instant::now();
    watcher.wait_for_device("died", &site.id(2), SOON);
    watcher.wait_for_device("offline", &site.id(2), SOON);
    // All that time it stays away.
    let id = site.id(2);
    let rest = time.saturating_sub(asleep.elapsed());
    let back = watcher.process.wait_for_event(rest, |event| {
        event["event"] == "online" && event["device"] == id
    });
    assert!(
        matches!(back, Err(ReportError::TimedOut { .. })),
        "{back:?}"
    );
    sleeper.process.resume().unwrap();
    let woke = Instant::now();
    sleeper.wait_for_device("died", &site.id(1), SOON);
    watcher.wait_for_device("online", &site.id(2), SOON);
    measured("back online after sleep", woke.elapsed());
    watcher.succeeds(&format!("call {}", site.id(2)));
    sleeper.succeeds(&format!("call {}", site.id(1)));
}

fn a_cable_that_comes_and_goes_leaves_one_connection_that_works(site: &mut Site) {
    let (mut one, mut two) = (site.start(1), site.start(2));
    let mut three = site.start(3);
    one.succeeds(&format!("call {}", site.id(2)));
    for _ in 0..5 {
        site.lab.link_down(2).unwrap();
        // Calls of others go on meanwhile.
        one.succeeds(&format!("calls {} 50", site.id(3)));
        site.lab.link_up(2).unwrap();
        three.succeeds(&format!("calls {} 50", site.id(1)));
    }
    let up = Instant::now();
    one.succeeds(&format!("calls {} 50", site.id(2)));
    two.succeeds(&format!("calls {} 50", site.id(3)));
    three.succeeds(&format!("calls {} 50", site.id(2)));
    measured("calls after the last flap", up.elapsed());
}

/// As a telephone that goes from one network to the next. The other one came last, so this is the one that dialled, and its connection
/// can move with it.
#[test]
fn a_device_that_dialled_changes_its_address_and_loses_no_call() {
    let Some(site) = site(2) else { return };
    let mut one = site.start(1);
    let _two = site.start(2);
    one.wait_for_device("online", &site.id(2), SOON);
    for last in [101, 102, 103] {
        one.process
            .send_line(&format!("calls {} 2000", site.id(2)))
            .unwrap();
        let address = Ipv4Addr::new(10, 77, 0, last);
        site.lab.change_address(1, address).unwrap();
        let done = one.wait_for("called", SOON);
        assert_eq!(done["result"], 9102, "{done}");
    }
}

/// A cut in one direction only: who is not heard hears the others, and is not taken for somebody who is there.
fn who_is_heard_by_nobody_is_missed_and_knows_it(site: &mut Site) {
    let (mut one, mut two) = (site.start(1), site.start(2));
    one.succeeds(&format!("call {}", site.id(2)));
    two.succeeds(&format!("call {}", site.id(1)));
    site.lab.mute(2, true).unwrap();
    let muted = Instant::now();
    one.wait_for_device("died", &site.id(2), SOON);
    two.wait_for_device("died", &site.id(1), SOON);
    measured("noticed by both that one is not heard", muted.elapsed());
    site.lab.mute(2, false).unwrap();
    let heard = Instant::now();
    one.wait_for_device("online", &site.id(2), SOON);
    two.wait_for_device("online", &site.id(1), SOON);
    measured("online again for both", heard.elapsed());
    one.succeeds(&format!("call {}", site.id(2)));
    two.succeeds(&format!("call {}", site.id(1)));
}
