//! What happens to devices that nobody kills: asleep for long.

use std::time::{Duration, Instant};

use testkit::{process::ReportError, scenarios::measured};

use crate::site::{SOON, Site, over_both};

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
