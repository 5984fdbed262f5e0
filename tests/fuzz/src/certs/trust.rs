//! The files that say whom a device trusts and who it is: the trust store, a list to import, a key.

use std::collections::BTreeSet;

use proto::DeviceId;
use softbus_certs::{
    TrustStore,
    fuzzing::{key_file, trust_file},
};

/// Which file it is, and then the file.
pub fn run(data: &[u8]) {
    let Some((&which, file)) = data.split_first() else {
        return;
    };
    match which % 4 {
        0 | 1 => store(file),
        2 => list(&String::from_utf8_lossy(file)),
        _ => key(file),
    }
}

fn store(file: &[u8]) {
    let Some((entries, written)) = trust_file(file) else {
        return;
    };
    let devices: BTreeSet<_> = entries.iter().map(|entry| entry.device).collect();
    assert_eq!(devices.len(), entries.len(), "each device is there once");
    for entry in &entries {
        assert!(entry.name.chars().count() <= TrustStore::MAX_NAME_LEN);
        assert!(!entry.name.chars().any(char::is_control));
        let _ = entry.added_at();
    }
    let again = trust_file(written.as_bytes()).expect("what we write can be read");
    assert_eq!(again, (entries, written), "and says the same, in one form");
}

/// All of it or nothing, and the blocked stay blocked.
fn list(list: &str) {
    let store = TrustStore::in_memory();
    let [friend, foe] = [7, 8].map(|byte| DeviceId::from_bytes([byte; 32]));
    store.trust(friend, "friend").expect("there is room");
    store.block(&foe).expect("there is room");
    let before = store.entries();
    let Ok(first) = store.import_list(list) else {
        assert_eq!(store.entries(), before, "nothing of it counts");
        return;
    };
    let after = store.entries();
    assert_eq!(after.len(), before.len() + first.added);
    assert!(!store.is_trusted(&foe));
    assert!(before.iter().all(|entry| after.contains(entry)));
    let second = store.import_list(list).expect("it was taken before");
    assert_eq!((second.added, second.blocked), (0, first.blocked));
    assert_eq!(second.known, first.known + first.added);
    assert_eq!(store.entries(), after);
}

fn key(file: &[u8]) {
    let Some(written) = key_file(file) else {
        return;
    };
    assert_eq!(key_file(&written).as_ref(), Some(&written));
    let written = String::from_utf8(written).expect("pem is text");
    let read = String::from_utf8_lossy(file);
    let lines = |text: &str| {
        text.split_ascii_whitespace()
            .map(str::to_owned)
            .collect::<String>()
    };
    assert_eq!(lines(&read), lines(&written), "a key has one spelling");
}
