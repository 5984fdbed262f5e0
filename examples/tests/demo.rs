//! The demo without mDNS, as a program would run it: 127.0.0.1 and nothing else.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// What `--json` says of each step, in order: of devices, and on Linux of the processes of one.
const STEPS: &[&str] = &[
    "start",
    "discovery",
    "typed call",
    "raw call",
    "callback",
    "one-way burst",
    "transfer",
    "list",
    "find",
    "not found",
    "back to origin",
    "anonymous death",
    "introduction",
    "third party",
    "watch",
    "kill -9",
    "after death",
    "restart",
    #[cfg(target_os = "linux")]
    "one device",
    #[cfg(target_os = "linux")]
    "local call",
    #[cfg(target_os = "linux")]
    "shared memory",
    #[cfg(target_os = "linux")]
    "raw data",
    #[cfg(target_os = "linux")]
    "through the host",
    #[cfg(target_os = "linux")]
    "second pass",
    #[cfg(target_os = "linux")]
    "process death",
    "leave",
];

/// The demo, with its files in a directory of the test.
fn demo(temp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command
        .args(["--static", "--json"])
        .env("TMPDIR", temp)
        .env_remove("RUST_LOG");
    command
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

#[test]
fn every_step_does_what_it_says() {
    let temp = tempfile::tempdir().unwrap();
    let output = demo(temp.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let steps: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for step in &steps {
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["millis"].as_f64().unwrap() >= 0.0, "{step}");
        assert!(!step["detail"].as_str().unwrap().is_empty(), "{step}");
    }
    let names: Vec<_> = steps
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(names, STEPS);
    assert!(output.status.success());
    assert!(is_empty(temp.path()), "files left behind");
}

#[cfg(unix)]
#[test]
fn interrupted_it_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let mut demo = demo(temp.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut steps = BufReader::new(demo.stdout.take().unwrap()).lines();
    let started: Value = serde_json::from_str(&steps.next().unwrap().unwrap()).unwrap();
    assert_eq!(started["step"], "start");
    assert!(!is_empty(temp.path()));

    let interrupt = Command::new("kill")
        .args(["-INT", &demo.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert!(is_empty(temp.path()), "files left behind");
    // The devices have the same standard error output, which ends when the last of them does.
    let mut said = String::new();
    demo.stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("interrupted"), "{said}");
}

#[test]
fn wrong_arguments_are_told_from_a_failure() {
    let status = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--nonsense")
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}
