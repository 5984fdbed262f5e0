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
const MAX_FILE_LEN: u64 = 1024 * 1024;

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
        let text = read(path)?;
        let damaged = |reason: String| OpenFleetError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let document: Document =
            toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if document.version != VERSION {
            return Err(damaged(format!(
                "version {} is not known",
                document.version
            )));
        }
        let mut fleet = Self {
            authorities: Vec::new(),
            denied: BTreeSet::new(),
            floor: floor(modified(path)),
        };
        if document.authorities.len() > Self::MAX_AUTHORITIES {
            let limit = Self::MAX_AUTHORITIES;
            return Err(damaged(format!("more than {limit} CAs")));
        }
        for entry in document.authorities {
            let name = entry.name.clone();
            let beside = path.parent().unwrap_or_else(|| Path::new(""));
            let certificate = beside.join(&entry.certificate);
            let pem = read(&certificate)?;
            fleet.floor = fleet.floor.max(floor(modified(&certificate)));
            let added = fleet.add(entry, certificate, pem.as_bytes());
            added.map_err(|reason| damaged(format!("CA {name:?}: {reason}")))?;
        }
        Ok(fleet)
    }

    fn add(&mut self, entry: Entry, file: PathBuf, pem: &[u8]) -> Result<(), String> {
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

fn read(path: &Path) -> Result<String, OpenFleetError> {
    use std::io::Read;
    let failed = |source| OpenFleetError::Io {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_LEN)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
