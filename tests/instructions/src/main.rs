//! How many instructions the paths take that every call takes, counted by callgrind and compared with the figures in
//! `figures.txt`.
//!
//! ```text
//! cargo run --profile instructions -p softbus-instructions              # compare
//! cargo run --profile instructions -p softbus-instructions -- update    # store what is counted now
//! ```
//!
//! Counts, unlike times, are the same on a busy machine. They are not times: a cache miss or a system call is one instruction
//! like any other, so what is decided by them is that nothing was lost by accident, and nothing else.

mod case;
mod figures;

use std::{
    env,
    io::{self, Write},
    process::{Command, ExitCode},
};

use case::{CASES, Case};
use figures::{Figures, Verdict};

type Failure = Box<dyn std::error::Error>;

/// Everything up to here was done as often before, so that tables and buffers have grown.
const WARM: u32 = 200;
/// How often a case is counted; the figure is the mean.
const ROUNDS: u32 = 200;

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => compare(),
        ["update"] => update(),
        // What callgrind runs.
        ["count", name] => count(name).map(|()| true),
        _ => {
            eprintln!("usage: softbus-instructions [update]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("softbus-instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing takes more than it may.
fn compare() -> Result<bool, Failure> {
    let stored = Figures::read()?;
    let counted = all()?;
    let mut out = io::stdout().lock();
    let compiler = figures::compiler()?;
    writeln!(out, "instructions, mean of {ROUNDS} rounds")?;
    if stored.compiler != compiler {
        writeln!(
            out,
            "stored with {}, this is {compiler}: a difference in all rows may be the compiler's",
            stored.compiler
        )?;
    }
    let mut kept = true;
    for (name, now) in &counted.rows {
        let (text, verdict) = stored.row(name, *now);
        writeln!(out, "{text}")?;
        kept &= verdict != Verdict::Lost;
    }
    for gone in stored.unknown(&counted) {
        writeln!(out, "{gone:24} stored, but there is no such case")?;
        kept = false;
    }
    if !kept {
        writeln!(
            out,
            "\nMore than {} % above the stored figure, or not stored. If it is worth it, say in the commit why and store it:\n  \
             cargo run --profile instructions -p softbus-instructions -- update",
            figures::ROOM
        )?;
    }
    Ok(kept)
}

fn update() -> Result<bool, Failure> {
    let counted = all()?;
    counted.write()?;
    print!("{counted}");
    Ok(true)
}

fn all() -> Result<Figures, Failure> {
    let rows = CASES
        .iter()
        .map(|(name, _)| Ok(((*name).to_owned(), callgrind(name)?)));
    Ok(Figures {
        compiler: figures::compiler()?,
        rows: rows.collect::<Result<_, Failure>>()?,
    })
}

/// Runs a case under callgrind; how many instructions a round takes.
fn callgrind(name: &str) -> Result<u64, Failure> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            // Nothing else is counted: neither what makes a case, nor what warms it.
            "--toggle-collect=*softbus_instructions*measured*",
        ])
        .arg(env::current_exe()?)
        .args(["count", name])
        // Where the stack begins depends on how much there is of it.
        .env_clear()
        .output()
        .map_err(|error| format!("cannot run valgrind (apt-get install valgrind): {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} failed:\n{text}").into());
    }
    // "==123== Collected : 4567"
    let counted = text
        .lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    match counted {
        Some(counted) if counted > 0 => Ok(counted / u64::from(ROUNDS)),
        _ => Err(format!("{name}: callgrind counted nothing:\n{text}").into()),
    }
}

fn count(name: &str) -> Result<(), Failure> {
    let make = CASES.iter().find(|(known, _)| *known == name);
    let (_, make) = make.ok_or_else(|| format!("no case `{name}`"))?;
    let mut case = make();
    for _ in 0..WARM {
        case.round();
    }
    measured(&mut *case);
    Ok(())
}

/// What callgrind counts. It finds it by its name.
#[inline(never)]
fn measured(case: &mut dyn Case) {
    for _ in 0..ROUNDS {
        case.round();
    }
}
