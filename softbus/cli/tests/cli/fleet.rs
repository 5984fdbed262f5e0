//! `softbus ca`, and devices that trust each other because of it.

use std::{fs, path::Path};

use rustix::process::Signal;

use crate::harness::Device;

/// A device of a fleet that nobody has put into a trust store.
fn member(ca: &Device, directory: &Path, path: &str, certificate: &str) -> Device {
    let device = Device::new();
    let request = directory.join("request.pem");
    fs::write(&request, device.run(["identity", "certificate"]).stdout).unwrap();
    let request = request.to_str().unwrap();
    let at = directory.join("ca");
    let at = at.to_str().unwrap();
    let issued = ca.run(["ca", "issue", request, path, "--ca", at]);
    assert_eq!(issued.code, 0, "{issued:?}");
    let file = directory.join("issued.pem");
    fs::write(&file, issued.stdout).unwrap();
    let installed = device.run(["identity", "install", file.to_str().unwrap()]);
    assert_eq!(installed.code, 0, "{installed:?}");
    let id = device.run(["identity", "show"]).stdout;
    assert_eq!(id.trim(), device.id, "it stays who it is");
    fs::write(device.directory().join("ca.pem"), certificate).unwrap();
    list(&device, "");
    device
}

fn list(device: &Device, more: &str) {
    let fleet = format!(
        "version = 1\n[[ca]]\nname = \"prod\"\ncertificate = \"ca.pem\"\nuri_prefix = \"spiffe://example.org/prod/\"\n{more}"
    );
    let file = device.directory().join("fleet.toml");
    let new = file.with_extension("new");
    fs::write(&new, fleet).unwrap();
    fs::rename(new, file).unwrap();
}

#[test]
fn members_of_a_fleet_call_each_other_without_entries_until_one_is_denied() {
    let (temp, ca) = (tempfile::tempdir().unwrap(), Device::new());
    let at = temp.path().join("ca");
    let at = at.to_str().unwrap();
    let made = ca.run(["ca", "init", "spiffe://example.org/prod/", "--ca", at]);
    assert_eq!(made.code, 0, "{made:?}");
    ca.run(["ca", "init", "spiffe://example.org/prod/", "--ca", at])
        .assert_failed(1, &["already"]);
    let service = member(&ca, temp.path(), "server/1", &made.stdout);
    let client = member(&ca, temp.path(), "kiosk/7", &made.stdout);
    let listed = ca.run(["ca", "list", "--ca", at]).stdout;
    assert!(
        listed.contains("kiosk/7") && listed.contains(&client.id),
        "{listed}"
    );

    let policy = "version = 1\n[[rule]]\nid = \"kiosks\"\nfrom = [\"fleet:prod/kiosk/*\"]\nservice = [7]\nmethods = [2]\n";
    fs::write(service.directory().join("policy.toml"), policy).unwrap();
    let explained = |method: &str, member: &str| {
        let line = ["policy", "explain", &client.id, "7", method, "--json"];
        service
            .run(line.into_iter().chain(["--member", member]))
            .object()
    };
    let allowed = explained("2", "prod/kiosk/7");
    assert_eq!(allowed["allowed"], true, "{allowed}");
    assert_eq!(allowed["rules"][0]["id"], "kiosks");
    let others = [
        ("1", "prod/kiosk/7"),
        ("2", "prod/server/1"),
        ("2", "test/kiosk/7"),
    ];
    for (method, member) in others {
        let denied = explained(method, member);
        assert_eq!(denied["allowed"], false, "{denied}");
        assert_eq!(denied["trusted"], member.starts_with("prod/"), "{denied}");
    }
    let node = service.start(["run", "--echo", "7"]);
    let peer = format!("{}@{}", service.id, node.address);
    let call = |method: &str, arguments: &[&str]| {
        let line = ["--peer", &peer, "call", &service.id, "7", method];
        client.run(line.into_iter().chain(arguments.iter().copied()))
    };
    let sum = call("sum", &["40", "2"]);
    assert_eq!(sum.stdout.trim(), "42", "{sum:?}");
    call("echo", &["hello"]).assert_failed(4, &[]);

    list(&service, "deny = [\"kiosk/7\"]\n");
    let denied = explained("2", "prod/kiosk/7");
    assert_eq!(
        (&denied["allowed"], &denied["trusted"]),
        (&false.into(), &false.into())
    );
    // Followed twice a second; a call takes about as long as that.
    assert!((0..20).any(|_| call("sum", &["40", "2"]).code == 4));
    node.stop(Signal::TERM);
}
