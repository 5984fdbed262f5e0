//! A small CA for a fleet: a key, a certificate, and a list of what it has issued.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::DeviceId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;
use serde::{Deserialize, Serialize};

use super::{AuthorityError, check_prefix};
use crate::files::PrivateDir;
use crate::identity::{GenerateIdentityError, Key};
use crate::policy::MemberName;
use crate::verifier::{peer_device_id, public_key};

const KEY: &str = "ca-key.pem";
const CERTIFICATE: &str = "ca.pem";
const ISSUED: &str = "issued.toml";
const LOCK: &str = "ca.lock";
const MAX_FILE_LEN: usize = 16 * 1024 * 1024;
const HOUR: Duration = Duration::from_secs(60 * 60);
/// A member's clock may be behind ours.
const LEEWAY: Duration = Duration::from_secs(5 * 60);
/// How long the CA's own certificate is valid: ten years.
const OWN_TIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A CA, in a directory of its own that only this user may read. It belongs on a machine that is no member: whoever has
/// its key can make members.
pub struct CertificateAuthority {
    directory: PrivateDir,
    key: Key,
    record: Record,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    uri_prefix: String,
    #[serde(default, rename = "issued")]
    issued: Vec<Issued>,
}

/// A certificate that a CA has issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Issued {
    /// Whose key it carries, in text form.
    pub device: String,
    /// What the member is called, behind the prefix.
    pub path: String,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: u64,
}

impl CertificateAuthority {
    /// The longest that a member's certificate is valid.
    pub const MAX_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Makes a CA in a directory where there is none, for members whose URIs begin with `uri_prefix`, as
    /// `spiffe://example.org/prod/`.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn init(directory: impl AsRef<Path>, uri_prefix: &str) -> Result<Self, AuthorityError> {
        check_prefix(uri_prefix)?;
        let path = directory.as_ref().to_owned();
        let directory = PrivateDir::open_or_create(&path)?;
        let lock = directory.lock(LOCK)?;
        if directory.read(KEY, MAX_FILE_LEN)?.is_some() {
            return Err(AuthorityError::Exists { path });
        }
        let key = Key::generate().map_err(GenerateIdentityError::from)?;
        let certificate = own_params(uri_prefix, SystemTime::now())
            .self_signed(&key)
            .map_err(|error| AuthorityError::Certificate(error.to_string()))?;
        let record = Record {
            version: 1,
            uri_prefix: uri_prefix.to_owned(),
            issued: Vec::new(),
        };
        let authority = Self {
            directory,
            key,
            record,
        };
        // The key last: with it the CA is there.
        authority.save()?;
        let directory = &authority.directory;
        directory.replace(CERTIFICATE, certificate.pem().as_bytes())?;
        directory.replace(KEY, &authority.key.to_pem())?;
        drop(lock);
        Ok(authority)
    }

    /// The CA of a directory.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, AuthorityError> {
        let path = directory.as_ref();
        let absent = || AuthorityError::Absent {
            path: path.to_owned(),
        };
        let directory = PrivateDir::open(path)?.ok_or_else(absent)?;
        let damaged = |name: &str, reason: &str| AuthorityError::Damaged {
            path: directory.path_of(name),
            reason: reason.to_owned(),
        };
        let pem = directory.read(KEY, MAX_FILE_LEN)?.ok_or_else(absent)?;
        let key = Key::from_pem(&pem).ok_or_else(|| damaged(KEY, "no ed25519 key in pem"))?;
        let record = directory.read(ISSUED, MAX_FILE_LEN)?;
        let record = record.ok_or_else(|| damaged(ISSUED, "it is missing"))?;
        let text = str::from_utf8(&record).map_err(|_| damaged(ISSUED, "no text"))?;
        let record = toml::from_str(text).map_err(|error| damaged(ISSUED, &error.to_string()))?;
        Ok(Self {
            directory,
            key,
            record,
        })
    }

    /// The certificate that members' peers list, in PEM.
    ///
    /// # Errors
    /// [`AuthorityError`] if its file cannot be read.
    pub fn certificate(&self) -> Result<String, AuthorityError> {
        let damaged = || AuthorityError::Damaged {
            path: self.directory.path_of(CERTIFICATE),
            reason: "missing or no text".to_owned(),
        };
        let content = self.directory.read(CERTIFICATE, MAX_FILE_LEN)?;
        let content = content.ok_or_else(damaged)?;
        str::from_utf8(&content)
            .map(str::to_owned)
            .map_err(|_| damaged())
    }

    /// What the URIs of its members begin with.
    pub fn uri_prefix(&self) -> &str {
        &self.record.uri_prefix
    }

    /// What it has issued, the oldest first.
    pub fn issued(&self) -> &[Issued] {
        &self.record.issued
    }

    /// Issues a certificate for the key that `certificate` carries: the one that the device shows now, in PEM. The device
    /// puts it in the place of its own, and stays who it is. What is returned is PEM too.
    ///
    /// Make sure of the device's id before: the CA says with this who it is.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn issue(
        &mut self,
        certificate: &str,
        path: &str,
        time: Duration,
    ) -> Result<(Issued, String), AuthorityError> {
        // The name of the CA is that of whoever lists it.
        let member = MemberName::new("ca", path)?;
        if !(HOUR..=Self::MAX_TIME).contains(&time) {
            let seconds = time.as_secs();
            return Err(AuthorityError::BadTime { seconds });
        }
        let request = |error: String| AuthorityError::BadRequest(error);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| request(error.to_string()))?;
        let (device, key) = device_of(&certificate)?;
        let now = SystemTime::now();
        let not_after = now + time;
        let mut params = CertificateParams::default();
        params.not_before = (now - LEEWAY).into();
        params.not_after = not_after.into();
        params.serial_number = Some(serial()?);
        params.distinguished_name = DistinguishedName::new();
        let uri = format!("{}{}", self.record.uri_prefix, member.path());
        let uri = uri.try_into();
        params.subject_alt_names = vec![SanType::URI(
            uri.map_err(|error: rcgen::Error| request(error.to_string()))?,
        )];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let issuer = own_params(&self.record.uri_prefix, now);
        let issuer = Issuer::from_params(&issuer, &self.key);
        let signed = params
            .signed_by(&key, &issuer)
            .map_err(|error| AuthorityError::Certificate(error.to_string()))?;
        let issued = Issued {
            device: device.to_string(),
            path: member.path().to_owned(),
            not_after: seconds(not_after),
        };
        // Recorded before it is given out.
        let _lock = self.directory.lock(LOCK)?;
        self.record.issued.push(issued.clone());
        self.save()?;
        Ok((issued, signed.pem()))
    }

    fn save(&self) -> Result<(), AuthorityError> {
        let text = toml::to_string(&self.record)
            .map_err(|error| AuthorityError::Certificate(error.to_string()))?;
        Ok(self.directory.replace(ISSUED, text.as_bytes())?)
    }
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("uri_prefix", &self.record.uri_prefix)
            .field("issued", &self.record.issued.len())
            .finish_non_exhaustive()
    }
}

/// The CA's own certificate; as issuer only its name and key count.
fn own_params(uri_prefix: &str, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (now - LEEWAY).into();
    params.not_after = (now + OWN_TIME).into();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("softbus CA of {uri_prefix}"));
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Whose certificate it is, and the key in it.
fn device_of(certificate: &CertificateDer<'_>) -> Result<(DeviceId, RequestedKey), AuthorityError> {
    let request = |error: &dyn std::fmt::Display| AuthorityError::BadRequest(error.to_string());
    let device =
        peer_device_id(std::slice::from_ref(certificate)).map_err(|error| request(&error))?;
    let parsed = ParsedCertificate::try_from(certificate).map_err(|error| request(&error))?;
    let (algorithm, key) = public_key(&parsed.subject_public_key_info())
        .ok_or_else(|| request(&"neither ed25519 nor p-256"))?;
    Ok((device, RequestedKey { algorithm, key }))
}

struct RequestedKey {
    algorithm: &'static SignatureAlgorithm,
    key: Vec<u8>,
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|_| GenerateIdentityError::Random)?;
    // Positive, and never zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
