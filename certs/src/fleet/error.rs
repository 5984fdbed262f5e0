//! What can go wrong with a fleet.

use std::io;
use std::path::PathBuf;

use crate::files::FileError;
use crate::identity::GenerateIdentityError;
use crate::policy::{MemberName, ParseSubjectError};

/// Why a certificate makes nobody a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyMemberError {
    /// It names no member: the certificate of a device that is trusted by its id, or not at all.
    #[error("certificate names no member of a fleet")]
    NoMember,
    /// It names more than one. Issue one with one URI.
    #[error("certificate has more than one URI")]
    SeveralNames,
    /// Its URI begins with no prefix of the CAs that are listed.
    #[error("no listed CA may vouch for the URI of the certificate")]
    NameOfNobody,
    /// What stands behind the prefix is no path of a member.
    #[error("the path in the certificate {reason}")]
    BadName {
        /// What is wrong with it.
        reason: ParseSubjectError,
    },
    /// Another CA has signed it than the one that may vouch for its name, or nobody that we know.
    #[error("certificate is not signed by the CA that is listed")]
    Stranger,
    /// Issue a new one.
    #[error("certificate expired {not_after} s after 1970")]
    Expired {
        /// Until when it was valid, in seconds since 1970.
        not_after: u64,
    },
    /// Its clock or ours is wrong.
    #[error("certificate is not valid before {not_before} s after 1970")]
    NotYetValid {
        /// From when on it is valid, in seconds since 1970.
        not_before: u64,
    },
    /// It is not for both ends of a connection. Issue one for client and server authentication.
    #[error("certificate is not for client and server authentication")]
    WrongUsage,
    /// A CA is no member.
    #[error("certificate is that of a CA")]
    IsAuthority,
    /// Our user denies this member.
    #[error("member {member} is denied here")]
    Denied {
        /// Who it is.
        member: MemberName,
    },
    /// Anything else that is not as it should be.
    #[error("certificate refused: {0}")]
    Refused(String),
}

impl From<webpki::Error> for VerifyMemberError {
    fn from(error: webpki::Error) -> Self {
        match error {
            webpki::Error::CertExpired { not_after, .. } => Self::Expired {
                not_after: not_after.as_secs(),
            },
            webpki::Error::CertNotValidYet { not_before, .. } => Self::NotYetValid {
                not_before: not_before.as_secs(),
            },
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                Self::Stranger
            }
            webpki::Error::RequiredEkuNotFoundContext(_) => Self::WrongUsage,
            webpki::Error::CaUsedAsEndEntity => Self::IsAuthority,
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Why the file of a fleet was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFleetError {
    /// The system refused.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not right; nobody is a member.
    #[error("{}: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where that is known.
        reason: String,
    },
}

/// Why a CA did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file of the CA may not be used, or the system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is a CA in the directory already; choose another one.
    #[error("there is a CA in {} already", .path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// There is none in the directory; make one.
    #[error("there is no CA in {}", .path.display())]
    Absent {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the CA is damaged; restore it from a backup.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The prefix is no URI with a slash at its end, as `spiffe://example.org/`.
    #[error("{0:?} is no URI of printable characters with a slash at its end")]
    BadPrefix(String),
    /// What the member is to be called.
    #[error("the path of the member {0}")]
    BadPath(#[from] ParseSubjectError),
    /// What was given is no certificate of a device.
    #[error("no certificate of a device: {0}")]
    BadRequest(String),
    /// Between an hour and 30 days.
    #[error("a certificate is valid for an hour to 30 days, not for {seconds} s")]
    BadTime {
        /// What was asked for.
        seconds: u64,
    },
    /// The system gave no random numbers, or the key cannot be used.
    #[error(transparent)]
    Generate(#[from] GenerateIdentityError),
    /// The certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
}
