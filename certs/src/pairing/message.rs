//! The messages: a byte that says which one it is, and what belongs to it, without padding or choice.

use super::transcript::{NONCE_LEN, PROOF_LEN};
use super::{MAX_NAME_LEN, PairingError, PairingMode};

/// The longest message that is read, in bytes.
pub const MAX_MESSAGE_LEN: usize = 1024;

/// The version of the protocol.
pub(super) const VERSION: u8 = 1;
const KEX_LEN: usize = 33;

/// What the two ends say first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) mode: PairingMode,
    /// Which key exchange.
    pub(super) kex: u8,
    /// A nonce; from a responder in compare mode the commitment to one.
    pub(super) nonce: [u8; NONCE_LEN],
    /// What the device calls itself.
    pub(super) name: String,
}

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    InitiatorHello(Hello),
    ResponderHello(Hello),
    InitiatorKex([u8; KEX_LEN]),
    ResponderKex([u8; KEX_LEN]),
    InitiatorProof([u8; PROOF_LEN]),
    ResponderProof([u8; PROOF_LEN]),
    Done,
    InitiatorNonce([u8; NONCE_LEN]),
    ResponderNonce([u8; NONCE_LEN]),
    InitiatorYes,
    ResponderYes,
}

impl Message {
    pub(super) fn kex(side: super::kex::Side, message: &[u8]) -> Option<Self> {
        let message = message.try_into().ok()?;
        Some(match side {
            super::kex::Side::Initiator => Self::InitiatorKex(message),
            super::kex::Side::Responder => Self::ResponderKex(message),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::InitiatorHello(hello) => (1, hello.encode()),
            Self::ResponderHello(hello) => (2, hello.encode()),
            Self::InitiatorKex(bytes) => (3, bytes.to_vec()),
            Self::ResponderKex(bytes) => (4, bytes.to_vec()),
            Self::InitiatorProof(bytes) => (5, bytes.to_vec()),
            Self::ResponderProof(bytes) => (6, bytes.to_vec()),
            Self::Done => (7, Vec::new()),
            Self::InitiatorNonce(bytes) => (8, bytes.to_vec()),
            Self::ResponderNonce(bytes) => (9, bytes.to_vec()),
            Self::InitiatorYes => (10, Vec::new()),
            Self::ResponderYes => (11, Vec::new()),
        };
        [&[kind], &content[..]].concat()
    }

    pub(super) fn decode(message: &[u8]) -> Result<Self, PairingError> {
        const UNKNOWN: PairingError = PairingError::Protocol("unknown message");
        const LENGTH: PairingError = PairingError::Protocol("length of a message");
        let (kind, content) = message.split_first().ok_or(LENGTH)?;
        if message.len() > MAX_MESSAGE_LEN {
            return Err(LENGTH);
        }
        let empty = |message: Self| match content {
            [] => Ok(message),
            _ => Err(LENGTH),
        };
        match kind {
            1 => Hello::decode(content).map(Self::InitiatorHello),
            2 => Hello::decode(content).map(Self::ResponderHello),
            3 => Ok(Self::InitiatorKex(exactly(content)?)),
            4 => Ok(Self::ResponderKex(exactly(content)?)),
            5 => Ok(Self::InitiatorProof(exactly(content)?)),
            6 => Ok(Self::ResponderProof(exactly(content)?)),
            7 => empty(Self::Done),
            8 => Ok(Self::InitiatorNonce(exactly(content)?)),
            9 => Ok(Self::ResponderNonce(exactly(content)?)),
            10 => empty(Self::InitiatorYes),
            11 => empty(Self::ResponderYes),
            _ => Err(UNKNOWN),
        }
    }
}

fn exactly<const N: usize>(content: &[u8]) -> Result<[u8; N], PairingError> {
    content
        .try_into()
        .map_err(|_| PairingError::Protocol("length of a message"))
}

impl Hello {
    fn encode(&self) -> Vec<u8> {
        let name = self.name.as_bytes();
        let head = [VERSION, self.mode.number(), self.kex];
        [&head[..], &self.nonce, name].concat()
    }

    fn decode(content: &[u8]) -> Result<Self, PairingError> {
        const LENGTH: PairingError = PairingError::Protocol("length of a hello");
        // Before anything else: another version may look different.
        let (theirs, content) = content.split_first().ok_or(LENGTH)?;
        if *theirs != VERSION {
            let (ours, theirs) = (VERSION, *theirs);
            return Err(PairingError::Version { ours, theirs });
        }
        let ([mode, kex], content) = content.split_first_chunk().ok_or(LENGTH)?;
        let mode = PairingMode::from_number(*mode).ok_or(PairingError::Protocol("unknown mode"))?;
        let (nonce, name) = content.split_first_chunk().ok_or(LENGTH)?;
        if name.len() > MAX_NAME_LEN {
            return Err(PairingError::Protocol("length of a name"));
        }
        let name = str::from_utf8(name).map_err(|_| PairingError::Protocol("name is no utf-8"))?;
        Ok(Self {
            mode,
            kex: *kex,
            nonce: *nonce,
            name: name.to_owned(),
        })
    }
}

/// As much of a name as a hello takes.
pub(super) fn cut_name(name: &str) -> String {
    let end = (0..=MAX_NAME_LEN.min(name.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end));
    name[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Vec<Message> {
        let hello = Hello {
            mode: PairingMode::Qr,
            kex: 1,
            nonce: [7; 32],
            name: "Küche".into(),
        };
        vec![
            Message::InitiatorHello(hello.clone()),
            Message::ResponderHello(hello),
            Message::InitiatorKex([1; 33]),
            Message::ResponderKex([2; 33]),
            Message::InitiatorProof([3; 32]),
            Message::ResponderProof([4; 32]),
            Message::Done,
            Message::InitiatorNonce([5; 32]),
            Message::ResponderNonce([6; 32]),
            Message::InitiatorYes,
            Message::ResponderYes,
        ]
    }

    #[test]
    fn written_and_read_alike_and_never_otherwise() {
        for message in all() {
            let bytes = message.encode();
            assert!(bytes.len() <= MAX_MESSAGE_LEN);
            assert_eq!(Message::decode(&bytes), Ok(message.clone()));
            let longer = [&bytes[..], &[0; 64]].concat();
            assert!(Message::decode(&longer).is_err(), "{message:?}");
            for len in 0..bytes.len().min(36) {
                assert!(Message::decode(&bytes[..len]).is_err(), "{message:?} {len}");
            }
        }
    }

    #[test]
    fn a_hello_of_another_version_says_so_whatever_follows() {
        for rest in [&[][..], &[9; 3], &[9; 900]] {
            let error = Message::decode(&[&[1, 2], rest].concat()).unwrap_err();
            assert_eq!(error, PairingError::Version { ours: 1, theirs: 2 });
        }
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(cut_name("kitchen"), "kitchen");
        assert_eq!(cut_name(&"ü".repeat(100)).len(), 64);
        assert_eq!(cut_name(&format!("a{}", "ü".repeat(100))).len(), 63);
        assert_eq!(cut_name(""), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }
}
