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
use softbus_simulation::{Below, Run, run, run_twice};

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
    /// Over QUIC and datagrams instead of frames
    #[arg(long)]
    quic: bool,
    /// Run each seed twice, and see that the same happens
    #[arg(long)]
    twice: bool,
    /// Show all that happened, frames included
    #[arg(long, requires = "seed")]
    log: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let below = if arguments.quic {
        Below::Quic
    } else {
        Below::Frames
    };
    let failed = match arguments.seed {
        Some(seed) => {
            let run = run_as_asked(seed, below, arguments.twice);
            if arguments.log {
                for entry in &run.log {
                    println!("{entry}");
                }
            }
            println!("seed {seed}: {} entries", run.log.len());
            run.violation.is_some().then_some(run)
        }
        None => {
            let seeds = arguments.from..arguments.from.saturating_add(arguments.seeds);
            run_all(seeds, below, arguments.twice)
        }
    };
    let Some(run) = failed else {
        return ExitCode::SUCCESS;
    };
    show(&run, &arguments);
    ExitCode::FAILURE
}

fn run_as_asked(seed: u64, below: Below, twice: bool) -> Run {
    if !twice {
        return run(seed, below);
    }
    match run_twice(seed, below) {
        Ok(run) => run,
        Err(parts) => panic!("seed {seed} goes two ways from entry {parts} on"),
    }
}

/// Runs seeds on as many threads as there are processors. Returns the lowest that broke a rule, of those that were run.
fn run_all(seeds: std::ops::Range<u64>, below: Below, twice: bool) -> Option<Run> {
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
            let run = run_as_asked(seed, below, twice);
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
fn show(run: &Run, arguments: &Arguments) {
    if !arguments.log {
        let at = run.violation.as_ref().map_or(0, |violation| violation.at);
        let until = run.log.partition_point(|entry| entry.at <= at);
        for entry in &run.log[until.saturating_sub(LAST)..until] {
            println!("{entry}");
        }
    }
    if let Some(violation) = &run.violation {
        println!("\nseed {} breaks a rule: {violation}", run.seed);
    }
    let quic = if arguments.quic { " --quic" } else { "" };
    println!(
        "see it again: cargo run -p softbus-simulation -- --seed {}{quic} --log",
        run.seed
    );
}
