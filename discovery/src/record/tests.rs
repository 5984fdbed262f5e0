use proptest::prelude::*;

use super::*;

fn versions(min: u16, max: u16) -> ProtocolVersions {
    ProtocolVersions::new(min, max).unwrap()
}

fn sample() -> Announcement {
    Announcement::new(DeviceId::from_bytes([0xab; 32]), versions(1, 3), 0x2a)
}

fn label() -> String {
    InstanceName::new(&sample().id).0
}

/// Reads what `to_txt` wrote after `edit` changed it.
fn read(
    edit: impl FnOnce(&mut Vec<(String, Vec<u8>)>),
) -> Result<Announcement, ParseAnnouncementError> {
    let mut txt = sample()
        .to_txt()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into_bytes()))
        .collect();
    edit(&mut txt);
    Announcement::from_txt(
        &label(),
        txt.iter().map(|(k, v)| (k.as_str(), Some(v.as_slice()))),
    )
}

fn set(key: &str, value: &[u8]) -> Result<Announcement, ParseAnnouncementError> {
    read(|txt| {
        let entry = txt
            .iter_mut()
            .find(|entry| entry.0 == key)
            .expect("a key of ours");
        entry.1 = value.to_vec();
    })
}

#[test]
fn instance_name_is_a_lower_case_label() {
    // The vector of docs: 32 bytes 0x00..0x1f.
    let bytes = std::array::from_fn(|n| n as u8);
    let name = InstanceName::new(&DeviceId::from_bytes(bytes));
    assert_eq!(
        name.as_str(),
        "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq"
    );
    assert_eq!(
        InstanceName::parse(name.as_str()),
        Ok(DeviceId::from_bytes(bytes))
    );
}

#[test]
fn instance_name_after_a_conflict() {
    let id = sample().id;
    let label = label();
    assert_eq!(InstanceName::parse(&format!("{label} (2)")), Ok(id));
    assert_eq!(InstanceName::parse(&label.to_ascii_uppercase()), Ok(id));
    for wrong in [
        "".to_owned(),
        "phone".to_owned(),
        label[1..].to_owned(),
        format!("{label}a"),
        format!("{label} (2"),
        format!("{label} ()"),
        format!("{label} (x)"),
        format!("{label} (123456)"),
        format!("{}1", &label[1..]),
        // Trailing bits that are not zero: a second spelling of the same id.
        format!("{}b", &label[..51]),
        "é".repeat(26),
    ] {
        assert_eq!(
            InstanceName::parse(&wrong),
            Err(ParseAnnouncementError::Instance),
            "{wrong:?}"
        );
    }
}

#[test]
fn round_trip_without_a_name() {
    assert_eq!(read(|_| ()), Ok(sample()));
    let txt = sample().to_txt();
    assert_eq!(
        txt.iter().map(|entry| entry.0).collect::<Vec<_>>(),
        ["v", "id", "ep"]
    );
}

#[test]
fn a_name_is_cut_and_escaped() {
    let named = sample().with_name("Bü\x1b[31mro\u{202e}");
    assert_eq!(named.name.as_deref(), Some("Bü\\u{1b}[31mro\\u{202e}"));
    let read = read(|txt| txt.push(("n".into(), "ü".repeat(200).into_bytes()[..200].to_vec())));
    assert_eq!(read.unwrap().name, Some("ü".repeat(32)));
    assert_eq!(sample().with_name(""), sample());
}

#[test]
fn unknown_keys_are_passed_over_and_the_first_of_two_counts() {
    let more = read(|txt| {
        txt.insert(0, ("future".into(), b"\xff\x00".to_vec()));
        txt.push(("EP".into(), b"ff".to_vec()));
    });
    assert_eq!(more, Ok(sample()));
}

#[test]
fn garbage_is_refused() {
    use ParseAnnouncementError::{Malformed, Missing, OtherDevice, TooLong};
    let other = InstanceName::new(&DeviceId::from_bytes([1; 32])).0;
    assert_eq!(set("id", other.as_bytes()), Err(OtherDevice));
    assert_eq!(set("id", b"\xff"), Err(Malformed("id")));
    for v in ["", "1", "0-1", "3-1", "+1-2", "1-65536", "1-2-3", "a-b"] {
        assert_eq!(set("v", v.as_bytes()), Err(Malformed("v")), "{v}");
    }
    for ep in ["", "-1", "+1", "10000000000000000", "g"] {
        assert_eq!(set("ep", ep.as_bytes()), Err(Malformed("ep")), "{ep}");
    }
    for key in ["v", "id", "ep"] {
        assert_eq!(
            read(|txt| txt.retain(|entry| entry.0 != key)),
            Err(Missing(key))
        );
    }
    assert_eq!(
        read(|txt| txt.push(("x".into(), vec![0; 400]))),
        Err(TooLong)
    );
}

#[test]
fn common_version() {
    assert_eq!(versions(1, 3).common(versions(2, 9)), Some(3));
    assert_eq!(versions(1, 3).common(versions(4, 9)), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        bytes: [u8; 32], min in 1u16.., span: u16, epoch: u64, name in proptest::option::of(".{1,80}"),
    ) {
        let versions = versions(min, min.saturating_add(span));
        let mut announcement = Announcement::new(DeviceId::from_bytes(bytes), versions, epoch);
        if let Some(name) = name {
            announcement = announcement.with_name(&name);
        }
        let txt = announcement.to_txt();
        let len: usize = txt.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        prop_assert!(len <= MAX_TXT_LEN);
        let label = InstanceName::new(&announcement.id);
        let read = Announcement::from_txt(
            label.as_str(),
            txt.iter().map(|(key, value)| (*key, Some(value.as_bytes()))),
        );
        prop_assert_eq!(read, Ok(announcement));
    }

    #[test]
    fn no_record_makes_it_panic(
        tail in ".*",
        good: bool,
        txt: Vec<(String, Option<Vec<u8>>)>,
        known: [Option<Vec<u8>>; 4],
    ) {
        let label = if good { label() } else { tail };
        let known = ["v", "id", "ep", "n"].into_iter().zip(&known);
        let entries = txt.iter().map(|(key, value)| (key.as_str(), value)).chain(known);
        let read = Announcement::from_txt(&label, entries.map(|(k, v)| (k, v.as_deref())));
        if let Ok(Announcement { name: Some(name), .. }) = read {
            prop_assert!(name.len() <= MAX_NAME_LEN);
        }
    }
}
