//! `softbus trust`

use serde_json::Value;

use crate::harness::Device;

fn list(device: &Device) -> Vec<Value> {
    let list = device.run(["trust", "list", "--json"]);
    assert_eq!(list.code, 0, "{list:?}");
    list.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn added_listed_renamed_removed() {
    let (us, other) = (Device::new(), Device::new());
    assert!(list(&us).is_empty());
    let added = us
        .run(["trust", "add", &other.id, "--name", "kitchen", "--json"])
        .object();
    assert_eq!(
        (&added["added"], &added["name"]),
        (&true.into(), &"kitchen".into())
    );

    let again = us
        .run(["trust", "add", &other.id.to_lowercase(), "--json"])
        .object();
    assert_eq!(
        (&again["added"], &again["name"]),
        (&false.into(), &"kitchen".into()),
        "kept"
    );
    us.trust(&other, "cellar");
    let entries = list(&us);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["device"], other.id.as_str());
    assert_eq!(
        (&entries[0]["name"], &entries[0]["trusted"]),
        (&"cellar".into(), &true.into())
    );
    assert_eq!(entries[0]["added_via"], "manual");
    assert!(
        us.run(["trust", "list", "--long"])
            .stdout
            .contains(&other.id)
    );

    assert_eq!(us.run(["trust", "remove", "cellar"]).code, 0);
    assert!(list(&us).is_empty());
    us.run(["trust", "remove", "cellar"])
        .assert_failed(3, &["trust list"]);
    us.run(["trust", "remove", &other.id])
        .assert_failed(3, &["not in the trust store"]);
}

#[test]
fn only_whole_ids_of_others_are_added() {
    let (us, other) = (Device::new(), Device::new());
    us.run(["trust", "add", &us.id])
        .assert_failed(2, &["this device itself"]);
    us.run(["trust", "add", &other.id[..20]])
        .assert_failed(2, &["full id"]);
    let mut mistyped = other.id.clone();
    mistyped.replace_range(0..1, if other.id.starts_with('A') { "B" } else { "A" });
    us.run(["trust", "add", &mistyped])
        .assert_failed(2, &["group 1"]);
    us.run(["trust", "add", &other.id, "--name", "a\x1bb"])
        .assert_failed(2, &["control characters"]);
    us.run(["trust", "add", "\x1b[2J"])
        .assert_failed(2, &[r"\u{1b}[2J"]);
    assert!(list(&us).is_empty());
}

#[test]
fn a_name_of_two_devices_names_neither() {
    let (us, a, b) = (Device::new(), Device::new(), Device::new());
    us.trust(&a, "twin");
    us.trust(&b, "twin");
    let ambiguous = us.run(["trust", "remove", "twin"]);
    ambiguous.assert_failed(2, &["ambiguous", &a.id, &b.id]);
    assert_eq!(
        us.run(["trust", "remove", &a.id[..30]]).code,
        0,
        "the beginning of an id"
    );
    assert_eq!(list(&us).len(), 1);
}

#[test]
fn a_blocked_device_is_shown_as_such_and_has_to_be_removed_first() {
    let (us, other) = (Device::new(), Device::new());
    us.trust(&other, "x");
    let blocked = us.run(["trust", "block", "x", "--json"]).object();
    assert_eq!(blocked["device"], other.id.as_str());
    assert_eq!(list(&us)[0]["blocked"], true);
    us.run(["trust", "add", &other.id])
        .assert_failed(1, &["is blocked", "trust remove"]);
    us.run(["services", "x"])
        .assert_failed(3, &["no trusted device"]);
    assert_eq!(us.run(["trust", "remove", "x"]).code, 0);
}

#[test]
fn a_list_is_imported_as_a_whole_or_not_at_all() {
    let (us, a, b) = (Device::new(), Device::new(), Device::new());
    us.run(["trust", "block", &b.id]);
    let file = us.directory().join("../list");
    let path = file.display().to_string();
    std::fs::write(
        &file,
        format!("# fleet\n{} kitchen\n{}\nnobody\n", a.id, b.id),
    )
    .unwrap();
    us.run(["trust", "import", &path])
        .assert_failed(2, &["line 4"]);
    assert_eq!(list(&us).len(), 1, "the blocked one");
    std::fs::write(&file, format!("# fleet\n{} kitchen\n{}\n", a.id, b.id)).unwrap();
    let imported = us.run(["trust", "import", &path, "--json"]).object();
    assert_eq!(
        (&imported["added"], &imported["blocked"]),
        (&1.into(), &1.into())
    );
    us.run(["trust", "import", "/nowhere"])
        .assert_failed(1, &["/nowhere"]);
}
