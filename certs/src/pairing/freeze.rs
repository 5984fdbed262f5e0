//! Who guesses codes has to wait, longer each time, and restarting the device does not help.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files::{FileError, PrivateDir};

const FILE: &str = "pairing.toml";
const LOCK: &str = "pairing.lock";
const MAX_FILE_LEN: usize = 1024;
const SCHEMA: u32 = 1;

/// How long after the first, second, third and each further window that failed.
const TIMES: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(300),
    Duration::from_secs(600),
];

/// When the next window may be opened, after windows whose attempts were used up.
#[derive(Debug, Default)]
pub struct PairingFreeze {
    directory: Option<PrivateDir>,
    record: Record,
}

/// Windows that failed one after the other, and until when none may be opened, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    schema: u32,
    failed: u32,
    until: u64,
}

/// Why it is not known whether a window may be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFreezeError {
    /// The file or its directory may not be used, or the system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is damaged.
    #[error("{} is damaged; delete it", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl PairingFreeze {
    /// Kept as long as the process runs.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Kept as `pairing.toml` in a private directory.
    ///
    /// # Errors
    ///
    /// [`OpenFreezeError`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenFreezeError> {
        let directory = PrivateDir::open_or_create(directory.as_ref())?;
        let record = match directory.read(FILE, MAX_FILE_LEN)? {
            None => Record::default(),
            Some(content) => parse(&content).ok_or_else(|| OpenFreezeError::Damaged {
                path: directory.path_of(FILE),
            })?,
        };
        Ok(Self {
            directory: Some(directory),
            record,
        })
    }

    /// How long no window may be opened.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        let until = Duration::from_secs(self.record.until);
        let left = until.checked_sub(since_1970(now))?;
        // A clock that was put back must not close the door for years.
        let longest = TIMES[self.step()];
        (!left.is_zero()).then_some(left.min(longest))
    }

    fn step(&self) -> usize {
        let failed = self.record.failed.saturating_sub(1) as usize;
        failed.min(TIMES.len() - 1)
    }

    /// A window's attempts were used up.
    ///
    /// # Errors
    ///
    /// [`FileError`]; this value remembers it all the same.
    pub fn failed(&mut self, now: SystemTime) -> Result<(), FileError> {
        self.record.failed = self.record.failed.saturating_add(1);
        let time = TIMES[self.step()];
        // Rounded up: a part of a second is not given away.
        self.record.until = (since_1970(now) + time).as_secs() + 1;
        self.save()
    }

    /// A device was paired: whoever tried before was our user.
    ///
    /// # Errors
    ///
    /// [`FileError`]; what was remembered is still there at the next start.
    pub fn succeeded(&mut self) -> Result<(), FileError> {
        if self.record.failed == 0 {
            return Ok(());
        }
        self.record = Record::default();
        self.save()
    }

    fn save(&mut self) -> Result<(), FileError> {
        self.record.schema = SCHEMA;
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let _lock = directory.lock(LOCK)?;
        directory.replace(FILE, write(&self.record).as_bytes())
    }

    /// As the file says, and kept no longer than the process runs.
    pub(crate) fn from_file(content: &[u8]) -> Option<Self> {
        let record = parse(content)?;
        Some(Self {
            directory: None,
            record,
        })
    }

    /// The file as it would be written.
    pub(crate) fn to_file(&self) -> String {
        write(&Record {
            schema: SCHEMA,
            ..self.record
        })
    }
}

fn write(record: &Record) -> String {
    toml::to_string(record).expect("numbers are toml")
}

fn parse(content: &[u8]) -> Option<Record> {
    let record: Record = toml::from_str(str::from_utf8(content).ok()?).ok()?;
    (record.schema == SCHEMA).then_some(record)
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: SystemTime = UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        NOON + Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn each_failure_waits_longer_and_success_forgives() {
        let mut freeze = PairingFreeze::in_memory();
        assert_eq!(freeze.left(at(0)), None);
        for seconds in [60, 180, 300, 600, 600] {
            freeze.failed(at(0)).unwrap();
            let left = freeze.left(at(0)).unwrap();
            assert_eq!(left, Duration::from_secs(seconds));
            assert!(freeze.left(at(seconds)).is_some());
            assert_eq!(freeze.left(at(seconds + 1)), None);
        }
        freeze.succeeded().unwrap();
        assert_eq!(freeze.left(at(0)), None);
        freeze.failed(at(0)).unwrap();
        assert_eq!(freeze.left(at(0)), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_clock_that_was_put_back_waits_no_longer_than_once() {
        let mut freeze = PairingFreeze::in_memory();
        freeze.failed(at(1_000_000)).unwrap();
        assert_eq!(freeze.left(at(0)), Some(Duration::from_secs(60)));
        assert_eq!(
            freeze.left(UNIX_EPOCH - Duration::from_secs(5)),
            Some(Duration::from_secs(60))
        );
    }

    #[test]
    fn a_restart_does_not_help() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("bus");
        PairingFreeze::open(&directory)
            .unwrap()
            .failed(at(0))
            .unwrap();
        let mut again = PairingFreeze::open(&directory).unwrap();
        assert_eq!(again.left(at(10)), Some(Duration::from_secs(51)));
        again.failed(at(100)).unwrap();
        let again = PairingFreeze::open(&directory).unwrap();
        assert_eq!(again.left(at(100)), Some(Duration::from_secs(180)));
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("bus");
        PairingFreeze::open(&directory)
            .unwrap()
            .failed(at(0))
            .unwrap();
        let file = directory.join(FILE);
        for damage in ["", "schema = 2\nfailed = 1\nuntil = 1\n", "schema"] {
            std::fs::write(&file, damage).unwrap();
            let error = PairingFreeze::open(&directory).unwrap_err();
            assert!(error.to_string().contains("pairing.toml"), "{error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), damage);
        }
    }
}
