//! The `softbus` command as users install it: how large it is, and how soon it is ready.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use crate::driver::Figures;

/// Builds the release; where it is.
pub(super) fn build() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = here.join("target/softbus");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(here.join("../.."))
        .args(["build", "--release", "--locked", "-p", "softbus-cli"])
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("cargo")?;
    ensure!(
        status.success(),
        "the release of the command does not build"
    );
    Ok(target.join("release/softbus"))
}

/// Starts a node twice, from nothing and again, and waits until it says that it is ready.
pub(super) fn start(program: &Path) -> Result<Figures> {
    let directory = tempfile::tempdir()?;
    // Made by the node, so that nobody else has access to it.
    let home = directory.path().join("home");
    let mut figures = Figures::default();
    for metric in ["first_start_ms", "start_ms"] {
        let begun = Instant::now();
        let mut node = Command::new(program)
            .arg("--json")
            .arg("--dir")
            .arg(&home)
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = node
            .stdout
            .take()
            .map(|out| BufReader::new(out).lines().next());
        let elapsed = begun.elapsed();
        let _ = node.kill();
        node.wait()?;
        let said = said.flatten().context("it said nothing")??;
        ensure!(said.contains("\"started\""), "it said {said}");
        figures.set(metric, elapsed.as_secs_f64() * 1e3);
    }
    Ok(figures)
}
