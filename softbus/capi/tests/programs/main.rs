//! Programs in C and C++ against the libraries, as their users build them: with `gcc` and `g++`, the headers of `include`
//! and the shared libraries. The tests in C are functions of their own, `TEST(name)` in `tests/c`; `docs/conformance.md`
//! names them.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod adder;
mod attached;
mod build;
mod headers;
mod installed;
mod lab;
mod memory;
mod refused;
mod sample;
mod signatures;
mod trust;

use build::{Language, Libraries, Program};

/// The service in a child process, which most tests start.
const CHILD: [(&str, &str); 1] = [("libtest_child.so", "service.c")];

/// Runs all tests of a file in C.
fn run_c(file: &str, libraries: &[(&str, &str)]) {
    let program = Program::new();
    for (library, source) in libraries {
        program.library(library, &build::c_file(source), Language::C);
    }
    let path = program.program("tests", &build::c_file(file), Language::C);
    let mut command = program.command(&path);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

#[test]
fn parcels() {
    run_c("parcel.c", &[]);
}

#[test]
fn stubs_and_proxies() {
    run_c("remote.c", &CHILD);
}

#[test]
fn what_is_no_handle() {
    run_c("invalid.c", &[]);
}

#[test]
fn death_recipients() {
    run_c("death.c", &CHILD);
}

#[test]
fn callbacks_that_come_back() {
    run_c("reentrant.c", &CHILD);
}

#[test]
fn how_children_start_and_end() {
    let children = [
        CHILD[0],
        ("libtest_no_stub.so", "no_stub.c"),
        ("libtest_gone_stub.so", "gone_stub.c"),
        ("libtest_crash.so", "crash.c"),
    ];
    run_c("start.c", &children);
}

#[test]
fn a_child_that_is_late() {
    run_c("late.c", &[("libtest_late.so", "late.c")]);
}

#[test]
fn children() {
    run_c("children.c", &CHILD);
}

#[test]
fn threads_and_callers() {
    run_c("skeleton.c", &[]);
}

#[test]
fn devices() {
    run_c("device.c", &[]);
}

#[test]
fn look_ups() {
    run_c("look_up.c", &[]);
}

#[test]
fn many_calls() {
    run_c("loop.c", &CHILD);
}

#[test]
fn the_logger() {
    run_c("log.c", &[]);
}

#[test]
fn libraries_are_called_by_their_names() {
    for name in ["libipc_capi.so", "libchild_process.so"] {
        let output = std::process::Command::new("readelf")
            .arg("-d")
            .arg(Libraries::get().directory.join(name))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let soname = format!("soname: [{name}]");
        assert!(text.contains(&soname), "{text}");
    }
}
