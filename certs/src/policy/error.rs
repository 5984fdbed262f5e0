//! What can be wrong with a policy.

use std::io;
use std::path::PathBuf;

use proto::ServiceId;

use crate::display::escape_untrusted;

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct PolicyError {
    /// The line, counted from 1; `None` for what was made in code.
    pub line: Option<usize>,
    /// What it is.
    pub fault: PolicyFault,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFault {
    /// It is no TOML, or has a key that this version does not know.
    #[error("{0}")]
    Syntax(String),
    /// A later version wrote it: update.
    #[error("version {found} is not known here, this is version {known}")]
    Version {
        /// What it says.
        found: i64,
        /// What this version reads.
        known: i64,
    },
    /// `defaults.remote` is something else than `deny`: nothing else is offered.
    #[error(
        "remote callers are denied unless a rule allows them; defaults.remote can only be \"deny\""
    )]
    RemoteDefault,
    /// Give the rule or the group a name of letters, digits and `-_.`
    #[error("{:?} is not 1 to 64 letters, digits and -_.", escape_untrusted(.0, 70))]
    BadName(String),
    /// Two rules have one id.
    #[error("there are two rules with the id {0:?}")]
    SameId(String),
    /// `from` or `user` is empty. Nobody is written by leaving the rule out, everybody by `trusted`.
    #[error("rule {0:?} is from nobody")]
    FromNobody(String),
    /// Say services and methods, or `\"*\"`.
    #[error("rule {0:?} names no service or no method")]
    AboutNothing(String),
    /// A subject is none.
    #[error("{:?} {reason}", escape_untrusted(.text, 80))]
    BadSubject {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        reason: super::ParseSubjectError,
    },
    /// A group that is not in `[groups]`.
    #[error("there is no group {0:?}")]
    UnknownGroup(String),
    /// A service id is 1..=0xffffff.
    #[error("{0} is no service id")]
    BadService(i64),
    /// A method's code is 1..=0xffffff.
    #[error("{0} is no method's code")]
    BadMethod(i64),
    /// A user's number is 0..=0xffffffff.
    #[error("{0} is no user's number")]
    BadUser(i64),
    /// Neither a list of numbers nor `\"*\"`.
    #[error("{0} is neither a list of numbers nor \"*\"")]
    BadList(&'static str),
    /// More than fits.
    #[error("{found} {what}, at most {limit} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// A built-in test is about nobody: a group without devices, or a pattern that more than one member matches.
    #[error("the test is about {0:?}, which is not one device or the devices of a group")]
    TestOfNobody(String),
    /// A built-in test does not hold.
    #[error("the test expects {} for {from:?}, service {service}, method {method}, and the policy says {}",
        verdict(*.expected), verdict(!.expected))]
    TestFailed {
        /// About whom.
        from: String,
        /// Which service.
        service: ServiceId,
        /// Which method.
        method: u32,
        /// Whether it expects that it is allowed.
        expected: bool,
    },
}

fn verdict(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

impl PolicyFault {
    pub(super) fn at(self, line: Option<usize>) -> PolicyError {
        PolicyError { line, fault: self }
    }
}

impl From<PolicyFault> for PolicyError {
    fn from(fault: PolicyFault) -> Self {
        fault.at(None)
    }
}

pub(super) fn at_most(what: &'static str, limit: usize, found: usize) -> Result<(), PolicyFault> {
    if found > limit {
        return Err(PolicyFault::TooMany { what, limit, found });
    }
    Ok(())
}

/// Why a policy's file was not taken. The policy that was in force stays in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadPolicyError {
    /// The system refused, or there is no such file.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else than a file.
    #[error("{} is not a file", .path.display())]
    NotAFile {
        /// What it is about.
        path: PathBuf,
    },
    /// Others than us and root could change it.
    #[error("others could change {} (owner {owner}, mode {mode:04o}); it has to belong to us or root, and `chmod go-w {}`",
        .path.display(), .path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than any policy.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// It is no policy.
    #[error("{}:{}: {}", .path.display(), .error.line.unwrap_or(1), .error.fault)]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: PolicyError,
    },
}
