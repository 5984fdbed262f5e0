//! softbus and its peers under one driver: `all`, `quick`, or `run` for a question of one's own.
//!
//! Each cell, a contestant under a workload in one round, has a client process and a server process of its own. Rounds are
//! interleaved, and ratios are formed within a round, so that what the machine does meanwhile meets everybody.

mod arguments;
mod chart;
mod contestant;
mod driver;
mod growth;
mod identities;
mod machine;
mod markdown;
mod network;
mod plan;
mod process;
mod results;
mod summary;
mod tables;
mod targets;
mod workload;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::{
    arguments::{Arguments, Role},
    driver::{Drive, Serve},
    process::Spec,
};

/// How a program ends that was interrupted.
const INTERRUPTED: u8 = 130;

fn main() -> Result<ExitCode> {
    let interrupted = match Arguments::parse().command {
        arguments::Command::Role(role) => {
            play(role)?;
            false
        }
        arguments::Command::Measure(command) => command.run()?,
    };
    Ok(if interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

/// What this process is for another one of the bench.
fn play(role: Role) -> Result<()> {
    process::end_with_parent()?;
    match role {
        Role::Client { spec } => client(&serde_json::from_str(&spec)?),
        Role::Alone { spec } => {
            let spec: Spec = serde_json::from_str(&spec)?;
            network::make(spec.workload.network())?;
            client(&spec)
        }
        Role::Serve { spec } => serve(&serde_json::from_str(&spec)?),
        Role::Grow { spec } => growth::point(&serde_json::from_str(&spec)?),
    }
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
    process::be_slow(spec.workload.is_slow());
    contestant::with(&spec.contestant, Serve(spec))?.context("server")
}
