//! The policy in force.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{Policy, ReadPolicyError};

/// The policy in force, if there is one. A clone is the same store.
///
/// Where there is no policy at all, services decide alone. What is in force changes as a whole: a file that is not right
/// changes nothing, and neither does one that has gone.
#[derive(Clone, Debug, Default)]
pub struct PolicyStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Held for a whole reload, so that an older file cannot replace a newer one.
    file: Mutex<Option<PathBuf>>,
    policy: RwLock<Option<Arc<Policy>>>,
    version: AtomicU64,
}

impl PolicyStore {
    /// No policy, until one is [`set`](Self::set).
    pub fn new() -> Self {
        Self::default()
    }

    /// This policy, from code.
    pub fn fixed(policy: Policy) -> Self {
        let store = Self::default();
        store.set(policy);
        store
    }

    /// The policy of a file, which has to be there.
    ///
    /// # Errors
    /// [`ReadPolicyError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ReadPolicyError> {
        let store = Self::follow(path.into());
        store.reload()?;
        Ok(store)
    }

    /// As [`open`](Self::open), for a file that need not be there yet.
    ///
    /// # Errors
    /// [`ReadPolicyError`].
    pub fn open_if_there(path: impl Into<PathBuf>) -> Result<Self, ReadPolicyError> {
        let store = Self::follow(path.into());
        match store.reload() {
            Err(ReadPolicyError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound => {}
            other => drop(other?),
        }
        Ok(store)
    }

    fn follow(path: PathBuf) -> Self {
        let store = Self::default();
        *store.file() = Some(path);
        store
    }

    /// Where it is read from; `None` for one from code.
    pub fn path(&self) -> Option<PathBuf> {
        self.file().clone()
    }

    /// The policy in force.
    pub fn current(&self) -> Option<Arc<Policy>> {
        self.shared
            .policy
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Raised by each change: who remembers a decision remembers this beside it, and asks again when it has moved.
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// Puts another policy in force, until the file is read again. Whether it differs from the one before.
    pub fn set(&self, policy: Policy) -> bool {
        let _one_at_a_time = self.file();
        self.put(policy)
    }

    /// Reads the file again, if there is one. Whether the policy is another one now.
    ///
    /// # Errors
    /// [`ReadPolicyError`]; the policy that was in force stays in force.
    pub fn reload(&self) -> Result<bool, ReadPolicyError> {
        let file = self.file();
        match &*file {
            Some(path) => Ok(self.put(read(path)?)),
            None => Ok(false),
        }
    }

    fn put(&self, policy: Policy) -> bool {
        let mut current = self
            .shared
            .policy
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() == Some(&policy) {
            return false;
        }
        *current = Some(Arc::new(policy));
        // Before the lock is given back: who sees the new policy must not still see the old version.
        self.shared.version.fetch_add(1, Ordering::Release);
        true
    }

    fn file(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.shared
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Policy> for PolicyStore {
    fn from(policy: Policy) -> Self {
        Self::fixed(policy)
    }
}

fn read(path: &Path) -> Result<Policy, ReadPolicyError> {
    let failed = |source| ReadPolicyError::Io {
        path: path.to_owned(),
        source,
    };
    let file = open(path).map_err(failed)?;
    let limit = Policy::MAX_FILE_LEN;
    check(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    file.take(limit as u64 + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() > limit {
        return Err(ReadPolicyError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Policy::parse(&text).map_err(|error| ReadPolicyError::Policy {
        path: path.to_owned(),
        error,
    })
}

/// Not blocking: opening a pipe that somebody put there would wait for its writer.
#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

/// Whether nobody but us and root can write a file with this owner and these permissions.
#[cfg(unix)]
const fn is_ours_alone(us: u32, owner: u32, mode: u32) -> bool {
    (owner == us || owner == 0) && mode & 0o022 == 0
}

/// Who can write the policy decides who may call: us and root, nobody else. A link is followed, because naming the file
/// is the permission and containers mount theirs by links; what is judged is the file that was opened.
fn check(path: &Path, data: &std::fs::Metadata) -> Result<(), ReadPolicyError> {
    if !data.is_file() {
        return Err(ReadPolicyError::NotAFile {
            path: path.to_owned(),
        });
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let us = rustix::process::geteuid().as_raw();
        let (owner, mode) = (data.uid(), data.mode() & 0o7777);
        if !is_ours_alone(us, owner, mode) {
            return Err(ReadPolicyError::Writable {
                path: path.to_owned(),
                owner,
                mode,
            });
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_ours_alone_if_it_is_ours_or_roots_and_closed_to_others() {
        for us in [0, 1000] {
            for mode in [0o644, 0o600, 0o755, 0o4555] {
                assert!(is_ours_alone(us, us, mode) && is_ours_alone(us, 0, mode));
                assert!(!is_ours_alone(us, 1001, mode));
            }
            for mode in [0o664, 0o646, 0o666, 0o620, 0o602] {
                assert!(!is_ours_alone(us, us, mode) && !is_ours_alone(us, 0, mode));
            }
        }
    }

    #[test]
    fn a_pipe_that_nobody_writes_is_no_file_and_not_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("policy.toml");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        let refused = read(&path).unwrap_err();
        assert!(
            matches!(refused, ReadPolicyError::NotAFile { .. }),
            "{refused}"
        );
    }
}
