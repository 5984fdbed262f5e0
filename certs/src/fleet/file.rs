//! The file that lists CAs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use webpki::anchor_from_trusted_cert;

use super::{Authority, Fleet, OpenFleetError, check_prefix, floor};
use crate::policy::{MemberName, check_name};

const VERSION: u32 = 1;
/// The most that is read, in bytes: as many denied members as there may be, with the longest names, are about half of it.
const MAX_FILE_LEN: u64 = 2 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default, rename = "ca")]
    authorities: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    certificate: String,
    uri_prefix: String,
    #[serde(default)]
    deny: Vec<String>,
}

impl Fleet {
    /// The fleet of a file:
    ///
    /// ```toml
    /// version = 1
    /// [[ca]]
    /// name = "prod"                               # what policies call it: fleet:prod/...
    /// certificate = "prod.pem"                    # beside this file, or an absolute path
    /// uri_prefix = "spiffe://example.org/prod/"   # what it may vouch for
    /// deny = ["kiosk/7"]                          # members that are not let in all the same
    /// ```
    ///
    /// # Errors
    /// [`OpenFleetError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenFleetError> {
        let path = path.as_ref();
        let damaged = |reason: String| OpenFleetError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let entries = entries(&read(path)?).map_err(damaged)?;
        let mut fleet = Self::nobody();
        fleet.floor = floor(modified(path));
        for entry in entries {
            let beside = path.parent().unwrap_or_else(|| Path::new(""));
            let certificate = beside.join(&entry.certificate);
            let pem = read(&certificate)?;
            fleet.floor = fleet.floor.max(floor(modified(&certificate)));
            fleet.add(entry, certificate, &pem).map_err(damaged)?;
        }
        Ok(fleet)
    }

    /// The fleet of such a text, all of whose CAs have one certificate.
    pub(crate) fn parse(text: &str, certificate: &str) -> Option<Self> {
        let mut fleet = Self::nobody();
        for entry in entries(text).ok()? {
            let file = PathBuf::from(&entry.certificate);
            fleet.add(entry, file, certificate).ok()?;
        }
        Some(fleet)
    }

    fn nobody() -> Self {
        Self {
            authorities: Vec::new(),
            denied: BTreeSet::new(),
            floor: floor(None),
        }
    }

    fn add(&mut self, entry: Entry, file: PathBuf, pem: &str) -> Result<(), String> {
        let name = entry.name.clone();
        let added = self.add_entry(entry, file, pem.as_bytes());
        added.map_err(|reason| format!("CA {name:?}: {reason}"))
    }

    fn add_entry(&mut self, entry: Entry, file: PathBuf, pem: &[u8]) -> Result<(), String> {
        check_name(&entry.name).map_err(|error| format!("it {error}"))?;
        check_prefix(&entry.uri_prefix).map_err(|error| error.to_string())?;
        if self
            .authorities
            .iter()
            .any(|known| known.name == entry.name)
        {
            return Err("it is there twice".to_owned());
        }
        for path in &entry.deny {
            let member = MemberName::new(&entry.name, path);
            self.denied
                .insert(member.map_err(|error| format!("deny: {path:?} {error}"))?);
        }
        if self.denied.len() > Self::MAX_DENIED {
            return Err(format!("more than {} members are denied", Self::MAX_DENIED));
        }
        let certificate = CertificateDer::from_pem_slice(pem)
            .map_err(|_| "its file is no certificate in pem".to_owned())?;
        anchor_from_trusted_cert(&certificate)
            .map_err(|error| format!("its certificate cannot be used: {error}"))?;
        self.authorities.push(Authority {
            name: entry.name,
            certificate: certificate.into_owned(),
            file,
            prefix: entry.uri_prefix,
        });
        Ok(())
    }
}

/// The CAs that a file lists.
fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("version {} is not known", document.version));
    }
    if document.authorities.len() > Fleet::MAX_AUTHORITIES {
        return Err(format!("more than {} CAs", Fleet::MAX_AUTHORITIES));
    }
    Ok(document.authorities)
}

/// All of a file: the end of one that was cut might be who is denied.
fn read(path: &Path) -> Result<String, OpenFleetError> {
    use std::io::Read;
    let failed = |source| OpenFleetError::Io {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_LEN + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > MAX_FILE_LEN {
        return Err(OpenFleetError::Damaged {
            path: path.to_owned(),
            reason: format!("more than {MAX_FILE_LEN} bytes"),
        });
    }
    Ok(text)
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
