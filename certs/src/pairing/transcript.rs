//! What both ends have seen, hashed, and what is proven and shown with it.

use std::fmt;

use proto::DeviceId;
use ring::digest::{self, SHA256};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use super::PairingError;
use super::code::CompareDigits;

pub(super) const NONCE_LEN: usize = 32;
pub(super) const PROOF_LEN: usize = 32;

/// The connection a pairing runs on: who is at its ends, as TLS proved it, and keying material that no other connection
/// has.
pub struct PairingChannel {
    pub(super) initiator: DeviceId,
    pub(super) responder: DeviceId,
    exporter: Zeroizing<[u8; 32]>,
}

impl PairingChannel {
    /// The label under which the connection exports its keying material, with an empty context.
    pub const EXPORTER_LABEL: &'static [u8] = b"EXPORTER-softbus-pair-v1";

    /// `exporter` is what TLS exports for [`EXPORTER_LABEL`](Self::EXPORTER_LABEL).
    pub fn new(initiator: DeviceId, responder: DeviceId, exporter: [u8; 32]) -> Self {
        Self {
            initiator,
            responder,
            exporter: Zeroizing::new(exporter),
        }
    }

    /// What a responder commits to before it knows the initiator's nonce.
    pub(super) fn commitment(&self, nonce: &[u8; NONCE_LEN]) -> [u8; 32] {
        hash(&[
            b"softbus-sas-v1",
            nonce,
            self.initiator.as_bytes(),
            self.responder.as_bytes(),
            &*self.exporter,
        ])
    }

    /// Both hellos and the connection.
    pub(super) fn hellos(&self, first: &[u8], second: &[u8]) -> Hellos {
        Hellos(hash(&[
            b"softbus-pair-v1",
            &prefixed(&*self.exporter),
            &prefixed(self.initiator.as_bytes()),
            &prefixed(self.responder.as_bytes()),
            &prefixed(first),
            &prefixed(second),
        ]))
    }
}

impl fmt::Debug for PairingChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingChannel")
            .field("initiator", &self.initiator)
            .field("responder", &self.responder)
            .finish_non_exhaustive()
    }
}

/// `TH0`: the connection, its ends and both hellos.
#[derive(Clone, Copy)]
pub(super) struct Hellos([u8; 32]);

impl Hellos {
    /// By what names the key exchange knows the ends.
    pub(super) fn identities(&self, channel: &PairingChannel) -> (Vec<u8>, Vec<u8>) {
        let name = |role: &[u8], id: &DeviceId| [role, id.as_bytes(), &self.0].concat();
        (
            name(b"initiator", &channel.initiator),
            name(b"responder", &channel.responder),
        )
    }

    /// What key and messages of the exchange prove.
    pub(super) fn proofs(&self, first: &[u8], second: &[u8], key: &[u8]) -> Proofs {
        let transcript = hash(&[&self.0, &prefixed(first), &prefixed(second)]);
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &transcript).extract(key);
        let for_role = |role: &[u8]| {
            let info = [role];
            let key = secret
                .expand(&info, hmac::HMAC_SHA256)
                .expect("one hash is never too much to ask of hkdf");
            hmac::Key::from(key)
        };
        Proofs {
            transcript,
            initiator: for_role(b"confirm initiator"),
            responder: for_role(b"confirm responder"),
        }
    }

    /// The digits of compare mode.
    pub(super) fn digits(
        &self,
        channel: &PairingChannel,
        initiator: &[u8; NONCE_LEN],
        responder: &[u8; NONCE_LEN],
    ) -> CompareDigits {
        let seen = [
            &initiator[..],
            responder,
            channel.initiator.as_bytes(),
            channel.responder.as_bytes(),
            &*channel.exporter,
        ]
        .concat();
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &self.0).extract(&seen);
        let mut random = [0; 48];
        secret
            .expand(&[b"softbus-sas-v1"], Len(random.len()))
            .and_then(|material| material.fill(&mut random))
            .expect("two hashes are not too much to ask of hkdf");
        CompareDigits::draw(&random)
    }
}

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// The confirmation of the key.
pub(super) struct Proofs {
    /// `TH1`.
    transcript: [u8; 32],
    initiator: hmac::Key,
    responder: hmac::Key,
}

impl Proofs {
    pub(super) fn of_initiator(&self) -> [u8; PROOF_LEN] {
        bytes(&hmac::sign(&self.initiator, &self.transcript))
    }

    pub(super) fn check_initiator(&self, proof: &[u8; PROOF_LEN]) -> Result<(), PairingError> {
        hmac::verify(&self.initiator, &self.transcript, proof).map_err(|_| PairingError::WrongCode)
    }

    /// `message` is the initiator's confirmation as it was sent.
    pub(super) fn of_responder(&self, message: &[u8]) -> [u8; PROOF_LEN] {
        bytes(&hmac::sign(&self.responder, &self.answered(message)))
    }

    pub(super) fn check_responder(
        &self,
        message: &[u8],
        proof: &[u8; PROOF_LEN],
    ) -> Result<(), PairingError> {
        hmac::verify(&self.responder, &self.answered(message), proof)
            .map_err(|_| PairingError::WrongCode)
    }

    fn answered(&self, message: &[u8]) -> Vec<u8> {
        [&self.transcript[..], &prefixed(message)].concat()
    }
}

fn bytes(tag: &hmac::Tag) -> [u8; PROOF_LEN] {
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let digest = context.finish();
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// With its length before it, so that no two lists of parts are hashed alike.
fn prefixed(part: &[u8]) -> Vec<u8> {
    let len = u32::try_from(part.len()).expect("messages are short");
    [&len.to_be_bytes()[..], part].concat()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::pairing::PairingMode;
    use crate::pairing::message::{Hello, Message};

    /// What another implementation has to come to.
    const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

    #[track_caller]
    fn is_in_the_docs(what: &str, value: &str) {
        let line = format!("{what} {value}\n");
        assert!(PROTOCOL.contains(&line), "docs/protocol.md lacks: {line}");
    }

    fn channel() -> PairingChannel {
        let [initiator, responder] = [1, 2].map(|byte| DeviceId::from_bytes([byte; 32]));
        PairingChannel::new(initiator, responder, [3; 32])
    }

    fn hellos(mode: PairingMode, theirs: [u8; 32]) -> [Vec<u8>; 2] {
        let hello = |nonce, name: &str| Hello {
            mode,
            kex: 1,
            nonce,
            name: name.into(),
        };
        [
            Message::InitiatorHello(hello([4; 32], "phone")).encode(),
            Message::ResponderHello(hello(theirs, "tv")).encode(),
        ]
    }

    #[test]
    fn code_and_qr_come_to_these_values() {
        let [first, second] = hellos(PairingMode::Code, [5; 32]);
        is_in_the_docs("message 1", &HEXLOWER.encode(&first));
        is_in_the_docs("message 2", &HEXLOWER.encode(&second));
        let hellos = channel().hellos(&first, &second);
        is_in_the_docs("TH0", &HEXLOWER.encode(&hellos.0));
        let (third, fourth) = (
            Message::InitiatorKex([6; 33]).encode(),
            Message::ResponderKex([7; 33]).encode(),
        );
        let proofs = hellos.proofs(&third, &fourth, &[8; 32]);
        is_in_the_docs("TH1", &HEXLOWER.encode(&proofs.transcript));
        let fifth = Message::InitiatorProof(proofs.of_initiator()).encode();
        is_in_the_docs("message 5", &HEXLOWER.encode(&fifth));
        let sixth = Message::ResponderProof(proofs.of_responder(&fifth)).encode();
        is_in_the_docs("message 6", &HEXLOWER.encode(&sixth));
    }

    #[test]
    fn compare_comes_to_these_digits() {
        let channel = channel();
        let nonces = [[9; NONCE_LEN], [5; NONCE_LEN]];
        let commitment = channel.commitment(&nonces[1]);
        is_in_the_docs("commitment", &HEXLOWER.encode(&commitment));
        let [first, second] = hellos(PairingMode::Compare, commitment);
        let hellos = channel.hellos(&first, &second);
        let digits = hellos.digits(&channel, &nonces[0], &nonces[1]);
        is_in_the_docs("digits", &digits.to_string());
    }
}
