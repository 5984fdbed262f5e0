//! The file that lists the CAs of a fleet, and the certificate with which somebody claims to be a member.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use softbus_certs::{Fleet, MemberName, VerifyMemberError, fuzzing::fleet_file};

const CA: &str = include_str!("fleet/ca.pem");
/// What that CA has signed, for `prod/kiosk/7`. Both are valid for a hundred years.
const MEMBER: &[u8] = include_bytes!("fleet/member.pem");
const FILE: &str = include_str!("fleet/fleet.toml");

/// Whether it is a certificate, and then that or the file.
pub fn run(data: &[u8]) {
    let Some((&which, rest)) = data.split_first() else {
        return;
    };
    match which % 2 {
        0 => file(&String::from_utf8_lossy(rest)),
        _ => certificate(rest),
    }
}

fn file(text: &str) {
    let Some(fleet) = fleet_file(text, CA) else {
        return;
    };
    let files = fleet.certificate_files().count();
    assert!(files <= Fleet::MAX_AUTHORITIES);
    let kiosk = MemberName::new("prod", "kiosk/7").expect("a name");
    match fleet.member(&member(), now()) {
        Ok(member) => assert!(fleet.lets_in(&member), "{member}"),
        Err(VerifyMemberError::Denied { member }) => assert!(!fleet.lets_in(&member), "{member}"),
        Err(_) => {}
    }
    // One more who is denied changes it for him alone.
    let denied = "\n[[ca]]\nname = \"one-more\"\ncertificate = \"x\"\nuri_prefix = \"a://b/\"\ndeny = [\"kiosk/7\"]\n";
    if let Some(more) = fleet_file(&format!("{text}{denied}"), CA) {
        let theirs = MemberName::new("one-more", "kiosk/7").expect("a name");
        assert!(!more.lets_in(&theirs));
        assert_eq!(more.lets_in(&kiosk), fleet.lets_in(&kiosk));
        assert_eq!(more.certificate_files().count(), files + 1);
    }
}

/// Only what the CA has signed makes a member.
fn certificate(data: &[u8]) {
    let fleet = fleet_file(FILE, CA).expect("a fleet");
    let shown = CertificateDer::from(data);
    let member = fleet.member(&shown, now());
    assert_eq!(member.is_ok(), shown == self::member(), "{member:?}");
}

fn member() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(MEMBER).expect("a certificate")
}

/// In 2030.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000)
}
