//! What is on the command line, and what comes of it.

mod by;
mod chart;
mod clock;
mod device;
mod figures;
mod measure;
mod site;
mod soak;
mod stats;

use std::{path::PathBuf, process::ExitCode};

use by::By;
use clap::{Parser, Subcommand};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// What the bus promises, measured in network namespaces.
#[derive(Parser)]
#[command(about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measures the figures of docs/reliability.md
    Measure(Measure),
    /// Runs devices that come, go, sleep and lose packets, and sees that nothing grows
    Soak(Soak),
    /// A device, obeying lines on its standard input
    #[command(hide = true)]
    Device(device::Options),
    /// A process that is attached to the host of its device
    #[command(hide = true)]
    Process {
        /// Where the host is
        socket: PathBuf,
    },
}

/// What to measure, and where to put it.
#[derive(clap::Args)]
struct Measure {
    /// Only these: newcomer, mesh, offline, process, back, calls, loss, false-offline, idle, crowd
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Of the situations of `calls` only those in whose name this is
    #[arg(long)]
    situation: Option<String>,
    /// How often what is measured is repeated
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// By what the devices talk; by default everything is measured twice, by all and by TCP
    #[arg(long, value_enum)]
    transport: Option<By>,
    /// How many devices the crowd has
    #[arg(long, default_value_t = 50)]
    crowd: usize,
    /// Writes the tables into this file, each between its marks, and the charts beside it: whole tables, of one run each
    #[arg(long, conflicts_with_all = ["only", "situation"])]
    write: Option<PathBuf>,
}

/// How long, and what.
#[derive(clap::Args)]
struct Soak {
    /// For how long
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// How many devices, at least 3: the first two stay, and are looked at
    #[arg(long, default_value_t = 8)]
    devices: usize,
    /// What decides who is hurt and when; drawn and said where it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// How often a device connects and is killed, before the churn; in at most half of the time
    #[arg(long, default_value_t = 1000)]
    cycles: u32,
    /// By what the devices talk
    #[arg(long, value_enum, default_value_t = By::All)]
    transport: By,
}

/// 0 when all went as promised, 1 when not, 2 when it could not be tried.
pub(super) fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Measure(options) => measure::run(&options),
        What::Soak(options) => soak::run(&options),
        What::Device(options) => device::run(&options).map(|()| true),
        What::Process { socket } => device::process::run(&socket).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proving: {error}");
            ExitCode::from(2)
        }
    }
}
