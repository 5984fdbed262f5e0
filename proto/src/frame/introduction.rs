use bytes::{BufMut, BytesMut};

use crate::DeviceId;

/// What an origin lets a device have one object for, once: 32 random bytes. Whoever has it and is the device it was
/// made for can redeem it, so nothing prints it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; Self::LEN]);

impl Token {
    /// Bytes of a token.
    pub const LEN: usize = 32;

    /// A token of these bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Where an object of a third device is to be had: an entry of the extension
/// [`Introductions`](super::ExtensionKind::Introductions), which grants name by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The device whose object it is.
    pub home: DeviceId,
    /// Which of the processes of that device, told to another process of it. 0 is the one that hosts the bus, and all that
    /// other devices ever hear of.
    pub process: u64,
    /// What it gives the object for.
    pub token: Token,
}

impl Introduction {
    /// Bytes of one entry on the wire.
    pub const LEN: usize = 32 + 8 + Token::LEN;

    pub(super) fn decode(entry: &[u8; Self::LEN]) -> Self {
        let (home, rest) = entry.split_at(32);
        let (process, token) = rest.split_at(8);
        let array = |part: &[u8]| part.try_into().unwrap_or([0; 32]);
        Self {
            home: DeviceId::from_bytes(array(home)),
            process: u64::from_le_bytes(process.try_into().unwrap_or_default()),
            token: Token(array(token)),
        }
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(self.home.as_bytes());
        out.put_u64_le(self.process);
        out.put_slice(self.token.as_bytes());
    }
}
