//! The sample and 10,000 calls under valgrind: no error, and nothing lost.

use std::{path::Path, process::Command};

use crate::{
    build::{self, Language, Program},
    sample,
};

/// Runs a program that was built, and its children, under valgrind.
fn valgrind(program: &Program, path: &Path) -> Option<String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        testkit::skip::skip("there is no valgrind");
        return None;
    }
    let plain = program.command(path);
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--error-exitcode=9", "--trace-children=yes"])
        // What the threads that are there at the end have is not lost.
        .args(["--leak-check=full", "--errors-for-leak-kinds=definite"])
        .args(["--show-leak-kinds=definite", "--num-callers=30"])
        .arg(path)
        .current_dir(plain.get_current_dir().unwrap());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}\n{log}", output.status);
    // That of a child is in no exit code.
    assert!(!log.contains("\n=="), "{log}");
    Some(log)
}

#[test]
fn the_sample_is_clean() {
    let program = Program::new();
    let (client, _) = sample::sample(&program, "no");
    if let Some(log) = valgrind(&program, &client) {
        assert!(log.contains("AsyncAdd: 2 + 3 = 5, ret=0"), "{log}");
    }
}

/// A program that calls the service in a child process.
fn calls_are_clean(file: &str) {
    let program = Program::new();
    program.library("libtest_child.so", &build::c_file("service.c"), Language::C);
    let path = program.program("calls", &build::c_file(file), Language::C);
    valgrind(&program, &path);
}

/// Buffers that are used once are not those that are used again and again.
#[test]
fn one_call_is_clean() {
    calls_are_clean("once.c");
}

#[test]
fn ten_thousand_calls_are_clean() {
    calls_are_clean("loop.c");
}
