use proptest::prelude::*;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
};
use rustls::pki_types::CertificateDer;

use super::*;

fn self_signed(algorithm: &'static SignatureAlgorithm) -> CertificateDer<'static> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    CertificateParams::default()
        .self_signed(&key)
        .unwrap()
        .der()
        .clone()
}

fn rsa() -> CertificateDer<'static> {
    CertificateDer::from(&include_bytes!("../../tests/data/rsa2048.der")[..])
}

#[test]
fn the_id_is_the_hash_of_the_key_alone() {
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let one = CertificateParams::default().self_signed(&key).unwrap();
        let other = CertificateParams::new(vec!["other.example".into()]).unwrap();
        let other = other.self_signed(&key).unwrap();
        let id = peer_device_id(&[one.der().clone()]).unwrap();
        assert_eq!(peer_device_id(&[other.der().clone()]), Ok(id));
        assert_eq!(
            id,
            DeviceId::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&key))
        );
    }
}

#[test]
fn other_keys_are_refused() {
    assert_eq!(
        peer_device_id(&[rsa()]),
        Err(VerifyPeerError::UnsupportedKey)
    );
    let p384 = self_signed(&PKCS_ECDSA_P384_SHA384);
    assert_eq!(
        peer_device_id(&[p384]),
        Err(VerifyPeerError::UnsupportedKey)
    );
}

#[test]
fn exactly_one_certificate() {
    let one = self_signed(&PKCS_ED25519);
    for (found, shown) in [
        (0, vec![]),
        (2, vec![one.clone(), one.clone()]),
        (3, vec![one; 3]),
    ] {
        assert_eq!(
            peer_device_id(&shown),
            Err(VerifyPeerError::CertificateCount { found })
        );
    }
}

#[test]
fn every_truncation_and_any_trailing_byte_is_refused() {
    let whole = self_signed(&PKCS_ED25519);
    for len in 0..whole.len() {
        let cut = CertificateDer::from(&whole[..len]);
        assert_eq!(
            peer_device_id(&[cut]),
            Err(VerifyPeerError::BadCertificate),
            "{len}"
        );
    }
    let longer = CertificateDer::from([&whole[..], &[0]].concat());
    assert_eq!(
        peer_device_id(&[longer]),
        Err(VerifyPeerError::BadCertificate)
    );
    let twice = CertificateDer::from([&whole[..], &whole[..]].concat());
    assert_eq!(
        peer_device_id(&[twice]),
        Err(VerifyPeerError::BadCertificate)
    );
}

#[test]
fn a_huge_certificate_is_refused() {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let names: Vec<String> = (0..1000)
        .map(|n| format!("name-{n}.device.example"))
        .collect();
    let huge = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    assert!(huge.der().len() > 17 * 1024);
    assert_eq!(
        peer_device_id(&[huge.der().clone()]),
        Err(VerifyPeerError::BadCertificate)
    );
}

#[test]
fn a_certificate_of_16_kib_is_the_largest() {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let with_names = |long: usize, short: usize| {
        let mut names = vec!["x".repeat(100); long];
        names.push("x".repeat(short));
        let params = CertificateParams::new(names).unwrap();
        params.self_signed(&key).unwrap().der().clone()
    };
    // Names of 100 bytes for most of it, and one more for the rest.
    let rest = 16 * 1024 - with_names(140, 1).len();
    let (long, short) = (140 + rest / 102, 1 + rest % 102);
    let largest = with_names(long, short);
    assert_eq!(largest.len(), 16 * 1024);
    assert!(peer_device_id(&[largest]).is_ok());
    let larger = with_names(long, short + 1);
    let refused = Err(VerifyPeerError::BadCertificate);
    assert_eq!(peer_device_id(&[larger]), refused);
}

#[test]
fn no_single_byte_makes_it_panic() {
    for whole in [
        self_signed(&PKCS_ED25519),
        self_signed(&PKCS_ECDSA_P256_SHA256),
        rsa(),
    ] {
        for place in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.to_vec();
                bytes[place] ^= flip;
                let _ = peer_device_id(&[CertificateDer::from(bytes)]);
            }
        }
    }
}

#[test]
fn a_key_has_one_encoding() {
    let spki_of = |certificate: &CertificateDer<'_>| {
        ParsedCertificate::try_from(certificate)
            .unwrap()
            .subject_public_key_info()
            .to_vec()
    };
    let spki = spki_of(&self_signed(&PKCS_ECDSA_P256_SHA256));
    let (algorithm, key) = public_key(&spki).unwrap();
    assert_eq!(algorithm, &PKCS_ECDSA_P256_SHA256);
    // A point that is not compressed, as it stands at the end.
    assert_eq!((key.len(), key[0]), (65, 0x04));
    assert!(spki.ends_with(&key));
    // The compressed form of a P-256 point would be a second id for the same key.
    let mut compressed = spki[..P256_SPKI.len() + 32].to_vec();
    compressed[P256_SPKI.len() - 1] = 0x02;
    assert!(public_key(&compressed).is_none());
    let spki = spki_of(&self_signed(&PKCS_ED25519));
    let (algorithm, key) = public_key(&spki).unwrap();
    assert_eq!(algorithm, &PKCS_ED25519);
    assert_eq!(key, spki[spki.len() - 32..]);
    for wrong in [&spki[..spki.len() - 1], &[&spki[..], &[0]].concat()] {
        assert!(public_key(wrong).is_none());
    }
}

#[test]
fn what_the_peer_may_read_says_what_is_wrong_and_no_more() {
    let [expected, got] = [b"a", b"b"].map(|spki| DeviceId::from_spki(spki));
    for (error, text) in [
        (
            VerifyPeerError::DeviceIdMismatch { expected, got },
            "not the device that was dialled",
        ),
        (VerifyPeerError::BadCertificate, "bad certificate"),
        (VerifyPeerError::UnsupportedKey, "unsupported key"),
        (
            VerifyPeerError::CertificateCount { found: 2 },
            "not exactly one certificate",
        ),
        (VerifyPeerError::BadSignature, "bad signature"),
    ] {
        let refusal = Refusal(error);
        assert_eq!(refusal.to_string(), text);
        assert_eq!(format!("{refusal:?}"), text);
    }
}

#[test]
fn a_chain_is_counted_as_a_whole() {
    let one = self_signed(&PKCS_ED25519);
    for more in [1, 2, 3] {
        let shown = check_shown(&one, &vec![one.clone(); more]);
        let found = 1 + more;
        assert_eq!(shown, Err(VerifyPeerError::CertificateCount { found }));
    }
}

#[test]
fn both_verifiers_say_what_they_are_for() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let any = AnyDevice::new(Arc::clone(&provider));
    assert_eq!(format!("{any:?}"), "AnyDevice");
    let expected = DeviceId::from_spki(b"a");
    let one = DialledDevice::new(Some(expected), provider, Arc::default());
    assert_eq!(
        format!("{one:?}"),
        format!("DialledDevice({:?})", Some(expected))
    );
    let schemes = [
        SignatureScheme::ED25519,
        SignatureScheme::ECDSA_NISTP256_SHA256,
    ];
    assert_eq!(any.supported_verify_schemes(), schemes);
    assert_eq!(one.supported_verify_schemes(), schemes);
    assert!(any.client_auth_mandatory() && any.root_hint_subjects().is_empty());
}

#[test]
fn tls12_is_an_error() {
    assert!(refuse_tls12().is_err());
}

#[test]
fn errors_are_found_again_and_tell_the_peer_nothing() {
    let [expected, got] = [b"a", b"b"].map(|spki| DeviceId::from_spki(spki));
    let error = VerifyPeerError::DeviceIdMismatch { expected, got };
    assert!(error.to_string().contains(&expected.short().to_string()));
    let in_tls = error.clone().into_tls();
    assert_eq!(VerifyPeerError::from_tls(&in_tls), Some(error));
    for text in [in_tls.to_string(), format!("{in_tls:?}")] {
        for id in [expected, got] {
            assert!(!text.contains(&id.short().to_string()), "{text}");
        }
    }
    assert_eq!(VerifyPeerError::from_tls(&Error::DecryptError), None);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
        prop_assert!(peer_device_id(&[CertificateDer::from(bytes)]).is_err());
    }
}
