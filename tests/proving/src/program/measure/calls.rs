//! What becomes of calls while something happens to the device that is called, or to the network.

mod situations;

use std::{collections::BTreeMap, thread::sleep, time::Duration};

use serde_json::Value;

use super::Job;
use crate::program::{
    By, Result,
    figures::{Figures, time},
    site::Site,
};
use situations::{SITUATIONS, Situation};

/// What goes on before and after what happens.
const A_WHILE: Duration = Duration::from_secs(2);
const AFTERWARDS: Duration = Duration::from_secs(6);
/// In ms: calls go on if one was answered so shortly before the end.
const LAST_ANSWER: f64 = 1000.0;

/// Calls go on, one after the other, through each situation; what the caller knows of each is held against what was served.
pub(super) fn whatever_happens(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let named = job.options.situation.as_deref().unwrap_or_default();
    for (run, situation) in (1..).zip(SITUATIONS) {
        let happens_here = situation.only.is_none_or(|by| by == job.by);
        if happens_here
            && situation.what.contains(named)
            && let Err(error) = one(job.by, run, situation, figures)
        {
            let what = format!("calls lost / doubled: {}", situation.what);
            figures.add(what, "0 / 0", format!("no result: {error}"), Some(false));
        }
    }
    Ok(())
}

fn one(by: By, run: u64, situation: &Situation, figures: &mut Figures) -> Result<()> {
    let mut site = Site::new(3, by)?;
    (situation.prepare)(&mut site)?;
    let mut devices = site.mesh([2])?;
    // The one that calls comes last, and so the other one has dialled it.
    let mut caller = site.start(1)?;
    caller.wait("online", site.id(2))?;
    caller.tell(&format!("stream {} {run}", site.id(2)))?;
    devices.insert(0, caller);
    sleep(A_WHILE);
    let remark = (situation.happens)(&site, &mut devices)?;
    // Until calls are answered again, and then some.
    sleep(AFTERWARDS);
    let streamed = devices[0].ask("stop", "streamed")?;
    let silent = streamed["silent"].as_f64().unwrap_or(f64::INFINITY);
    if silent > LAST_ANSWER {
        return Err(format!(
            "calls did not go on, nothing was answered for {}",
            time(silent)
        )
        .into());
    }
    let fate = fate(&streamed, &site.served(2, run)?);
    let Fate {
        lost,
        doubled,
        wrong,
    } = fate;
    let of = |field: &str| streamed[field].as_array().map_or(0, Vec::len);
    let gap = streamed["gap"].as_f64().unwrap_or_default();
    figures.add(
        format!("calls lost / doubled: {}", situation.what),
        "0 / 0",
        format!(
            "{lost} / {doubled} of {}; failed and not made {}, of unknown fate {}; longest silence {}{remark}",
            streamed["begun"],
            of("failed"),
            of("unknown"),
            time(gap)
        ),
        Some(fate.is_known()),
    );
    if wrong > 0 {
        eprintln!(
            "{wrong} calls failed for certain and were served: {}",
            streamed["kinds"]
        );
    }
    Ok(())
}

/// What became of calls, as what their caller knows is held against what was served.
pub(super) struct Fate {
    /// Answered and not served, or never ended.
    pub(super) lost: u64,
    /// Served more than once.
    pub(super) doubled: u64,
    /// Said not to have been made, and served.
    pub(super) wrong: u64,
}

impl Fate {
    /// Whether it is what is promised.
    pub(super) const fn is_known(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.wrong == 0
    }
}

pub(super) fn fate(streamed: &Value, served: &BTreeMap<u64, u32>) -> Fate {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let mut lost = number(&streamed["never_ended"]);
    for range in list(&streamed["answered"]) {
        let range = number(&range[0])..=number(&range[1]);
        lost += range.filter(|call| !served.contains_key(call)).count() as u64;
    }
    let failed = list(&streamed["failed"]);
    let failed = failed.iter().map(number);
    Fate {
        lost,
        doubled: served.values().filter(|times| **times > 1).count() as u64,
        wrong: failed.filter(|call| served.contains_key(call)).count() as u64,
    }
}
