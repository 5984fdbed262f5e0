//! What a QR code says.

use std::net::SocketAddr;
use std::str::FromStr;

use proto::DeviceId;
use zeroize::Zeroizing;

use super::code::PairingSecret;
use super::message::cut_name;

/// The most that is read, in bytes: far more than fits a QR code.
const MAX_LEN: usize = 2048;
const MAX_ADDRESSES: usize = 8;

/// Whom to pair with, where it may be, and the secret that proves it: the text of a QR code.
///
/// ```text
/// softbus:1?id=<56 characters>&s=<26 characters>&a=<address:port>&n=<name>
/// ```
///
/// `a` may be there up to eight times, and `n` is what the device calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairingInvitation {
    /// Who it is. It is made sure of before anything is sent.
    pub device: DeviceId,
    /// Proves to each that the other saw the same QR code.
    pub secret: PairingSecret,
    /// Where it may be.
    pub addresses: Vec<SocketAddr>,
    /// What it calls itself, untrusted.
    pub name: String,
}

impl PairingInvitation {
    /// Names are cut to 64 bytes, and of the addresses eight are kept.
    pub fn new(
        device: DeviceId,
        secret: PairingSecret,
        addresses: impl IntoIterator<Item = SocketAddr>,
        name: &str,
    ) -> Self {
        Self {
            device,
            secret,
            addresses: addresses.into_iter().take(MAX_ADDRESSES).collect(),
            name: cut_name(name),
        }
    }

    /// The text, to be shown to our user and to nobody else. Deliberately no `Display`: it is not to get into a log.
    pub fn reveal(&self) -> Zeroizing<String> {
        let id: String = self.device.to_string();
        let id = id.replace('-', "");
        let mut text = Zeroizing::new(String::with_capacity(MAX_LEN));
        text.push_str("softbus:1?id=");
        text.push_str(&id);
        text.push_str("&s=");
        self.secret.append_to(&mut text);
        for address in &self.addresses {
            text.push_str("&a=");
            text.push_str(&address.to_string());
        }
        if !self.name.is_empty() {
            text.push_str("&n=");
            escape(&self.name, &mut text);
        }
        text
    }
}

/// Why a text is no invitation to pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseInvitationError {
    /// It does not begin with `softbus:1?`, or is far too long: some other QR code.
    #[error("not a softbus pairing code")]
    NotOne,
    /// A part that has to be there is not, or is there twice.
    #[error("{0} is missing or there twice")]
    Missing(&'static str),
    /// A part cannot be read.
    #[error("{0} cannot be read")]
    Malformed(&'static str),
}

impl FromStr for PairingInvitation {
    type Err = ParseInvitationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use ParseInvitationError::{Malformed, Missing, NotOne};
        let rest = text.trim().strip_prefix("softbus:1?").ok_or(NotOne)?;
        if rest.len() > MAX_LEN {
            return Err(NotOne);
        }
        let (mut id, mut secret, mut name, mut addresses) = (None, None, None, Vec::new());
        for part in rest.split('&') {
            let (key, value) = part.split_once('=').ok_or(Malformed("a part"))?;
            let twice = match key {
                "id" => {
                    let value = value.parse().map_err(|_| Malformed("device id"))?;
                    id.replace(value).map(|_: DeviceId| "device id")
                }
                "s" => {
                    let value = PairingSecret::parse(value).ok_or(Malformed("secret"))?;
                    secret.replace(value).map(|_| "secret")
                }
                "a" if addresses.len() < MAX_ADDRESSES => {
                    addresses.push(value.parse().map_err(|_| Malformed("address"))?);
                    None
                }
                "n" => {
                    let value = unescape(value).ok_or(Malformed("name"))?;
                    name.replace(cut_name(&value)).map(|_| "name")
                }
                // A later version may say more.
                _ => None,
            };
            if let Some(twice) = twice {
                return Err(Missing(twice));
            }
        }
        Ok(Self {
            device: id.ok_or(Missing("device id"))?,
            secret: secret.ok_or(Missing("secret"))?,
            addresses,
            name: name.unwrap_or_default(),
        })
    }
}

/// All but letters and digits as `%` and two hexadecimal digits.
fn escape(name: &str, text: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(byte.into());
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> PairingInvitation {
        PairingInvitation::new(
            DeviceId::from_bytes([7; 32]),
            PairingSecret::parse("AAAQEAYEAUDAOCAJBIFQYDIOB4").unwrap(),
            ["192.168.1.5:4000", "[fe80::1]:4000"].map(|addr| addr.parse().unwrap()),
            "Küche & Co",
        )
    }

    #[test]
    fn the_text_is_this() {
        let id = DeviceId::from_bytes([7; 32]).to_string().replace('-', "");
        assert_eq!(
            *sample().reveal(),
            format!(
                "softbus:1?id={id}&s=AAAQEAYEAUDAOCAJBIFQYDIOB4&a=192.168.1.5:4000&a=[fe80::1]:4000\
                 &n=K%C3%BCche%20%26%20Co"
            )
        );
        assert_eq!(sample().reveal().parse(), Ok(sample()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        use ParseInvitationError::{Malformed, Missing, NotOne};
        let text = sample().reveal();
        for (wrong, error) in [
            (text.replace("softbus:1", "softbus:2"), NotOne),
            (format!("{}&x={}", *text, "x".repeat(3000)), NotOne),
            (text.replace("id=", "i="), Missing("device id")),
            (text.replace("&s=", "&t="), Missing("secret")),
            (format!("{}&{}", *text, &text[10..73]), Missing("device id")),
            (text.replace("AAAQ", "AAA1"), Malformed("secret")),
            (text.replace("IOB4", "IOB5"), Malformed("secret")),
            (text.replace("IOB4", "IO"), Malformed("secret")),
            (
                text.replace("192.168.1.5:4000", "kitchen"),
                Malformed("address"),
            ),
            (text.replace("%26", "%2"), Malformed("name")),
            (format!("{}&x", *text), Malformed("a part")),
        ] {
            assert_eq!(wrong.parse::<PairingInvitation>(), Err(error), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name: String) {
            let mut invitation = sample();
            invitation.name = cut_name(&name);
            prop_assert_eq!(invitation.reveal().parse(), Ok(invitation));
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = format!("softbus:1?{text}").parse::<PairingInvitation>();
        }
    }
}
