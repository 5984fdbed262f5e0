//! The trust store, in memory and on disk.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use proto::{DeviceId, ParseDeviceIdError};
use softbus_certs::pairing::PairingMode;
use softbus_certs::{
    AddedVia, ChangeTrustError, ImportTrustError, OpenTrustError, TrustChange, TrustEvent,
    TrustStore,
};

fn device(name: &str) -> DeviceId {
    DeviceId::from_spki(name.as_bytes())
}

type Heard = Arc<Mutex<Vec<(DeviceId, TrustEvent)>>>;

/// Everything a store tells from now on.
fn listen(store: &TrustStore) -> (Heard, softbus_certs::Subscription) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let subscription = store.subscribe({
        let heard = heard.clone();
        move |change: &TrustChange| heard.lock().unwrap().push((change.device, change.event))
    });
    (heard, subscription)
}

#[test]
fn nobody_is_trusted_who_was_not_named() {
    let store = TrustStore::in_memory();
    assert!(!store.is_trusted(&device("a")));
    assert!(store.entries().is_empty());
    store.trust(device("a"), "kitchen").unwrap();
    assert!(store.is_trusted(&device("a")));
    assert!(!store.is_trusted(&device("b")));
    let entry = store.get(&device("a")).unwrap();
    assert_eq!(
        (&*entry.name, entry.added_via, entry.blocked),
        ("kitchen", AddedVia::Manual, false)
    );
    assert!(entry.added_at().elapsed().unwrap().as_secs() < 3600);
}

#[test]
fn forgetting_makes_a_stranger_blocking_an_enemy() {
    let store = TrustStore::in_memory();
    let a = device("a");
    store.trust(a, "").unwrap();
    assert!(store.forget(&a).unwrap());
    assert!(!store.forget(&a).unwrap());
    assert!(!store.is_trusted(&a));

    assert!(store.block(&a).unwrap());
    assert!(!store.block(&a).unwrap());
    let refused = store.trust(a, "friend").unwrap_err();
    assert!(matches!(refused, ChangeTrustError::Blocked { device } if device == a));
    assert!(!store.is_trusted(&a));
    store.forget(&a).unwrap();
    store.trust(a, "friend").unwrap();
    assert!(store.is_trusted(&a));
}

#[test]
fn names_are_short_and_harmless() {
    let store = TrustStore::in_memory();
    for name in ["x".repeat(65), "a\nb".into(), "a\x1b[2J".into()] {
        let error = store.trust(device("a"), &name).unwrap_err();
        assert!(matches!(error, ChangeTrustError::InvalidName));
    }
    store.trust(device("a"), &"ü".repeat(64)).unwrap();
}

#[test]
fn who_listens_is_told_each_change_once() {
    let store = TrustStore::in_memory();
    let (heard, subscription) = listen(&store);
    let (a, b) = (device("a"), device("b"));
    let version = store.version();
    store.trust(a, "one").unwrap();
    store.trust(a, "one").unwrap();
    store.trust(a, "two").unwrap();
    store.block(&a).unwrap();
    store.forget(&a).unwrap();
    store.forget(&b).unwrap();
    store.import_list(&format!("{a}\n{b}\n")).unwrap();
    use TrustEvent::*;
    let mut imported = [(a, Trusted), (b, Trusted)];
    imported.sort_by_key(|(device, _)| *device);
    let mut expected = vec![(a, Trusted), (a, Renamed), (a, Blocked), (a, Forgotten)];
    expected.extend(imported);
    assert_eq!(*heard.lock().unwrap(), expected);
    assert_eq!(store.version(), version + 6);

    drop(subscription);
    store.forget(&a).unwrap();
    assert_eq!(heard.lock().unwrap().len(), 6);
    assert_eq!(store.version(), version + 7);
}

#[test]
fn a_listener_may_use_the_store_and_end_itself() {
    let store = TrustStore::in_memory();
    let own = Arc::new(OnceLock::<Mutex<Option<softbus_certs::Subscription>>>::new());
    let subscription = store.subscribe({
        let (store, own) = (store.clone(), own.clone());
        move |change: &TrustChange| {
            assert!(store.is_trusted(&change.device));
            drop(own.get().unwrap().lock().unwrap().take());
            store.forget(&change.device).unwrap();
        }
    });
    own.set(Mutex::new(Some(subscription))).unwrap();
    store.trust(device("a"), "").unwrap();
    assert!(!store.is_trusted(&device("a")));
}

#[test]
fn withdrawal_is_told_as_such() {
    let store = TrustStore::in_memory();
    let withdrawn = Arc::new(Mutex::new(Vec::new()));
    let _subscription = store.subscribe({
        let withdrawn = withdrawn.clone();
        move |change: &TrustChange| withdrawn.lock().unwrap().push(change.withdraws())
    });
    store.trust(device("a"), "").unwrap();
    store.trust(device("a"), "x").unwrap();
    store.block(&device("a")).unwrap();
    store.forget(&device("a")).unwrap();
    assert_eq!(*withdrawn.lock().unwrap(), [false, false, true, true]);
}

#[test]
fn a_list_is_imported_as_a_whole() {
    let store = TrustStore::in_memory();
    let [a, b, c] = ["a", "b", "c"].map(device);
    store.trust(a, "mine").unwrap();
    store.block(&b).unwrap();
    let lower = c.to_string().to_lowercase();
    let list =
        format!("# fleet\n\n{a} theirs\n  {b}\n{lower}\t den, left  # by the door\r\n{lower}\n");
    let summary = store.import_list(&list).unwrap();
    assert_eq!((summary.added, summary.known, summary.blocked), (1, 2, 1));
    assert_eq!(store.get(&a).unwrap().name, "mine");
    assert!(!store.is_trusted(&b));
    let entry = store.get(&c).unwrap();
    assert_eq!(
        (&*entry.name, entry.added_via),
        ("den, left", AddedVia::Import)
    );
}

#[test]
fn a_list_with_a_mistake_is_not_imported_at_all() {
    let store = TrustStore::in_memory();
    let a = device("a");
    let error = store
        .import_list(&format!("{a}\n\n{}", &a.to_string()[1..]))
        .unwrap_err();
    assert!(matches!(
        error,
        ImportTrustError::DeviceId {
            line: 3,
            source: ParseDeviceIdError::Length { found: 55 }
        }
    ));
    let error = store
        .import_list(&format!("{a}\n{a} {}", "x".repeat(65)))
        .unwrap_err();
    assert!(matches!(error, ImportTrustError::InvalidName { line: 2 }));
    assert!(store.entries().is_empty());
    assert!(matches!(
        store.import("/nowhere/at/all"),
        Err(ImportTrustError::Read { .. })
    ));
}

#[test]
fn two_sides_share_one_list() {
    let temp = tempfile::tempdir().unwrap();
    let list = temp.path().join("fleet.txt");
    let ids = ["a", "b"].map(device);
    fs::write(&list, format!("{} left\n{} right\n", ids[0], ids[1])).unwrap();
    for _side in ids {
        let store = TrustStore::in_memory();
        assert_eq!(store.import(&list).unwrap().added, 2);
        assert_eq!(store.import(&list).unwrap().known, 2);
        assert!(ids.iter().all(|id| store.is_trusted(id)));
    }
}

#[test]
fn the_store_survives_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("bus");
    let store = TrustStore::open(&directory).unwrap();
    assert!(!directory.join("trust.toml").exists());
    store.trust(device("a"), "\"quoted\" = 'ü' # ] \\").unwrap();
    store.block(&device("b")).unwrap();
    store.import_list(&format!("{} c", device("c"))).unwrap();
    let entries = store.entries();
    assert_eq!(entries.len(), 3);
    assert_eq!(TrustStore::open(&directory).unwrap().entries(), entries);
}

#[test]
fn two_processes_do_not_undo_each_other() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("bus");
    let [node, tool] = [(); 2].map(|()| TrustStore::open(&directory).unwrap());
    let (heard, _subscription) = listen(&node);
    tool.trust(device("a"), "").unwrap();
    assert!(!node.is_trusted(&device("a")));
    assert!(node.path().is_some_and(|path| path.is_file()));
    node.reload().unwrap();
    assert!(node.is_trusted(&device("a")));
    // Without being told to, each change takes what is there with it.
    tool.forget(&device("a")).unwrap();
    node.trust(device("b"), "").unwrap();
    assert!(!node.is_trusted(&device("a")));
    use TrustEvent::*;
    let expected = [
        (device("a"), Trusted),
        (device("a"), Forgotten),
        (device("b"), Trusted),
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[test]
fn changes_from_many_threads_all_arrive() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("bus");
    let stores = [(); 2].map(|()| TrustStore::open(&directory).unwrap());
    std::thread::scope(|scope| {
        for n in 0..4 {
            let store = &stores[n % 2];
            scope.spawn(move || {
                for m in 0..5 {
                    store.trust(device(&format!("{n} {m}")), "").unwrap();
                }
            });
        }
    });
    assert_eq!(TrustStore::open(&directory).unwrap().entries().len(), 20);
}

#[test]
fn a_damaged_file_is_kept_and_trusted_in_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("bus");
    TrustStore::open(&directory)
        .unwrap()
        .trust(device("a"), "")
        .unwrap();
    let file = directory.join("trust.toml");
    let whole = fs::read_to_string(&file).unwrap();
    for damaged in [
        "",
        "schema = 1\n[[dev",
        &whole[..whole.len() - 3],
        &whole.replace("blocked", "black"),
    ] {
        fs::write(&file, damaged).unwrap();
        let error = TrustStore::open(&directory).unwrap_err();
        assert!(
            matches!(&error, OpenTrustError::Damaged { path, .. } if *path == file),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    }
    fs::write(&file, "schema = 2\nnew = true\n").unwrap();
    let error = TrustStore::open(&directory).unwrap_err();
    assert!(
        matches!(
            error,
            OpenTrustError::Schema {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

/// Makes every write in a directory fail, for root too: the file is written beside its place first.
fn obstruct(directory: &Path) {
    fs::create_dir(directory.join(".trust.toml.new")).unwrap();
}

fn clear(directory: &Path) {
    fs::remove_dir(directory.join(".trust.toml.new")).unwrap();
}

#[test]
fn without_a_disk_trust_is_withdrawn_and_not_given() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("bus");
    let store = TrustStore::open(&directory).unwrap();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(device);
    store.import_list(&format!("{a}\n{b}")).unwrap();
    let (heard, _subscription) = listen(&store);

    obstruct(&directory);
    assert!(matches!(store.trust(c, ""), Err(ChangeTrustError::Save(_))));
    assert!(matches!(
        store.import_list(&c.to_string()),
        Err(ImportTrustError::Change(_))
    ));
    assert!(!store.is_trusted(&c));
    assert!(matches!(store.forget(&a), Err(ChangeTrustError::Save(_))));
    assert!(matches!(store.block(&b), Err(ChangeTrustError::Save(_))));
    assert!(!store.is_trusted(&a) && !store.is_trusted(&b));
    assert_eq!(
        *heard.lock().unwrap(),
        [(a, TrustEvent::Forgotten), (b, TrustEvent::Blocked)]
    );
    // Nor does the old file bring it back.
    store.reload().unwrap();
    assert!(!store.is_trusted(&a) && !store.is_trusted(&b));

    clear(&directory);
    store.trust(d, "").unwrap();
    let again = TrustStore::open(&directory).unwrap();
    assert!(again.is_trusted(&d) && !again.is_trusted(&a));
    assert!(again.get(&b).unwrap().blocked);
}

#[test]
fn a_file_damaged_while_we_run_stops_no_withdrawal() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("bus");
    let store = TrustStore::open(&directory).unwrap();
    store.trust(device("a"), "").unwrap();
    store.trust(device("b"), "").unwrap();
    let file = directory.join("trust.toml");
    fs::write(&file, "half a li").unwrap();
    assert!(matches!(
        store.reload(),
        Err(OpenTrustError::Damaged { .. })
    ));
    assert!(store.is_trusted(&device("a")));
    assert!(matches!(
        store.forget(&device("a")),
        Err(ChangeTrustError::Open(_))
    ));
    assert!(!store.is_trusted(&device("a")));
    assert!(store.is_trusted(&device("b")));
    assert_eq!(fs::read_to_string(&file).unwrap(), "half a li");
}

#[test]
fn a_full_store_says_so() {
    let store = TrustStore::in_memory();
    let list: String = (0..TrustStore::MAX_DEVICES)
        .map(|n| format!("{}\n", device(&n.to_string())))
        .collect();
    assert_eq!(
        store.import_list(&list).unwrap().added,
        TrustStore::MAX_DEVICES
    );
    assert!(matches!(
        store.trust(device("one more"), ""),
        Err(ChangeTrustError::Full)
    ));
}

#[test]
#[cfg(unix)]
fn a_file_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("bus");
    TrustStore::open(&directory)
        .unwrap()
        .trust(device("a"), "")
        .unwrap();
    let file = directory.join("trust.toml");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
    let error = TrustStore::open(&directory).unwrap_err();
    assert!(error.to_string().contains("chmod 0600"), "{error}");
}

#[test]
fn pairing_again_changes_nothing_and_a_new_key_is_a_new_device() {
    let store = TrustStore::in_memory();
    let (a, b) = (device("a"), device("b"));
    assert!(store.add_paired(a, "tv", PairingMode::Code).unwrap());
    let before = store.get(&a).unwrap();
    assert_eq!(before.added_via, AddedVia::Code);
    assert!(!store.add_paired(a, "", PairingMode::Qr).unwrap());
    assert_eq!(store.get(&a).unwrap(), before);
    // The same name with another key.
    assert!(store.add_paired(b, "tv", PairingMode::Compare).unwrap());
    assert_eq!(store.entries().len(), 2);
    assert!(!store.add_paired(a, "bedroom", PairingMode::Code).unwrap());
    assert_eq!(store.get(&a).unwrap().name, "bedroom");

    store.block(&a).unwrap();
    let refused = store.add_paired(a, "", PairingMode::Code).unwrap_err();
    assert!(matches!(refused, ChangeTrustError::Blocked { device } if device == a));
}

#[test]
fn who_ends_itself_at_the_first_of_two_changes_is_not_told_the_second() {
    let store = TrustStore::in_memory();
    let told = Arc::new(Mutex::new(0));
    let own = Arc::new(Mutex::new(None::<softbus_certs::Subscription>));
    let subscription = store.subscribe({
        let (told, own) = (told.clone(), own.clone());
        move |_: &TrustChange| {
            *told.lock().unwrap() += 1;
            drop(own.lock().unwrap().take());
        }
    });
    *own.lock().unwrap() = Some(subscription);
    let list = format!("{}\n{}\n", device("a"), device("b"));
    assert_eq!(store.import_list(&list).unwrap().added, 2);
    assert_eq!(*told.lock().unwrap(), 1);
}

#[test]
fn a_list_of_2_mib_is_the_largest() {
    const LIMIT: usize = 2 * 1024 * 1024;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("list");
    let a = device("a");
    let last = format!("\n{a}");
    // The device stands at the very end, behind a comment that fills the rest.
    let comment = |len: usize| format!("#{}{last}", "x".repeat(len - last.len() - 1));
    fs::write(&path, comment(LIMIT)).unwrap();
    let store = TrustStore::in_memory();
    assert_eq!(store.import(&path).unwrap().added, 1);
    assert!(store.is_trusted(&a));
    fs::write(&path, comment(LIMIT + 1)).unwrap();
    let refused = store.import(&path).unwrap_err();
    assert!(
        matches!(refused, ImportTrustError::TooLarge { limit: LIMIT, .. }),
        "{refused}"
    );
}

#[test]
fn what_is_printed_of_a_store_is_how_many_there_are() {
    let store = TrustStore::in_memory();
    store.trust(device("a"), "kitchen").unwrap();
    assert_eq!(format!("{store:?}"), "TrustStore { devices: 1, .. }");
    let subscription = store.subscribe(|_| {});
    assert_eq!(format!("{subscription:?}"), "Subscription { .. }");
    assert_eq!(TrustStore::MAX_DEVICES, 16_384);
    assert_eq!(TrustStore::MAX_NAME_LEN, 64);
}
