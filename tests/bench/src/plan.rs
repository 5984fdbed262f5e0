//! Which cells are measured, in which order, and how long that may take.

use std::{
    io::{IsTerminal, Read},
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::{
    contestant::{self, NAMES},
    driver::Figures,
    lossy,
    process::Spec,
    workload::{Shape, Workload},
};

/// What comes on top of a cell's own time before it is given up: large transfers, a thousand connections, what drains.
const PATIENCE: Duration = Duration::from_secs(150);
/// How often a cell is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What is measured.
pub(crate) struct Plan {
    workloads: Vec<Workload>,
    contestants: Vec<String>,
    rounds: usize,
    warm: Duration,
    measure: Duration,
}

/// One contestant under one workload in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) round: usize,
    pub(crate) workload: Workload,
    pub(crate) contestant: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

impl Plan {
    pub(crate) fn all() -> Self {
        Self {
            workloads: Workload::ALL.to_vec(),
            contestants: NAMES.map(str::to_owned).to_vec(),
            rounds: 5,
            warm: Duration::from_millis(300),
            measure: Duration::from_millis(800),
        }
    }

    pub(crate) fn quick() -> Self {
        use Workload::{W1, W2, W2b, W3, W4, W5};
        let contestants = [
            "ours-typed",
            "quinn-mux",
            "quinn-stream",
            "tonic",
            "tarpc",
            "uds-mux",
        ];
        Self {
            workloads: vec![W1, W2, W2b, W3, W4, W5],
            contestants: contestants.map(str::to_owned).to_vec(),
            rounds: 3,
            warm: Duration::from_millis(150),
            measure: Duration::from_millis(400),
        }
    }

    pub(crate) fn of(
        workloads: &[Workload],
        contestants: &[String],
        rounds: usize,
        warm: Duration,
        measure: Duration,
    ) -> Result<Self> {
        for name in contestants {
            ensure!(
                NAMES.contains(&name.as_str()),
                "no contestant `{name}`; there are {}",
                NAMES.join(", ")
            );
        }
        let all = Self::all();
        Ok(Self {
            workloads: or(workloads, all.workloads),
            contestants: or(contestants, all.contestants),
            rounds,
            warm,
            measure,
        })
    }

    /// Measures cell after cell. One that fails says why and leaves a gap.
    pub(crate) fn run(&self) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        let plan: Vec<_> = (0..self.rounds)
            .flat_map(|round| {
                self.workloads
                    .iter()
                    .map(move |workload| (round, *workload))
            })
            .flat_map(|(round, workload)| {
                let contestants = self.contestants.iter();
                contestants.map(move |contestant| (round, workload, contestant))
            })
            .filter(|(round, workload, contestant)| {
                // Memory is the same every time, and takes long to look at.
                takes_part(contestant, *workload) && (*round == 0 || *workload != Workload::W7)
            })
            .collect();
        let progress = progress(plan.len());
        for (round, workload, contestant) in plan {
            progress.set_message(format!("{workload} {contestant}"));
            match self.cell(workload, contestant) {
                Ok(figures) => cells.push(Cell {
                    round,
                    workload,
                    contestant: contestant.clone(),
                    figures,
                }),
                Err(error) => progress.suspend(|| {
                    eprintln!("{workload} {contestant}, round {}: {error:#}", round + 1);
                }),
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(cells)
    }

    fn cell(&self, workload: Workload, name: &str) -> Result<Figures> {
        let directory = tempfile::tempdir()?;
        let (contestant, multi_thread) = contestant::runtime_of(name);
        let spec = Spec {
            contestant: contestant.to_owned(),
            workload,
            multi_thread,
            warm: self.warm,
            measure: self.measure,
            directory: directory.path().to_owned(),
            host: "127.0.0.1".to_owned(),
        };
        let client = if workload.loss() > 0 {
            lossy::command(&spec)?
        } else {
            spec.command("client")?
        };
        figures(client, self.warm + self.measure + PATIENCE)
    }
}

/// Runs the client's process to its end, or ends it.
fn figures(mut client: std::process::Command, patience: Duration) -> Result<Figures> {
    let child = client
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut child = Ending(child);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        ensure!(begun.elapsed() < patience, "given up after {patience:?}");
        sleep(LOOK);
    };
    if !status.success() {
        let errors = read(child.0.stderr.take())?;
        let first: Vec<_> = errors.lines().take(4).collect();
        bail!("{}", first.join("; "));
    }
    Ok(serde_json::from_str(read(child.0.stdout.take())?.trim())?)
}

fn read(pipe: Option<impl Read>) -> Result<String> {
    let mut text = String::new();
    pipe.context("piped")?.read_to_string(&mut text)?;
    Ok(text)
}

/// A process that ends with us; its server ends with it.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a contestant cannot do is not tried.
fn takes_part(contestant: &str, workload: Workload) -> bool {
    let (base, multi_thread) = contestant::runtime_of(contestant);
    match (base, workload.shape()) {
        // A Unix socket loses nothing.
        ("uds" | "uds-mux" | "zbus", _) if workload.loss() > 0 => false,
        // The multi-thread runtime is compared with small calls.
        (_, shape) if multi_thread => {
            matches!(shape, Shape::Echo { size: 64, .. }) && workload.loss() == 0
        }
        // One call at a time, and only echoes.
        ("uds", shape) => matches!(
            shape,
            Shape::Echo { in_flight: 1, .. } | Shape::Connect { .. }
        ),
        ("tarpc", shape) => !matches!(shape, Shape::Notify { .. } | Shape::Transfer { .. }),
        ("capnp" | "zbus", shape) => !matches!(shape, Shape::Transfer { .. }),
        _ => true,
    }
}

fn or<T: Clone>(asked: &[T], all: Vec<T>) -> Vec<T> {
    if asked.is_empty() {
        all
    } else {
        asked.to_vec()
    }
}

fn progress(cells: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(cells as u64), target);
    let style = ProgressStyle::with_template("{pos}/{len} {bar:30} {eta} left  {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
