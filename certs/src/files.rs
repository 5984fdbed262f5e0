//! A directory only we may read, and files in it that are replaced as a whole or not at all.
//!
//! What is refused here is refused with the way out in the message and never repaired silently: a key that others could
//! read has to be thought about, and a damaged one may still be in a backup.

use std::io;
use std::path::{Path, PathBuf};

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
