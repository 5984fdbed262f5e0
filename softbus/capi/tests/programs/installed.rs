//! The libraries as they are installed, for `pkg-config` and CMake.

use std::{env, path::Path, process::Command};

use crate::build::{self, Language, Libraries, Program};

fn capi() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Installs everything under a prefix.
fn install(program: &Program) -> std::path::PathBuf {
    let prefix = program.path("prefix");
    let mut command = Command::new(capi().join("install"));
    command.env("SOFTBUS_LIBRARIES", &Libraries::get().directory);
    build::run(command.arg(&prefix));
    prefix
}

#[test]
fn pkg_config_finds_what_is_installed() {
    let program = Program::new();
    let prefix = install(&program);
    let mut command = Command::new("pkg-config");
    command
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
        .args(["--cflags", "--libs", "child_process"]);
    let flags = build::run(&mut command);
    let built = program.path("example");
    let mut command = Command::new("gcc");
    command
        .arg(capi().join("sample/cmake/main.c"))
        .args(flags.split_whitespace())
        .arg("-o")
        .arg(&built);
    build::run(&mut command);
    let mut command = Command::new(&built);
    command.env("LD_LIBRARY_PATH", prefix.join("lib"));
    assert_eq!(build::run(&mut command), "hello from a parcel\n");
}

#[test]
fn children_are_started_from_where_it_is_installed() {
    let program = Program::new();
    let prefix = install(&program);
    program.library("libtest_child.so", &build::c_file("service.c"), Language::C);
    let path = program.program("tests", &build::c_file("remote.c"), Language::C);
    let mut command = program.command(&path);
    command
        .env("LD_LIBRARY_PATH", prefix.join("lib"))
        .arg("codes_are_1_to_0x00ffffff");
    build::run(&mut command);
    // Without the program that children run there are none.
    std::fs::remove_file(prefix.join("lib/softbus-child")).unwrap();
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("is 801 and not 0"), "{text}");
}

#[test]
fn cmake_builds_the_example() {
    if Command::new("cmake").arg("--version").output().is_err() {
        return testkit::skip::skip("there is no cmake");
    }
    let program = Program::new();
    let (prefix, out) = (install(&program), program.path("out"));
    let mut command = Command::new("cmake");
    command
        .arg("-S")
        .arg(capi().join("sample/cmake"))
        .arg("-B")
        .arg(&out)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    build::run(&mut command);
    build::run(Command::new("cmake").arg("--build").arg(&out));
    // CMake has written the path of the libraries into the program.
    let said = build::run(&mut Command::new(out.join("example")));
    assert_eq!(said, "hello from a parcel\n");
}
