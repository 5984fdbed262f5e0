//! What the soft-bus does, on this machine: three processes, each a device of its own, find each other, call each other
//! and lose each other. On Linux two more processes then share the phone's bus. Every step says what it did and how long it took; the exit status is 0 only if each did what it
//! should.
//!
//! ```sh
//! cargo run -p softbus-examples --bin demo
//! cargo run -p softbus-examples --bin demo -- --help
//! ```
//!
//! Nothing leaves the machine: the devices listen on 127.0.0.1 and look for each other by mDNS on the loopback interface
//! alone, on Linux in a network namespace that has no other.

mod actor;
mod device;
mod network;
mod order;
#[cfg(target_os = "linux")]
mod process;
mod report;
mod script;
mod services;
mod stage;
mod steps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use report::Reporter;
use stage::Stage;

/// Three devices on this machine show what the soft-bus does. Exits with 0 only if every step did what it should, with 1
/// if one did not, and with 2 for wrong arguments.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// Print one JSON object per step: step, ok, millis, detail; of a step that failed also expected and came
    #[arg(long)]
    json: bool,
    /// Tell the devices each other's addresses instead of letting them find each other by mDNS
    #[arg(long = "static")]
    static_peers: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// One of the three devices; the demo starts itself so
    #[command(hide = true)]
    Device(device::Arguments),
    /// A process of the phone's in the second act
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Process(process::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    // Before there is a runtime: moving to a network of its own replaces this process.
    let network = match (&arguments.role, arguments.static_peers) {
        (None, false) => Some(network::Network::prepare()),
        _ => None,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match arguments.role {
        Some(Role::Device(device)) => runtime.block_on(device::run(device)),
        #[cfg(target_os = "linux")]
        Some(Role::Process(process)) => runtime.block_on(process::run(process)),
        None => runtime.block_on(direct(Reporter::new(arguments.json), network)),
    }
}

/// Runs the script until it ends or somebody interrupts it. Either way nothing is left behind.
async fn direct(mut reporter: Reporter, network: Option<network::Network>) -> ExitCode {
    let mut stage = match Stage::new() {
        Ok(stage) => stage,
        Err(failure) => {
            reporter.failed("start", 0.0, &failure);
            return ExitCode::FAILURE;
        }
    };
    let interrupted = tokio::select! {
        () = script::run(&mut stage, &mut reporter, network) => None,
        signal = interrupted() => Some(signal),
    };
    stage.clear().await;
    match interrupted {
        Some(signal) => {
            eprintln!("demo: interrupted; its processes are ended, its files removed");
            ExitCode::from(128 + signal)
        }
        None => reporter.end(),
    }
}

/// Until a signal asks this process to end; its number.
#[cfg(unix)]
async fn interrupted() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};

    let (hang_up, interrupt, terminate) = (
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::terminate(),
    );
    let number = |kind: SignalKind| u8::try_from(kind.as_raw_value()).unwrap_or(0);
    match (signal(hang_up), signal(interrupt), signal(terminate)) {
        (Ok(mut hung_up), Ok(mut interrupted), Ok(mut terminated)) => tokio::select! {
            _ = hung_up.recv() => number(hang_up),
            _ = interrupted.recv() => number(interrupt),
            _ = terminated.recv() => number(terminate),
        },
        // The system's own handling ends this process, and the devices end with their standard input.
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn interrupted() -> u8 {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    2
}
