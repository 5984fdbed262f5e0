//! On what was measured.

use std::{fs, process::Command};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// More than this at the beginning, and somebody else is at work here.
const BUSY: f64 = 0.7;

/// What a figure is worth nothing without.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    /// With `+` where the tree had changes that were not committed.
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) compiler: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    /// How many processes wanted to run, over the minute before it began.
    pub(crate) load: f64,
}

impl Machine {
    /// Whether somebody else was at work when it began.
    pub(crate) fn is_busy(&self) -> bool {
        self.load > BUSY
    }
}

/// What can be found out; says so on standard error if the machine is busy.
pub(crate) fn describe(plan: Option<&Plan>) -> Result<Machine> {
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().and_then(|load| load.parse().ok());
    let load = load.unwrap_or(0.0);
    if load > BUSY {
        eprintln!(
            "This machine is busy (load {load}): believe ratios and cpu_100k, and times not at all."
        );
    }
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let here = env!("CARGO_MANIFEST_DIR");
    let changes = said("git", &["-C", here, "status", "--porcelain", "-uno"]);
    let commit = said("git", &["-C", here, "rev-parse", "--short", "HEAD"]);
    Ok(Machine {
        date: said("date", &["-u", "+%Y-%m-%d"]),
        commit: format!("{commit}{}", if changes.is_empty() { "" } else { "+" }),
        processor: model
            .map(|model| model.trim_start_matches([' ', '\t', ':']).to_owned())
            .unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: read("/proc/sys/kernel/osrelease"),
        compiler: said("rustc", &["--version"]),
        rounds: plan.map_or(0, Plan::rounds),
        seconds: plan.map_or(0.0, |plan| plan.measure().as_secs_f64()),
        load,
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
