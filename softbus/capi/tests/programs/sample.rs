//! The program of OpenHarmony's guide, unmodified, as `sample/run` builds it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::build::{self, Language, Libraries, Program};

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
