//! The private key: 32 bytes that are wiped when dropped and never printed.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use proto::DeviceId;
use rcgen::{
    CertificateParams, DistinguishedName, PKCS_ED25519, PublicKeyData, SignatureAlgorithm,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

const PEM_HEAD: &[u8] = b"-----BEGIN PRIVATE KEY-----";
const PEM_TAIL: &[u8] = b"-----END PRIVATE KEY-----";

/// The DER before the seed in a PKCS#8 Ed25519 key (RFC 8410).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const SEED_LEN: usize = 32;
const PKCS8_LEN: usize = PKCS8_HEAD.len() + SEED_LEN;

/// An Ed25519 key.
pub(crate) struct Key {
    seed: Zeroizing<[u8; SEED_LEN]>,
    pair: Ed25519KeyPair,
}

/// Why a key could not be made or used.
#[derive(Debug)]
pub(crate) enum KeyError {
    Random,
    Unusable,
}

impl Key {
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        getrandom::fill(&mut *seed).map_err(|_| KeyError::Random)?;
        Self::from_seed(seed).ok_or(KeyError::Unusable)
    }

    fn from_seed(seed: Zeroizing<[u8; SEED_LEN]>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).ok()?;
        Some(Self { seed, pair })
    }

    /// Reads what [`to_pem`](Self::to_pem) writes, which is also what other tools write for Ed25519. By hand, because
    /// general readers leave copies of the key in memory.
    pub(crate) fn from_pem(content: &[u8]) -> Option<Self> {
        let body = content
            .trim_ascii()
            .strip_prefix(PEM_HEAD)?
            .strip_suffix(PEM_TAIL)?
            .trim_ascii();
        let mut der = Zeroizing::new([0; PKCS8_LEN]);
        if body.len() != BASE64.encode_len(PKCS8_LEN) {
            return None;
        }
        BASE64.decode_mut(body, &mut *der).ok()?;
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        seed.copy_from_slice(der.strip_prefix(&PKCS8_HEAD)?);
        Self::from_seed(seed)
    }

    pub(crate) fn to_pem(&self) -> Zeroizing<Vec<u8>> {
        let body_len = BASE64.encode_len(PKCS8_LEN);
        let mut pem = Zeroizing::new(Vec::with_capacity(
            PEM_HEAD.len() + PEM_TAIL.len() + body_len + 3,
        ));
        pem.extend_from_slice(PEM_HEAD);
        pem.push(b'\n');
        let body = pem.len();
        pem.resize(body + body_len, 0);
        BASE64.encode_mut(&*self.to_pkcs8(), &mut pem[body..]);
        pem.push(b'\n');
        pem.extend_from_slice(PEM_TAIL);
        pem.push(b'\n');
        pem
    }

    fn to_pkcs8(&self) -> Zeroizing<[u8; PKCS8_LEN]> {
        let mut der = Zeroizing::new([0; PKCS8_LEN]);
        der[..PKCS8_HEAD.len()].copy_from_slice(&PKCS8_HEAD);
        der[PKCS8_HEAD.len()..].copy_from_slice(&*self.seed);
        der
    }

    /// What secrets of the device are derived from.
    pub(super) fn seed(&self) -> &[u8] {
        &*self.seed
    }

    pub(super) fn device_id(&self) -> DeviceId {
        DeviceId::from_spki(&self.subject_public_key_info())
    }

    /// A certificate without names and with dates that do not matter.
    pub(super) fn self_sign(&self) -> Result<rcgen::Certificate, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.self_signed(self).map_err(|_| KeyError::Unusable)
    }

    pub(super) fn for_tls(&self) -> Result<Arc<dyn SigningKey>, KeyError> {
        let der = self.to_pkcs8();
        rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(&der[..]))
            .map_err(|_| KeyError::Unusable)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8410, section 10.3.
    const RFC_8410: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

    #[test]
    fn reads_and_writes_what_other_tools_do() {
        let key = Key::from_pem(RFC_8410).unwrap();
        // The public key beside it, section 10.1.
        let public = BASE64
            .decode(b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")
            .unwrap();
        assert_eq!(key.subject_public_key_info(), public);
        assert_eq!(&**key.to_pem(), RFC_8410);
    }

    #[test]
    fn every_truncation_is_refused() {
        for len in 0..RFC_8410.trim_ascii().len() {
            assert!(Key::from_pem(&RFC_8410[..len]).is_none(), "{len}");
        }
    }

    #[test]
    fn prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Key::generate().unwrap()), "Key(..)");
    }
}
