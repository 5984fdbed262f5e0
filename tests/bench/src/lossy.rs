//! A network that loses packets: a namespace of its own, in which loopback has a LAN's packet size and drops at random.
//! It ends with the last process in it, and nothing leads out of it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::process::Spec;

/// The client's process, in a network that is to lose packets.
pub(crate) fn command(spec: &Spec) -> Result<Command> {
    let inner = spec.command("lossy")?;
    let mut outer = Command::new("unshare");
    outer.arg("--net").arg("--").arg(inner.get_program());
    outer.args(inner.get_args());
    Ok(outer)
}

/// Makes this process's network, which is a new one, lose `percent` of its packets.
pub(crate) fn make(percent: u8) -> Result<()> {
    // One packet at a time: what is handed over in one piece would be lost in one piece.
    tool("ip", "link set lo mtu 1500 gso_max_segs 1 up", "")?;
    tool(
        "nft",
        "-f -",
        &format!(
            "table ip loss {{
                 chain input {{
                     type filter hook input priority 0;
                     numgen random mod 100 < {percent} drop;
                 }}
             }}
            "
        ),
    )
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
