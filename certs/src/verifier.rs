//! What TLS checks of a peer's certificate.
//!
//! Certificate dates, names and the signature *on* a certificate are not looked at: the id is the hash of the key and
//! the handshake proves who holds that key, so nothing else in a pinned certificate says anything.

use std::fmt;
use std::sync::{Arc, OnceLock};

use proto::DeviceId;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved,
    SignatureScheme,
};

/// The largest certificate that is looked at, in bytes. Ours have about 200.
const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

/// The DER before the 32 bytes of an Ed25519 key in its `SubjectPublicKeyInfo`.
const ED25519_SPKI: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const ED25519_LEN: usize = 32;

/// The DER before the 64 bytes of an uncompressed P-256 point in its `SubjectPublicKeyInfo`.
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const P256_LEN: usize = 64;

/// Why TLS refused a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyPeerError {
    /// Another device answered than the one that was dialled: a stale or forged address. Try the device's other
    /// addresses; nothing was sent to this one.
    #[error("device {} answered instead of {}", .got.short(), .expected.short())]
    DeviceIdMismatch {
        /// Whom we dialled.
        expected: DeviceId,
        /// Who claims the key that was shown. Not yet proven when this is raised.
        got: DeviceId,
    },
    /// The certificate is larger than 16 KiB, or no X.509 certificate from its first to its last byte.
    #[error("peer's certificate cannot be read")]
    BadCertificate,
    /// The key is neither Ed25519 nor P-256. The peer needs an identity of one of these.
    #[error("peer's key is neither ed25519 nor p-256")]
    UnsupportedKey,
    /// A device shows exactly one certificate; this one showed none, or a chain.
    #[error("peer sent {found} certificates instead of one")]
    CertificateCount {
        /// How many there were.
        found: usize,
    },
    /// The peer does not hold the key of the certificate it showed: somebody uses a copied certificate.
    #[error("peer does not hold the key of its certificate")]
    BadSignature,
}

impl VerifyPeerError {
    /// What a verifier of this crate, or rustls on its behalf, refused; `None` if the error is about something else.
    pub fn from_tls(error: &Error) -> Option<Self> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(error))) => error
                .downcast_ref::<Refusal>()
                .map(|refusal| refusal.0.clone()),
            Error::InvalidCertificate(
                CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            ) => Some(Self::BadSignature),
            Error::NoCertificatesPresented => Some(Self::CertificateCount { found: 0 }),
            _ => None,
        }
    }

    fn into_tls(self) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refusal(self)))))
    }
}

/// What travels in a rustls error. QUIC copies the text of such an error, in whichever form it is printed, into the
/// packet that closes the connection, and an impostor must not read there whom we expected.
struct Refusal(VerifyPeerError);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            VerifyPeerError::DeviceIdMismatch { .. } => "not the device that was dialled",
            VerifyPeerError::BadCertificate => "bad certificate",
            VerifyPeerError::UnsupportedKey => "unsupported key",
            VerifyPeerError::CertificateCount { .. } => "not exactly one certificate",
            VerifyPeerError::BadSignature => "bad signature",
        })
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}

/// Who showed these certificates, as TLS hands them out after a handshake.
///
/// # Errors
///
/// Anything but one well-formed certificate with an Ed25519 or P-256 key.
pub fn peer_device_id(certificates: &[CertificateDer<'_>]) -> Result<DeviceId, VerifyPeerError> {
    match certificates {
        [certificate] => certificate_device_id(certificate),
        _ => Err(VerifyPeerError::CertificateCount {
            found: certificates.len(),
        }),
    }
}

/// What kind of key it is, and the key itself, of one that is accepted.
pub(crate) fn public_key(spki: &[u8]) -> Option<(&'static SignatureAlgorithm, Vec<u8>)> {
    let kinds: [(_, _, &'static SignatureAlgorithm); 2] = [
        (ED25519_SPKI, ED25519_LEN, &PKCS_ED25519),
        (P256_SPKI, P256_LEN, &PKCS_ECDSA_P256_SHA256),
    ];
    kinds.into_iter().find_map(|(prefix, len, algorithm)| {
        let key = spki.strip_prefix(prefix).filter(|key| key.len() == len)?;
        // A point is written with a byte before it that says that it is not compressed.
        let key = match prefix.last() {
            Some(0x04) => [&[0x04], key].concat(),
            _ => key.to_vec(),
        };
        Some((algorithm, key))
    })
}

fn certificate_device_id(certificate: &CertificateDer<'_>) -> Result<DeviceId, VerifyPeerError> {
    if certificate.len() > MAX_CERTIFICATE_LEN {
        return Err(VerifyPeerError::BadCertificate);
    }
    let parsed =
        ParsedCertificate::try_from(certificate).map_err(|_| VerifyPeerError::BadCertificate)?;
    let spki = parsed.subject_public_key_info();
    // The whole encoding is compared, not only the algorithm: a key that may be written in two ways would have two ids.
    if public_key(&spki).is_none() {
        return Err(VerifyPeerError::UnsupportedKey);
    }
    Ok(DeviceId::from_spki(&spki))
}

/// The part both sides share: signatures over the handshake.
#[derive(Clone)]
struct Signatures(Arc<CryptoProvider>);

impl Signatures {
    /// What a key that we accept can sign with.
    const SCHEMES: [SignatureScheme; 2] = [
        SignatureScheme::ED25519,
        SignatureScheme::ECDSA_NISTP256_SHA256,
    ];

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !Self::SCHEMES.contains(&signed.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }
}

/// Only TLS 1.3 is configured, so nothing gets here; should that ever change, it has to fail.
fn refuse_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("tls 1.2 is not spoken".into()))
}

/// The server's side: any device. Whether we know it is decided by `admit`, after its signature.
pub(crate) struct AnyDevice(Signatures);

impl AnyDevice {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self(Signatures(provider))
    }
}

impl fmt::Debug for AnyDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyDevice")
    }
}

impl ClientCertVerifier for AnyDevice {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_shown(end_entity, intermediates).map_err(VerifyPeerError::into_tls)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Signatures::SCHEMES.to_vec()
    }
}

fn check_shown(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<DeviceId, VerifyPeerError> {
    if !intermediates.is_empty() {
        return Err(VerifyPeerError::CertificateCount {
            found: 1 + intermediates.len(),
        });
    }
    certificate_device_id(end_entity)
}

/// The dialler's side: this device and no other; for a pairing, it may be anybody.
pub(crate) struct DialledDevice {
    expected: Option<DeviceId>,
    signatures: Signatures,
    refused: Arc<OnceLock<VerifyPeerError>>,
}

impl DialledDevice {
    /// Besides returning it, leaves the reason of a refusal in `refused`, because QUIC keeps only its text.
    pub(crate) fn new(
        expected: Option<DeviceId>,
        provider: Arc<CryptoProvider>,
        refused: Arc<OnceLock<VerifyPeerError>>,
    ) -> Self {
        Self {
            expected,
            signatures: Signatures(provider),
            refused,
        }
    }

    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), VerifyPeerError> {
        let got = check_shown(end_entity, intermediates)?;
        match self.expected {
            Some(expected) if got != expected => {
                Err(VerifyPeerError::DeviceIdMismatch { expected, got })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for DialledDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DialledDevice")
            .field(&self.expected)
            .finish()
    }
}

impl ServerCertVerifier for DialledDevice {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Err(error) = self.check(end_entity, intermediates) {
            // Already set only if the configuration was used twice; the first reason is as good.
            let _ = self.refused.set(error.clone());
            return Err(error.into_tls());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify(message, cert, dss).inspect_err(|_| {
            let _ = self.refused.set(VerifyPeerError::BadSignature);
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Signatures::SCHEMES.to_vec()
    }
}

#[cfg(test)]
mod tests;
