use bytes::{BufMut, Bytes, BytesMut};

use super::{Fields, IGNORABLE, Introduction, MAX_GRANTS};
use crate::DecodeError;

/// What an extension of a header says. Those with the top bit set may be skipped by who does not know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionKind {
    /// UTF-8 for people, in an error reply.
    Text,
    /// `u64` limit, `u64` value: which bound an error reply is about.
    Limit,
    /// `u32` milliseconds after which a busy callee expects to have room.
    RetryAfter,
    /// W3C trace context: 16 bytes trace id, 8 bytes span id, 1 byte flags.
    Trace,
    /// Where objects of third devices are to be had. May not be skipped: who does not know it would take nothing for
    /// the objects.
    Introductions,
}

impl ExtensionKind {
    const fn to_wire(self) -> u8 {
        match self {
            Self::Text => IGNORABLE | 1,
            Self::Limit => IGNORABLE | 2,
            Self::RetryAfter => IGNORABLE | 3,
            Self::Trace => IGNORABLE | 4,
            Self::Introductions => 1,
        }
    }

    const fn from_wire(kind: u8) -> Option<Self> {
        Some(match kind {
            0x81 => Self::Text,
            0x82 => Self::Limit,
            0x83 => Self::RetryAfter,
            0x84 => Self::Trace,
            0x01 => Self::Introductions,
            _ => return None,
        })
    }
}

/// The extensions of one header: `u8` kind, `u8` zero, `u16` length, bytes, again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(Bytes);

impl Extensions {
    /// Checks the whole list once.
    pub(super) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (kind, value, after) = split(rest)?;
            match ExtensionKind::from_wire(kind) {
                Some(ExtensionKind::Introductions) => check_introductions(value)?,
                Some(_) => {}
                None if kind & IGNORABLE != 0 => {}
                None => {
                    return Err(DecodeError::Unsupported {
                        what: "extension",
                        value: kind.into(),
                    });
                }
            }
            rest = after;
        }
        Ok(Self(bytes))
    }

    /// The value of the first extension of this kind.
    pub fn get(&self, kind: ExtensionKind) -> Option<&[u8]> {
        let mut rest = &self.0[..];
        while let Ok((found, value, after)) = split(rest) {
            if found == kind.to_wire() {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    /// The list with one more; a value over 1,024 bytes is cut.
    #[must_use]
    pub fn with(self, kind: ExtensionKind, value: &[u8]) -> Self {
        let value = &value[..value.len().min(1024)];
        let mut bytes = BytesMut::from(&self.0[..]);
        bytes.put_u8(kind.to_wire());
        bytes.put_u8(0);
        bytes.put_u16_le(value.len() as u16);
        bytes.put_slice(value);
        Self(bytes.freeze())
    }

    /// Where the introduced objects of the header are to be had.
    pub fn introductions(&self) -> impl ExactSizeIterator<Item = Introduction> + '_ {
        let value = self.get(ExtensionKind::Introductions).unwrap_or_default();
        value.as_chunks().0.iter().map(Introduction::decode)
    }

    /// The list with introductions, at most [`MAX_GRANTS`] of them; the further ones are left out.
    #[must_use]
    pub fn introducing(self, introductions: &[Introduction]) -> Self {
        let introductions = &introductions[..introductions.len().min(MAX_GRANTS)];
        if introductions.is_empty() {
            return self;
        }
        let mut bytes = BytesMut::from(&self.0[..]);
        bytes.put_u8(ExtensionKind::Introductions.to_wire());
        bytes.put_u8(0);
        bytes.put_u16_le((introductions.len() * Introduction::LEN) as u16);
        for introduction in introductions {
            introduction.encode(&mut bytes);
        }
        Self(bytes.freeze())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn check_introductions(value: &[u8]) -> Result<(), DecodeError> {
    let whole = value.len().is_multiple_of(Introduction::LEN);
    if whole && (1..=MAX_GRANTS).contains(&(value.len() / Introduction::LEN)) {
        Ok(())
    } else {
        Err(DecodeError::Invalid("introductions"))
    }
}

/// Kind, value and what follows the first extension of `bytes`.
fn split(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), DecodeError> {
    let mut f = Fields::new(bytes, "extension");
    let kind = f.u8()?;
    f.reserved()?;
    let len = f.u16()?.into();
    let (value, rest) = f
        .bytes
        .split_at_checked(len)
        .ok_or(DecodeError::Truncated("extension"))?;
    Ok((kind, value, rest))
}
