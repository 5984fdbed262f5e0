//! Calls and transfers where packets are lost, and what that does to presence.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Job,
    calls::{Fate, fate},
};
use crate::program::{
    By, Result,
    chart::{Chart, Line},
    clock,
    figures::{Figures, time},
    site::{Device, Site},
    stats::{most, percentile},
};

const PERCENT: [u8; 5] = [0, 1, 5, 10, 25];
const CALLS: u32 = 2000;
/// The number of the calls at no loss; that of others is as much higher as is lost.
const FIRST_RUN: u64 = 2000;
/// How long calls, and then transfers, go on where the number of them is not reached.
const SECONDS: u64 = 30;
const TRANSFERS: usize = 5;
const TRANSFER: u32 = 512 * 1024;

fn of(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_default()
}

/// Where more is lost, a device may be taken for gone.
const NOBODY_IS_MISSED: u8 = 20;

/// What was found at a share of loss.
struct Found {
    calls: Value,
    fate: Fate,
    transfers: Vec<f64>,
    /// Why a transfer failed.
    broken: Option<String>,
    /// How often one of the two took the other for gone.
    missed: usize,
}

impl Found {
    fn at(percent: u8, site: &Site, devices: &mut [Device]) -> Result<Self> {
        devices.iter_mut().for_each(Device::forget);
        site.lab.drop_percent(percent)?;
        let (other, run) = (site.id(2), FIRST_RUN + u64::from(percent));
        let caller = &mut devices[0];
        let calls = caller.ask(
            &format!("counted {other} {run} {CALLS} {SECONDS}"),
            "called",
        )?;
        let (mut transfers, mut broken) = (Vec::new(), None);
        let until = Instant::now() + Duration::from_secs(SECONDS);
        while transfers.len() < TRANSFERS && (transfers.is_empty() || Instant::now() < until) {
            match caller.ask(&format!("transfer {other} {TRANSFER}"), "transferred") {
                Ok(moved) => transfers.push(of(&moved, "ms")),
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        Ok(Self {
            fate: fate(&calls, &site.served(2, run)?),
            calls,
            transfers,
            broken,
            missed: devices.iter_mut().map(|device| device.losses().len()).sum(),
        })
    }

    /// Whether it is what is promised where so much is lost.
    const fn is_as_promised(&self, percent: u8) -> bool {
        let is_there = self.missed == 0 && self.broken.is_none();
        self.fate.is_known() && (percent > NOBODY_IS_MISSED || is_there)
    }

    /// Call p50 and p99, and a transfer.
    fn points(&self) -> [f64; 3] {
        let transfer = percentile(&self.transfers, 50);
        [of(&self.calls, "p50"), of(&self.calls, "p99"), transfer]
    }

    fn put(&self, percent: u8, figures: &mut Figures) {
        let [p50, p99, transfer] = self.points();
        let broken = self.broken.as_ref();
        let broken = broken.map_or_else(String::new, |error| format!(", one failed: {error}"));
        let count = |field: &str| self.calls[field].as_array().map_or(0, Vec::len);
        figures.add(
            format!("{percent} % loss: a call p50 / p99 / most, calls in a second, 512 KiB there and back; calls lost / doubled, devices missed"),
            promised(percent),
            format!(
                "{} / {} / {}, {:.0}, {}; {} / {} of {} (failed and not made {}, of unknown fate {}), {} missed; {} transfers{}",
                time(p50),
                time(p99),
                time(of(&self.calls, "most")),
                of(&self.calls, "per_second"),
                time(transfer),
                self.fate.lost,
                self.fate.doubled,
                self.calls["begun"],
                count("failed"),
                count("unknown"),
                self.missed,
                self.transfers.len(),
                broken
            ),
            Some(self.is_as_promised(percent)),
        );
    }
}

const fn promised(percent: u8) -> &'static str {
    match percent {
        0..=NOBODY_IS_MISSED => "0 / 0, 0 missed",
        _ => "0 / 0",
    }
}

pub(super) fn at_each_loss(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let site = Site::new(2, job.by)?;
    let mut devices = site.mesh(1..=2)?;
    let mut lines = [
        Line::new("a call, p50"),
        Line::new("a call, p99"),
        Line::new("512 KiB there and back"),
    ];
    // What is done first of all is slower.
    devices[0].ask(&format!("calls {} {CALLS}", site.id(2)), "called")?;
    for percent in PERCENT {
        match Found::at(percent, &site, &mut devices) {
            Ok(found) => {
                // Of what was never done there is no point.
                for (line, ms) in lines
                    .iter_mut()
                    .zip(found.points())
                    .filter(|(_, ms)| *ms > 0.0)
                {
                    line.add(f64::from(percent), ms);
                }
                found.put(percent, figures);
            }
            Err(error) => figures.add(
                format!("{percent} % loss: calls and transfers"),
                promised(percent),
                format!("did not go on: {error}"),
                Some(false),
            ),
        }
    }
    site.lab.drop_percent(0)?;
    recovery(&site, &mut devices[0], figures)?;
    if let Some(file) = job.chart() {
        let chart = Chart {
            title: match job.by {
                By::All => "Calls where packets are lost",
                By::Quic => "Calls by QUIC where packets are lost",
                By::Tcp => "Calls by TCP where packets are lost",
            },
            x: "packets lost, %",
            y: "ms, logarithmic",
            lines: &lines,
        };
        std::fs::write(file, chart.svg())?;
    }
    Ok(())
}

/// After a time of loss, until a hundred calls are as quick as before.
fn recovery(site: &Site, caller: &mut Device, figures: &mut Figures) -> Result<()> {
    // Lost calls and slow ones: no round of them takes longer.
    let line = format!("calls {} 100 5", site.id(2));
    let mut before = Vec::new();
    for _ in 0..10 {
        before.push(of(&caller.ask(&line, "called")?, "p99"));
    }
    let usual = percentile(&before, 90);
    let mut took = Vec::new();
    for _ in 0..5 {
        site.lab.drop_percent(20)?;
        let end = clock::now() + 10_000.0;
        while clock::now() < end {
            // Calls may fail now, and nothing is made of that here.
            let _ = caller.ask(&line, "called");
        }
        site.lab.drop_percent(0)?;
        let at = clock::now();
        let mut is_quick = || {
            let called = caller.ask(&line, "called");
            called.is_ok_and(|called| of(&called, "p99") <= 2.0 * usual)
        };
        while !is_quick() && clock::now() < at + 30_000.0 {}
        took.push(clock::now() - at);
    }
    figures.add(
        "recovery after 10 s of 20 % loss: until 100 calls are as quick as before (p99 within twice), p50 / most of 5",
        "",
        format!(
            "{} / {}",
            time(percentile(&took, 50)),
            time(most(&took))
        ),
        None,
    );
    Ok(())
}

/// Twelve devices have 66 connections among them.
const MESH: usize = 12;
const A_MINUTE: u64 = 60;

pub(super) fn false_offline(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let site = Site::new(MESH, job.by)?;
    let mut devices = site.mesh(1..=MESH)?;
    devices.iter_mut().for_each(Device::forget);
    site.lab.drop_percent(20)?;
    sleep(Duration::from_secs(A_MINUTE));
    site.lab.drop_percent(0)?;
    let lost: usize = devices.iter_mut().map(|device| device.losses().len()).sum();
    let connections = MESH * (MESH - 1) / 2;
    figures.add(
        format!("devices taken for offline at 20 % loss, {connections} connections, {A_MINUTE} s"),
        "0",
        lost.to_string(),
        Some(lost == 0),
    );
    Ok(())
}
