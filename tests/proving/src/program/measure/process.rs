//! A process of a device dies, and the device goes on.

use std::process::Command;

use super::Job;
use crate::program::{
    Result, clock,
    figures::{Figures, put},
    site::{SOON, Site},
};

/// What another device is promised that has a proxy of what it served.
const AT_MOST: f64 = 100.0;

/// From when a process is killed that is attached to a device until another device says so of its proxy.
pub(super) fn is_killed(job: &Job<'_>, figures: &mut Figures) -> Result<()> {
    let site = Site::new(2, job.by)?;
    let socket = site.home(1).join("bus").join("socket");
    let host = site.launch_with(1, |command| {
        command.arg("--host").arg(&socket);
    })?;
    let mut devices = [host.ready()?, site.start(2)?];
    devices[1].wait("online", site.id(1))?;
    let mut took = Vec::new();
    for _ in 0..job.options.times {
        let mut attached = Command::new(std::env::current_exe()?);
        attached.arg("process").arg(&socket);
        let mut attached = site.lab.run_in(1, attached)?;
        attached.wait_for_event(SOON, |event| event["event"] == "ready")?;
        devices[1].ask(&format!("watch {}", site.id(1)), "watches")?;
        let at = clock::now();
        attached.kill()?;
        took.push(devices[1].wait("died", site.id(1))? - at);
    }
    let what = "a process of another device is killed, its proxy is dead";
    put(figures, what, AT_MOST, &took);
    Ok(())
}
