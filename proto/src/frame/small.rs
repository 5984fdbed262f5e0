use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    Fields, framed,
    kind::{ACK, BIND, CANCEL, RELEASE},
};
use crate::{CallId, DecodeError, Handle};

/// The caller no longer waits for a call; the terminal frame comes all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The call.
    pub id: CallId,
}

impl Cancel {
    pub(super) fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut f = Fields::new(frame, "cancel");
        head(&mut f)?;
        let id = CallId {
            slot: f.u32()?,
            generation: f.u32()?,
        };
        f.end()?;
        Ok(Self { id })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        framed(out, |out| {
            out.put_u32_le(CANCEL.into());
            out.put_u32_le(self.id.slot);
            out.put_u32_le(self.id.generation);
        });
    }
}

/// The importer gives back as many grants of an object as it received, and will not use the handle again unless it is
/// granted anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The object.
    pub handle: Handle,
    /// How many grants.
    pub count: u32,
    /// How many times the sender has put the object into a parcel for its owner since it last released it. Those
    /// parcels may be slower than this frame; the owner keeps the object until it has seen that many.
    pub homes: u32,
}

impl Release {
    pub(super) fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut f = Fields::new(frame, "release");
        head(&mut f)?;
        let count = f.u32()?;
        let handle = Handle::from_raw(f.u64()?);
        let homes = f.u32()?;
        f.end()?;
        Ok(Self {
            handle,
            count,
            homes,
        })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        framed(out, |out| {
            out.put_u32_le(RELEASE.into());
            out.put_u32_le(self.count);
            out.put_u64_le(self.handle.raw());
            out.put_u32_le(self.homes);
        });
    }
}

/// One method of an interface as the caller knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MethodHash {
    /// The method's code.
    pub code: u32,
    /// 64 bits over its name and types.
    pub hash: u64,
}

/// What interface the calls speak that name this binding, from here on. Sent once, before the first of them, on their
/// lane; the check costs no round trip and nothing per call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The object.
    pub handle: Handle,
    /// The caller's number for it: 1 to [`MAX_BINDINGS`](Self::MAX_BINDINGS). One that was used before means this now.
    pub binding: u16,
    /// The interface descriptor.
    pub descriptor: Bytes,
    /// The caller's methods; empty when it does not want them checked.
    pub methods: Vec<MethodHash>,
}

impl Bind {
    const METHOD_LEN: usize = 12;
    /// The highest number of a binding.
    pub const MAX_BINDINGS: u16 = 16;
    /// The longest descriptor that can be bound, in bytes.
    pub const MAX_DESCRIPTOR: usize = 1024;
    /// The most methods that can be bound.
    pub const MAX_METHODS: usize = 1024;

    pub(super) fn decode(mut frame: Bytes) -> Result<Self, DecodeError> {
        let mut f = Fields::new(&frame, "bind");
        f.u8()?;
        f.reserved()?;
        let binding = f.u16()?;
        let handle = Handle::from_raw(f.u64()?);
        let methods = usize::from(f.u16()?);
        let descriptor_len = usize::from(f.u16()?);
        if binding == 0 || descriptor_len > Self::MAX_DESCRIPTOR || methods > Self::MAX_METHODS {
            return Err(DecodeError::Invalid("bind"));
        }
        if f.bytes.len() != descriptor_len + methods * Self::METHOD_LEN {
            return Err(DecodeError::Truncated("bind"));
        }
        frame.advance(16);
        let descriptor = frame.split_to(descriptor_len);
        std::str::from_utf8(&descriptor).map_err(|_| DecodeError::Invalid("descriptor"))?;
        let mut f = Fields::new(&frame, "bind");
        let methods = (0..methods)
            .map(|_| {
                Ok(MethodHash {
                    code: f.u32()?,
                    hash: f.u64()?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self {
            handle,
            binding,
            descriptor,
            methods,
        })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        framed(out, |out| {
            out.put_u8(BIND);
            out.put_u8(0);
            out.put_u16_le(self.binding);
            out.put_u64_le(self.handle.raw());
            out.put_u16_le(self.methods.len() as u16);
            out.put_u16_le(self.descriptor.len() as u16);
            out.put_slice(&self.descriptor);
            for method in &self.methods {
                out.put_u32_le(method.code);
                out.put_u64_le(method.hash);
            }
        });
    }
}

/// How many one-way calls that came on this lane have ended since the session began: the sender's credit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// Calls, refused ones included.
    pub calls: u64,
    /// Their bytes: body and raw data.
    pub bytes: u64,
    /// How many of them were refused and never reached a handler.
    pub refused: u64,
}

impl Ack {
    pub(super) fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut f = Fields::new(frame, "ack");
        head(&mut f)?;
        let ack = Self {
            calls: f.u64()?,
            bytes: f.u64()?,
            refused: f.u64()?,
        };
        f.end()?;
        Ok(ack)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        framed(out, |out| {
            out.put_u32_le(ACK.into());
            out.put_u64_le(self.calls);
            out.put_u64_le(self.bytes);
            out.put_u64_le(self.refused);
        });
    }
}

/// The kind and three bytes that are zero in this version.
fn head(f: &mut Fields<'_>) -> Result<(), DecodeError> {
    f.u8()?;
    for _ in 0..3 {
        f.reserved()?;
    }
    Ok(())
}
