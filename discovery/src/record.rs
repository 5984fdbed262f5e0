//! What a device says of itself in a TXT record. Pure; everything read here was written by strangers.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use proto::DeviceId;

/// The longest TXT record, in bytes as it is on the wire (one length byte before each entry). Longer ones are neither
/// written nor read.
pub const MAX_TXT_LEN: usize = 400;

/// The longest name for people, in bytes of UTF-8.
pub const MAX_NAME_LEN: usize = 64;

/// The base32 text of 32 bytes. Hexadecimal would need 64, and a DNS label holds 63.
const LABEL_LEN: usize = 52;

const MAX_LABEL_LEN: usize = 63;

/// The name under which a device is announced: its id as lower-case base32 without padding, 52 characters.
///
/// Never a name that a person chose: that would tell everybody on the network whose device it is. Never an upper-case
/// letter: the mDNS library would skip its second announcement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceName(String);

impl InstanceName {
    /// The name of a device.
    pub fn new(id: &DeviceId) -> Self {
        let mut name = BASE32_NOPAD.encode(id.as_bytes());
        name.make_ascii_lowercase();
        assert!(
            name.len() <= MAX_LABEL_LEN
                && name
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-')),
            "base32 is lower-case letters and digits, and 32 bytes make 52 of them"
        );
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The device of a name that was read from the network. A number in parentheses at its end is what a responder adds
    /// when somebody else uses its name, and is passed over; letters of any case are taken.
    ///
    /// # Errors
    ///
    /// [`ParseAnnouncementError::Instance`] if it is not such a name.
    pub fn parse(label: &str) -> Result<DeviceId, ParseAnnouncementError> {
        let text = match label.split_once(" (") {
            None => label,
            Some((text, number)) => {
                let digits = number
                    .strip_suffix(')')
                    .ok_or(ParseAnnouncementError::Instance)?;
                if digits.is_empty()
                    || digits.len() > 5
                    || !digits.bytes().all(|b| b.is_ascii_digit())
                {
                    return Err(ParseAnnouncementError::Instance);
                }
                text
            }
        };
        decode_id(text).ok_or(ParseAnnouncementError::Instance)
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn decode_id(text: &str) -> Option<DeviceId> {
    if text.len() != LABEL_LEN {
        return None;
    }
    let bytes = BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .ok()?;
    Some(DeviceId::from_bytes(bytes.try_into().ok()?))
}

/// A range of protocol versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolVersions {
    min: u16,
    max: u16,
}

impl ProtocolVersions {
    /// From `min` to `max`, or `None` if `min` is 0 or above `max`.
    pub const fn new(min: u16, max: u16) -> Option<Self> {
        if min == 0 || min > max {
            None
        } else {
            Some(Self { min, max })
        }
    }

    /// The oldest.
    pub const fn min(self) -> u16 {
        self.min
    }

    /// The newest.
    pub const fn max(self) -> u16 {
        self.max
    }

    /// The newest version both speak.
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

impl fmt::Display for ProtocolVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

/// What a device says of itself: who it is, which start of it, which protocol versions it speaks. Nothing that would
/// tell a stranger more: no hardware id, no list of services, and no name unless its user allowed one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announcement {
    /// Who.
    pub id: DeviceId,
    /// Which protocol versions.
    pub versions: ProtocolVersions,
    /// The epoch of its boot id.
    pub epoch: u64,
    /// A name for people. Off by default: everybody on the network can read it.
    pub name: Option<String>,
}

impl Announcement {
    /// An announcement without a name.
    pub fn new(id: DeviceId, versions: ProtocolVersions, epoch: u64) -> Self {
        Self {
            id,
            versions,
            epoch,
            name: None,
        }
    }

    /// Adds a name for people, for everybody on the network to read. Cut to [`MAX_NAME_LEN`] bytes and escaped;
    /// an empty one is none.
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(printable(name)).filter(|name| !name.is_empty());
        self
    }

    /// The entries of the TXT record, together at most [`MAX_TXT_LEN`] bytes.
    pub fn to_txt(&self) -> Vec<(&'static str, String)> {
        let mut txt = vec![
            ("v", self.versions.to_string()),
            ("id", InstanceName::new(&self.id).0),
            ("ep", format!("{:x}", self.epoch)),
        ];
        // `name` is a public field: it may not have come through `with_name`.
        txt.extend(self.name.as_deref().map(|name| ("n", printable(name))));
        txt
    }

    /// Reads an announcement made under the instance name `label`. Keys it does not know are passed over, of a key that
    /// comes twice the first counts.
    ///
    /// # Errors
    ///
    /// [`ParseAnnouncementError`]: the announcement is not one of ours, or garbage. Pass over it.
    pub fn from_txt<'a>(
        label: &str,
        txt: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, ParseAnnouncementError> {
        let id = InstanceName::parse(label)?;
        let (mut len, mut versions, mut claimed, mut epoch, mut name) = (0, None, None, None, None);
        for (key, value) in txt {
            len += 1 + key.len() + value.map_or(0, |value| value.len() + 1);
            if len > MAX_TXT_LEN {
                return Err(ParseAnnouncementError::TooLong);
            }
            let field = match key.to_ascii_lowercase().as_str() {
                "v" => &mut versions,
                "id" => &mut claimed,
                "ep" => &mut epoch,
                "n" => &mut name,
                _ => continue,
            };
            field.get_or_insert(value.unwrap_or_default());
        }
        if decode_id(text("id", claimed)?) != Some(id) {
            return Err(ParseAnnouncementError::OtherDevice);
        }
        Ok(Self {
            id,
            versions: parse_versions(text("v", versions)?)
                .ok_or(ParseAnnouncementError::Malformed("v"))?,
            epoch: parse_number(text("ep", epoch)?, |text| u64::from_str_radix(text, 16))
                .ok_or(ParseAnnouncementError::Malformed("ep"))?,
            name: name
                .map(|name| printable(&String::from_utf8_lossy(name)))
                .filter(|name| !name.is_empty()),
        })
    }
}

fn text<'a>(key: &'static str, value: Option<&'a [u8]>) -> Result<&'a str, ParseAnnouncementError> {
    let value = value.ok_or(ParseAnnouncementError::Missing(key))?;
    str::from_utf8(value).map_err(|_| ParseAnnouncementError::Malformed(key))
}

fn parse_versions(text: &str) -> Option<ProtocolVersions> {
    let (min, max) = text.split_once('-')?;
    ProtocolVersions::new(
        parse_number(min, u16::from_str)?,
        parse_number(max, u16::from_str)?,
    )
}

/// Digits only: the parsers of the standard library also take a sign.
fn parse_number<T, E>(text: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    parse(text).ok()
}

/// Cuts a name, and escapes what could disturb a terminal or a log or turn its reading direction.
fn printable(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        let disturbs = c.is_control()
            || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
        let piece = if disturbs {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        };
        if out.len() + piece.len() > MAX_NAME_LEN {
            break;
        }
        out.push_str(&piece);
    }
    out
}

/// Why an announcement is passed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAnnouncementError {
    /// The instance name is not a device id.
    #[error("instance name is no device id")]
    Instance,
    /// The record claims another device than its instance name.
    #[error("id differs from instance name")]
    OtherDevice,
    /// A key that every announcement has is missing.
    #[error("missing key {0}")]
    Missing(&'static str),
    /// The value of a key makes no sense.
    #[error("malformed value of key {0}")]
    Malformed(&'static str),
    /// More than [`MAX_TXT_LEN`] bytes.
    #[error("record too long")]
    TooLong,
}

#[cfg(test)]
mod tests;
