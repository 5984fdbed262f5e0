use bytes::{BufMut, Bytes, BytesMut};

use super::{Fields, MAX_DESCRIPTORS};
use crate::{BootId, DecodeError, Handle, ObjectId, ServiceId};

/// What the exporter says an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Put into a parcel by its owner; holding it is the permission.
    Anonymous,
    /// Registered with the owner's system ability manager under this id; policy is asked at every call.
    Named(ServiceId),
}

impl ObjectKind {
    const fn to_wire(self) -> u32 {
        match self {
            Self::Anonymous => 0,
            Self::Named(id) => id.get(),
        }
    }

    fn from_wire(service: u32) -> Result<Self, DecodeError> {
        if service == 0 {
            return Ok(Self::Anonymous);
        }
        let id = ServiceId::new(service);
        id.map(Self::Named)
            .ok_or(DecodeError::Invalid("service id in a grant"))
    }
}

/// One object of a parcel, as its header carries it. The body holds indexes into the list of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// No object: what stood here could not be passed, and the rest of the parcel is readable all the same.
    Null,
    /// One more grant of an object the sender exports on this session.
    Granted {
        /// What to call it by.
        handle: Handle,
        /// Named or anonymous.
        kind: ObjectKind,
        /// Its stable name.
        object: ObjectId,
    },
    /// An object that the receiver exports on this session comes home.
    Home {
        /// The receiver's own handle for it.
        handle: Handle,
    },
    /// An object of a third device, for which that device has given a token.
    Introduced {
        /// The place of its [`Introduction`](super::Introduction) in the extension of the same header, from 0.
        entry: u8,
        /// Its stable name.
        object: ObjectId,
    },
    /// One more grant of an object that the sender exports on this session and that forwards to another device's.
    Relayed {
        /// The place of that device in the extension [`Homes`](super::ExtensionKind::Homes) of the same header, from 0.
        entry: u8,
        /// What to call it by.
        handle: Handle,
        /// Named or anonymous, as its home says.
        kind: ObjectKind,
        /// Its stable name, as its home says.
        object: ObjectId,
    },
    /// No object but a file descriptor, which comes beside the lane.
    Descriptor,
}

impl Grant {
    /// Bytes of one grant on the wire.
    pub const LEN: usize = 40;
    const NULL: u8 = 0;
    const GRANTED: u8 = 1;
    const HOME: u8 = 2;
    const INTRODUCED: u8 = 3;
    const RELAYED: u8 = 4;
    const DESCRIPTOR: u8 = 5;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut f = Fields::new(bytes, "grant");
        let tag = f.u8()?;
        let home = match tag {
            Self::RELAYED => f.u8()?,
            _ => f.reserved().map(|()| 0)?,
        };
        f.reserved()?;
        f.reserved()?;
        let service = f.u32()?;
        let handle = Handle::from_raw(f.u64()?);
        let boot = BootId {
            epoch: f.u64()?,
            random: f.u64()?,
        };
        let object = ObjectId {
            boot,
            number: f.u64()?,
        };
        Ok(match tag {
            Self::NULL => Self::Null,
            Self::GRANTED => Self::Granted {
                handle,
                kind: ObjectKind::from_wire(service)?,
                object,
            },
            Self::RELAYED => Self::Relayed {
                entry: home,
                handle,
                kind: ObjectKind::from_wire(service)?,
                object,
            },
            Self::HOME => Self::Home { handle },
            Self::INTRODUCED => {
                let entry = u8::try_from(service).ok().filter(|_| handle.raw() == 0);
                let entry = entry.ok_or(DecodeError::Invalid("introduction in a grant"))?;
                Self::Introduced { entry, object }
            }
            Self::DESCRIPTOR => Self::Descriptor,
            other => {
                return Err(DecodeError::Unsupported {
                    what: "grant",
                    value: other.into(),
                });
            }
        })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let zero = ObjectId {
            boot: BootId {
                epoch: 0,
                random: 0,
            },
            number: 0,
        };
        let (tag, home, service, handle, object) = match *self {
            Self::Null => (Self::NULL, 0, 0, 0, zero),
            Self::Granted {
                handle,
                kind,
                object,
            } => (Self::GRANTED, 0, kind.to_wire(), handle.raw(), object),
            Self::Home { handle } => (Self::HOME, 0, 0, handle.raw(), zero),
            Self::Descriptor => (Self::DESCRIPTOR, 0, 0, 0, zero),
            Self::Introduced { entry, object } => (Self::INTRODUCED, 0, entry.into(), 0, object),
            Self::Relayed {
                entry,
                handle,
                kind,
                object,
            } => (Self::RELAYED, entry, kind.to_wire(), handle.raw(), object),
        };
        out.put_slice(&[tag, home, 0, 0]);
        out.put_u32_le(service);
        out.put_u64_le(handle);
        out.put_u64_le(object.boot.epoch);
        out.put_u64_le(object.boot.random);
        out.put_u64_le(object.number);
    }
}

/// The objects of one parcel, at most [`MAX_GRANTS`](super::MAX_GRANTS), kept as they arrived: a parcel without
/// objects costs nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grants(Bytes);

impl Grants {
    /// Checks every grant once; `iter` cannot fail afterwards. `introductions` and `homes` are how many of each the header
    /// has.
    pub(super) fn decode(
        bytes: Bytes,
        introductions: usize,
        homes: usize,
    ) -> Result<Self, DecodeError> {
        let mut descriptors = 0;
        for grant in bytes.chunks(Grant::LEN) {
            match Grant::decode(grant)? {
                Grant::Introduced { entry, .. } if usize::from(entry) >= introductions => {
                    return Err(DecodeError::Invalid("introduction in a grant"));
                }
                Grant::Relayed { entry, .. } if usize::from(entry) >= homes => {
                    return Err(DecodeError::Invalid("home in a grant"));
                }
                Grant::Descriptor => descriptors += 1,
                _ => {}
            }
        }
        if descriptors > MAX_DESCRIPTORS {
            return Err(DecodeError::Invalid("number of file descriptors"));
        }
        Ok(Self(bytes))
    }

    /// How many of them are file descriptors, at most [`MAX_DESCRIPTORS`] in what was received.
    pub fn descriptors(&self) -> usize {
        let kinds = self.0.iter().step_by(Grant::LEN);
        kinds.filter(|kind| **kind == Grant::DESCRIPTOR).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len() / Grant::LEN
    }

    /// Whether the parcel carries no object.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the parcel.
    pub fn iter(&self) -> impl Iterator<Item = Grant> + '_ {
        self.0
            .chunks(Grant::LEN)
            .map(|grant| Grant::decode(grant).unwrap_or(Grant::Null))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        let mut bytes = BytesMut::new();
        for grant in grants {
            grant.encode(&mut bytes);
        }
        Self(bytes.freeze())
    }
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
