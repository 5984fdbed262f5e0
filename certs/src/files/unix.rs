//! Everything is opened relative to a descriptor of the directory and judged on descriptors, so that nothing can be
//! exchanged between the check and the use.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{FileError, read_up_to, temporary_name};

const DIRECTORY_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory that is ours alone.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    path: PathBuf,
    fd: OwnedFd,
    us: u32,
}

/// Held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(OwnedFd);

impl Drop for Lock {
    /// Not only closed: a child that another thread forks just now has the file too until it begins another program, and would keep
    /// the lock for as long.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl PrivateDir {
    /// Opens a directory, making it (0700) and what is above it where missing.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self, FileError> {
        // A slash at the end would make the system follow a link after all.
        let path = &*path.components().collect::<PathBuf>();
        match DirBuilder::new()
            .recursive(true)
            .mode(bits(DIRECTORY_MODE))
            .create(path)
        {
            Ok(()) => {}
            // Something else than a directory is there, which is said better below.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FileError::io("create", path)(error)),
        }
        Self::open_at(path)?
            .ok_or_else(|| FileError::io("open", path)(std::io::ErrorKind::NotFound.into()))
    }

    /// Opens a directory, or `None` where there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, FileError> {
        Self::open_at(&path.components().collect::<PathBuf>())
    }

    fn open_at(path: &Path) -> Result<Option<Self>, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) if path.is_symlink() => {
                return Err(FileError::Symlink {
                    path: path.to_owned(),
                    wanted: "directory",
                });
            }
            Err(Errno::NOTDIR) => {
                return Err(FileError::WrongKind {
                    path: path.to_owned(),
                    wanted: "directory",
                });
            }
            Err(errno) => return Err(FileError::io("open", path)(errno.into())),
        };
        let directory = Self {
            path: path.to_owned(),
            fd,
            us: rustix::process::geteuid().as_raw(),
        };
        let stat = rustix::fs::fstat(&directory.fd)
            .map_err(|e| FileError::io("look at", path)(e.into()))?;
        directory.check(path, &stat, DIRECTORY_MODE)?;
        Ok(Some(directory))
    }

    /// Where a file of this directory is, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The content of a file, or `None` where there is none.
    pub(crate) fn read(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        let path = self.path_of(name);
        // Not blocking: opening a pipe somebody put there would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(open_error(path, errno)),
        };
        self.check_file(&path, &fd)?;
        let content = read_up_to(&File::from(fd), limit).map_err(FileError::io("read", &path))?;
        if content.len() > limit {
            return Err(FileError::TooLarge { path, limit });
        }
        Ok(Some(content))
    }

    /// Puts `content` (0600) in the place of a file. After a crash or an error there is the old content or the new.
    ///
    /// The caller holds the lock that all writers of this file hold.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.path_of(name);
        let temporary = temporary_name(name);
        self.remove(&temporary)?;
        let written = self.write_new(&temporary, content).and_then(|()| {
            rustix::fs::renameat(&self.fd, &temporary, &self.fd, name)
                .map_err(|errno| FileError::io("replace", &path)(errno.into()))
        });
        if let Err(error) = written {
            // The error that matters is the first.
            let _ = self.remove(&temporary);
            return Err(error);
        }
        rustix::fs::fsync(&self.fd).map_err(|e| FileError::io("sync", &self.path)(e.into()))
    }

    fn write_new(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.path_of(name);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, FILE_MODE)
            .map_err(|errno| FileError::io("create", &path)(errno.into()))?;
        let mut file = File::from(fd);
        file.write_all(content)
            .map_err(FileError::io("write", &path))?;
        file.sync_all().map_err(FileError::io("sync", &path))
    }

    fn remove(&self, name: &str) -> Result<(), FileError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(FileError::io("remove", &self.path_of(name))(errno.into())),
        }
    }

    /// Takes a lock that no other process has, or `None` if one has it.
    pub(crate) fn try_lock(&self, name: &str) -> Result<Option<Lock>, FileError> {
        let fd = self.open_lock(name)?;
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock(fd))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(FileError::io("lock", &self.path_of(name))(errno.into())),
        }
    }

    /// Takes a lock that others hold only for the time it takes to replace a file.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock, FileError> {
        let fd = self.open_lock(name)?;
        loop {
            match rustix::fs::flock(&fd, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Lock(fd)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(FileError::io("lock", &self.path_of(name))(errno.into())),
            }
        }
    }

    fn open_lock(&self, name: &str) -> Result<OwnedFd, FileError> {
        let path = self.path_of(name);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, FILE_MODE)
            .map_err(|errno| open_error(path.clone(), errno))?;
        self.check_file(&path, &fd)?;
        Ok(fd)
    }

    fn check_file(&self, path: &Path, fd: &impl AsFd) -> Result<(), FileError> {
        let stat = rustix::fs::fstat(fd).map_err(|e| FileError::io("look at", path)(e.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(FileError::WrongKind {
                path: path.to_owned(),
                wanted: "file",
            });
        }
        self.check(path, &stat, FILE_MODE)
    }

    fn check(&self, path: &Path, stat: &Stat, wanted: Mode) -> Result<(), FileError> {
        if stat.st_uid != self.us {
            return Err(FileError::Owner {
                path: path.to_owned(),
                owner: stat.st_uid,
                us: self.us,
            });
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.intersects(Mode::RWXG | Mode::RWXO) {
            return Err(FileError::Permissions {
                path: path.to_owned(),
                mode: bits(mode),
                wanted: bits(wanted),
            });
        }
        Ok(())
    }
}

#[allow(clippy::useless_conversion, reason = "macOS has 16 of them")]
fn bits(mode: Mode) -> u32 {
    mode.bits().into()
}

fn open_error(path: PathBuf, errno: Errno) -> FileError {
    match errno {
        Errno::LOOP => FileError::Symlink {
            path,
            wanted: "file",
        },
        _ => FileError::io("open", &path)(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d");
        let mut directory = PrivateDir::open_or_create(&path).unwrap();
        directory.replace("f", b"x").unwrap();
        // Another owner cannot be had without being root; another self can.
        directory.us ^= 1;
        let error = directory.read("f", 10).unwrap_err();
        assert!(matches!(error, FileError::Owner { .. }), "{error}");
        let error = directory.try_lock("f").unwrap_err();
        assert!(matches!(error, FileError::Owner { .. }), "{error}");
    }

    #[test]
    fn what_an_interrupted_writer_left_does_not_stop_the_next() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d");
        let directory = PrivateDir::open_or_create(&path).unwrap();
        directory.replace("f", b"old").unwrap();
        directory.write_new(&temporary_name("f"), b"half").unwrap();
        assert_eq!(**directory.read("f", 10).unwrap().unwrap(), *b"old");
        directory.replace("f", b"new").unwrap();
        assert_eq!(**directory.read("f", 10).unwrap().unwrap(), *b"new");
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d");
        let directory = PrivateDir::open_or_create(&path).unwrap();
        std::fs::create_dir(path.join("f")).unwrap();
        let error = directory.replace("f", b"new").unwrap_err();
        assert!(
            matches!(
                error,
                FileError::Io {
                    action: "replace",
                    ..
                }
            ),
            "{error}"
        );
        assert!(path.join("f").is_dir());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn odd_files_are_refused_without_waiting() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("d");
        let directory = PrivateDir::open_or_create(&path).unwrap();
        rustix::fs::mknodat(&directory.fd, "pipe", FileType::Fifo, FILE_MODE, 0).unwrap();
        let error = directory.read("pipe", 10).unwrap_err();
        assert!(matches!(error, FileError::WrongKind { .. }), "{error}");
        directory.replace("big", b"12345678901").unwrap();
        let error = directory.read("big", 10).unwrap_err();
        assert!(
            matches!(error, FileError::TooLarge { limit: 10, .. }),
            "{error}"
        );
        assert!(directory.read("none", 10).unwrap().is_none());
    }

    #[test]
    fn a_lock_is_free_again_when_dropped() {
        let temp = tempfile::tempdir().unwrap();
        let directory = PrivateDir::open_or_create(&temp.path().join("d")).unwrap();
        let lock = directory.try_lock("lock").unwrap();
        assert!(lock.is_some());
        assert!(directory.try_lock("lock").unwrap().is_none());
        drop(lock);
        assert!(directory.try_lock("lock").unwrap().is_some());
    }

    #[test]
    fn a_lock_is_free_again_although_a_child_has_its_file() {
        let temp = tempfile::tempdir().unwrap();
        let directory = PrivateDir::open_or_create(&temp.path().join("d")).unwrap();
        let lock = directory.try_lock("lock").unwrap().unwrap();
        // What a fork makes: the same open file.
        let _of_the_child = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(directory.try_lock("lock").unwrap().is_some());
    }
}
