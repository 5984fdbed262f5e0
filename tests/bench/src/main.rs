//! softbus and its peers under one driver: `all`, `quick`, or `run` for a question of one's own.
//!
//! Each cell, a contestant under a workload in one round, has a client process and a server process of its own. Rounds are
//! interleaved, and ratios are formed within a round, so that what the machine does meanwhile meets everybody.

mod chart;
mod contestant;
mod driver;
mod identities;
mod lossy;
mod plan;
mod process;
mod report;
mod targets;
mod workload;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::{
    driver::{Drive, Serve},
    plan::Plan,
    process::Spec,
    workload::Workload,
};

/// softbus and its peers under one driver.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Also writes the chart to this file, an SVG.
    #[arg(long, global = true)]
    chart: Option<PathBuf>,
    /// Also writes every cell of every round to this file, a JSON object a line.
    #[arg(long, global = true)]
    cells: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Everything: all workloads, all contestants, five rounds.
    All,
    /// Under two minutes: the workloads and contestants that say most.
    Quick,
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
    },
    /// The client's process of a cell.
    #[command(hide = true)]
    Client { spec: String },
    /// The client's process of a cell, in a network that is to lose packets.
    #[command(hide = true)]
    Lossy { spec: String },
    /// The server's process of a cell.
    #[command(hide = true)]
    Serve { spec: String },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = match arguments.command {
        Command::All => Plan::all(),
        Command::Quick => Plan::quick(),
        Command::Run {
            workload,
            contestant,
            rounds,
            seconds,
            warm,
        } => Plan::of(
            &workload,
            &contestant,
            rounds,
            Duration::try_from_secs_f64(warm)?,
            Duration::try_from_secs_f64(seconds)?,
        )?,
        Command::Client { spec } => return client(&serde_json::from_str(&spec)?),
        Command::Lossy { spec } => {
            let spec: Spec = serde_json::from_str(&spec)?;
            lossy::make(spec.workload.loss())?;
            return client(&spec);
        }
        Command::Serve { spec } => return serve(&serde_json::from_str(&spec)?),
    };
    let cells = plan.run()?;
    if let Some(path) = arguments.cells {
        report::write_cells(&path, &cells)?;
    }
    let summary = report::Summary::new(&cells);
    summary.print()?;
    if let Some(path) = arguments.chart {
        chart::write(&path, &summary)?;
    }
    Ok(())
}

fn client(spec: &Spec) -> Result<()> {
    process::raise_descriptors()?;
    let figures = contestant::with(&spec.contestant, Drive(spec))??;
    println!("{}", serde_json::to_string(&figures)?);
    // Not a word to those whose tasks still run: the cell is over.
    std::process::exit(0);
}

fn serve(spec: &Spec) -> Result<()> {
    process::raise_descriptors()?;
    contestant::with(&spec.contestant, Serve(spec))?.context("server")
}
