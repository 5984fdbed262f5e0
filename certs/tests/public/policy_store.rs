//! The policy in force and its file.

use std::fs;

use proto::{DeviceId, ServiceId};
use softbus_certs::{Access, Policy, PolicyStore, Principal, ReadPolicyError, Rule, Subject};

const FILE: &str =
    "version = 1\n[[rule]]\nid = \"all\"\nfrom = [\"trusted\"]\nservice = [7]\nmethods = \"*\"\n";

fn may(store: &PolicyStore) -> bool {
    let who = Principal::device(DeviceId::from_bytes([1; 32]));
    let access = store
        .current()
        .unwrap()
        .access(&who, ServiceId::new(7).unwrap());
    access != Access::Nothing
}

#[test]
fn a_file_that_is_not_right_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("policy.toml");
    fs::write(&path, FILE).unwrap();
    let store = PolicyStore::open(&path).unwrap();
    assert_eq!(store.path().as_deref(), Some(&*path));
    let version = store.version();
    assert!(may(&store));
    assert!(!store.reload().unwrap());
    assert_eq!(store.version(), version);

    // Half written, an unknown key, a test that fails, nobody.
    let failing = "[[test]]\nfrom = \"trusted\"\nservice = 7\nmethod = 1\nexpect = \"deny\"\n";
    for (wrong, line) in [
        (&FILE[..60], 5),
        (&FILE.replace("methods", "method"), 6),
        (&format!("{FILE}{failing}"), 7),
        (&FILE.replace("\"trusted\"", ""), 2),
        (&FILE.replace("trusted", "group:gone"), 2),
    ] {
        fs::write(&path, wrong).unwrap();
        let error = store.reload().unwrap_err();
        let at = format!("{}:{line}: ", path.display());
        assert!(error.to_string().starts_with(&at), "{error} is not at {at}");
        assert!(may(&store));
        assert_eq!(store.version(), version);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(store.reload(), Err(ReadPolicyError::Io { .. })));
    assert!(may(&store));

    fs::write(&path, "version = 1\n").unwrap();
    assert!(store.reload().unwrap());
    assert!(!may(&store));
    assert!(store.version() > version);
}

#[test]
fn a_file_has_to_be_there_unless_it_need_not() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("policy.toml");
    assert!(matches!(
        PolicyStore::open(&path),
        Err(ReadPolicyError::Io { .. })
    ));
    let store = PolicyStore::open_if_there(&path).unwrap();
    assert!(store.current().is_none());
    fs::write(&path, FILE).unwrap();
    assert!(store.reload().unwrap());
    assert!(may(&store));
    fs::write(&path, "version = 9").unwrap();
    assert!(PolicyStore::open_if_there(&path).is_err());
    // What cannot be looked for may be there.
    let below_a_file = PolicyStore::open_if_there(path.join("policy.toml"));
    assert!(matches!(below_a_file, Err(ReadPolicyError::Io { .. })));
}

#[test]
fn a_policy_of_code_needs_no_file() {
    assert!(PolicyStore::new().current().is_none());
    let store = PolicyStore::fixed(Policy::default());
    assert!(!may(&store));
    assert_eq!(store.path(), None);
    assert!(!store.reload().unwrap());
    let all = Rule::allow("all")
        .from(Subject::Trusted)
        .every_service()
        .every_method();
    let policy = Policy::builder().rule(all).build().unwrap();
    let clone = store.clone();
    assert!(clone.set(policy.clone()));
    assert!(!clone.set(policy.clone()));
    assert!(may(&store));
    assert!(may(&PolicyStore::from(policy)));
}

#[test]
fn a_file_too_large_for_any_policy_is_not_read() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("policy.toml");
    let comment = "#".repeat(Policy::MAX_FILE_LEN - 13);
    fs::write(&path, format!("version = 1\n{comment}\n")).unwrap();
    assert!(PolicyStore::open(&path).is_ok());
    fs::write(&path, format!("version = 1\n#{comment}\n")).unwrap();
    let error = PolicyStore::open(&path).unwrap_err();
    assert!(matches!(
        error,
        ReadPolicyError::TooLarge {
            limit: Policy::MAX_FILE_LEN,
            ..
        }
    ));
}

#[cfg(unix)]
#[test]
fn what_others_could_change_is_not_taken() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("policy.toml");
    fs::write(&path, FILE).unwrap();
    for (mode, good) in [(0o644, true), (0o600, true), (0o664, false), (0o646, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let opened = PolicyStore::open(&path);
        assert_eq!(opened.is_ok(), good, "{mode:o}");
        if let Err(error) = opened {
            let says = format!("mode 0{mode:o}");
            assert!(error.to_string().contains(&says), "{error}");
        }
    }
    let error = PolicyStore::open(temp.path()).unwrap_err();
    assert!(matches!(error, ReadPolicyError::NotAFile { .. }), "{error}");
}
