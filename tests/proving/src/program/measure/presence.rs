//! How soon devices know of one another, and how soon of a death.

use std::{net::Ipv4Addr, thread::sleep, time::Duration};

use super::{Job, calls::fate};
use crate::program::{
    By, Result, clock,
    figures::{Figures, put, time},
    site::{Device, Site},
    stats::{most, percentile},
};

/// Linux says of a closed port six times that it is, and from then on once in a second: a death that follows another one is noticed
/// later. What is measured is the first.
const HOSTS_ANSWER_AGAIN: Duration = Duration::from_secs(7);
/// The number of the calls that go on while an address changes.
const MOVED_RUN: u64 = 1000;
const BETWEEN_MOVES: Duration = Duration::from_secs(1);
const REPLACED_RUN: u64 = 1100;
const BACK_AGAIN: Duration = Duration::from_secs(8);
/// How many are there already.
const PRESENT: usize = 5;

/// A device is started where others are: until it is online to all and all to it.
pub(super) fn newcomer(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let site = Site::new(PRESENT + 1, job.by)?;
    let mut present = site.mesh(1..=PRESENT)?;
    let newcomer = PRESENT + 1;
    let mut took = Vec::new();
    for _ in 0..job.options.times {
        let mut device = site.start(newcomer)?;
        let mut last: f64 = 0.0;
        for other in &mut present {
            last = last.max(device.wait("online", site.id(other.place))?);
            last = last.max(other.wait("online", site.id(newcomer))?);
        }
        took.push(last - device.begun);
        device.tell("leave")?;
        for other in &mut present {
            other.wait("offline", site.id(newcomer))?;
        }
        device.process.wait(crate::program::site::SOON)?;
    }
    let (p50, p95) = (percentile(&took, 50), percentile(&took, 95));
    figures.add(
        format!("newcomer connected to {PRESENT} that are there, p50 / p95"),
        "0.2 s / 0.4 s",
        format!("{} / {}", time(p50), time(p95)),
        Some(p50 <= 200.0 && p95 <= 400.0),
    );
    Ok(())
}

/// All are started at once: until each is online to each.
pub(super) fn cold_mesh(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..job.options.times {
        let site = Site::new(PRESENT, job.by)?;
        let launched = (1..=PRESENT).map(|place| site.launch(place));
        let mut devices = launched.collect::<Result<Vec<_>>>()?;
        let last = site.wait_all(&mut devices)?;
        // From when the last of them began to start: before that there was no mesh to be had.
        let begun = devices.iter().map(|device| device.begun);
        took.push(last - begun.fold(0.0, f64::max));
    }
    let (p50, p95) = (percentile(&took, 50), percentile(&took, 95));
    figures.add(
        format!("cold mesh of {PRESENT}, p50 / p95"),
        "p95 ≤ 1.2 s",
        format!("{} / {}", time(p50), time(p95)),
        Some(p95 <= 1200.0),
    );
    Ok(())
}

/// What is done to a device, within how many milliseconds its watcher is to see it, and how; the time at which it was.
type Cause = (&'static str, f64, fn(&Site, &mut Device) -> Result<f64>);

const CAUSES: &[Cause] = &[
    ("graceful leave", 100.0, |_, device| {
        let at = clock::now();
        device.tell("leave")?;
        Ok(at)
    }),
    (
        "SIGKILL of a lone node, its host answers",
        1700.0,
        |_, device| {
            device.process.kill()?;
            Ok(clock::now())
        },
    ),
    ("power loss", 6300.0, |site, device| {
        site.lab.cut(device.place)?;
        let at = clock::now();
        device.process.kill()?;
        Ok(at)
    }),
    (
        "SIGKILL of a lone node, its host says nothing",
        6300.0,
        |site, device| {
            // As a firewall does that lets no ICMP out.
            site.lab.hide_closed_ports(device.place, true)?;
            device.process.kill()?;
            Ok(clock::now())
        },
    ),
    ("SIGSTOP (a device that sleeps)", 6300.0, |_, device| {
        device.process.suspend()?;
        Ok(clock::now())
    }),
    ("heard by nobody", 6300.0, |site, device| {
        site.lab.mute(device.place, true)?;
        Ok(clock::now())
    }),
];

/// From what happens to a device until its watcher says that it is offline.
pub(super) fn offline(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let site = Site::new(2, job.by)?;
    let mut watcher = site.mesh([1])?.remove(0);
    for (what, target, happens) in CAUSES {
        let mut took = Vec::new();
        for _ in 0..job.options.times {
            let mut device = site.start(2)?;
            watcher.wait("online", site.id(2))?;
            sleep(HOSTS_ANSWER_AGAIN);
            let at = happens(&site, &mut device)?;
            took.push(watcher.wait("offline", site.id(2))? - at);
            // Before its host is as it was.
            device.process.kill()?;
            site.lab.heal(2)?;
            site.lab.mute(2, false)?;
            site.lab.hide_closed_ports(2, false)?;
        }
        put(figures, &format!("offline: {what}"), *target, &took);
    }
    let mut took = Vec::new();
    for _ in 0..job.options.times {
        let mut device = site.start(2)?;
        watcher.wait("online", site.id(2))?;
        device.process.kill()?;
        let at = clock::now();
        let mut again = site.start(2)?;
        watcher.wait("offline", site.id(2))?;
        took.push(watcher.wait("online", site.id(2))? - at);
        again.process.kill()?;
        watcher.wait("offline", site.id(2))?;
    }
    put(figures, "crash and restart, online again", 1300.0, &took);
    Ok(())
}

/// Waits until both of two have said so of each other; when the second did.
fn both(site: &Site, devices: &mut [Device], what: &str) -> Result<f64> {
    let one = devices[0].wait(what, site.id(2))?;
    Ok(one.max(devices[1].wait(what, site.id(1))?))
}

/// From when the network is whole again until both are online to each other.
pub(super) fn back_online(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let site = Site::new(2, job.by)?;
    let mut devices = site.mesh(1..=2)?;
    let (mut cut, mut asleep) = (Vec::new(), Vec::new());
    for _ in 0..job.options.times {
        site.lab.cut(2)?;
        both(&site, &mut devices, "offline")?;
        site.lab.heal(2)?;
        let at = clock::now();
        cut.push(both(&site, &mut devices, "online")? - at);
    }
    put(figures, "online again after a cut cable", 5000.0, &cut);
    for _ in 0..job.options.times {
        devices[1].process.suspend()?;
        devices[0].wait("offline", site.id(2))?;
        devices[1].process.resume()?;
        let at = clock::now();
        devices[1].wait("offline", site.id(1))?;
        asleep.push(both(&site, &mut devices, "online")? - at);
    }
    put(figures, "online again after sleep", 5000.0, &asleep);
    let mut flaps = Vec::new();
    for _ in 0..job.options.times {
        site.lab.link_down(2)?;
        both(&site, &mut devices, "offline")?;
        site.lab.link_up(2)?;
        let at = clock::now();
        flaps.push(both(&site, &mut devices, "online")? - at);
    }
    put(
        figures,
        "online again after the cable was out",
        5000.0,
        &flaps,
    );
    let mut unheard = Vec::new();
    for _ in 0..job.options.times {
        site.lab.mute(2, true)?;
        both(&site, &mut devices, "offline")?;
        site.lab.mute(2, false)?;
        let at = clock::now();
        unheard.push(both(&site, &mut devices, "online")? - at);
    }
    put(
        figures,
        "online again after one was heard by nobody",
        5000.0,
        &unheard,
    );
    // A connection of TCP has the addresses that it began with.
    if job.by != By::Tcp {
        moved(job, &site, &mut devices, figures)?;
    }
    replaced(job, &site, &mut devices, figures)
}

/// Of two devices the one that was dialled gets another address while one calls the other without a pause: until calls are answered
/// again, by the connection that it dials. So the next time it is the other one that was dialled.
fn replaced(
    job: &Job<'_>,
    site: &Site,
    devices: &mut [Device],
    figures: &mut Figures,
) -> Result<()> {
    restart(site, devices)?;
    let (mut took, mut unknown, mut known) = (Vec::new(), 0, true);
    for (time, mover) in (0..job.options.times as u8).zip([2, 1].into_iter().cycle()) {
        let run = REPLACED_RUN + u64::from(time);
        devices[0].tell(&format!("stream {} {run}", site.id(2)))?;
        sleep(BETWEEN_MOVES);
        let address = Ipv4Addr::new(10, 77, 0, 150 + time);
        site.lab.change_address(mover, address)?;
        // Longer than a silence lasts.
        sleep(BACK_AGAIN);
        let streamed = devices[0].ask("stop", "streamed")?;
        known &= fate(&streamed, &site.served(2, run)?).is_known();
        let of = |field: &str| streamed[field].as_f64().unwrap_or(f64::INFINITY);
        took.push(of("gap").max(of("silent")));
        unknown += streamed["unknown"].as_array().map_or(0, Vec::len);
    }
    figures.add(
        match job.by {
            By::Tcp => "calls are answered again after one of two changed its address, p50 / most",
            _ => "calls are answered again after the one of two that was dialled changed its address, p50 / most",
        },
        "≤ 1.00 s, 0 lost or doubled",
        format!(
            "{} / {}, {} lost or doubled, {unknown} of unknown fate",
            time(percentile(&took, 50)),
            time(most(&took)),
            if known { "none" } else { "**some**" }
        ),
        Some(known && most(&took) <= 1000.0),
    );
    Ok(())
}

/// The second is started again, and so the first one dials it.
fn restart(site: &Site, devices: &mut [Device]) -> Result<()> {
    devices[1].process.kill()?;
    devices[0].wait("offline", site.id(2))?;
    devices[1] = site.start(2)?;
    both(site, devices, "online")?;
    Ok(())
}

/// Of two devices that are on the network, the one that was there first, and so has dialled, gets one other address after the other
/// while it calls without a pause.
fn moved(job: &Job<'_>, site: &Site, devices: &mut [Device], figures: &mut Figures) -> Result<()> {
    restart(site, devices)?;
    devices[0].tell(&format!("stream {} {MOVED_RUN}", site.id(2)))?;
    for last in 100..100 + job.options.times as u8 {
        sleep(BETWEEN_MOVES);
        site.lab.change_address(1, Ipv4Addr::new(10, 77, 0, last))?;
    }
    sleep(BETWEEN_MOVES);
    let streamed = devices[0].ask("stop", "streamed")?;
    let of = |field: &str| streamed[field].as_array().map_or(0, Vec::len);
    let failed = of("failed") + of("unknown");
    let gap = streamed["gap"].as_f64().unwrap_or(f64::INFINITY);
    let silent = streamed["silent"].as_f64().unwrap_or(f64::INFINITY);
    figures.add(
        format!(
            "calls that failed while the caller, which has dialled, changed its address {} times",
            job.options.times
        ),
        "0",
        format!(
            "{failed} of {}; longest silence {}",
            streamed["begun"],
            time(gap.max(silent))
        ),
        Some(failed == 0 && silent < 1000.0),
    );
    Ok(())
}
