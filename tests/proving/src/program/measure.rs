//! The figures of `docs/reliability.md`, one after the other.

mod calls;
mod crowd;
mod loss;
mod presence;
mod process;

use std::{fs, path::PathBuf};

use crate::program::{By, Measure, Result, figures::Figures};

type Part = fn(&Job<'_>, &mut Figures) -> Result<()>;

/// What is measured, and by what the devices talk meanwhile.
struct Job<'a> {
    options: &'a Measure,
    by: By,
}

impl Job<'_> {
    /// Where the chart goes.
    fn chart(&self) -> Option<PathBuf> {
        let file = self.options.write.as_ref()?;
        let chart = match self.by {
            By::All => file.with_extension("svg"),
            By::Quic => file.with_extension("quic.svg"),
            By::Tcp => file.with_extension("tcp.svg"),
        };
        Some(chart)
    }
}

const PARTS: &[(&str, Part)] = &[
    ("newcomer", presence::newcomer),
    ("mesh", presence::cold_mesh),
    ("offline", presence::offline),
    ("process", process::is_killed),
    ("back", presence::back_online),
    ("calls", calls::whatever_happens),
    ("loss", loss::at_each_loss),
    ("false-offline", loss::false_offline),
    ("idle", crowd::idle),
    ("crowd", crowd::many),
];

pub(crate) fn run(options: &Measure) -> Result<bool> {
    for name in &options.only {
        if !PARTS.iter().any(|(known, _)| known == name) {
            return Err(format!("nothing to measure is called {name:?}").into());
        }
    }
    let mut all_met = true;
    for by in By::those(options.transport) {
        all_met &= all_parts(&Job { options, by })?;
    }
    Ok(all_met)
}

fn all_parts(job: &Job<'_>) -> Result<bool> {
    let Job { options, by } = *job;
    let before = load()?;
    let mut figures = Figures::default();
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|one| one == name);
    let parts: Vec<_> = PARTS.iter().filter(|(name, _)| wanted(name)).collect();
    for (number, (name, part)) in (1..).zip(&parts) {
        eprintln!("{by} {number}/{}: {name} ..", parts.len());
        if let Err(error) = part(job, &mut figures) {
            // What was measured before is not lost, nor is what comes after.
            figures.add(
                format!("{name}: no result"),
                "",
                error.to_string(),
                Some(false),
            );
        }
        if let Some(file) = &options.write {
            let about = about(options, &before)?;
            figures.write(file, by, &about)?;
        }
    }
    Ok(figures.all_met())
}

/// How busy the machine is, of itself.
fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

fn about(options: &Measure, load: &str) -> Result<String> {
    let output = std::process::Command::new("date")
        .arg("+%Y-%m-%d")
        .output()?;
    let date = String::from_utf8(output.stdout)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) {
        "unoptimised"
    } else {
        "optimised"
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let after = self::load()?;
    Ok(format!(
        "Measured on {}, {processors} processors, Linux {}, {build} build, {} times each unless said otherwise; load of the machine before: {load}, after: {after}.",
        date.trim(),
        kernel.trim(),
        options.times
    ))
}
