//! `--local`: one command hosts the bus of its device, others are processes of it.

use std::os::unix::net::UnixListener;

use rustix::process::Signal;

use crate::harness::Device;

#[test]
fn commands_attach_to_the_device_that_runs() {
    let (a, b) = Device::pair();
    let there = b.start(["run", "--echo", "7"]);
    let directory = tempfile::tempdir().unwrap();
    let local = format!("--local={}", directory.path().join("bus.sock").display());
    let peer = format!("b@{}", there.address);
    let host = a.start(["run", "--echo", "8", &local, "--peer", &peer]);

    // The device itself, and its services.
    let own = a.run([&local, "services", &a.id, "--json"]).object();
    assert_eq!(
        (&own["device"], &own["service"]),
        (&a.id.as_str().into(), &8.into())
    );
    let sum = a.run([&local, "call", &a.id, "8", "sum", "40", "2"]);
    assert_eq!((sum.code, sum.stdout.as_str()), (0, "42\n"), "{sum:?}");

    // What is in them, for root and for our own user.
    let dumped = a.run([&local, "dump", "8", "-a", "größe"]);
    let text = "requests: 1\nargument: -a\nargument: größe\n";
    assert_eq!(
        (dumped.code, dumped.stdout.as_str()),
        (0, text),
        "{dumped:?}"
    );
    let dumped = a.run([&local, "--json", "dump", "8"]).object();
    assert_eq!(dumped["text"], "requests: 1\n");
    a.run([&local, "dump", "9"])
        .assert_failed(3, &["service 9"]);
    a.run(["dump", "8"]).assert_failed(2, &["--local"]);

    // Another device, by the name it has here, through the host.
    let sum = a.run([&local, "call", "b", "7", "sum", "40", "2"]);
    assert_eq!((sum.code, sum.stdout.as_str()), (0, "42\n"), "{sum:?}");

    // Who has the network pairs.
    a.run([&local, "pair", "127.0.0.1:9"])
        .assert_failed(2, &["run --local --pair"]);

    // There is one host, and without it nothing.
    let other = Device::new();
    other
        .run(["run", &local])
        .assert_failed(1, &["in use", "--local=PATH"]);
    assert!(host.terminate(Signal::TERM).success());
    a.run([&local, "services", &a.id])
        .assert_failed(3, &["softbus run --local"]);
}

#[test]
fn a_socket_that_is_handed_over_is_listened_on() {
    let a = Device::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let local = format!("--local={}", path.display());
    let host = a.start_activated(socket, ["run", "--echo", "8", "--local"]);
    let sum = a.run([&local, "call", &a.id, "8", "sum", "40", "2"]);
    assert_eq!((sum.code, sum.stdout.as_str()), (0, "42\n"), "{sum:?}");
    assert!(host.terminate(Signal::TERM).success());
    // It is who made it that takes it away.
    assert!(path.exists());
}
