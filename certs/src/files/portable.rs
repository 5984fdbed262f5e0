//! For systems without Unix permissions: the same files, protected as well as the directory they are in. On Windows the
//! user's profile is private by its inherited access list, and an open without sharing serves as the lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{FileError, read_up_to, temporary_name};

/// A directory of ours.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    path: PathBuf,
}

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing it is what unlocks")] File);

impl PrivateDir {
    /// Opens a directory, making it and what is above it where missing.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self, FileError> {
        fs::create_dir_all(path).map_err(FileError::io("create", path))?;
        if path.is_symlink() {
            return Err(FileError::Symlink {
                path: path.to_owned(),
                wanted: "directory",
            });
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Opens a directory, or `None` where there is none.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, FileError> {
        if !path.is_symlink() && !path.exists() {
            return Ok(None);
        }
        Self::open_or_create(path).map(Some)
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
        if path.is_symlink() {
            return Err(FileError::Symlink {
                path,
                wanted: "file",
            });
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::io("open", &path)(error)),
        };
        let content = read_up_to(&file, limit).map_err(FileError::io("read", &path))?;
        if content.len() > limit {
            return Err(FileError::TooLarge { path, limit });
        }
        Ok(Some(content))
    }

    /// Puts `content` in the place of a file. The caller holds the lock that all writers of this file hold.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        let path = self.path_of(name);
        let temporary = self.path_of(&temporary_name(name));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::io("remove", &temporary)(error));
            }
            _ => {}
        }
        let mut file = File::create_new(&temporary).map_err(FileError::io("create", &temporary))?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        drop(file);
        written
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| {
                // The error that matters is the first.
                let _ = fs::remove_file(&temporary);
                FileError::io("replace", &path)(error)
            })
    }

    /// Takes a lock that no other process has, or `None` if one has it.
    pub(crate) fn try_lock(&self, name: &str) -> Result<Option<Lock>, FileError> {
        let path = self.path_of(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
        match options.open(&path) {
            Ok(file) => Ok(Some(Lock(file))),
            // ERROR_SHARING_VIOLATION
            #[cfg(windows)]
            Err(error) if error.raw_os_error() == Some(32) => Ok(None),
            Err(error) => Err(FileError::io("lock", &path)(error)),
        }
    }

    /// Takes a lock that others hold only for the time it takes to replace a file.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock, FileError> {
        loop {
            if let Some(lock) = self.try_lock(name)? {
                return Ok(lock);
            }
            std::thread::yield_now();
        }
    }
}
