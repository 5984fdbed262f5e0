//! A directory only we may read, and files in it that are replaced as a whole or not at all.
//!
//! What is refused here is refused with the way out in the message and never repaired silently: a key that others could
//! read has to be thought about, and a damaged one may still be in a backup.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable as system;
#[cfg(unix)]
use unix as system;

pub(crate) use system::{Lock, PrivateDir};

/// Why a file of an identity or a trust store, or the directory they are in, is not used. The message says how to mend
/// it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Other users could read or change it.
    #[error(
        "others have access to {} (mode {mode:04o}); run `chmod {wanted:04o} {}` after making sure nobody used it",
        .path.display(), .path.display()
    )]
    Permissions {
        /// What it is about.
        path: PathBuf,
        /// The permission bits it has.
        mode: u32,
        /// The permission bits it should have.
        wanted: u32,
    },
    /// A symbolic link stands where the thing itself has to be.
    #[error("{} is a symbolic link; put the {wanted} itself there", .path.display())]
    Symlink {
        /// What it is about.
        path: PathBuf,
        /// `file` or `directory`.
        wanted: &'static str,
    },
    /// Something else than a regular file or a directory stands there.
    #[error("{} is not a {wanted}; move it away", .path.display())]
    WrongKind {
        /// What it is about.
        path: PathBuf,
        /// `file` or `directory`.
        wanted: &'static str,
    },
    /// It belongs to another user.
    #[error(
        "{} belongs to user {owner} and not to {us}; run as that user or give it away with chown",
        .path.display()
    )]
    Owner {
        /// What it is about.
        path: PathBuf,
        /// The user id it belongs to.
        owner: u32,
        /// The user id we run as.
        us: u32,
    },
    /// Far larger than such a file can be.
    #[error("{} is larger than {limit} bytes; it was not written by softbus", .path.display())]
    TooLarge {
        /// What it is about.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// The system refused. A full disk is [`io::ErrorKind::StorageFull`] in the source; what was there before is whole.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What it is about.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }
}

/// Where a file is written before it takes the place of `name`. One name for all attempts: writers hold a lock, so what
/// an interrupted one left is swept away by the next.
fn temporary_name(name: &str) -> String {
    format!(".{name}.new")
}

/// What is in a file: `limit` bytes at most, and one more of one that is longer.
fn read_up_to(file: &File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(limit);
    read_expecting(file, len.min(limit), limit)
}

/// No buffer grows, because that would leave copies of a key behind; and none has much more room than the file needs, because all of
/// its room is overwritten in the end, and what was written to stays with the process.
fn read_expecting(mut file: &File, mut len: usize, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    loop {
        let mut content = Zeroizing::new(Vec::with_capacity(len + 1));
        file.take(len as u64 + 1).read_to_end(&mut content)?;
        if content.len() <= len || len == limit {
            return Ok(content);
        }
        // It has become longer meanwhile.
        file.rewind()?;
        len = limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_into_as_much_memory_as_it_needs() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        std::fs::write(&path, [7; 100]).unwrap();
        let file = || File::open(&path).unwrap();
        let read = read_up_to(&file(), 1 << 24).unwrap();
        assert_eq!((read.len(), read.capacity()), (100, 101));
        // One that was shorter a moment ago.
        assert_eq!(read_expecting(&file(), 50, 1000).unwrap().len(), 100);
        // One more than allowed says that there is more.
        for expected in [0, 50, 99] {
            assert_eq!(read_expecting(&file(), expected, 99).unwrap().len(), 100);
        }
        assert_eq!(read_up_to(&file(), 10).unwrap().len(), 11);
    }
}
