use bytes::{BufMut, Bytes, BytesMut};

use super::{Fields, IGNORABLE, Introduction, MAX_GRANTS};
use crate::{DecodeError, DeviceId};

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
    /// Which devices relayed objects live on. May not be skipped, for the same reason.
    Homes,
    /// The device that makes the call, where the sender only relays it. May not be skipped: who does not know it would
    /// take the sender for the caller.
    OnBehalfOf,
    /// `u8` place of an object in the request, `u8` rule: why a relay could not pass it on.
    PassRefused,
    /// `u64`, bit *n* for grant *n*: which of the objects their owner lets others hand to other devices. Who does not know it
    /// takes none for such.
    ReExportable,
}

impl ExtensionKind {
    const fn to_wire(self) -> u8 {
        match self {
            Self::Text => IGNORABLE | 1,
            Self::Limit => IGNORABLE | 2,
            Self::RetryAfter => IGNORABLE | 3,
            Self::Trace => IGNORABLE | 4,
            Self::PassRefused => IGNORABLE | 5,
            Self::ReExportable => IGNORABLE | 6,
            Self::Introductions => 1,
            Self::Homes => 2,
            Self::OnBehalfOf => 3,
        }
    }

    const fn from_wire(kind: u8) -> Option<Self> {
        Some(match kind {
            0x81 => Self::Text,
            0x82 => Self::Limit,
            0x83 => Self::RetryAfter,
            0x84 => Self::Trace,
            0x85 => Self::PassRefused,
            0x86 => Self::ReExportable,
            0x01 => Self::Introductions,
            0x02 => Self::Homes,
            0x03 => Self::OnBehalfOf,
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
                Some(ExtensionKind::Introductions) => {
                    check_entries::<{ Introduction::LEN }>(value, "introductions")?;
                }
                Some(ExtensionKind::Homes) => check_entries::<DEVICE_LEN>(value, "homes")?,
                Some(ExtensionKind::OnBehalfOf) if value.len() != DEVICE_LEN => {
                    return Err(DecodeError::Invalid("caller"));
                }
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
        let encode = |introduction: &Introduction, out: &mut BytesMut| introduction.encode(out);
        self.with_entries(ExtensionKind::Introductions, introductions, encode)
    }

    /// The devices that relayed objects of the header live on.
    pub fn homes(&self) -> impl ExactSizeIterator<Item = DeviceId> + '_ {
        let value = self.get(ExtensionKind::Homes).unwrap_or_default();
        value
            .as_chunks()
            .0
            .iter()
            .map(|id| DeviceId::from_bytes(*id))
    }

    /// The list with homes of relayed objects, at most [`MAX_GRANTS`] of them; the further ones are left out.
    #[must_use]
    pub fn relaying(self, homes: &[DeviceId]) -> Self {
        let encode = |home: &DeviceId, out: &mut BytesMut| out.put_slice(home.as_bytes());
        self.with_entries(ExtensionKind::Homes, homes, encode)
    }

    /// The device that makes a relayed call.
    pub fn behalf(&self) -> Option<DeviceId> {
        let id = self.get(ExtensionKind::OnBehalfOf)?;
        Some(DeviceId::from_bytes(*id.first_chunk()?))
    }

    /// The list of a call that `device` makes.
    #[must_use]
    pub fn on_behalf_of(self, device: DeviceId) -> Self {
        self.with(ExtensionKind::OnBehalfOf, device.as_bytes())
    }

    /// Whether the owner of the object in this grant lets others hand it to other devices.
    pub fn is_re_exportable(&self, grant: usize) -> bool {
        let value = self.get(ExtensionKind::ReExportable);
        let marks = value.and_then(|value| value.first_chunk());
        let marks = marks.map_or(0, |marks| u64::from_le_bytes(*marks));
        u32::try_from(grant)
            .ok()
            .and_then(|grant| marks.checked_shr(grant))
            .is_some_and(|marks| marks & 1 == 1)
    }

    /// The list of a header whose grants have these marks, from the first bit on; without any it is the same.
    #[must_use]
    pub fn re_exportable(self, marks: u64) -> Self {
        match marks {
            0 => self,
            _ => self.with(ExtensionKind::ReExportable, &marks.to_le_bytes()),
        }
    }

    fn with_entries<T>(
        self,
        kind: ExtensionKind,
        entries: &[T],
        encode: impl Fn(&T, &mut BytesMut),
    ) -> Self {
        let entries = &entries[..entries.len().min(MAX_GRANTS)];
        if entries.is_empty() {
            return self;
        }
        let mut value = BytesMut::new();
        for entry in entries {
            encode(entry, &mut value);
        }
        let mut bytes = BytesMut::from(&self.0[..]);
        bytes.put_u8(kind.to_wire());
        bytes.put_u8(0);
        bytes.put_u16_le(value.len() as u16);
        bytes.put_slice(&value);
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

/// Bytes of a device id.
const DEVICE_LEN: usize = 32;

/// That a value is 1 to [`MAX_GRANTS`] entries of so many bytes.
fn check_entries<const LEN: usize>(value: &[u8], what: &'static str) -> Result<(), DecodeError> {
    let whole = value.len().is_multiple_of(LEN);
    if whole && (1..=MAX_GRANTS).contains(&(value.len() / LEN)) {
        Ok(())
    } else {
        Err(DecodeError::Invalid(what))
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
