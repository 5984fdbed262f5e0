//! The certificate that a stranger shows.

use rustls::pki_types::CertificateDer;
use softbus_certs::{VerifyPeerError, peer_device_id};

/// All bytes are the certificate.
pub fn run(data: &[u8]) {
    let certificate = CertificateDer::from(data);
    let Ok(device) = peer_device_id(std::slice::from_ref(&certificate)) else {
        return;
    };
    let two = peer_device_id(&[certificate.clone(), certificate]);
    assert_eq!(two, Err(VerifyPeerError::CertificateCount { found: 2 }));
    // A key that may be written in two ways would have two ids.
    let longer = CertificateDer::from([data, &[0]].concat());
    let shorter = CertificateDer::from(&data[..data.len() - 1]);
    for other in [longer, shorter] {
        let refused = peer_device_id(&[other]);
        assert_eq!(refused, Err(VerifyPeerError::BadCertificate), "{device}");
    }
}
