//! Many devices, and one that has nothing to do.

use std::{thread::sleep, time::Duration};

use super::Job;
use crate::program::{
    By, Result, clock,
    figures::{Figures, time},
    site::{Device, Site},
    stats::{mean, most},
};

const IDLE: Duration = Duration::from_secs(60);

/// A node with four others that nobody calls.
pub(super) fn idle(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let site = Site::new(5, job.by)?;
    let mut devices = site.mesh(1..=5)?;
    let mut usage = |what: &str| -> Result<f64> {
        let usage = devices[0].ask("usage", "usage")?;
        usage[what].as_f64().ok_or_else(|| "no figure".into())
    };
    // What comes of the beginning is over.
    sleep(Duration::from_secs(5));
    let (before, at) = (usage("cpu_ms")?, clock::now());
    sleep(IDLE);
    let share = (usage("cpu_ms")? - before) / (clock::now() - at) * 100.0;
    let mib = usage("kib")? / 1024.0;
    figures.add(
        "an idle node with 4 others: processor, of a core, over 60 s",
        "< 0.5 %",
        format!("{share:.2} %"),
        Some(share < 0.5),
    );
    figures.add(
        "an idle node with 4 others: resident memory",
        "≤ 20 MB",
        format!("{mib:.1} MiB"),
        Some(mib * 1.048_576 <= 20.0),
    );
    Ok(())
}

/// So many processes on one machine are slow for lack of a processor each.
pub(super) fn many(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let count = job.options.crowd;
    let site = Site::new(count, job.by)?;
    let begun = clock::now();
    let mut devices = site.mesh(1..=count)?;
    let online = clock::now() - begun;
    figures.add(
        format!("{count} devices, a process each: all online to all, from the first start"),
        "",
        time(online),
        None,
    );
    all_call_all(&site, &mut devices, figures)?;
    sleep(Duration::from_secs(5));
    // Connections that crossed while all of them dialled all were replaced, which is no loss.
    devices.iter_mut().for_each(Device::forget);
    let cpu = mean(&each(&mut devices, "cpu_ms")?);
    let at = clock::now();
    sleep(Duration::from_secs(30));
    let share = (mean(&each(&mut devices, "cpu_ms")?) - cpu) / (clock::now() - at) * 100.0;
    let kib = each(&mut devices, "kib")?;
    let by_tcp: f64 = each(&mut devices, "by_tcp")?.iter().sum();
    let missed: usize = devices.iter_mut().map(|device| device.losses().len()).sum();
    figures.add(
        format!("{count} devices: memory of one, mean / most; processor of one when idle"),
        "",
        format!(
            "{:.1} MiB / {:.1} MiB; {share:.2} % of a core",
            mean(&kib) / 1024.0,
            most(&kib) / 1024.0
        ),
        None,
    );
    if job.by == By::All {
        figures.add(
            format!(
                "{count} devices: of {} connections, those by TCP",
                count * (count - 1) / 2
            ),
            "",
            format!("{}", by_tcp / 2.0),
            None,
        );
    }
    figures.add(
        format!("{count} devices: taken for offline in those 30 s although they were there"),
        "0",
        missed.to_string(),
        Some(missed == 0),
    );
    Ok(())
}

/// A figure of the usage of each device.
fn each(devices: &mut [Device], field: &str) -> Result<Vec<f64>> {
    let of = |device: &mut Device| -> Result<f64> {
        let usage = device.ask("usage", "usage")?;
        Ok(usage[field].as_f64().unwrap_or_default())
    };
    devices.iter_mut().map(of).collect()
}

/// The run by which the calls of a crowd are known.
const RUN: u64 = 1;

/// Each device looks up the service of each other one and calls it once, all devices at once.
fn all_call_all(site: &Site, devices: &mut [Device], figures: &mut Figures) -> Result<()> {
    let count = devices.len();
    let begun = clock::now();
    for device in &mut *devices {
        device.tell(&format!("all {RUN} {}", device.place))?;
    }
    let (mut p50, mut p99, mut longest, mut called) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for device in &mut *devices {
        let outcome = device.outcome("called all")?;
        let of = |field: &str| outcome[field].as_f64().unwrap_or_default();
        p50.push(of("p50"));
        p99.push(of("p99"));
        longest.push(of("most"));
        called += outcome["count"].as_u64().unwrap_or_default();
        for error in outcome["errors"].as_array().into_iter().flatten() {
            eprintln!("device {}: {error}", device.place);
        }
    }
    let took = clock::now() - begun;
    let pairs = count * (count - 1);
    let mut served = 0;
    for place in 1..=count {
        let once = site.served(place, RUN)?;
        served += once.values().filter(|times| **times == 1).count();
    }
    figures.add(
        format!(
            "{count} devices, all call all once, all at once: pairs that called / were served once"
        ),
        format!("{pairs} / {pairs}"),
        format!("{called} / {served}"),
        Some(called as usize == pairs && served == pairs),
    );
    figures.add(
        format!("{count} devices, all call all: a look-up and a call, p50 / worst p99 of a device / most; all of them"),
        "",
        format!(
            "{} / {} / {}; {}",
            time(mean(&p50)),
            time(most(&p99)),
            time(most(&longest)),
            time(took)
        ),
        None,
    );
    Ok(())
}
