//! Whom a rule speaks of.

use std::fmt;
use std::str::FromStr;

use proto::DeviceId;

/// Whom a rule speaks of. In a file: `device:<id>`, `group:<name>`, `trusted`, `fleet:<ca>/<path>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// One device.
    Device(DeviceId),
    /// The devices of a group of the policy.
    Group(String),
    /// Every device that there can be a session with: all that are trusted, members of fleets too.
    Trusted,
    /// Members of a fleet.
    Fleet(FleetPattern),
}

impl Subject {
    /// A group, by its name.
    pub fn group(name: &str) -> Self {
        Self::Group(name.to_owned())
    }
}

/// A member of a fleet: the name that this device gave to the CA, and what the certificate says behind the CA's prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName {
    ca: String,
    path: String,
}

impl MemberName {
    /// The longest path, in bytes.
    pub const MAX_PATH_LEN: usize = 256;

    /// # Errors
    /// The name of the CA is not of letters, digits and `-_.`, or the path is empty, too long, has an empty or a dotted
    /// segment, or characters other than letters, digits and `-._~`.
    pub fn new(ca: &str, path: &str) -> Result<Self, ParseSubjectError> {
        check_name(ca)?;
        let good = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(good);
        if path.len() > Self::MAX_PATH_LEN || !path.split('/').all(segment) {
            return Err(ParseSubjectError::Path);
        }
        Ok(Self {
            ca: ca.to_owned(),
            path: path.to_owned(),
        })
    }

    /// What this device calls the CA.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// What the CA calls the member.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ca, self.path)
    }
}

/// One member of a fleet, all below a path, or all of it: `prod/kiosk/7`, `prod/kiosk/*`, `prod/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    One(MemberName),
    Below(MemberName),
    Every(String),
}

impl FleetPattern {
    /// Whether a member is one of them.
    pub fn matches(&self, member: &MemberName) -> bool {
        match &self.0 {
            Pattern::One(name) => member == name,
            Pattern::Below(above) => {
                let rest = member.path.strip_prefix(&above.path);
                member.ca == above.ca && rest.is_some_and(|rest| rest.starts_with('/'))
            }
            Pattern::Every(ca) => member.ca == *ca,
        }
    }

    /// The member, if it is one.
    pub(super) fn member(&self) -> Option<&MemberName> {
        match &self.0 {
            Pattern::One(member) => Some(member),
            _ => None,
        }
    }
}

impl FromStr for FleetPattern {
    type Err = ParseSubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ca, path) = text.split_once('/').ok_or(ParseSubjectError::Path)?;
        check_name(ca)?;
        let pattern = match path.strip_suffix("/*") {
            _ if path == "*" => Pattern::Every(ca.to_owned()),
            Some(above) => Pattern::Below(MemberName::new(ca, above)?),
            None => Pattern::One(MemberName::new(ca, path)?),
        };
        Ok(Self(pattern))
    }
}

/// Why a text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSubjectError {
    /// None of `device:`, `group:`, `trusted` and `fleet:`.
    #[error("is none of device:<id>, group:<name>, trusted, fleet:<ca>/<path>")]
    Kind,
    /// Behind `device:` is no id.
    #[error("is no device id: {0}")]
    Device(#[from] proto::ParseDeviceIdError),
    /// A group's or a CA's name has other characters than letters, digits and `-_.`, or is empty or too long.
    #[error("has a name that is not 1 to 64 letters, digits and -_.")]
    Name,
    /// Behind `fleet:` is no path; `*` stands alone or at the end, behind a slash.
    #[error(
        "has a path that is not segments of letters, digits and -._~ with at most a /* at its end"
    )]
    Path,
}

impl FromStr for Subject {
    type Err = ParseSubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "trusted" {
            return Ok(Self::Trusted);
        }
        match text.split_once(':') {
            Some(("device", id)) => Ok(Self::Device(id.parse()?)),
            Some(("group", name)) => {
                check_name(name)?;
                Ok(Self::group(name))
            }
            Some(("fleet", pattern)) => Ok(Self::Fleet(pattern.parse()?)),
            _ => Err(ParseSubjectError::Kind),
        }
    }
}

/// Names of groups, CAs and rules: they go into logs and into the text form of subjects.
pub(crate) fn check_name(name: &str) -> Result<(), ParseSubjectError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        return Err(ParseSubjectError::Name);
    }
    Ok(())
}
