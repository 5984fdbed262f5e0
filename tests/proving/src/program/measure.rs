//! The figures of `docs/reliability.md`, one after the other.

mod calls;
mod crowd;
mod loss;
mod presence;

use std::fs;

use crate::program::{Measure, Result, figures::Figures};

type Part = fn(&Measure, &mut Figures) -> Result<()>;

const PARTS: &[(&str, Part)] = &[
    ("newcomer", presence::newcomer),
    ("mesh", presence::cold_mesh),
    ("offline", presence::offline),
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
    let before = load()?;
    let mut figures = Figures::default();
    for (name, part) in PARTS {
        if options.only.is_empty() || options.only.iter().any(|wanted| wanted == name) {
            eprintln!("{name} ..");
            part(options, &mut figures)?;
        }
    }
    if let Some(file) = &options.write {
        let about = about(options, &before)?;
        figures.write(file, &about)?;
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
    Ok(format!(
        "Measured on {}, {processors} processors, Linux {}, {build} build, {} times each unless said otherwise; load of the machine before: {load}.",
        date.trim(),
        kernel.trim(),
        options.times
    ))
}
