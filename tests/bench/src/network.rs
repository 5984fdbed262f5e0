//! A network of a cell's own: a namespace in which loopback has a LAN's packet size and, where that is asked for, drops at
//! random. It ends with the last process in it, and nothing leads out of it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{process::Spec, workload::Network};

/// The arguments of `unshare` that make a namespace here: as root, or as root of a user namespace.
const WAYS: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];

/// How to make a namespace on this machine, or why there can be none.
pub(crate) fn way() -> Result<&'static [&'static str]> {
    for way in WAYS {
        let tried = Command::new("unshare")
            .args(way)
            .args(["--", "ip", "link", "set", "lo", "up"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if tried.is_ok_and(|status| status.success()) {
            return Ok(way);
        }
    }
    bail!("no network namespaces here: it takes `unshare`, `ip`, and root or user namespaces")
}

/// Why there can be no such network here.
pub(crate) fn missing(network: Network) -> Option<String> {
    if network == Network::Loopback {
        return None;
    }
    if let Err(error) = way() {
        return Some(error.to_string());
    }
    let nft = Command::new("nft").arg("--version").output();
    (matches!(network, Network::Lossy(_)) && nft.is_err()).then(|| "there is no `nft`".to_owned())
}

/// Runs a program in a network of its own, with nothing but loopback.
pub(crate) fn alone(program: &Command) -> Result<Command> {
    let mut outer = Command::new("unshare");
    outer.args(way()?).arg("--").arg(program.get_program());
    outer.args(program.get_args());
    Ok(outer)
}

/// The client's process, in a network that it is to make what its workload needs.
pub(crate) fn command(spec: &Spec) -> Result<Command> {
    match spec.workload.network() {
        Network::Loopback => spec.command("client"),
        Network::Lan | Network::Lossy(_) => alone(&spec.command("alone")?),
    }
}

/// Makes this process's network, which is a new one, what the workload needs.
pub(crate) fn make(network: Network) -> Result<()> {
    match network {
        Network::Loopback => tool("ip", "link set lo up", ""),
        Network::Lan => tool("ip", "link set lo mtu 1500 up", ""),
        Network::Lossy(percent) => {
            // One packet at a time: what is handed over in one piece would be lost in one piece.
            tool("ip", "link set lo mtu 1500 gso_max_segs 1 up", "")?;
            let rule = format!(
                "table ip loss {{
                     chain input {{
                         type filter hook input priority 0;
                         numgen random mod 100 < {percent} drop;
                     }}
                 }}
                "
            );
            tool("nft", "-f -", &rule)
        }
    }
}

fn tool(program: &str, words: &str, input: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(words.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run `{program}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "`{program} {words}` failed");
    Ok(())
}
