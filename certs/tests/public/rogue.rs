//! Peers that do what our own code never would.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

/// Shows these certificates and signs with this key, whatever the other side asked for.
#[derive(Debug)]
pub(crate) struct Shows(Option<Arc<CertifiedKey>>);

impl Shows {
    pub(crate) fn nothing() -> Arc<Self> {
        Arc::new(Self(None))
    }

    pub(crate) fn chain(chain: Vec<CertificateDer<'static>>, key: &rcgen::KeyPair) -> Arc<Self> {
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = rustls::crypto::ring::sign::any_supported_type(&der.into()).unwrap();
        Arc::new(Self(Some(Arc::new(CertifiedKey::new(
            chain,
            Arc::new(Stubborn(key)),
        )))))
    }
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// Signs with what it has, not with what was offered.
#[derive(Debug)]
struct Stubborn(Arc<dyn SigningKey>);

impl SigningKey for Stubborn {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.0.choose_scheme(&[
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
        ])
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}
