//! What becomes of calls while something happens to the device that is called, or to the network.

use std::{collections::BTreeMap, net::Ipv4Addr, thread::sleep, time::Duration};

use serde_json::Value;

use crate::program::{
    Measure, Result,
    figures::{Figures, time},
    site::{Device, Site},
};

/// What goes on before and after what happens.
const A_WHILE: Duration = Duration::from_secs(2);

/// What happens to device 2, which serves, while device 1 calls it.
type Happens = fn(&Site, &mut Vec<Device>) -> Result<()>;

const SCENARIOS: &[(&str, Happens)] = &[
    ("nothing happens", |_, _| Ok(())),
    ("20 % loss for 10 s", |site, _| {
        site.lab.drop_percent(20)?;
        sleep(Duration::from_secs(10));
        Ok(site.lab.drop_percent(0)?)
    }),
    ("partition of 8 s", |site, _| {
        site.lab.cut(2)?;
        sleep(Duration::from_secs(8));
        Ok(site.lab.heal(2)?)
    }),
    ("the callee is heard by nobody for 8 s", |site, _| {
        site.lab.mute(2, true)?;
        sleep(Duration::from_secs(8));
        Ok(site.lab.mute(2, false)?)
    }),
    ("the cable is out five times", |site, _| {
        for _ in 0..5 {
            site.lab.link_down(2)?;
            sleep(Duration::from_millis(500));
            site.lab.link_up(2)?;
            sleep(Duration::from_millis(500));
        }
        Ok(())
    }),
    ("the caller changes its address three times", |site, _| {
        for last in [101, 102, 103] {
            site.lab.change_address(1, Ipv4Addr::new(10, 77, 0, last))?;
            sleep(Duration::from_secs(1));
        }
        Ok(())
    }),
    ("SIGKILL and restart of the callee", |site, devices| {
        devices[1].process.kill()?;
        devices[1] = site.start(2)?;
        Ok(())
    }),
    (
        "graceful leave and restart of the callee",
        |site, devices| {
            devices[1].tell("leave")?;
            devices[1].process.wait(crate::program::site::SOON)?;
            devices[1] = site.start(2)?;
            Ok(())
        },
    ),
    ("SIGSTOP of the callee for 8 s", |_, devices| {
        devices[1].process.suspend()?;
        sleep(Duration::from_secs(8));
        Ok(devices[1].process.resume()?)
    }),
    ("power loss and restart of the callee", |site, devices| {
        site.lab.cut(2)?;
        devices[1].process.kill()?;
        sleep(Duration::from_secs(1));
        site.lab.heal(2)?;
        devices[1] = site.start(2)?;
        Ok(())
    }),
];

/// Calls go on, one after the other, through each scenario; what the caller knows of each is held against what was served.
pub(super) fn whatever_happens(_: &Measure, figures: &mut Figures) -> Result<()> {
    for (run, (what, happens)) in (1..).zip(SCENARIOS) {
        let site = Site::new(2)?;
        let mut devices = site.mesh([2])?;
        // The one that calls comes last, and so it has dialled.
        let mut caller = site.start(1)?;
        caller.wait("online", site.id(2))?;
        caller.tell(&format!("stream {} {run}", site.id(2)))?;
        devices.insert(0, caller);
        sleep(A_WHILE);
        happens(&site, &mut devices)?;
        // Until calls are answered again, and then some.
        sleep(Duration::from_secs(6));
        let streamed = devices[0].ask("stop", "streamed")?;
        let Fate {
            lost,
            doubled,
            wrong,
        } = fate(&streamed, &site.served(2, run)?);
        let of = |field: &str| streamed[field].as_array().map_or(0, Vec::len);
        let gap = streamed["gap"].as_f64().unwrap_or_default();
        figures.add(
            format!("calls lost / doubled: {what}"),
            "0 / 0",
            format!(
                "{lost} / {doubled} of {}; failed and not made {}, of unknown fate {}; longest silence {}",
                streamed["begun"],
                of("failed"),
                of("unknown"),
                time(gap)
            ),
            Some(lost == 0 && doubled == 0 && wrong == 0),
        );
        if wrong > 0 {
            eprintln!(
                "{wrong} calls failed for certain and were served: {}",
                streamed["kinds"]
            );
        }
    }
    Ok(())
}

struct Fate {
    /// Answered and not served, or never ended.
    lost: u64,
    /// Served more than once.
    doubled: u64,
    /// Said not to have been made, and served.
    wrong: u64,
}

fn fate(streamed: &Value, served: &BTreeMap<u64, u32>) -> Fate {
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
