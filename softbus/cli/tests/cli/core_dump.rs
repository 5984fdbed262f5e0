//! A crash of the command leaves none of its memory on the disk.

use std::{ffi::OsStr, os::unix::process::ExitStatusExt, process::Command};

use rustix::process::Signal;
use testkit::skip::skip;

use crate::harness::Device;

/// A shell that may leave a dump as large as it likes, and then does this.
fn may_dump(script: &str) -> Command {
    let limit = "ulimit -c unlimited 2>/dev/null || ulimit -c $(ulimit -H -c)";
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limit}; {script}"), "sh"]);
    shell
}

#[test]
fn no_dump_is_left_of_a_node_that_crashes() {
    let directory = tempfile::tempdir().unwrap();
    let mut any_other = may_dump("kill -ABRT $$");
    let any_other = any_other.current_dir(directory.path()).status().unwrap();
    if !any_other.core_dumped() {
        skip("this system writes no core dumps");
        return;
    }
    let device = Device::new();
    let become_it = |program: &OsStr| {
        let mut shell = may_dump("exec \"$@\"");
        shell.arg(program).current_dir(directory.path());
        shell
    };
    let ended = device.start_by(become_it, ["run"]).crash();
    assert_eq!(ended.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!ended.core_dumped(), "its key is in the dump");
}
