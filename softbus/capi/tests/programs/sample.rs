//! The program of OpenHarmony's guide, unmodified, as `sample/run` builds it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::build::{self, Language, Libraries, Program};

const SOON: Duration = Duration::from_secs(60);

/// Builds the sample beside the libraries that are tested. The program, and what it prints when it is run.
pub(crate) fn sample(program: &Program, run: &str) -> (PathBuf, String) {
    let out = program.path("sample-out");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample/run");
    let mut command = Command::new(script);
    command
        .env("SOFTBUS_LIBRARIES", &Libraries::get().directory)
        .env("SOFTBUS_SAMPLE_OUT", &out)
        .env("SOFTBUS_SAMPLE_RUN", run);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}\n{text}", output.status);
    (out.join("client"), text)
}

// Row 26.
#[test]
fn the_sample_adds_and_ends_its_child() {
    let program = Program::new();
    let (_, log) = sample(&program, "yes");
    let started = log
        .lines()
        .find(|line| line.contains("NativeChildProcess_OnConnect"));
    // Month and day, time, process.
    let process = started.unwrap().split_whitespace().nth(2).unwrap();
    let process = Path::new("/proc").join(process);
    let gone = || !process.exists();
    assert!(testkit::wait::wait_until(SOON, gone), "{log}");
    for line in [
        "NativeChildProcess_OnConnect",
        "asyncReply_:5",
        "AsyncAdd: 2 + 3 = 5, ret=0",
    ] {
        assert!(log.contains(line), "no `{line}` in\n{log}");
    }
    assert!(!log.contains("SendRequest failed"), "{log}");
}

/// The client as it is, and in the place of its child one that is killed by the first request.
// Row 26.
#[test]
fn the_sample_is_told_when_its_child_is_killed() {
    let program = Program::new();
    let (client, _) = sample(&program, "no");
    let library = "sample-out/libipcCapiDemo.so";
    program.library(library, &build::c_file("killed.c"), Language::C);
    let output = program.command(&client).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("the stub is dead!"), "{log}");
    assert!(log.contains("asyncReply_:0"), "{log}");
    assert!(output.status.success(), "{}\n{log}", output.status);
}

/// The five lines of the README, with the sample's two programs, but for the one that builds the libraries.
#[test]
fn the_readmes_lines_build_and_run_a_program() {
    let program = Program::new();
    sample(&program, "no");
    for name in ["server.cpp", "client.cpp"] {
        let text = fs::read_to_string(program.path("sample-out").join(name)).unwrap();
        // What the guide leaves out, and the README's name of the library.
        let text = text.replace("libipcCapiDemo.so", "libserver.so");
        program.file(
            name,
            &format!("#include <cstdlib>\n#include <cstring>\n{text}"),
        );
    }
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```sh\n").unwrap();
    let (lines, _) = rest.split_once("```").unwrap();
    assert_eq!(lines.lines().count(), 5, "{lines}");
    let libraries = Libraries::get().directory.display().to_string();
    let lines = lines.replace("cargo build --release --workspace\n", "");
    let lines = lines.replace("$PWD/target/release", &libraries);
    let lines = lines.replace("target/release", &libraries);
    let lines = lines.replace("softbus/capi/include", build::include().to_str().unwrap());
    let mut command = Command::new("sh");
    command.args(["-ec", &lines]);
    let output = command.current_dir(program.path("")).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("AsyncAdd: 2 + 3 = 5, ret=0"), "{log}");
}
