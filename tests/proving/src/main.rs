//! Measures what `docs/reliability.md` says, and runs for long: devices in network namespaces, a process each.
//!
//! It needs what the [lab](../../CONTRIBUTING.md#the-lab) needs, and no network: nothing of it leaves its namespaces.

#[cfg(target_os = "linux")]
mod program;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    program::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("proving: network namespaces are Linux's");
    ExitCode::from(2)
}
