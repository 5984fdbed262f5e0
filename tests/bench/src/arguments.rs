//! The command line, and what it asks for from beginning to end.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{
    chart, growth, machine, markdown,
    plan::{Interrupt, Plan},
    results::{Measured, Results},
    tables::Tables,
    workload::Workload,
};

/// softbus and its peers under one driver.
#[derive(Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Measure(Measure),
    #[command(flatten)]
    Role(Role),
}

/// What people ask for.
#[derive(Subcommand)]
pub(crate) enum Measure {
    /// Everything: all workloads, all contestants, five rounds, and growth. Twenty to twenty-five minutes.
    All {
        /// Without growth, which builds the release of the `softbus` command.
        #[arg(long)]
        no_growth: bool,
        /// Writes the tables and the chart into docs/ too, as `report` does.
        #[arg(long)]
        report: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Under two minutes: the workloads and contestants that say most.
    Quick {
        #[command(flatten)]
        output: Output,
    },
    /// What is asked for.
    Run {
        /// Workloads, with commas between them; without this, all.
        #[arg(long, value_delimiter = ',')]
        workload: Vec<Workload>,
        /// Contestants, with commas between them; without this, all.
        #[arg(long, value_delimiter = ',')]
        contestant: Vec<String>,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Seconds that each cell measures.
        #[arg(long, default_value_t = 0.8)]
        seconds: f64,
        /// Seconds before that.
        #[arg(long, default_value_t = 0.3)]
        warm: f64,
        #[command(flatten)]
        output: Output,
    },
    /// What more objects and peers cost, how fast a node is ready, how large the command is.
    Growth {
        #[command(flatten)]
        output: Output,
    },
    /// Writes tables and chart of an earlier run into docs/performance.md and docs/performance.svg.
    Report {
        /// Where that run left its results.
        #[arg(default_value_os_t = default_results())]
        results: PathBuf,
    },
}

/// Where the results go.
#[derive(Args)]
pub(crate) struct Output {
    /// JSON lines on standard output instead of tables.
    #[arg(long)]
    json: bool,
    /// A directory for results.jsonl (the medians), cells.jsonl (every cell of every round) and performance.svg.
    #[arg(long, default_value_os_t = default_results())]
    out: PathBuf,
}

/// What this program is for itself, in other processes.
#[derive(Subcommand)]
pub(crate) enum Role {
    /// The client's process of a cell.
    #[command(hide = true)]
    Client { spec: String },
    /// The client's process of a cell, in a network of its own.
    #[command(hide = true)]
    Alone { spec: String },
    /// The server's process of a cell.
    #[command(hide = true)]
    Serve { spec: String },
    /// One measurement of growth.
    #[command(hide = true)]
    Grow { spec: String },
}

fn default_results() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/results")
}

impl Measure {
    /// Whether it was interrupted.
    pub(crate) fn run(self) -> Result<bool> {
        let interrupt = Interrupt::listen()?;
        let begun = Instant::now();
        let (plan, growth, report, output) = match self {
            Self::All {
                no_growth,
                report,
                output,
            } => (Some(Plan::all()), !no_growth, report, output),
            Self::Quick { output } => (Some(Plan::quick()), false, false, output),
            Self::Run {
                workload,
                contestant,
                rounds,
                seconds,
                warm,
                output,
            } => {
                let warm = Duration::try_from_secs_f64(warm)?;
                let seconds = Duration::try_from_secs_f64(seconds)?;
                let plan = Plan::of(&workload, &contestant, rounds, warm, seconds)?;
                (Some(plan), false, false, output)
            }
            Self::Growth { output } => (None, true, false, output),
            Self::Report { results } => {
                markdown::publish(&Results::read(&results)?)?;
                return Ok(false);
            }
        };
        let mut measured = Measured::default();
        let machine = machine::describe(plan.as_ref())?;
        if let Some(plan) = plan {
            plan.run(&interrupt, &mut measured)?;
        }
        if growth && !interrupt.came() {
            growth::run(&interrupt, &mut measured)?;
        }
        let results = Results::new(machine, measured);
        results.write(&output.out)?;
        chart::write(&output.out.join("performance.svg"), &results.summary)?;
        output.print(&results, begun)?;
        if report && !interrupt.came() {
            markdown::publish(&results)?;
        }
        Ok(interrupt.came())
    }
}

impl Output {
    fn print(&self, results: &Results, begun: Instant) -> Result<()> {
        let out = std::io::stdout();
        let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let mut out = out.lock();
        if self.json {
            for line in results.lines() {
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            }
        } else {
            Tables { results, colours }.print(&mut out)?;
        }
        eprintln!(
            "\n{} s; results in {}",
            begun.elapsed().as_secs(),
            self.out.display()
        );
        Ok(())
    }
}
