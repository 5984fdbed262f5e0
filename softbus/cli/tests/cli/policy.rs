//! `softbus policy`, and a node with one.

use std::fs;

use rustix::process::Signal;

use crate::harness::Device;

/// Allows the devices of a group one method of the service `softbus run --echo 7` has.
fn policy(device: &Device) -> String {
    format!(
        "version = 1\n[groups]\nfriends = [\"{}\"]\n[[rule]]\nid = \"sum\"\nfrom = [\"group:friends\"]\nservice = [7]\nmethods = [2]\n",
        device.id
    )
}

fn write(device: &Device, text: &str) {
    let path = device.directory().join("policy.toml");
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn checked_and_explained() {
    let (us, other) = Device::pair();
    us.trust(&other, "kitchen");
    us.run(["policy", "check"])
        .assert_failed(3, &["no policy in", "services decide alone"]);
    write(&us, &policy(&other));
    let checked = us.run(["policy", "check", "--json"]).object();
    assert_eq!(
        (&checked["rules"], &checked["denials"]),
        (&1.into(), &0.into())
    );

    let explain = |method| {
        us.run(["policy", "explain", "kitchen", "7", method, "--json"])
            .object()
    };
    let allowed = explain("2");
    assert_eq!(allowed["allowed"], true);
    assert_eq!(allowed["reason"], "allowed by rule sum (line 4)");
    assert_eq!(allowed["rules"][0]["line"], 4);
    let denied = explain("1");
    assert_eq!(denied["allowed"], false);
    let text = us.run(["policy", "explain", "kitchen", "7", "1"]).stdout;
    assert_eq!(
        text,
        "denied: other methods are allowed, by rule sum (line 4)\n"
    );

    us.run(["trust", "remove", "kitchen"]);
    let stranger = us
        .run(["policy", "explain", &other.id, "7", "2", "--json"])
        .object();
    assert_eq!(
        (&stranger["allowed"], &stranger["trusted"]),
        (&false.into(), &false.into())
    );

    write(&us, &policy(&other).replace("methods", "method"));
    us.run(["policy", "check"])
        .assert_failed(1, &["policy.toml:8: unknown field `method`"]);
    us.run(["run"]).assert_failed(1, &["policy.toml:8:"]);
}

#[test]
fn a_running_node_takes_a_new_policy() {
    let (service, client) = Device::pair();
    write(&service, &policy(&client));
    let node = service.start(["run", "--echo", "7"]);
    let sum = client.ask("a", &node, "call a 7 sum 40 2");
    assert_eq!(sum.stdout.trim(), "42", "{sum:?}");
    client
        .ask("a", &node, "call a 7 echo hello")
        .assert_failed(4, &[]);
    write(&service, "version = 1\n");
    let denied = |_| {
        let asked = client.ask("a", &node, "call a 7 sum 40 2");
        asked.code == 4
    };
    // Within about a second; a call takes longer than the wait between two looks.
    assert!((0..20).any(denied));
    node.stop(Signal::TERM);
}
