//! Runs seeds, side by side, until one breaks a rule, and shows what happened in it.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use clap::Parser;
use softbus_simulation::{Run, run};

/// How much of a log is shown, when nobody asked for all of it.
const LAST: usize = 60;

/// Devices on a simulated network, in a time that stands still while anybody works. What happens is decided by a seed.
#[derive(Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Run this seed alone
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// How many seeds to run
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Show all that happened, frames included
    #[arg(long, requires = "seed")]
    log: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failed = match arguments.seed {
        Some(seed) => {
            let run = run(seed);
            if arguments.log {
                for entry in &run.log {
                    println!("{entry}");
                }
            }
            println!("seed {seed}: {} entries", run.log.len());
            run.violation.is_some().then_some(run)
        }
        None => run_all(arguments.from..arguments.from.saturating_add(arguments.seeds)),
    };
    let Some(run) = failed else {
        return ExitCode::SUCCESS;
    };
    show(&run, arguments.log);
    ExitCode::FAILURE
}

/// Runs seeds on as many threads as there are processors. Returns the lowest that broke a rule, of those that were run.
fn run_all(seeds: std::ops::Range<u64>) -> Option<Run> {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let entries = AtomicU64::new(0);
    let failed: Mutex<Option<Run>> = Mutex::new(None);
    let found = || failed.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        while found().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let run = run(seed);
            entries.fetch_add(run.log.len() as u64, Ordering::Relaxed);
            if run.violation.is_some() {
                let mut failed = found();
                if failed.as_ref().is_none_or(|known| known.seed > seed) {
                    *failed = Some(run);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (count, entries) = (seeds.end - seeds.start, entries.into_inner());
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        let seconds = began.elapsed().as_secs_f64();
        println!("{count} seeds, {entries} entries, {seconds:.1} s: no rule broken");
    }
    failed
}

/// What broke a rule, and how to see it again.
fn show(run: &Run, whole: bool) {
    if !whole {
        let at = run.violation.as_ref().map_or(0, |violation| violation.at);
        let until = run.log.partition_point(|entry| entry.at <= at);
        for entry in &run.log[until.saturating_sub(LAST)..until] {
            println!("{entry}");
        }
    }
    if let Some(violation) = &run.violation {
        println!("\nseed {} breaks a rule: {violation}", run.seed);
    }
    println!(
        "see it again: cargo run -p softbus-simulation -- --seed {} --log",
        run.seed
    );
}
