//! Which cells are measured, in which order, and how long that may take.

use std::{
    io::{IsTerminal, Read},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag::{register, register_conditional_shutdown},
};

use crate::{
    contestant::{self, Contestant, NAMES, Visit},
    driver::Figures,
    network,
    process::Spec,
    results::{Cell, Gap, Measured},
    workload::{Network, Shape, Workload},
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

/// Ctrl-C, or a request to end.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on it is heard, and what was measured until then is shown.
    pub(crate) fn listen() -> Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The second one is obeyed at once; the other processes end with this one.
            register_conditional_shutdown(signal, 130, Arc::clone(&came))?;
            register(signal, Arc::clone(&came))?;
        }
        Ok(Self(came))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Plan {
    pub(crate) fn all() -> Self {
        Self {
            workloads: Workload::ALL.to_vec(),
            contestants: NAMES.map(str::to_owned).to_vec(),
            rounds: 5,
            warm: Duration::from_millis(250),
            measure: Duration::from_millis(550),
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

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    pub(crate) fn measure(&self) -> Duration {
        self.measure
    }

    /// Measures cell after cell. One that fails, or cannot be here, says why and leaves a gap.
    pub(crate) fn run(&self, interrupt: &Interrupt, measured: &mut Measured) -> Result<()> {
        let workloads = self.possible(measured);
        let contestants = &self.contestants;
        measured.raised = raised(contestants)?;
        for Gap { gap, reason } in &measured.raised {
            eprintln!("raised for {gap}: {reason}");
        }
        let mut plan = Vec::new();
        for round in 0..self.rounds {
            for workload in &workloads {
                let taking_part = contestants
                    .iter()
                    .filter(|name| takes_part(name, *workload));
                plan.extend(taking_part.map(|name| (round, *workload, name)));
            }
        }
        let progress = progress(plan.len());
        for (round, workload, contestant) in plan {
            if interrupt.came() {
                break;
            }
            progress.set_message(format!("{workload} {contestant}"));
            match self.cell(workload, contestant, interrupt) {
                Ok(figures) => measured.cells.push(Cell {
                    round,
                    workload,
                    contestant: contestant.clone(),
                    figures,
                }),
                Err(_) if interrupt.came() => {}
                Err(error) => {
                    let reason = format!("failed: {error:#}");
                    progress.suspend(|| eprintln!("{workload} {contestant}: {reason}"));
                    measured.gap(format!("{workload} {contestant}"), reason);
                }
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// What can be measured here; the rest is said and becomes a gap.
    fn possible(&self, measured: &mut Measured) -> Vec<Workload> {
        let mut workloads = self.workloads.clone();
        workloads.retain(|workload| {
            let missing = network::missing(workload.network());
            missing.is_none_or(|reason| {
                eprintln!("SKIPPED {workload}: {reason}");
                measured.gap(workload.to_string(), format!("skipped: {reason}"));
                false
            })
        });
        workloads
    }

    fn cell(&self, workload: Workload, name: &str, interrupt: &Interrupt) -> Result<Figures> {
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
        let client = network::command(&spec)?;
        serde_json::from_str(&said_by(
            client,
            self.warm + self.measure + PATIENCE,
            interrupt,
        )?)
        .context("what the client said")
    }
}

/// Runs a process to its end, or ends it; what it said.
pub(crate) fn said_by(
    mut program: std::process::Command,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<String> {
    let child = program
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
        ensure!(!interrupt.came(), "interrupted");
        sleep(LOOK);
    };
    if !status.success() {
        let errors = read(child.0.stderr.take())?;
        let lines = errors.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        let first: Vec<_> = lines
            .take_while(|line| !line.starts_with("Stack backtrace"))
            .take(4)
            .collect();
        bail!("{}", first.join("; "));
    }
    read(child.0.stdout.take())
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
        // A Unix socket loses nothing, and has no packets to be large or small.
        ("ours-local" | "uds" | "uds-mux" | "zbus", _)
            if matches!(workload.network(), Network::Lossy(_))
                || matches!(workload, Workload::W4Wide | Workload::W4sWide) =>
        {
            false
        }
        // The multi-thread runtime is compared with small calls.
        (_, shape) if multi_thread => {
            matches!(shape, Shape::Echo { size: 64, .. }) && workload.network() == Network::Loopback
        }
        // It differs in how requests are run.
        ("ours-typed-default", shape) => {
            matches!(
                shape,
                Shape::Echo { .. } | Shape::Notify { .. } | Shape::Slow { .. }
            ) && workload.network() == Network::Loopback
        }
        // It differs in what is done while nothing comes.
        ("ours-typed-sleeping", shape) => {
            matches!(shape, Shape::Echo { .. }) && workload.network() == Network::Loopback
        }
        // It differs in what a call is made of.
        ("ours-raw", Shape::Idle { .. } | Shape::Mixed { .. } | Shape::Slow { .. }) => false,
        // One call at a time, and only echoes.
        ("uds", shape) => matches!(
            shape,
            Shape::Echo { in_flight: 1, .. } | Shape::Connect { .. }
        ),
        ("tarpc", shape) => !matches!(
            shape,
            Shape::Notify { .. } | Shape::Slow { .. } | Shape::Transfer { .. }
        ),
        // They wait side by side there, and none is slow.
        ("quinn-stream" | "zbus", Shape::Slow { .. }) => false,
        // Its server closes the connection; why is not known.
        ("tonic", Shape::Slow { .. }) => false,
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

/// What contestants need raised, each with a name and a text.
fn raised(contestants: &[String]) -> Result<Vec<Gap>> {
    struct Raised;
    impl Visit for Raised {
        type Output = String;
        fn visit<C: Contestant + 'static>(self, _: C) -> String {
            C::RAISED.join("; ")
        }
    }
    let mut all: Vec<Gap> = Vec::new();
    for name in contestants {
        let (base, _) = contestant::runtime_of(name);
        let reason = contestant::with(base, Raised)?;
        if !reason.is_empty() && !all.iter().any(|known| known.gap == base) {
            all.push(Gap {
                gap: base.to_owned(),
                reason,
            });
        }
    }
    Ok(all)
}

pub(crate) fn progress(cells: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(cells as u64), target);
    let style = ProgressStyle::with_template("{pos}/{len} {bar:30} {eta} left  {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
