//! Lists of device ids.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use proto::DeviceId;

use super::{ImportTrustError, TrustEntry, check_name};

/// The most that is read of a list, in bytes.
const MAX_LIST_LEN: usize = 2 * 1024 * 1024;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportSummary {
    /// Devices that are trusted now and were not before.
    pub added: usize,
    /// Devices that were trusted already.
    pub known: usize,
    /// Devices that are blocked, and stay so.
    pub blocked: usize,
}

impl ImportSummary {
    pub(super) fn count(&mut self, before: Option<&TrustEntry>) {
        match before {
            None => self.added += 1,
            Some(entry) if entry.blocked => self.blocked += 1,
            Some(_) => self.known += 1,
        }
    }
}

pub(super) fn read(path: &Path) -> Result<String, ImportTrustError> {
    let failed = |source| ImportTrustError::Read {
        path: path.to_owned(),
        source,
    };
    let mut list = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_LIST_LEN as u64 + 1)
        .read_to_string(&mut list)
        .map_err(failed)?;
    if list.len() > MAX_LIST_LEN {
        return Err(ImportTrustError::TooLarge {
            path: path.to_owned(),
            limit: MAX_LIST_LEN,
        });
    }
    Ok(list)
}

/// The devices of a list and their names, in its order; a device that is there twice is there twice.
pub(super) fn parse(list: &str) -> Result<Vec<(DeviceId, String)>, ImportTrustError> {
    let lines = (1..).zip(list.lines().map(strip_comment));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| parse_line(number, line))
        .collect()
}

fn strip_comment(line: &str) -> &str {
    line.split_once('#')
        .map_or(line, |(before, _)| before)
        .trim()
}

fn parse_line(line: usize, text: &str) -> Result<(DeviceId, String), ImportTrustError> {
    let (id, name) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let device = id
        .parse()
        .map_err(|source| ImportTrustError::DeviceId { line, source })?;
    let name = name.trim();
    check_name(name).map_err(|_| ImportTrustError::InvalidName { line })?;
    Ok((device, name.to_owned()))
}
