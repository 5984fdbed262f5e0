//! Help, exit codes, and where things are kept.

use std::process::{Command, Stdio};

use crate::harness::{Device, command, finish};

/// A command that is to end without a node, and if it does not, without mDNS.
fn softbus(line: &str) -> Command {
    let home = tempfile::tempdir().unwrap();
    let mut command = command(home.path());
    command.arg("--no-mdns").args(line.split_whitespace());
    command
}

#[test]
fn help_of_every_command() {
    let help = finish(softbus("--help"));
    assert_eq!(help.code, 0);
    for text in [
        "Exit codes",
        "not trusted",
        "--json",
        "--dir",
        "--no-mdns",
        "--peer",
    ] {
        assert!(
            help.stdout.contains(text),
            "{text:?} is not in {}",
            help.stdout
        );
    }
    for command in [
        "run",
        "identity show",
        "trust add",
        "trust list",
        "trust remove",
        "devices",
        "services",
        "describe",
        "call",
        "watch",
    ] {
        let help = finish(softbus(&format!("{command} --help")));
        assert_eq!(help.code, 0);
        assert!(help.stdout.contains("JSON: "), "{command}: {}", help.stdout);
        assert!(!help.stdout.contains('\x1b'), "colours without a terminal");
    }
    assert!(finish(softbus("--version")).stdout.starts_with("softbus "));
}

#[test]
fn a_wrong_command_line() {
    for line in [
        "",
        "dance",
        "identity",
        "call",
        "call kitchen",
        "call kitchen 0 1",
        "call kitchen 7 0x1000000",
        "call kitchen 7 1 --i32 1.5",
        "call kitchen 7 1 --i32 2147483648",
        "call kitchen 7 1 --bool maybe",
        "call kitchen 7 1 --reply float",
        "call kitchen 7 1 --oneway --reply i32",
        "call kitchen 7 1 --wait 0",
        "devices --for x",
        "watch --peer kitchen",
        "watch --listen localhost",
    ] {
        let wrong = finish(softbus(line));
        assert_eq!(wrong.code, 2, "{line:?}: {wrong:?}");
    }
}

#[test]
fn what_does_not_fit_together_is_a_usage_error_too() {
    let device = Device::new();
    let wrong = device.run(["watch", "--listen", "127.0.0.1:1", "--port", "2"]);
    wrong.assert_failed(2, &["--listen says port 1"]);
    let wrong = device.run(["watch", "--log", "softbus=shout"]);
    wrong.assert_failed(2, &["--log"]);
    let wrong = device.run(["watch", "--interface", "loopback"]);
    wrong.assert_failed(2, &["--no-mdns and --interface"]);
}

#[test]
fn the_directory_of_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let directory = |variable: Option<(&str, &str)>| {
        let mut command = command(home.path());
        command.args(["identity", "show", "--json"]);
        if let Some((name, place)) = variable {
            command.env(
                name,
                if place.is_empty() {
                    "x".into()
                } else {
                    home.path().join(place)
                },
            );
        }
        finish(command).object()["directory"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let expect = |place: &str| home.path().join(place).display().to_string();
    assert_eq!(directory(None), expect(".local/share/softbus"));
    assert_eq!(
        directory(Some(("XDG_DATA_HOME", "data"))),
        expect("data/softbus")
    );
    assert_eq!(
        directory(Some(("XDG_DATA_HOME", ""))),
        expect(".local/share/softbus"),
        "relative"
    );
    assert_eq!(directory(Some(("SOFTBUS_DIR", "mine"))), expect("mine"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let device = Device::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = softbus("identity show");
    command
        .arg("--dir")
        .arg(device.directory())
        .stdout(writer)
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}
