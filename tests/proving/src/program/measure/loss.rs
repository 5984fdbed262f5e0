//! Calls and transfers where packets are lost, and what that does to presence.

use std::{thread::sleep, time::Duration};

use serde_json::Value;

use crate::program::{
    Measure, Result,
    chart::{Chart, Line},
    clock,
    figures::{Figures, time},
    site::Site,
};

const PERCENT: [u8; 5] = [0, 1, 5, 10, 25];
const CALLS: u32 = 2000;
const TRANSFER: u32 = 512 * 1024;

fn of(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_default()
}

pub(super) fn at_each_loss(options: &Measure, figures: &mut Figures) -> Result<()> {
    let site = Site::new(2)?;
    let mut devices = site.mesh(1..=2)?;
    let other = site.id(2);
    let mut lines = [
        Line::new("a call, p50"),
        Line::new("a call, p99"),
        Line::new("512 KiB there and back"),
    ];
    // What is done first of all is slower.
    devices[0].ask(&format!("calls {other} {CALLS}"), "called")?;
    for percent in PERCENT {
        site.lab.drop_percent(percent)?;
        let calls = devices[0].ask(&format!("calls {other} {CALLS}"), "called")?;
        let mut transfers = Vec::new();
        for _ in 0..5 {
            let moved = devices[0].ask(&format!("transfer {other} {TRANSFER}"), "transferred")?;
            transfers.push(of(&moved, "ms"));
        }
        let transfer = crate::program::stats::percentile(&transfers, 50);
        for (line, ms) in lines
            .iter_mut()
            .zip([of(&calls, "p50"), of(&calls, "p99"), transfer])
        {
            line.add(f64::from(percent), ms);
        }
        figures.add(
            format!("{percent} % loss: a call p50 / p99 / most, calls in a second, 512 KiB there and back"),
            "",
            format!(
                "{} / {} / {}, {:.0}, {}",
                time(of(&calls, "p50")),
                time(of(&calls, "p99")),
                time(of(&calls, "most")),
                of(&calls, "per_second"),
                time(transfer)
            ),
            None,
        );
    }
    site.lab.drop_percent(0)?;
    recovery(&site, &mut devices[0], figures)?;
    if let Some(file) = &options.write {
        let chart = Chart {
            title: "Calls where packets are lost",
            x: "packets lost, %",
            y: "ms, logarithmic",
            lines: &lines,
        };
        std::fs::write(file.with_extension("svg"), chart.svg())?;
    }
    Ok(())
}

/// After a time of loss, until a hundred calls are as quick as before.
fn recovery(
    site: &Site,
    caller: &mut crate::program::site::Device,
    figures: &mut Figures,
) -> Result<()> {
    let line = format!("calls {} 100", site.id(2));
    let mut before = Vec::new();
    for _ in 0..10 {
        before.push(of(&caller.ask(&line, "called")?, "p99"));
    }
    let usual = crate::program::stats::percentile(&before, 90);
    let mut took = Vec::new();
    for _ in 0..5 {
        site.lab.drop_percent(20)?;
        let end = clock::now() + 10_000.0;
        while clock::now() < end {
            caller.ask(&line, "called")?;
        }
        site.lab.drop_percent(0)?;
        let at = clock::now();
        while of(&caller.ask(&line, "called")?, "p99") > 2.0 * usual && clock::now() < at + 30_000.0
        {
        }
        took.push(clock::now() - at);
    }
    figures.add(
        "recovery after 10 s of 20 % loss: until 100 calls are as quick as before (p99 within twice), p50 / most of 5",
        "",
        format!(
            "{} / {}",
            time(crate::program::stats::percentile(&took, 50)),
            time(crate::program::stats::most(&took))
        ),
        None,
    );
    Ok(())
}

/// Twelve devices have 66 connections among them.
const MESH: usize = 12;
const SECONDS: u64 = 60;

pub(super) fn false_offline(_: &Measure, figures: &mut Figures) -> Result<()> {
    let site = Site::new(MESH)?;
    let mut devices = site.mesh(1..=MESH)?;
    devices
        .iter_mut()
        .for_each(crate::program::site::Device::forget);
    site.lab.drop_percent(20)?;
    sleep(Duration::from_secs(SECONDS));
    site.lab.drop_percent(0)?;
    let lost: usize = devices.iter_mut().map(|device| device.losses().len()).sum();
    let connections = MESH * (MESH - 1) / 2;
    figures.add(
        format!("devices taken for offline at 20 % loss, {connections} connections, {SECONDS} s"),
        "0",
        lost.to_string(),
        Some(lost == 0),
    );
    Ok(())
}
