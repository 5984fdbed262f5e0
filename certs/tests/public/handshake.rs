//! Two ends of a TLS connection with a vector between them.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::quic::Version;
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, ClientConfig, Error, HandshakeKind, PeerIncompatible, ServerConfig,
};
use softbus_certs::tls::{self, PeerCheck};
use softbus_certs::{
    AdmitError, CloseCode, Identity, TrustStore, VerifyPeerError, admit, peer_device_id,
};

use crate::rogue::Shows;

const SECRET: &[u8] = b"what the client has to say";

/// Two devices and the configurations by which the first dials the second.
struct Pair {
    client: Identity,
    server: Identity,
    client_config: ClientConfig,
    server_config: ServerConfig,
    check: PeerCheck,
}

impl Pair {
    fn new() -> Self {
        let [client, server] = [(); 2].map(|()| Identity::generate().unwrap());
        Self::of(client, server)
    }

    fn of(client: Identity, server: Identity) -> Self {
        let (client_config, check) = tls::client_config(&client, *server.device_id()).unwrap();
        let server_config = tls::server_config(&server).unwrap();
        Self {
            client,
            server,
            client_config,
            server_config,
            check,
        }
    }

    /// The client says something as soon as it may.
    fn connect(&self) -> Ends {
        let name = tls::SERVER_NAME.try_into().unwrap();
        let config = Arc::new(self.client_config.clone());
        let mut client = rustls::ClientConnection::new(config, name).unwrap();
        let config = Arc::new(self.server_config.clone());
        let mut server = rustls::ServerConnection::new(config).unwrap();
        client.writer().write_all(SECRET).unwrap();
        let (mut client_result, mut server_result) = (Ok(()), Ok(()));
        let mut heard = Vec::new();
        loop {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut there).unwrap();
            }
            while server.wants_write() {
                server.write_tls(&mut back).unwrap();
            }
            if there.is_empty() && back.is_empty() {
                break;
            }
            let (mut there, mut back) = (&*there, &*back);
            while !there.is_empty() && server_result.is_ok() {
                server.read_tls(&mut there).unwrap();
                server_result = server.process_new_packets().map(drop);
                let _ = server.reader().read_to_end(&mut heard);
            }
            while !back.is_empty() && client_result.is_ok() {
                client.read_tls(&mut back).unwrap();
                client_result = client.process_new_packets().map(drop);
            }
        }
        Ends {
            client,
            server,
            client_result,
            server_result,
            heard,
        }
    }
}

/// What came of it.
struct Ends {
    client: rustls::ClientConnection,
    server: rustls::ServerConnection,
    client_result: Result<(), Error>,
    server_result: Result<(), Error>,
    /// Application bytes that arrived at the server.
    heard: Vec<u8>,
}

impl Ends {
    fn assert_connected(&self) {
        assert_eq!(
            (&self.client_result, &self.server_result),
            (&Ok(()), &Ok(()))
        );
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        assert_eq!(self.heard, SECRET);
    }

    /// The server let nobody in, for this reason, and what was said was not heard.
    #[track_caller]
    fn assert_server_refused(&self, reason: &VerifyPeerError, alert: AlertDescription) {
        let error = self.server_result.as_ref().unwrap_err();
        assert_eq!(
            VerifyPeerError::from_tls(error).as_ref(),
            Some(reason),
            "{error:?}"
        );
        assert_eq!(self.client_result, Err(Error::AlertReceived(alert)));
        assert_eq!(self.heard, b"");
        assert!(self.server.is_handshaking());
    }

    /// The client went away for this reason before it said anything, even who it is.
    #[track_caller]
    fn assert_client_refused(&self, check: &PeerCheck, reason: &VerifyPeerError) {
        let error = self.client_result.as_ref().unwrap_err();
        assert_eq!(
            VerifyPeerError::from_tls(error).as_ref(),
            Some(reason),
            "{error:?}"
        );
        assert_eq!(check.refused().as_ref(), Some(reason));
        assert_eq!(self.heard, b"");
        assert!(self.server.peer_certificates().is_none());
    }
}

fn key(algorithm: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

fn certificate(key: &KeyPair) -> CertificateDer<'static> {
    CertificateParams::default()
        .self_signed(key)
        .unwrap()
        .der()
        .clone()
}

#[test]
fn right_id() {
    let pair = Pair::new();
    let ends = pair.connect();
    ends.assert_connected();
    assert_eq!(pair.check.refused(), None);
    assert_eq!(ends.client.alpn_protocol(), Some(tls::ALPN));
    assert_eq!(ends.server.alpn_protocol(), Some(tls::ALPN));
    let shown = ends.server.peer_certificates().unwrap();
    assert_eq!(peer_device_id(shown), Ok(*pair.client.device_id()));
    let shown = ends.client.peer_certificates().unwrap();
    assert_eq!(peer_device_id(shown), Ok(*pair.server.device_id()));
}

#[test]
fn nothing_is_left_to_resume_and_nobody_is_named() {
    let pair = Pair::new();
    for _ in 0..2 {
        let ends = pair.connect();
        ends.assert_connected();
        assert_eq!(ends.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(ends.client.tls13_tickets_received(), 0);
        assert_eq!(ends.server.server_name(), None);
    }
}

#[test]
fn wrong_id() {
    let mut pair = Pair::new();
    let expected = *Identity::generate().unwrap().device_id();
    (pair.client_config, pair.check) = tls::client_config(&pair.client, expected).unwrap();
    let ends = pair.connect();
    let got = *pair.server.device_id();
    ends.assert_client_refused(
        &pair.check,
        &VerifyPeerError::DeviceIdMismatch { expected, got },
    );
    // The impostor learns that it was refused, not who was wanted.
    let told = ends.client_result.unwrap_err().to_string();
    assert_eq!(
        told,
        "invalid peer certificate: Other(OtherError(not the device that was dialled))"
    );
}

#[test]
fn no_client_certificate() {
    let mut pair = Pair::new();
    pair.client_config.client_auth_cert_resolver = Shows::nothing();
    let reason = VerifyPeerError::CertificateCount { found: 0 };
    pair.connect()
        .assert_server_refused(&reason, AlertDescription::CertificateRequired);
}

#[test]
fn two_certificates() {
    let mut pair = Pair::new();
    let own = key(&PKCS_ED25519);
    let chain = vec![certificate(&own), certificate(&key(&PKCS_ED25519))];
    let reason = VerifyPeerError::CertificateCount { found: 2 };

    pair.client_config.client_auth_cert_resolver = Shows::chain(chain, &own);
    pair.connect()
        .assert_server_refused(&reason, AlertDescription::CertificateUnknown);

    let mut pair = Pair::new();
    let own = key(&PKCS_ED25519);
    let chain = vec![pair.server.certificate().clone(), certificate(&own)];
    pair.server_config.cert_resolver = Shows::chain(chain, &own);
    pair.connect().assert_client_refused(&pair.check, &reason);
}

#[test]
fn other_kinds_of_key() {
    let rsa = CertificateDer::from(&include_bytes!("../data/rsa2048.der")[..]);
    let own = key(&PKCS_ECDSA_P384_SHA384);
    for shown in [certificate(&own), rsa] {
        let mut pair = Pair::new();
        pair.client_config.client_auth_cert_resolver = Shows::chain(vec![shown.clone()], &own);
        let reason = VerifyPeerError::UnsupportedKey;
        pair.connect()
            .assert_server_refused(&reason, AlertDescription::CertificateUnknown);

        let mut pair = Pair::new();
        pair.server_config.cert_resolver = Shows::chain(vec![shown], &own);
        pair.connect().assert_client_refused(&pair.check, &reason);
    }
}

#[test]
fn p256_is_accepted() {
    let mut pair = Pair::new();
    let own = key(&PKCS_ECDSA_P256_SHA256);
    let shown = certificate(&own);
    let id = peer_device_id(std::slice::from_ref(&shown)).unwrap();
    pair.server_config.cert_resolver = Shows::chain(vec![shown], &own);
    (pair.client_config, pair.check) = tls::client_config(&pair.client, id).unwrap();
    let other = key(&PKCS_ECDSA_P256_SHA256);
    pair.client_config.client_auth_cert_resolver = Shows::chain(vec![certificate(&other)], &other);
    pair.connect().assert_connected();
}

#[test]
fn somebody_elses_certificate() {
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256] {
        let mut pair = Pair::new();
        let victim = Identity::generate().unwrap().certificate().clone();
        pair.client_config.client_auth_cert_resolver = Shows::chain(vec![victim], &key(algorithm));
        let ends = pair.connect();
        let error = ends.server_result.as_ref().unwrap_err();
        assert_eq!(
            VerifyPeerError::from_tls(error),
            Some(VerifyPeerError::BadSignature)
        );
        assert!(matches!(ends.client_result, Err(Error::AlertReceived(_))));
        assert_eq!(ends.heard, b"");
        assert!(ends.server.is_handshaking());

        let mut pair = Pair::new();
        let victim = pair.server.certificate().clone();
        pair.server_config.cert_resolver = Shows::chain(vec![victim], &key(algorithm));
        pair.connect()
            .assert_client_refused(&pair.check, &VerifyPeerError::BadSignature);
    }
    // With the same kind of key, which is the attack one would make, the answer is that of a wrong signature.
    let mut pair = Pair::new();
    let victim = Identity::generate().unwrap().certificate().clone();
    pair.client_config.client_auth_cert_resolver = Shows::chain(vec![victim], &key(&PKCS_ED25519));
    let ends = pair.connect();
    ends.assert_server_refused(
        &VerifyPeerError::BadSignature,
        AlertDescription::DecryptError,
    );
}

#[test]
fn unreadable_certificates() {
    let own = key(&PKCS_ED25519);
    let whole = certificate(&own);
    let trailing = [&whole[..], &[0]].concat();
    let truncated = whole[..whole.len() - 1].to_vec();
    for bytes in [
        trailing,
        truncated,
        b"not a certificate".to_vec(),
        vec![0x30; 17 * 1024],
    ] {
        let mut pair = Pair::new();
        let shown = vec![CertificateDer::from(bytes)];
        pair.client_config.client_auth_cert_resolver = Shows::chain(shown.clone(), &own);
        let reason = VerifyPeerError::BadCertificate;
        pair.connect()
            .assert_server_refused(&reason, AlertDescription::CertificateUnknown);

        pair.client_config = tls::client_config(&pair.client, *pair.server.device_id())
            .unwrap()
            .0;
        pair.server_config.cert_resolver = Shows::chain(shown, &own);
        let ends = pair.connect();
        let error = ends.client_result.as_ref().unwrap_err();
        assert_eq!(VerifyPeerError::from_tls(error), Some(reason));
        assert_eq!(ends.heard, b"");
    }
}

#[test]
fn dates_do_not_matter() {
    for years in [1970..1971, 2020..2021, 3000..3001] {
        let own = key(&PKCS_ED25519);
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let shown = params.self_signed(&own).unwrap().der().clone();
        let id = peer_device_id(std::slice::from_ref(&shown)).unwrap();

        let mut pair = Pair::new();
        pair.client_config = tls::client_config(&pair.client, id).unwrap().0;
        pair.client_config.client_auth_cert_resolver = Shows::chain(vec![shown.clone()], &own);
        pair.server_config.cert_resolver = Shows::chain(vec![shown], &own);
        pair.connect().assert_connected();
    }
}

#[test]
fn a_clock_at_1970() {
    #[derive(Debug)]
    struct Unset;
    impl TimeProvider for Unset {
        fn current_time(&self) -> Option<UnixTime> {
            Some(UnixTime::since_unix_epoch(Duration::ZERO))
        }
    }
    let mut pair = Pair::new();
    pair.client_config.time_provider = Arc::new(Unset);
    pair.server_config.time_provider = Arc::new(Unset);
    pair.connect().assert_connected();
}

#[test]
fn admitted_is_who_is_trusted() {
    let pair = Pair::new();
    let ends = pair.connect();
    let shown = ends.server.peer_certificates().unwrap();
    let device = *pair.client.device_id();
    let own = pair.server.device_id();
    let trust = TrustStore::in_memory();

    let stranger = admit(shown, own, &trust, None).unwrap_err();
    assert_eq!(stranger, AdmitError::NotTrusted { device });
    assert_eq!(stranger.close_code(), CloseCode::NotTrusted);

    trust.trust(device, "phone").unwrap();
    assert_eq!(
        *admit(shown, own, &trust, None).unwrap().device_id(),
        device
    );

    trust.block(&device).unwrap();
    let blocked = admit(shown, own, &trust, None).unwrap_err();
    assert_eq!(blocked, AdmitError::Blocked { device });
    assert_eq!(blocked.close_code(), CloseCode::Revoked);

    trust.forget(&device).unwrap();
    assert_eq!(
        admit(shown, own, &trust, None).unwrap_err(),
        AdmitError::NotTrusted { device }
    );
}

#[test]
fn oneself_is_not_admitted_even_if_listed() {
    let oneself = Identity::generate().unwrap();
    let trust = TrustStore::in_memory();
    trust.import_list(&oneself.device_id().to_string()).unwrap();
    let shown = [oneself.certificate().clone()];
    let error = admit(&shown, oneself.device_id(), &trust, None).unwrap_err();
    assert_eq!(error, AdmitError::Oneself);
    assert_eq!(error.close_code(), CloseCode::Oneself);
    let none = admit(&[], oneself.device_id(), &trust, None).unwrap_err();
    assert_eq!(none.close_code(), CloseCode::BadCertificate);
}

/// As QUIC drives it, where rustls insists on a protocol name.
/// The protocol that both took.
fn over_quic(client: ClientConfig, server: ServerConfig) -> Result<Vec<u8>, Error> {
    let name = tls::SERVER_NAME.try_into().unwrap();
    let version = Version::V1;
    let mut client =
        rustls::quic::ClientConnection::new(Arc::new(client), version, name, vec![]).unwrap();
    let mut server =
        rustls::quic::ServerConnection::new(Arc::new(server), version, vec![]).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let before = (client.is_handshaking(), server.is_handshaking());
        let there = flight(|bytes| client.write_hs(bytes));
        there.iter().try_for_each(|bytes| server.read_hs(bytes))?;
        let back = flight(|bytes| server.write_hs(bytes));
        back.iter().try_for_each(|bytes| client.read_hs(bytes))?;
        let after = (client.is_handshaking(), server.is_handshaking());
        assert!(
            before != after || !there.is_empty() || !back.is_empty(),
            "stuck"
        );
    }
    assert!(client.zero_rtt_keys().is_none());
    assert_eq!(client.alpn_protocol(), server.alpn_protocol());
    Ok(client.alpn_protocol().unwrap_or_default().to_vec())
}

/// Everything one side has to say, a part for each level of encryption.
fn flight(mut write: impl FnMut(&mut Vec<u8>) -> Option<rustls::quic::KeyChange>) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    loop {
        let mut part = Vec::new();
        let next_level = write(&mut part);
        if !part.is_empty() {
            parts.push(part);
        }
        if next_level.is_none() {
            return parts;
        }
    }
}

#[test]
fn quic_with_our_protocols_and_no_other() {
    let pair = Pair::new();
    let (pairing, _) = tls::pairing_client_config(&pair.client, None).unwrap();
    let taken = over_quic(pairing, pair.server_config.clone());
    assert_eq!(taken.unwrap(), tls::PAIRING_ALPN);
    let taken = over_quic(pair.client_config, pair.server_config);
    assert_eq!(taken.unwrap(), tls::ALPN);
    for protocols in [
        vec![],
        vec![b"softbus/2".to_vec()],
        vec![b"softbus-pair/2".to_vec()],
    ] {
        let mut pair = Pair::new();
        pair.client_config.alpn_protocols = protocols;
        let error = over_quic(pair.client_config, pair.server_config).unwrap_err();
        assert_eq!(error, Error::NoApplicationProtocol);
    }
    let mut pair = Pair::new();
    pair.server_config.alpn_protocols = vec![];
    let error = over_quic(pair.client_config, pair.server_config).unwrap_err();
    assert_eq!(error, Error::NoApplicationProtocol);
}

#[test]
fn a_pairing_that_knows_whom_it_wants_talks_to_nobody_else() {
    let pair = Pair::new();
    let other = Identity::generate().unwrap();
    let (right, _) =
        tls::pairing_client_config(&pair.client, Some(*pair.server.device_id())).unwrap();
    assert!(over_quic(right, pair.server_config.clone()).is_ok());
    let expected = *other.device_id();
    let (wrong, check) = tls::pairing_client_config(&pair.client, Some(expected)).unwrap();
    assert!(over_quic(wrong, pair.server_config).is_err());
    let got = *pair.server.device_id();
    let mismatch = VerifyPeerError::DeviceIdMismatch { expected, got };
    assert_eq!(check.refused(), Some(mismatch));
}

#[test]
fn no_signature_scheme_in_common_is_not_our_refusal() {
    let mut pair = Pair::new();
    let own = key(&PKCS_ECDSA_P384_SHA384);
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(own.serialize_der());
    let honest = rustls::sign::CertifiedKey::new(
        vec![certificate(&own)],
        rustls::crypto::ring::sign::any_supported_type(&der.into()).unwrap(),
    );
    pair.server_config.cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(honest));
    let ends = pair.connect();
    assert_eq!(
        ends.server_result,
        Err(Error::PeerIncompatible(
            PeerIncompatible::NoSignatureSchemesInCommon
        )),
    );
    assert_eq!(pair.check.refused(), None);
}
