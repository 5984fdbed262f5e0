//! Many devices, and one that has nothing to do.

use std::{thread::sleep, time::Duration};

use crate::program::{
    Measure, Result, clock,
    figures::{Figures, time},
    site::{Device, Site},
    stats::{mean, most},
};

const IDLE: Duration = Duration::from_secs(60);

/// A node with four others that nobody calls.
pub(super) fn idle(_: &Measure, figures: &mut Figures) -> Result<()> {
    let site = Site::new(5)?;
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
pub(super) fn many(options: &Measure, figures: &mut Figures) -> Result<()> {
    let count = options.crowd;
    let site = Site::new(count)?;
    let begun = clock::now();
    let mut devices = site.mesh(1..=count)?;
    let online = clock::now() - begun;
    for device in &mut devices {
        // Each the one behind it, all at once.
        let other = site.id(1 + device.place % count);
        device.tell(&format!("calls {other} 20"))?;
    }
    let mut worst = Vec::new();
    for device in &mut devices {
        let called = device.outcome("called")?;
        worst.push(called["p99"].as_f64().unwrap_or_default());
    }
    sleep(Duration::from_secs(5));
    // Connections that crossed while all of them dialled all were replaced, which is no loss.
    devices.iter_mut().for_each(Device::forget);
    let (mut kib, mut cpu) = (Vec::new(), Vec::new());
    let mut look = |into: &mut Vec<f64>, field: &str| -> Result<()> {
        for device in &mut devices {
            let usage = device.ask("usage", "usage")?;
            into.push(usage[field].as_f64().unwrap_or_default());
        }
        Ok(())
    };
    look(&mut cpu, "cpu_ms")?;
    let at = clock::now();
    sleep(Duration::from_secs(30));
    let before = mean(&cpu);
    cpu.clear();
    look(&mut cpu, "cpu_ms")?;
    let share = (mean(&cpu) - before) / (clock::now() - at) * 100.0;
    look(&mut kib, "kib")?;
    let missed: usize = devices.iter_mut().map(|device| device.losses().len()).sum();
    figures.add(
        format!("{count} devices, a process each: all online to all, from the first start"),
        "",
        time(online),
        None,
    );
    figures.add(
        format!("{count} devices: 20 calls of each to the next, all at once, worst p99"),
        "",
        time(most(&worst)),
        None,
    );
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
    figures.add(
        format!("{count} devices: taken for offline in those 30 s although they were there"),
        "0",
        missed.to_string(),
        Some(missed == 0),
    );
    Ok(())
}
