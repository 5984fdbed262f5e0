//! `softbus identity`

use crate::harness::Device;

#[test]
fn made_once_and_the_same_ever_after() {
    let device = Device::new();
    let groups: Vec<_> = device.id.split('-').collect();
    assert_eq!(groups.len(), 8, "{}", device.id);
    assert!(groups.iter().all(|group| group.len() == 7), "{}", device.id);
    let shown = device.run(["identity", "show", "--json"]).object();
    assert_eq!(shown["device"], device.id.as_str());
    assert_eq!(shown["created"], false);
    assert_ne!(Device::new().id, device.id);
}

#[test]
fn shown_while_a_node_has_it_open() {
    let device = Device::new();
    let _node = device.start(["run"]);
    let shown = device.run(["identity", "show"]);
    assert_eq!((shown.code, shown.stdout.trim()), (0, device.id.as_str()));
}

#[test]
fn one_node_at_a_time_and_how_to_go_on() {
    let device = Device::new();
    let _node = device.start(["run"]);
    let second = device.run(["devices"]);
    second.assert_failed(1, &["in use by another process", "--dir DIR"]);

    let second = device.run(["devices", "--json"]);
    second.assert_failed(1, &[]);
    let error: serde_json::Value = serde_json::from_str(&second.stderr).unwrap();
    assert_eq!(
        (&error["kind"], &error["exit_code"]),
        (&"failed".into(), &1.into())
    );
    assert!(error["hint"].as_str().unwrap().contains("--dir"), "{error}");
}

#[test]
fn a_damaged_identity_is_named_and_left_alone() {
    let device = Device::new();
    let key = device.directory().join("key.pem");
    std::fs::write(&key, "nonsense").unwrap();
    for command in ["identity show", "devices"] {
        let refused = device.run(command.split(' '));
        refused.assert_failed(1, &["key.pem", "restore it from a backup"]);
    }
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "nonsense");
}
