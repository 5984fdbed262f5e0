//! `softbus pair`

use serde_json::Value;

use crate::harness::{Device, Running};

/// A device that lets others pair, and what it shows.
fn listen(device: &Device, options: &[&str]) -> (Running, Value) {
    let always = ["--json", "pair", "--listen", "127.0.0.1", "--yes"];
    let mut running = device.spawn(always.iter().chain(options));
    let open = running.event("open");
    assert_eq!(open["device"], device.id.as_str());
    (running, open)
}

fn file(device: &Device, content: &str) -> String {
    let path = device.directory().join("../typed");
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

fn trusts(device: &Device, other: &Device) -> bool {
    let list = device.run(["trust", "list", "--long"]);
    list.stdout.contains(&other.id)
}

#[test]
fn by_the_code_that_is_shown() {
    let (phone, tv) = (Device::new(), Device::new());
    let (mut listening, open) = listen(&tv, &["--name", "phone"]);
    let address = open["addresses"][0].as_str().unwrap();
    let typed = file(&phone, open["code"].as_str().unwrap());
    let line = [
        "--json",
        "--called",
        "mobile",
        "pair",
        address,
        "--name",
        "tv",
        "--code-file",
        &typed,
    ];
    let paired = phone.run(line).object();
    assert_eq!(paired["device"], tv.id.as_str());
    let paired = listening.event("paired");
    assert_eq!(paired["device"], phone.id.as_str());
    assert_eq!(paired["claimed_name"], "mobile");
    assert!(trusts(&phone, &tv) && trusts(&tv, &phone));
    assert!(phone.run(["trust", "list"]).stdout.contains("tv"));
    assert!(tv.run(["trust", "list"]).stdout.contains("phone"));
}

#[test]
fn by_the_text_of_the_qr_code() {
    let (phone, tv) = (Device::new(), Device::new());
    let (mut listening, open) = listen(&tv, &["--qr"]);
    assert_eq!(open["code"], Value::Null);
    let scanned = file(&phone, open["invitation"].as_str().unwrap());
    let paired = phone.run(["pair", "-", "--code-file", &scanned]);
    assert_eq!(paired.code, 0, "{paired:?}");
    assert!(paired.stdout.starts_with("paired: "), "{paired:?}");
    listening.event("paired");
    assert!(trusts(&phone, &tv) && trusts(&tv, &phone));
}

#[test]
fn a_wrong_code_is_refused_and_told_at_both_ends() {
    let (phone, tv) = (Device::new(), Device::new());
    let (mut listening, open) = listen(&tv, &[]);
    let address = open["addresses"][0].as_str().unwrap();
    let wrong = if open["code"] == "000000" {
        "000001"
    } else {
        "000000"
    };
    let typed = file(&phone, wrong);
    phone
        .run(["pair", address, "--code-file", &typed])
        .assert_failed(4, &["code did not match", "look at the code again"]);
    let failed = listening.event("failed");
    assert_eq!(failed["attempts_left"], 2);
    assert!(!trusts(&phone, &tv) && !trusts(&tv, &phone));
}

#[test]
fn a_window_listens_where_it_was_told_to_however_it_is_opened() {
    let tv = Device::new();
    // Before the command stands --listen 127.0.0.1.
    let shown = tv.run(["--json", "pair", "--listen", "--open-for", "0.2"]);
    let open: Value = serde_json::from_str(shown.stdout.lines().next().unwrap()).unwrap();
    let addresses = open["addresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 1, "{open}");
    assert!(addresses[0].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn a_person_sees_a_code_and_a_qr_code() {
    let tv = Device::new();
    let shown = tv.run(["pair", "--open-for", "0.2"]);
    assert_eq!(shown.code, 5, "{shown:?}");
    assert!(shown.stdout.contains("code: "), "{shown:?}");
    assert!(shown.stdout.contains("softbus:1?id="), "{shown:?}");
    assert!(shown.stdout.contains('█'), "{shown:?}");
    assert!(
        shown.stderr.contains("softbus pair 127.0.0.1:"),
        "{shown:?}"
    );
}

#[test]
fn nobody_there_and_nothing_typed() {
    let phone = Device::new();
    phone
        .run([
            "pair",
            "127.0.0.1:9",
            "--code-file",
            &file(&phone, "123456"),
        ])
        .assert_failed(3, &["not reached", "--listen"]);
    phone
        .run(["pair", "127.0.0.1:9"])
        .assert_failed(2, &["no code was given"]);
    phone
        .run([
            "pair",
            "-",
            "--code-file",
            &file(&phone, "https://example.org"),
        ])
        .assert_failed(2, &["not a softbus pairing code"]);
    phone
        .run(["pair", "--listen", "kitchen"])
        .assert_failed(2, &["not an IP address"]);
}

#[test]
fn a_log_at_trace_level_and_a_key_log_that_is_asked_for_hold_no_secret() {
    let mut codes_logged = 0;
    // Six digits may be in a log by chance, once; not twice.
    for _ in 0..2 {
        let (phone, tv) = (Device::new(), Device::new());
        let keys = tv.directory().join("../keys");
        let asked_for = [("SSLKEYLOGFILE", keys.as_os_str())];
        let line = "--log trace --json pair --listen 127.0.0.1 --yes";
        let mut listening = tv.spawn_with(asked_for, line.split(' '));
        let open = listening.event("open");
        let code = open["code"].as_str().unwrap();
        let invitation = open["invitation"].as_str().unwrap();
        let secret = invitation.split("&s=").nth(1).unwrap();
        let secret = secret.split('&').next().unwrap();
        let address = open["addresses"][0].as_str().unwrap();
        let typed = file(&phone, code);
        let line = ["--log", "trace", "pair", address, "--code-file", &typed];
        let paired = phone.spawn_with(asked_for, line).finish();
        assert_eq!(paired.code, 0, "{paired:?}");
        let logs = paired.stderr + &listening.finish().stderr;
        assert!(
            logs.contains("TRACE") && logs.contains("quinn"),
            "it was logged"
        );
        codes_logged += usize::from(logs.contains(code));
        assert!(!logs.contains(secret) && !paired.stdout.contains(secret));
        for device in [&phone, &tv] {
            let pem = std::fs::read_to_string(device.directory().join("key.pem")).unwrap();
            assert!(!logs.contains(pem.lines().nth(1).unwrap()));
        }
        assert!(!keys.exists(), "keys of connections are logged");
    }
    assert!(codes_logged < 2, "codes are logged");
}

#[test]
fn a_node_that_runs_lets_a_device_pair_and_goes_on() {
    let (phone, tv) = (Device::new(), Device::new());
    let mut node = tv.start(["run", "--pair", "--echo", "7"]);
    let open = node.event("open");
    let typed = file(&phone, open["code"].as_str().unwrap());
    let address = node.address.clone();
    // Nobody sits at this terminal, so nobody says yes.
    phone
        .run(["pair", &address, "--code-file", &typed])
        .assert_failed(4, &["refused by the user"]);
    assert_eq!(node.event("failed")["attempts_left"], 2);
    assert!(!trusts(&tv, &phone));
    assert_eq!(
        node.terminate(rustix::process::Signal::TERM).code(),
        Some(0)
    );
}
