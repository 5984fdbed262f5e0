//! The text form of a device id.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

/// Who a device is: the SHA-256 of its public key (the DER of its `SubjectPublicKeyInfo`).
///
/// The hash covers the key alone, so a certificate may be issued anew without changing who the device is.
///
/// # Text form
///
/// 56 characters in 8 groups of 7, for example
/// `4OYMIQU-Y7QOBJ5-GX36TEJ-S35ZEQN-T24QPEM-SNZGTFO-ESWMRW6-CSXBKQM`: the hash in base32 (RFC 4648, 52 characters)
/// with a check character (Luhn mod 32) after every 13, so that a mistyped id is noticed and the place of the mistake
/// can be named. [`FromStr`] is lenient where a person errs harmlessly: lower case, `-` and spaces anywhere or nowhere,
/// and 0, 1, 8 for O, I, B, which base32 does not use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId([u8; 32]);

/// Characters of the text form, separators not counted.
const TEXT_LEN: usize = 56;
/// Characters of the hash in base32.
const DATA_LEN: usize = 52;
/// Characters covered by one check character.
const PART_LEN: usize = 13;
/// Characters of a shown group; a part and its check character are two groups.
const GROUP_LEN: usize = 7;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl DeviceId {
    /// From the hash itself.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From a public key: the DER of its `SubjectPublicKeyInfo`, as it stands in a certificate.
    ///
    /// The bytes are hashed as they are; whoever reads them from a peer decides first whether they are a key at all.
    pub fn from_spki(spki_der: &[u8]) -> Self {
        Self(Sha256::digest(spki_der).into())
    }

    /// The hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 7 characters of the text form, for logs and screens.
    ///
    /// Only to be shown: 35 bits can be made to collide on purpose, so nothing may be matched, stored or permitted by
    /// them. That is why the result can be printed and nothing else.
    pub fn short(&self) -> impl fmt::Display + fmt::Debug + Copy + Send + Sync + use<> {
        let text = self.text();
        let mut group = [0; GROUP_LEN];
        group.copy_from_slice(&text[..GROUP_LEN]);
        Ascii(group)
    }

    /// The 56 characters without separators.
    fn text(&self) -> [u8; TEXT_LEN] {
        let mut data = [0; DATA_LEN];
        BASE32_NOPAD.encode_mut(&self.0, &mut data);
        let mut text = [0; TEXT_LEN];
        for (part, out) in data
            .chunks_exact(PART_LEN)
            .zip(text.chunks_exact_mut(PART_LEN + 1))
        {
            out[..PART_LEN].copy_from_slice(part);
            out[PART_LEN] = check_character(part);
        }
        text
    }
}

impl fmt::Display for DeviceId {
    /// All 56 characters; where people read many ids, [`DeviceId::short`] is kinder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_LEN: usize = TEXT_LEN + TEXT_LEN / GROUP_LEN - 1;
        let text = self.text();
        let mut shown = [b'-'; SHOWN_LEN];
        for (group, out) in text
            .chunks_exact(GROUP_LEN)
            .zip(shown.chunks_mut(GROUP_LEN + 1))
        {
            out[..GROUP_LEN].copy_from_slice(group);
        }
        fmt::Display::fmt(&Ascii(shown), f)
    }
}

impl fmt::Debug for DeviceId {
    /// Short, because this is what ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({})", self.short())
    }
}

impl FromStr for DeviceId {
    type Err = ParseDeviceIdError;

    /// Reads the text form; all 56 characters are required.
    ///
    /// # Errors
    ///
    /// [`ParseDeviceIdError`], which names the group a person has to look at.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let characters = || s.chars().filter(|c| *c != '-' && *c != ' ');
        let found = characters().count();
        if found != TEXT_LEN {
            return Err(ParseDeviceIdError::Length { found });
        }
        let mut text = [0; TEXT_LEN];
        for (index, (character, out)) in characters().zip(&mut text).enumerate() {
            let group = group_of(index);
            *out =
                normalise(character).ok_or(ParseDeviceIdError::Character { character, group })?;
        }
        let mut data = [0; DATA_LEN];
        for (index, (part, out)) in text
            .chunks_exact(PART_LEN + 1)
            .zip(data.chunks_exact_mut(PART_LEN))
            .enumerate()
        {
            if check_character(&part[..PART_LEN]) != part[PART_LEN] {
                let first_group = group_of(index * (PART_LEN + 1));
                return Err(ParseDeviceIdError::Check { first_group });
            }
            out.copy_from_slice(&part[..PART_LEN]);
        }
        let mut bytes = [0; 32];
        match BASE32_NOPAD.decode_mut(&data, &mut bytes) {
            Ok(_) => Ok(Self(bytes)),
            // 52 characters carry four bits more than the hash. Were they ignored, one device had 16 spellings.
            Err(_) => Err(ParseDeviceIdError::TrailingBits),
        }
    }
}

/// Why a text is not a device id. Groups are counted from 1, as a person counts the 8 groups of 7 that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDeviceIdError {
    /// Not all there, or too much: copy the whole id, 8 groups of 7 characters.
    #[error("device id has {found} characters, not 56")]
    Length {
        /// How many characters there were besides `-` and spaces.
        found: usize,
    },
    /// A character no device id contains: look at that group again.
    #[error("character {character:?} in group {group} of the device id")]
    Character {
        /// What was read.
        character: char,
        /// The group it is in, `1..=8`.
        group: u8,
    },
    /// A check character does not fit: one of two groups is mistyped.
    #[error("mistyped device id: group {first_group} or {}", .first_group + 1)]
    Check {
        /// The first of the two groups, `1`, `3`, `5` or `7`.
        first_group: u8,
    },
    /// The last character but one is none that a device id can have there: look at group 8 again.
    #[error("mistyped device id: group 8")]
    TrailingBits,
}

/// ASCII characters in an array, so that an id is shown without allocating.
#[derive(Clone, Copy)]
struct Ascii<const N: usize>([u8; N]);

impl<const N: usize> fmt::Display for Ascii<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl<const N: usize> fmt::Debug for Ascii<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The shown group, counted from 1, of a character counted from 0.
const fn group_of(index: usize) -> u8 {
    (index / GROUP_LEN) as u8 + 1
}

/// The character of the alphabet that was meant, if any.
const fn normalise(character: char) -> Option<u8> {
    match character.to_ascii_uppercase() {
        '0' => Some(b'O'),
        '1' => Some(b'I'),
        '8' => Some(b'B'),
        c @ ('A'..='Z' | '2'..='7') => Some(c as u8),
        _ => None,
    }
}

/// Luhn mod 32: every second value is doubled, beginning with the rightmost. (Doubling from the left instead, as some do,
/// misses every swap of the last character with its check character.)
fn check_character(part: &[u8]) -> u8 {
    let sum: u8 = part
        .iter()
        .rev()
        .enumerate()
        .map(|(place, character)| {
            let value = value_of(*character);
            let value = if place % 2 == 0 { value * 2 } else { value };
            value / 32 + value % 32
        })
        // At most 13 * 31 in all, so reduced as it grows.
        .fold(0, |sum, value| (sum + value) % 32);
    ALPHABET[usize::from((32 - sum) % 32)]
}

/// The value of a character of the alphabet; others do not get here.
const fn value_of(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character - b'A',
        _ => character.wrapping_sub(b'2').wrapping_add(26) % 32,
    }
}

#[cfg(test)]
mod tests;
