//! The store on disk: TOML that a person can read, and may edit.

use std::path::{Path, PathBuf};

use proto::DeviceId;
use serde::{Deserialize, Serialize};

use super::table::TrustTable;
use super::{AddedVia, ChangeTrustError, OpenTrustError, TrustEntry, check_name};
use crate::files::{FileError, Lock, PrivateDir};

const FILE: &str = "trust.toml";
const LOCK: &str = "trust.lock";
const SCHEMA: u32 = 1;

/// The most that is read, in bytes: a full store with the longest names is about half of it.
const MAX_FILE_LEN: usize = 16 * 1024 * 1024;

/// The file of a store.
#[derive(Debug)]
pub(super) struct TrustFile {
    directory: PrivateDir,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    #[serde(default, rename = "device")]
    devices: Vec<Device>,
}

/// Read on its own first, because a later schema may have fields that [`Document`] refuses.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    id: String,
    name: String,
    added_at: u64,
    added_via: AddedVia,
    blocked: bool,
}

impl TrustFile {
    pub(super) fn open(directory: &Path) -> Result<Self, FileError> {
        Ok(Self {
            directory: PrivateDir::open_or_create(directory)?,
        })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path_of(FILE)
    }

    /// Keeps other processes from changing the file between [`read`](Self::read) and [`write`](Self::write).
    pub(super) fn lock(&self) -> Result<Lock, FileError> {
        self.directory.lock(LOCK)
    }

    /// What is in the file; nothing where there is none.
    pub(super) fn read(&self) -> Result<TrustTable, OpenTrustError> {
        let content = self.directory.read(FILE, MAX_FILE_LEN)?;
        let Some(content) = content else {
            return Ok(TrustTable::default());
        };
        decode(&content).map_err(|fault| match fault {
            Fault::Damaged(reason) => OpenTrustError::Damaged {
                path: self.path(),
                reason,
            },
            Fault::Schema(found) => OpenTrustError::Schema {
                path: self.path(),
                found,
                known: SCHEMA,
            },
        })
    }

    pub(super) fn write(&self, table: &TrustTable) -> Result<(), ChangeTrustError> {
        Ok(self.directory.replace(FILE, render(table).as_bytes())?)
    }
}

/// Why a file is not taken.
pub(super) enum Fault {
    Damaged(String),
    /// It has this one.
    Schema(u32),
}

pub(super) fn decode(content: &[u8]) -> Result<TrustTable, Fault> {
    let text = str::from_utf8(content).map_err(|error| Fault::Damaged(error.to_string()))?;
    let version: Version =
        toml::from_str(text).map_err(|error| Fault::Damaged(error.to_string()))?;
    if version.schema != SCHEMA {
        return Err(Fault::Schema(version.schema));
    }
    parse(text).map_err(Fault::Damaged)
}

fn parse(text: &str) -> Result<TrustTable, String> {
    let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut table = TrustTable::default();
    for Device {
        id,
        name,
        added_at,
        added_via,
        blocked,
    } in document.devices
    {
        let device: DeviceId = id.parse().map_err(|error| format!("{id:?}: {error}"))?;
        check_name(&name).map_err(|error| format!("device {}: {error}", device.short()))?;
        // The second might be the block of a device that the first trusts.
        if !table.insert(TrustEntry {
            device,
            name,
            added_at,
            added_via,
            blocked,
        }) {
            return Err(format!("device {} is there twice", device.short()));
        }
    }
    Ok(table)
}

pub(super) fn render(table: &TrustTable) -> String {
    let devices = table
        .entries()
        .map(|entry| Device {
            id: entry.device.to_string(),
            name: entry.name.clone(),
            added_at: entry.added_at,
            added_via: entry.added_via,
            blocked: entry.blocked,
        })
        .collect();
    toml::to_string(&Document {
        schema: SCHEMA,
        devices,
    })
    .expect("strings, numbers and flags in a list of tables are toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"schema = 1

[[device]]
id = "4OYMIQU-Y7QOBJ5-GX36TEJ-S35ZEQN-T24QPEM-SNZGTFO-ESWMRW6-CSXBKQM"
name = "kitchen"
added_at = 1763696561
added_via = "import"
blocked = false
"#;

    #[test]
    fn the_format_is_this() {
        let table = parse(SAMPLE).unwrap();
        assert_eq!(table.len(), 1);
        assert_eq!(render(&table), SAMPLE);
        assert_eq!(render(&TrustTable::default()), "schema = 1\ndevice = []\n");
        assert_eq!(parse("schema = 1\n").unwrap(), TrustTable::default());
    }

    #[test]
    fn a_full_store_fits_the_file() {
        let longest = "\u{10fff0}".repeat(super::super::TrustStore::MAX_NAME_LEN);
        let entry = SAMPLE
            .replace("schema = 1", "")
            .replace("kitchen", &longest);
        assert!(entry.len() * super::super::TrustStore::MAX_DEVICES < MAX_FILE_LEN);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (wrong, says) in [
            (SAMPLE.replace("name", "nickname"), "unknown field"),
            (
                SAMPLE.replace("schema = 1", "schema = 1\nextra = 2"),
                "unknown field",
            ),
            (SAMPLE.replace("blocked = false", ""), "missing field"),
            (SAMPLE.replace("\"import\"", "\"magic\""), "unknown variant"),
            (SAMPLE.replace("1763696561", "-1"), "invalid value"),
            (SAMPLE.replace("kitchen", &"x".repeat(65)), "longer than 64"),
            (SAMPLE.replace("kitchen", "a\\u001bb"), "control characters"),
            (SAMPLE.replace("4OYMIQU", "4OYMIQV"), "group 1 or 2"),
            (
                format!("{SAMPLE}{}", SAMPLE.replace("schema = 1", "")),
                "there twice",
            ),
            (SAMPLE.replace("[[device]]", "[[device"), "TOML parse error"),
        ] {
            let error = parse(&wrong).unwrap_err();
            assert!(error.contains(says), "{error:?} does not say {says:?}");
        }
    }
}
