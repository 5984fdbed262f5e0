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

/// What a seed came to that ends the search.
enum Failure {
    /// It broke a rule.
    Broken(Run),
    /// It went two ways, from this entry on.
    Parted(u64, usize),
}

impl Failure {
    const fn seed(&self) -> u64 {
        match self {
            Self::Broken(run) => run.seed,
            Self::Parted(seed, _) => *seed,
        }
    }
}

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
    /// Sum up all logs in a number, to compare with that of another process
    #[arg(long)]
    hash: bool,
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
        Some(seed) => run_one(seed, below, &arguments),
        None => {
            let seeds = arguments.from..arguments.from.saturating_add(arguments.seeds);
            run_all(seeds, below, &arguments)
        }
    };
    let Some(failure) = failed else {
        return ExitCode::SUCCESS;
    };
    match &failure {
        Failure::Broken(run) => show(run, arguments.log),
        Failure::Parted(seed, at) => println!("\nseed {seed} goes two ways from entry {at} on"),
    }
    println!("see it again: {}", command(&failure, arguments.quic));
    ExitCode::FAILURE
}

/// The command that does it again.
fn command(failure: &Failure, quic: bool) -> String {
    let quic = if quic { " --quic" } else { "" };
    let how = match failure {
        Failure::Broken(_) => "--log",
        Failure::Parted(..) => "--twice",
    };
    let seed = failure.seed();
    format!("cargo run -p softbus-simulation -- --seed {seed}{quic} {how}")
}

fn run_one(seed: u64, below: Below, arguments: &Arguments) -> Option<Failure> {
    let run = match run_as_asked(seed, below, arguments.twice) {
        Ok(run) => run,
        Err(failure) => return Some(failure),
    };
    if arguments.log {
        for entry in &run.log {
            println!("{entry}");
        }
    }
    println!("seed {seed}: {} entries", run.log.len());
    run.violation.is_some().then_some(Failure::Broken(run))
}

fn run_as_asked(seed: u64, below: Below, twice: bool) -> Result<Run, Failure> {
    match twice {
        true => run_twice(seed, below).map_err(|at| Failure::Parted(seed, at)),
        false => Ok(run(seed, below)),
    }
}

/// Runs seeds on as many threads as there are processors. Returns the lowest that failed, of those that were run.
fn run_all(seeds: std::ops::Range<u64>, below: Below, arguments: &Arguments) -> Option<Failure> {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let entries = AtomicU64::new(0);
    let hash = AtomicU64::new(0);
    let failed: Mutex<Option<Failure>> = Mutex::new(None);
    let found = || failed.lock().unwrap_or_else(PoisonError::into_inner);
    let fail = |failure: Failure| {
        let mut failed = found();
        let lower = |known: &Failure| known.seed() > failure.seed();
        if failed.as_ref().is_none_or(lower) {
            *failed = Some(failure);
        }
    };
    let work = || {
        while found().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match run_as_asked(seed, below, arguments.twice) {
                Ok(run) => {
                    entries.fetch_add(run.log.len() as u64, Ordering::Relaxed);
                    if arguments.hash {
                        hash.fetch_xor(run.hash(), Ordering::Relaxed);
                    }
                    if run.violation.is_some() {
                        fail(Failure::Broken(run));
                    }
                }
                Err(failure) => fail(failure),
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
        if arguments.hash {
            println!("hash of all logs: {:016x}", hash.into_inner());
        }
    }
    failed
}

/// What broke a rule.
fn show(run: &Run, log_is_shown: bool) {
    if !log_is_shown {
        let at = run.violation.as_ref().map_or(0, |violation| violation.at);
        let until = run.log.partition_point(|entry| entry.at <= at);
        for entry in &run.log[until.saturating_sub(LAST)..until] {
            println!("{entry}");
        }
    }
    if let Some(violation) = &run.violation {
        println!("\nseed {} breaks a rule: {violation}", run.seed);
    }
}
