//! What can go wrong with a trust store.

use std::io;
use std::path::PathBuf;

use proto::{DeviceId, ParseDeviceIdError};

use super::TrustStore;
use crate::files::FileError;

/// Why a trust store was not read. The file is left as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenTrustError {
    /// The file or its directory may not be used, or the system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is damaged, or has something in it that this version does not know.
    #[error(
        "{} cannot be read: {reason}; mend it, restore it from a backup, or delete it to trust nobody",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where that is known.
        reason: String,
    },
    /// The file was written by a later version.
    #[error("{} has schema {found}, this version reads {known}; update softbus", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What this version reads.
        known: u32,
    },
}

/// Why a trust store was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeTrustError {
    /// The device is blocked: forget it first.
    #[error("device {} is blocked", .device.short())]
    Blocked {
        /// Who it is.
        device: DeviceId,
    },
    /// Choose a shorter name, without control characters.
    #[error(
        "name is longer than {} characters or has control characters",
        TrustStore::MAX_NAME_LEN
    )]
    InvalidName,
    /// Forget a device first.
    #[error("trust store has {} devices already", TrustStore::MAX_DEVICES)]
    Full,
    /// The file could not be read before the change.
    #[error(transparent)]
    Open(#[from] OpenTrustError),
    /// The file could not be written. What was to be trusted is not; what was to be forgotten or blocked is, until the
    /// process ends.
    #[error(transparent)]
    Save(FileError),
}

impl From<FileError> for ChangeTrustError {
    fn from(error: FileError) -> Self {
        Self::Save(error)
    }
}

/// Why a list of devices was not imported. Nothing of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportTrustError {
    /// A line does not begin with a device id.
    #[error("line {line}: {source}")]
    DeviceId {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with the id.
        source: ParseDeviceIdError,
    },
    /// The name in a line is too long or has control characters.
    #[error(
        "line {line}: name is longer than {} characters or has control characters",
        TrustStore::MAX_NAME_LEN
    )]
    InvalidName {
        /// The line, counted from 1.
        line: usize,
    },
    /// The list could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The list is larger than any that would fit a store.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The list.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// The store could not be changed.
    #[error(transparent)]
    Change(#[from] ChangeTrustError),
}
