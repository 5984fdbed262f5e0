//! Devices that are trusted because a private CA vouches for them, without an entry of their own.
//!
//! A member keeps its key and its [`DeviceId`]; the certificate that carries the key is one that the CA has signed, and
//! names the member by a URI (a SPIFFE id, for example). It is shown alone, as any device's certificate is: the issuer has
//! to be one of those that are listed here. TLS looks at the key only; who is a member is decided by
//! [`admit`](crate::admit()), after the key is proven.

mod ca;
mod error;
mod file;

pub use ca::{CertificateAuthority, Issued};
pub use error::{AuthorityError, OpenFleetError, VerifyMemberError};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::policy::MemberName;

/// `id-kp-serverAuth` and `id-kp-clientAuth` (RFC 5280, 4.2.1.12): a member dials and is dialled. webpki's own take a
/// certificate that names no purpose at all for one of every purpose.
const PURPOSES: [KeyUsage; 2] = [
    KeyUsage::required(&[0x2b, 6, 1, 5, 5, 7, 3, 1]),
    KeyUsage::required(&[0x2b, 6, 1, 5, 5, 7, 3, 2]),
];

/// No clock is right that is earlier: nothing of this was written before. Seconds since 1970, 2026-11-01.
const WRITTEN: u64 = 1_793_491_200;

/// The CAs whose members this device trusts, and which of them it does not.
///
/// # The clock
///
/// Certificates of members live for hours or days, so the time of day counts. A clock that is behind what is known to have
/// happened (this code was written, the file of the fleet was) is taken to stand there: a device without a battery lets
/// in who was a member then.
#[derive(Clone, Debug)]
pub struct Fleet {
    authorities: Vec<Authority>,
    denied: BTreeSet<MemberName>,
    floor: UnixTime,
}

#[derive(Clone, Debug)]
struct Authority {
    name: String,
    certificate: CertificateDer<'static>,
    /// Where the certificate was read from.
    file: PathBuf,
    /// What the URI of each member begins with.
    prefix: String,
}

impl Fleet {
    /// The most CAs that are listed.
    pub const MAX_AUTHORITIES: usize = 16;
    /// The most members that are denied.
    pub const MAX_DENIED: usize = 4096;
    /// The longest URI of a member, in bytes.
    pub const MAX_URI_LEN: usize = 512;

    /// Which member a certificate names, if one of the CAs vouches for it now.
    ///
    /// # Errors
    /// [`VerifyMemberError`]; a device that is no member of anything is [`NoMember`](VerifyMemberError::NoMember).
    pub fn member(
        &self,
        certificate: &CertificateDer<'_>,
        now: SystemTime,
    ) -> Result<MemberName, VerifyMemberError> {
        let certificate =
            EndEntityCert::try_from(certificate).map_err(|_| VerifyMemberError::NoMember)?;
        // At most one more than may be, whatever stands there.
        let uris: Vec<_> = certificate.valid_uri_names().take(2).collect();
        let uri = match uris[..] {
            [] => return Err(VerifyMemberError::NoMember),
            [uri] => uri,
            _ => return Err(VerifyMemberError::SeveralNames),
        };
        let (authority, path) = self.authority_of(uri)?;
        authority.verify(&certificate, self.time(now))?;
        let member = MemberName::new(&authority.name, path)
            .map_err(|reason| VerifyMemberError::BadName { reason })?;
        if self.denied.contains(&member) {
            return Err(VerifyMemberError::Denied { member });
        }
        Ok(member)
    }

    /// Whether a member of this name is let in when it shows a certificate for it: its CA is listed, and it is not denied.
    pub fn lets_in(&self, member: &MemberName) -> bool {
        let named = |authority: &Authority| authority.name == member.ca();
        self.authorities.iter().any(named) && !self.denied.contains(member)
    }

    /// Where the certificates of the CAs were read from. For who follows the file of the fleet, which names them.
    pub fn certificate_files(&self) -> impl Iterator<Item = &Path> {
        let authorities = self.authorities.iter();
        authorities.map(|authority| authority.file.as_path())
    }

    /// Whether a clock is behind what is known to have happened, and is not believed.
    pub fn is_behind(&self, now: SystemTime) -> bool {
        unix_time(now) < self.floor
    }

    fn time(&self, now: SystemTime) -> UnixTime {
        unix_time(now).max(self.floor)
    }

    /// Who may vouch for a URI, and what it calls the member. Of two prefixes the longer one counts.
    fn authority_of<'a>(&self, uri: &'a str) -> Result<(&Authority, &'a str), VerifyMemberError> {
        if uri.len() > Self::MAX_URI_LEN {
            return Err(VerifyMemberError::NameOfNobody);
        }
        let named = |authority: &'_ Authority| uri.strip_prefix(&*authority.prefix);
        let authorities = self.authorities.iter();
        authorities
            .filter_map(|authority| Some((authority, named(authority)?)))
            .max_by_key(|(authority, _)| authority.prefix.len())
            .ok_or(VerifyMemberError::NameOfNobody)
    }
}

impl Authority {
    fn verify(
        &self,
        certificate: &EndEntityCert<'_>,
        time: UnixTime,
    ) -> Result<(), VerifyMemberError> {
        let anchor =
            anchor_from_trusted_cert(&self.certificate).map_err(|_| VerifyMemberError::Stranger)?;
        for usage in PURPOSES {
            certificate.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                std::slice::from_ref(&anchor),
                &[],
                time,
                usage,
                None,
                None,
            )?;
        }
        Ok(())
    }
}

fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn floor(written: impl IntoIterator<Item = SystemTime>) -> UnixTime {
    let known = UnixTime::since_unix_epoch(Duration::from_secs(WRITTEN));
    written
        .into_iter()
        .map(unix_time)
        .fold(known, UnixTime::max)
}

fn check_prefix(prefix: &str) -> Result<(), AuthorityError> {
    let good = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    let uri = prefix.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && rest.len() > 1 && rest.ends_with('/') && !rest.starts_with('/')
    });
    if !uri || prefix.len() > 255 || !prefix.chars().all(good) {
        return Err(AuthorityError::BadPrefix(prefix.to_owned()));
    }
    Ok(())
}
