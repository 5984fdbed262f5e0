//! What happens to devices that nobody kills: asleep for long, or somewhere else.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use testkit::{process::ReportError, scenarios::measured};

use crate::site::{SOON, Site, over_both, site};

over_both! {
    a_device_that_sleeps_for_half_a_minute_is_back_when_it_wakes: 2,
}

/// By then every wait and every dial for it has been given up, and the next dial is a long time off.
fn a_device_that_sleeps_for_half_a_minute_is_back_when_it_wakes(site: &mut Site) {
    let (mut watcher, mut sleeper) = (site.start(1), site.start(2));
    watcher.succeeds(&format!("call {}", site.id(2)));
    sleeper.succeeds(&format!("call {}", site.id(1)));
    sleeper.process.suspend().unwrap();
    let asleep = Instant::now();
    watcher.wait_for_device("died", &site.id(2), SOON);
    watcher.wait_for_device("offline", &site.id(2), SOON);
    // All that time it stays away.
    let id = site.id(2);
    let rest = Duration::from_secs(30).saturating_sub(asleep.elapsed());
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
