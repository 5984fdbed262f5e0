//! What more of everything costs: a call among many objects and peers, memory for each, a node's start, the command's size.
//!
//! Objects and peers are counted over memory links, both ends in one process on one thread: CPU time per call and resident
//! memory are those of both ends together, and no network hides them.

mod command;
mod local;
mod world;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    driver::Figures,
    network,
    plan::{Interrupt, progress, said_by},
    process,
    results::{Measured, Point},
    summary::{Spread, Summary, figure},
    workload::Network,
};

const ROUNDS: usize = 5;
const OBJECTS: [usize; 5] = [1, 100, 1000, 5000, 10_000];
const PEERS: [usize; 4] = [1, 10, 100, 1000];
/// Longer than the largest of them takes on a slow machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);
/// A cost that grows no more than this from the least to the most is flat: what is left are caches.
const FLAT: f64 = 1.5;
const READY_MS: f64 = 50.0;
const GIGABYTE_US: f64 = 1000.0;
/// How many targets there are.
pub(crate) const TARGETS: usize = 5;

/// What one process measures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Grow {
    /// So many objects of one peer.
    Objects(usize),
    /// So many peers with a service each.
    Peers(usize),
    /// The start of this program, in a network of its own.
    Start { program: std::path::PathBuf },
    /// A second process of this device, which hands over memory and descriptors.
    Local,
    /// That process.
    LocalCaller { path: std::path::PathBuf },
}

impl Grow {
    fn name(&self) -> String {
        match self {
            Self::Objects(count) => format!("objects-{count}"),
            Self::Peers(count) => format!("peers-{count}"),
            Self::Start { .. } => "start".to_owned(),
            Self::Local | Self::LocalCaller { .. } => "local".to_owned(),
        }
    }

    fn command(&self) -> Result<std::process::Command> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("grow").arg(serde_json::to_string(self)?);
        match self {
            // It speaks mDNS.
            Self::Start { .. } => network::alone(&command),
            Self::Objects(_) | Self::Peers(_) | Self::Local | Self::LocalCaller { .. } => {
                Ok(command)
            }
        }
    }
}

/// In a process of its own: one point.
pub(crate) fn point(grow: &Grow) -> Result<()> {
    process::raise_descriptors()?;
    let figures = match grow {
        Grow::Objects(count) => world::objects(*count)?,
        Grow::Peers(count) => world::peers(*count)?,
        Grow::Local => local::host()?,
        Grow::LocalCaller { path } => local::caller(path)?,
        Grow::Start { program } => {
            network::make(Network::Loopback)?;
            command::start(program)?
        }
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

/// Measures all of it.
pub(crate) fn run(interrupt: &Interrupt, measured: &mut Measured) -> Result<()> {
    let mut points: Vec<_> = OBJECTS.map(Grow::Objects).to_vec();
    points.extend(PEERS.map(Grow::Peers));
    points.push(Grow::Local);
    match command::build() {
        Ok(program) => {
            let mut figures = Figures::default();
            let size = std::fs::metadata(&program)?.len();
            figures.set("size_mib", size as f64 / f64::from(1 << 20));
            measured.points.push(Point {
                point: "command".to_owned(),
                figures,
            });
            match network::way() {
                Ok(_) => points.push(Grow::Start { program }),
                Err(error) => {
                    eprintln!("SKIPPED start: {error:#}");
                    measured.gap("start".to_owned(), format!("skipped: {error:#}"));
                }
            }
        }
        Err(error) => measured.gap("start and size".to_owned(), format!("failed: {error:#}")),
    }
    let progress = progress(points.len() * ROUNDS);
    for _ in 0..ROUNDS {
        for grow in &points {
            if interrupt.came() {
                break;
            }
            let name = grow.name();
            progress.set_message(name.clone());
            let said = grow
                .command()
                .and_then(|command| said_by(command, PATIENCE, interrupt));
            match said.and_then(|said| serde_json::from_str(&said).context("what it said")) {
                Ok(figures) => measured.points.push(Point {
                    point: name,
                    figures,
                }),
                Err(_) if interrupt.came() => {}
                Err(error) => {
                    progress.suspend(|| eprintln!("{name}: {error:#}"));
                    measured.gap(name, format!("failed: {error:#}"));
                }
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// For people: what, and its figure.
pub(crate) fn rows(summary: &Summary) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |what: String, point: &str, metric: &str, unit: &str| {
        if let Some(spread) = summary.grown(point, metric) {
            rows.push((what, text(spread, unit)));
        }
    };
    for count in OBJECTS {
        let point = Grow::Objects(count).name();
        let what = format!("a call, each of {count} objects in turn");
        row(what, &point, "cpu_us_call", "us CPU, both ends");
    }
    for count in OBJECTS.into_iter().filter(|count| *count >= 1000) {
        let point = Grow::Objects(count).name();
        let what = format!("memory of an object, of {count}");
        row(what, &point, "kib_each", "KiB, both ends");
    }
    for count in PEERS {
        let point = Grow::Peers(count).name();
        let what = format!("a call, one of {count} peers");
        row(what, &point, "cpu_us_call", "us CPU, both ends");
        let what = format!("a call, each of {count} peers in turn");
        row(what, &point, "cpu_us_call_in_turn", "us CPU, both ends");
    }
    for count in PEERS.into_iter().filter(|count| *count >= 100) {
        let point = Grow::Peers(count).name();
        let what = format!("memory of a session over a memory link, of {count}");
        row(what, &point, "kib_each", "KiB, both ends");
    }
    for (metric, what, unit) in [
        (
            "gigabyte_us",
            "1 GiB of shared memory, handed to another process and seen there",
            "us",
        ),
        ("gigabyte_p99_us", "the same, p99", "us"),
        (
            "calls_s_with_descriptor",
            "calls to another process with a file descriptor, one after the other",
            "per s",
        ),
        ("calls_s", "the same without", "per s"),
    ] {
        row(what.to_owned(), "local", metric, unit);
    }
    let starts = [
        (
            "first_start_ms",
            "`softbus run` until it is ready, the first time",
        ),
        ("start_ms", "`softbus run` until it is ready, later"),
    ];
    for (metric, what) in starts {
        row(what.to_owned(), "start", metric, "ms");
    }
    let what = "the `softbus` command, release".to_owned();
    row(what, "command", "size_mib", "MiB");
    rows
}

fn text(spread: Spread, unit: &str) -> String {
    let Spread {
        median,
        min,
        max,
        n,
        ..
    } = spread;
    if n == 1 {
        return format!("{} {unit}", figure(median));
    }
    format!(
        "{} ({}..{}) {unit}",
        figure(median),
        figure(min),
        figure(max)
    )
}

/// Targets of growth: what, found, and whether it is met.
pub(crate) fn verdicts(summary: &Summary) -> Vec<(String, String, bool)> {
    let (few, many) = (OBJECTS[0], OBJECTS[OBJECTS.len() - 1]);
    let objects = [Grow::Objects(few), Grow::Objects(many)].map(|grow| grow.name());
    let (few, many) = (PEERS[0], PEERS[PEERS.len() - 1]);
    let peers = [Grow::Peers(few), Grow::Peers(many)].map(|grow| grow.name());
    let mut verdicts = Vec::new();
    for (metric, [least, most]) in [
        ("cpu_us_call", &objects),
        ("cpu_us_call", &peers),
        ("cpu_us_call_in_turn", &peers),
    ] {
        let least_most = summary
            .grown(least, metric)
            .zip(summary.grown(most, metric));
        if let Some((few, many)) = least_most {
            let ratio = many.median / few.median;
            let what = format!("{metric} of {most} <= {FLAT} x {least}");
            verdicts.push((what, format!("{ratio:.2}"), ratio <= FLAT));
        }
    }
    if let Some(handed) = summary.grown("local", "gigabyte_us") {
        let what = format!("gigabyte_us <= {GIGABYTE_US}");
        verdicts.push((what, text(handed, "us"), handed.median <= GIGABYTE_US));
    }
    if let Some(start) = summary.grown("start", "start_ms") {
        let what = format!("start_ms <= {READY_MS}");
        verdicts.push((what, text(start, "ms"), start.median <= READY_MS));
    }
    verdicts
}
