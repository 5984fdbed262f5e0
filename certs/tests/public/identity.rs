//! The files of an identity.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use softbus_certs::{FileError, Identity, OpenIdentityError};
use tempfile::TempDir;

/// A directory with an identity that nobody has open.
struct Stored {
    _temp: TempDir,
    path: PathBuf,
}

impl Stored {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state").join("identity");
        drop(Identity::open(&path).unwrap());
        Self { _temp: temp, path }
    }

    fn file(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.path.clone()
        } else {
            self.path.join(name)
        }
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.file(name)).unwrap().mode() & 0o7777
    }

    /// Opening fails, says where and how to mend it, and leaves everything as it is.
    #[track_caller]
    fn assert_refused(&self, names: &str, says: &str) -> OpenIdentityError {
        let before = snapshot(&self.path);
        let error = Identity::open(&self.path).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(self.file(names).to_str().unwrap()),
            "{text} does not name {names}"
        );
        assert!(text.contains(says), "{text:?} does not say {says:?}");
        assert_eq!(snapshot(&self.path), before);
        error
    }
}

fn snapshot(directory: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let mode = fs::symlink_metadata(&path).unwrap().mode();
            (path.clone(), mode, fs::read(path).unwrap_or_default())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn made_at_the_first_start_and_kept() {
    let stored = Stored::new();
    let first = Identity::open(&stored.path).unwrap();
    let (id, certificate) = (*first.device_id(), first.certificate().clone());
    drop(first);
    let second = Identity::open(&stored.path).unwrap();
    assert_eq!(*second.device_id(), id);
    assert_eq!(*second.certificate(), certificate);
}

#[test]
fn nobody_else_can_read_it() {
    let stored = Stored::new();
    assert_eq!(stored.mode(""), 0o700);
    for name in ["key.pem", "certificate.pem", "epoch", "lock"] {
        assert_eq!(stored.mode(name), 0o600, "{name}");
    }
    assert_eq!(snapshot(&stored.path).len(), 4);
}

#[test]
fn each_start_is_younger() {
    let stored = Stored::new();
    let first = Identity::open(&stored.path).unwrap().boot_id();
    let second = Identity::open(&stored.path).unwrap().boot_id();
    assert_eq!(second.epoch, first.epoch + 1);
    assert_ne!(second.random, first.random);
    // Lost, it goes on from the time of day.
    fs::remove_file(stored.file("epoch")).unwrap();
    let third = Identity::open(&stored.path).unwrap().boot_id();
    assert!(third.epoch + 1 >= first.epoch);
}

#[test]
fn one_process_at_a_time() {
    let stored = Stored::new();
    let holder = Identity::open(&stored.path).unwrap();
    let error = stored.assert_refused("lock", "another process");
    assert!(matches!(error, OpenIdentityError::IdentityInUse { .. }));
    holder.release();
    let next = Identity::open(&stored.path).unwrap();
    // It is the next one's now.
    drop(holder);
    stored.assert_refused("lock", "another process");
    drop(next);
    assert!(Identity::open(&stored.path).is_ok());
}

#[test]
fn who_it_is_can_be_asked_while_it_is_in_use() {
    let stored = Stored::new();
    let holder = Identity::open(&stored.path).unwrap();
    let before = snapshot(&stored.path);
    assert_eq!(
        Identity::device_id_of(&stored.path).unwrap(),
        Some(*holder.device_id())
    );
    assert_eq!(snapshot(&stored.path), before, "only looks");
}

#[test]
fn asking_who_it_is_makes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("none");
    assert_eq!(Identity::device_id_of(&path).unwrap(), None);
    assert!(!path.exists());

    let stored = Stored::new();
    fs::remove_file(stored.file("key.pem")).unwrap();
    let error = Identity::device_id_of(&stored.path).unwrap_err();
    assert!(error.to_string().contains("key.pem is missing"), "{error}");
    fs::remove_file(stored.file("certificate.pem")).unwrap();
    assert_eq!(Identity::device_id_of(&stored.path).unwrap(), None);
}

#[test]
fn a_refused_start_does_not_hold_the_lock_nor_count() {
    let stored = Stored::new();
    let epoch = fs::read(stored.file("epoch")).unwrap();
    fs::set_permissions(stored.file("key.pem"), Permissions::from_mode(0o644)).unwrap();
    stored.assert_refused("key.pem", "chmod 0600");
    fs::set_permissions(stored.file("key.pem"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::read(stored.file("epoch")).unwrap(), epoch);
    assert!(Identity::open(&stored.path).is_ok());
}

#[test]
fn wider_permissions() {
    for name in ["key.pem", "certificate.pem", "epoch", "lock"] {
        for mode in [0o644, 0o640, 0o602, 0o610] {
            let stored = Stored::new();
            fs::set_permissions(stored.file(name), Permissions::from_mode(mode)).unwrap();
            let error = stored.assert_refused(name, "chmod 0600");
            assert!(matches!(
                error,
                OpenIdentityError::File(FileError::Permissions { mode: found, .. }) if found == mode
            ));
        }
    }
    let stored = Stored::new();
    fs::set_permissions(&stored.path, Permissions::from_mode(0o750)).unwrap();
    stored.assert_refused("", "chmod 0700");
}

#[test]
fn links() {
    for name in ["key.pem", "certificate.pem", "epoch", "lock"] {
        let stored = Stored::new();
        let elsewhere = stored.path.parent().unwrap().join("elsewhere");
        fs::rename(stored.file(name), &elsewhere).unwrap();
        symlink(&elsewhere, stored.file(name)).unwrap();
        let error = stored.assert_refused(name, "symbolic link");
        assert!(matches!(
            error,
            OpenIdentityError::File(FileError::Symlink { .. })
        ));
    }
    let stored = Stored::new();
    let link = stored.path.parent().unwrap().join("link");
    symlink(&stored.path, &link).unwrap();
    for path in [link.clone(), link.join("")] {
        let error = Identity::open(path).unwrap_err();
        assert!(
            matches!(error, OpenIdentityError::File(FileError::Symlink { .. })),
            "{error}"
        );
    }
}

#[test]
fn a_file_where_the_directory_should_be() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("file");
    fs::write(&path, "x").unwrap();
    let error = Identity::open(&path).unwrap_err();
    assert!(
        matches!(error, OpenIdentityError::File(FileError::WrongKind { .. })),
        "{error}"
    );
}

#[test]
fn empty_truncated_or_corrupt() {
    let fix = [
        ("key.pem", "backup"),
        ("certificate.pem", "delete it"),
        ("epoch", "delete it"),
    ];
    for (name, fix) in fix {
        let stored = Stored::new();
        let whole = fs::read(stored.file(name)).unwrap();
        for content in [
            &b""[..],
            &whole[..whole.len() / 2 * usize::from(name != "epoch")],
            b"\xff\xfe",
            b"-1",
        ] {
            fs::write(stored.file(name), content).unwrap();
            let error = stored.assert_refused(name, fix);
            assert!(matches!(error, OpenIdentityError::Damaged { .. }));
        }
        fs::write(stored.file(name), vec![b'x'; 33 * 1024]).unwrap();
        stored.assert_refused(name, "larger than 32768 bytes");
    }
}

#[test]
fn what_does_not_belong_together() {
    let [one, other] = [Stored::new(), Stored::new()];
    fs::copy(other.file("certificate.pem"), one.file("certificate.pem")).unwrap();
    let error = one.assert_refused("certificate.pem", "does not belong to key.pem");
    // It may be the key that is wrong: nobody is told to throw the proof of it away.
    assert!(error.to_string().contains("restore both"));
}

#[test]
fn a_lost_key_is_not_replaced() {
    let stored = Stored::new();
    fs::remove_file(stored.file("key.pem")).unwrap();
    stored.assert_refused("key.pem", "restore it from a backup");
}

#[test]
fn a_lost_certificate_is_issued_again_for_the_same_device() {
    // The same as a first start that was interrupted between the two files.
    let stored = Stored::new();
    let id = *Identity::open(&stored.path).unwrap().device_id();
    fs::remove_file(stored.file("certificate.pem")).unwrap();
    let again = Identity::open(&stored.path).unwrap();
    assert_eq!(*again.device_id(), id);
    assert!(stored.file("certificate.pem").exists());
}

#[test]
fn the_last_epoch_is_not_wrapped() {
    let stored = Stored::new();
    fs::write(stored.file("epoch"), u64::MAX.to_string()).unwrap();
    stored.assert_refused("epoch", "delete it");
}

#[test]
fn secrets_survive_a_restart_and_differ_by_label_and_device() {
    let stored = Stored::new();
    let first = Identity::open(&stored.path).unwrap();
    let [reset, ids] = ["stateless reset", "connection ids"].map(|l| first.transport_secret(l));
    assert_ne!(reset, ids);
    drop(first);
    let second = Identity::open(&stored.path).unwrap();
    assert_eq!(second.transport_secret("stateless reset"), reset);
    let other = Identity::generate().unwrap();
    assert_ne!(other.transport_secret("stateless reset"), reset);
}

#[test]
fn nothing_secret_is_printed() {
    let stored = Stored::new();
    let identity = Identity::open(&stored.path).unwrap();
    let shown = format!("{identity:?}");
    assert_eq!(shown, format!("Identity({:?})", identity.device_id()));
}
