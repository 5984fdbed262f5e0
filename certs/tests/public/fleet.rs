//! Members of a fleet, and who is none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use softbus_certs::{
    AdmitError, AuthorityError, CertificateAuthority, CloseCode, Fleet, Identity, MemberName,
    OpenFleetError, TrustStore, VerifyMemberError, admit,
};
use tempfile::TempDir;

const PREFIX: &str = "spiffe://example.org/prod/";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA, and the directory of somebody who lists it.
struct Yard {
    temp: TempDir,
    ca: CertificateAuthority,
}

impl Yard {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::init(temp.path().join("ca"), PREFIX).unwrap();
        fs::write(temp.path().join("prod.pem"), ca.certificate().unwrap()).unwrap();
        Self { temp, ca }
    }

    fn file(&self) -> PathBuf {
        self.temp.path().join("fleet.toml")
    }

    fn fleet(&self) -> Fleet {
        self.fleet_with("")
    }

    fn fleet_with(&self, more: &str) -> Fleet {
        let text = format!(
            "version = 1\n[[ca]]\nname = \"prod\"\ncertificate = \"prod.pem\"\nuri_prefix = \"{PREFIX}\"\n{more}"
        );
        fs::write(self.file(), text).unwrap();
        Fleet::open(self.file()).unwrap()
    }

    fn issue(&mut self, path: &str) -> CertificateDer<'static> {
        let (_, pem) = self.ca.issue(&request(), path, DAY).unwrap();
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }
}

/// The certificate a new device shows.
fn request() -> String {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    CertificateParams::default()
        .self_signed(&key)
        .unwrap()
        .pem()
}

fn name(path: &str) -> MemberName {
    MemberName::new("prod", path).unwrap()
}

#[test]
fn whom_the_ca_vouches_for_is_a_member_by_name() {
    let mut yard = Yard::new();
    let certificate = yard.issue("kiosk/7");
    let fleet = yard.fleet();
    let now = SystemTime::now();
    assert_eq!(fleet.member(&certificate, now), Ok(name("kiosk/7")));
    let stranger = Identity::generate().unwrap();
    let none = fleet.member(stranger.certificate(), now);
    assert_eq!(none, Err(VerifyMemberError::NoMember));
    let denied = yard
        .fleet_with("deny = [\"kiosk/7\"]\n")
        .member(&certificate, now);
    let member = name("kiosk/7");
    assert_eq!(denied, Err(VerifyMemberError::Denied { member }));
}

#[test]
fn a_certificate_is_good_for_its_time_and_a_clock_that_is_behind_is_not_believed() {
    let mut yard = Yard::new();
    let certificate = yard.issue("kiosk/7");
    let fleet = yard.fleet();
    let now = SystemTime::now();
    let at = |time| fleet.member(&certificate, time);
    assert!(at(now + DAY - Duration::from_secs(60)).is_ok());
    assert!(matches!(
        at(now + 2 * DAY),
        Err(VerifyMemberError::Expired { .. })
    ));
    assert!(!fleet.is_behind(now + DAY));
    // The fleet's file was written just now: a clock in 1970 stands there.
    for behind in [SystemTime::UNIX_EPOCH, now - 400 * DAY] {
        assert!(fleet.is_behind(behind));
        assert!(at(behind).is_ok());
    }
    // A file of 1970 does not help: this code was written later than that.
    let file = fs::File::options().write(true).open(yard.file()).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let pem = yard.temp.path().join("prod.pem");
    let pem = fs::File::options().write(true).open(pem).unwrap();
    pem.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let old = Fleet::open(yard.file()).unwrap();
    assert!(old.is_behind(SystemTime::UNIX_EPOCH + 365 * DAY));
    assert!(!old.is_behind(now));
}

/// A certificate as a CA of somebody else's making signs it.
struct Forge {
    key: KeyPair,
    params: CertificateParams,
}

impl Forge {
    fn new(directory: &Path) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        fs::write(directory.join("prod.pem"), pem).unwrap();
        Self { key, params }
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri("kiosk/7")];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(&key, &issuer).unwrap().der().clone()
    }
}

fn uri(path: &str) -> SanType {
    SanType::URI(format!("{PREFIX}{path}").try_into().unwrap())
}

#[test]
fn each_way_to_be_no_member_has_an_error_of_its_own() {
    let yard = Yard::new();
    let forge = Forge::new(yard.temp.path());
    let fleet = yard.fleet();
    let member =
        |certificate: CertificateDer<'static>| fleet.member(&certificate, SystemTime::now());
    assert_eq!(member(forge.sign(|_| {})), Ok(name("kiosk/7")));

    for usage in [
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ] {
        let one = forge.sign(|params| params.extended_key_usages = vec![usage]);
        assert_eq!(member(one), Err(VerifyMemberError::WrongUsage));
    }
    let none = forge.sign(|params| params.extended_key_usages = Vec::new());
    assert_eq!(member(none), Err(VerifyMemberError::WrongUsage));
    let ca = forge.sign(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(member(ca), Err(VerifyMemberError::IsAuthority));
    let two = forge.sign(|params| params.subject_alt_names.push(uri("kiosk/8")));
    assert_eq!(member(two), Err(VerifyMemberError::SeveralNames));
    let elsewhere = "spiffe://example.org/production/kiosk/7";
    let outside = forge.sign(|params| {
        params.subject_alt_names = vec![SanType::URI(elsewhere.try_into().unwrap())];
    });
    assert_eq!(member(outside), Err(VerifyMemberError::NameOfNobody));
    let bad = forge.sign(|params| params.subject_alt_names = vec![uri("kiosk/../7")]);
    assert!(matches!(
        member(bad),
        Err(VerifyMemberError::BadName { .. })
    ));
    let long = forge.sign(|params| params.subject_alt_names = vec![uri(&"x".repeat(600))]);
    assert_eq!(member(long), Err(VerifyMemberError::NameOfNobody));
    let other = Forge::new(tempfile::tempdir().unwrap().path()).sign(|_| {});
    assert_eq!(member(other), Err(VerifyMemberError::Stranger));
    let late = forge.sign(|params| params.not_before = (SystemTime::now() + 9 * DAY).into());
    assert!(matches!(
        member(late),
        Err(VerifyMemberError::NotYetValid { .. })
    ));
    let not_one = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    assert_eq!(member(not_one), Err(VerifyMemberError::NoMember));
}

#[test]
fn a_ca_vouches_only_below_its_own_prefix() {
    let mut yard = Yard::new();
    let other = tempfile::tempdir().unwrap();
    let narrow = format!("{PREFIX}vault/");
    let mut vault = CertificateAuthority::init(other.path().join("ca"), &narrow).unwrap();
    fs::write(
        yard.temp.path().join("vault.pem"),
        vault.certificate().unwrap(),
    )
    .unwrap();
    let fleet = yard.fleet_with(&format!(
        "[[ca]]\nname = \"vault\"\ncertificate = \"vault.pem\"\nuri_prefix = \"{narrow}\"\n"
    ));
    let now = SystemTime::now();
    let inside = vault.issue(&request(), "door", DAY).unwrap().1;
    let inside = CertificateDer::from_pem_slice(inside.as_bytes()).unwrap();
    assert_eq!(
        fleet.member(&inside, now).unwrap().to_string(),
        "vault/door"
    );
    // The longer prefix counts, so the wider CA does not reach into it.
    let intruder = yard.issue("vault/door");
    assert_eq!(
        fleet.member(&intruder, now),
        Err(VerifyMemberError::Stranger)
    );
}

#[test]
fn a_member_is_admitted_by_its_own_id_unless_it_is_blocked() {
    let mut yard = Yard::new();
    let certificate = yard.issue("kiosk/7");
    let fleet = yard.fleet();
    let (own, trust) = (
        *Identity::generate().unwrap().device_id(),
        TrustStore::in_memory(),
    );
    let shown = std::slice::from_ref(&certificate);
    let alone = admit(shown, &own, &trust, None).unwrap_err();
    assert!(matches!(alone, AdmitError::NotTrusted { .. }));
    let peer = admit(shown, &own, &trust, Some(&fleet)).unwrap();
    assert_eq!(peer.member(), Some(&name("kiosk/7")));
    let device = *peer.device_id();

    trust.block(&device).unwrap();
    let blocked = admit(shown, &own, &trust, Some(&fleet)).unwrap_err();
    assert_eq!(blocked, AdmitError::Blocked { device });
    trust.forget(&device).unwrap();

    let denying = yard.fleet_with("deny = [\"kiosk/7\"]\n");
    let denied = admit(shown, &own, &trust, Some(&denying)).unwrap_err();
    assert!(matches!(denied, AdmitError::Member { .. }), "{denied}");
    assert_eq!(denied.close_code(), CloseCode::NotTrusted);
    assert_eq!(denied.device(), Some(&device));
    // Who is trusted by its id is, whatever the certificate says.
    trust.trust(device, "").unwrap();
    let peer = admit(shown, &own, &trust, Some(&denying)).unwrap();
    assert_eq!(peer.member(), None);
    let peer = admit(shown, &own, &trust, Some(&fleet)).unwrap();
    assert_eq!(peer.member(), Some(&name("kiosk/7")));
}

#[test]
fn a_fleets_file_is_right_or_nothing_of_it_counts() {
    let yard = Yard::new();
    yard.fleet();
    let good = fs::read_to_string(yard.file()).unwrap();
    for (wrong, says) in [
        (good.replace("version = 1", "version = 2"), "version 2"),
        (good.replace("uri_prefix", "prefix"), "unknown field"),
        (
            good.replace("prod.pem", "fleet.toml"),
            "no certificate in pem",
        ),
        (
            good.replace("name = \"prod\"", "name = \"a/b\""),
            "1 to 64 letters",
        ),
        (good.replace("/prod/\"", "/prod\""), "slash at its end"),
        (format!("{good}deny = [\"../7\"]\n"), "deny: \"../7\""),
        (
            format!("{good}{}", good.replace("version = 1", "")),
            "there twice",
        ),
    ] {
        fs::write(yard.file(), wrong).unwrap();
        let error = Fleet::open(yard.file()).unwrap_err();
        assert!(
            error.to_string().contains(says),
            "{error} does not say {says:?}"
        );
        assert!(matches!(error, OpenFleetError::Damaged { .. }));
    }
    fs::write(yard.file(), good.replace("prod.pem", "gone.pem")).unwrap();
    let gone = Fleet::open(yard.file()).unwrap_err();
    assert!(matches!(gone, OpenFleetError::Io { .. }));
}

/// The end of a file may say who is denied.
#[test]
fn a_fleets_file_is_read_to_its_end_or_not_at_all() {
    let mut yard = Yard::new();
    let certificate = yard.issue("kiosk/7");
    let longest = "x".repeat(MemberName::MAX_PATH_LEN - 4);
    let others = (1..Fleet::MAX_DENIED).map(|number| format!("{number:04}{longest}"));
    let most: Vec<_> = others.chain(["kiosk/7".to_owned()]).collect();
    for before in [String::new(), "#".repeat(800 * 1024)] {
        let fleet = yard.fleet_with(&format!("{before}\ndeny = {most:?}\n"));
        let denied = fleet.member(&certificate, SystemTime::now());
        assert!(matches!(denied, Err(VerifyMemberError::Denied { .. })));
    }
    yard.fleet();
    let text = fs::read_to_string(yard.file()).unwrap();
    fs::write(
        yard.file(),
        format!(
            "{text}{}\ndeny = [\"kiosk/7\"]",
            "#".repeat(2 * 1024 * 1024)
        ),
    )
    .unwrap();
    let refused = Fleet::open(yard.file()).unwrap_err();
    assert!(
        matches!(refused, OpenFleetError::Damaged { .. }),
        "{refused}"
    );
}

#[test]
fn a_ca_is_made_once_and_remembers_what_it_issued() {
    let mut yard = Yard::new();
    let directory = yard.temp.path().join("ca");
    let again = CertificateAuthority::init(&directory, PREFIX).unwrap_err();
    assert!(matches!(again, AuthorityError::Exists { .. }));
    for prefix in ["", "spiffe://example.org", "no uri/", "spiffe://a b/"] {
        let elsewhere = yard.temp.path().join("other");
        let error = CertificateAuthority::init(elsewhere, prefix).unwrap_err();
        assert!(matches!(error, AuthorityError::BadPrefix(_)), "{prefix}");
    }
    let absent = CertificateAuthority::open(yard.temp.path().join("nothing")).unwrap_err();
    assert!(matches!(absent, AuthorityError::Absent { .. }));

    let device = Identity::open(yard.temp.path().join("device")).unwrap();
    let pem = fs::read_to_string(yard.temp.path().join("device/certificate.pem")).unwrap();
    let (issued, certificate) = yard.ca.issue(&pem, "kiosk/7", DAY).unwrap();
    assert_eq!(issued.device, device.device_id().to_string());
    let mut opened = CertificateAuthority::open(&directory).unwrap();
    assert_eq!(opened.issued(), [issued]);
    assert_eq!(opened.uri_prefix(), PREFIX);

    for seconds in [0, 3599, 30 * 86_400 + 1] {
        let error = opened.issue(&pem, "kiosk/7", Duration::from_secs(seconds));
        let error = error.unwrap_err();
        assert!(matches!(error, AuthorityError::BadTime { seconds: s } if s == seconds));
    }
    let error = opened.issue(&pem, "kiosk/*", DAY).unwrap_err();
    assert!(matches!(error, AuthorityError::BadPath(_)));
    let error = opened.issue("hello", "kiosk/7", DAY).unwrap_err();
    assert!(matches!(error, AuthorityError::BadRequest(_)));

    // The device puts it in the place of its own and stays who it is.
    let id = *device.device_id();
    drop(device);
    let directory = yard.temp.path().join("device");
    let wrong = Identity::install_certificate(&directory, &yard.ca.certificate().unwrap());
    assert!(wrong.is_err());
    Identity::install_certificate(&directory, &certificate).unwrap();
    let device = Identity::open(&directory).unwrap();
    assert_eq!(*device.device_id(), id);
    let fleet = yard.fleet();
    let member = fleet.member(device.certificate(), SystemTime::now());
    assert_eq!(member, Ok(name("kiosk/7")));
}
