//! What devices say of themselves by mDNS, and what is told of them: names of instances, TXT records, addresses, goodbyes,
//! time, and crowds of strangers.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use proto::DeviceId;
use softbus_discovery::{
    Advertisement, Announcement, Candidate, DeviceTable, Event, InstanceName, MAX_ADDRS,
    MAX_DEVICES, MAX_NAME_LEN, MAX_TXT_LEN, ProtocolVersions, SERVICE_TYPE, Source, TableEvent,
    fuzzing::{Ear, Txt},
};

use super::Input;

/// As many as a crowd of everybody needs, and some more.
const STEPS: usize = 64;
/// Instances that are kept of one device.
const LABELS: usize = 4;
const OWN: u32 = 0;
/// The first of those of whom nobody has heard.
const STRANGERS: u32 = 1000;

/// What is heard, one thing after the other.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut listener = Listener::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        listener.step(&mut input);
        listener.check();
    }
    listener.end();
}

/// Who hears it, and what it was told.
struct Listener {
    ear: Ear,
    table: DeviceTable,
    told: BTreeMap<DeviceId, Candidate>,
    found: BTreeMap<DeviceId, ()>,
    strangers: u32,
}

impl Listener {
    fn new() -> Self {
        Self {
            ear: Ear::new(&Advertisement::new(announcement(OWN), 4433)),
            table: DeviceTable::new(),
            told: BTreeMap::new(),
            found: BTreeMap::new(),
            strangers: STRANGERS,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.u8() % 16 {
            0..=4 => {
                let device = who(input);
                let txt = honest(device);
                self.resolved(device, txt, input);
            }
            // One entry of it is another.
            5..=8 => {
                let device = who(input);
                let mut txt = honest(device);
                let which = input.below(txt.len() + 1);
                let len = input.u8().into();
                let entry = entry(input.bytes(len));
                match txt.get_mut(which) {
                    Some(known) if input.bool() => known.1 = entry.1,
                    Some(_) => txt.insert(which, entry),
                    None => drop(txt.pop()),
                }
                self.resolved(device, txt, input);
            }
            9 => {
                let len = input.u8().into();
                let label = String::from_utf8_lossy(input.bytes(len));
                let addrs = addrs(input);
                self.ear.resolved(full(&label), addrs, any(input));
            }
            10 | 11 => {
                let device = who(input);
                self.ear.removed(full(&label(device, input.u8())));
            }
            12 => self
                .ear
                .passes(Duration::from_millis(input.number().min(1_000_000))),
            13 => self.crowd(input.u8().into()),
            14 => self.ear.suspects(id(who(input))),
            _ => match input.u8() % 4 {
                0 | 1 => self.ear.loses_count(),
                2 => self.ear.searches(input.below(2)),
                _ => {
                    let len = input.u8().into();
                    let name = String::from_utf8_lossy(input.bytes(len)).into_owned();
                    self.ear.removed(name);
                }
            },
        }
    }

    fn resolved(&mut self, device: u32, txt: Txt, input: &mut Input<'_>) {
        let label = label(device, input.u8());
        check_text(&label, &txt);
        self.ear.resolved(full(&label), addrs(input), txt);
    }

    /// So many of whom nobody has heard, and in all not many more than are remembered.
    fn crowd(&mut self, count: u32) {
        let count = count.min((STRANGERS + MAX_DEVICES as u32 + 64).saturating_sub(self.strangers));
        for device in self.strangers..self.strangers + count {
            let addrs = vec![SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 4433))];
            self.ear
                .resolved(full(&label(device, 0)), addrs, honest(device));
        }
        self.strangers += count;
    }

    fn check(&mut self) {
        while let Some(event) = self.ear.poll_event() {
            match &event {
                Event::Upsert(candidate) => {
                    check_candidate(candidate);
                    self.told.insert(candidate.id, candidate.clone());
                }
                Event::Withdrawn { id, .. } | Event::Expired { id, .. } => {
                    assert!(self.told.remove(id).is_some(), "who goes was there");
                }
                other => panic!("{other:?} is not told of devices"),
            }
            // Without a clock: what has expired is not the matter here.
            self.table.observe(Instant::now(), event);
        }
        assert!(self.told.len() <= MAX_DEVICES, "a crowd is not remembered");
        let instances = self.ear.instances();
        assert!((self.told.len()..=self.told.len() * LABELS).contains(&instances));
        while let Some(event) = self.table.poll_event() {
            match event {
                TableEvent::Found(device) => {
                    assert!(device.addrs.len() <= MAX_ADDRS);
                    assert!(self.found.insert(device.id, ()).is_none());
                }
                TableEvent::Changed(device) => assert!(self.found.contains_key(&device.id)),
                TableEvent::Lost { id, .. } => assert!(self.found.remove(&id).is_some()),
                other => panic!("{other:?} is new"),
            }
        }
        assert!(self.found.keys().eq(self.told.keys()), "all are told of");
    }

    /// Whom nobody repeats is forgotten.
    fn end(mut self) {
        for _ in 0..3 {
            self.ear.searches(1);
            self.ear.loses_count();
            self.ear.passes(Duration::from_secs(60));
        }
        self.check();
        assert_eq!((self.told.len(), self.ear.instances()), (0, 0));
    }
}

/// One of a few, or this device.
fn who(input: &mut Input<'_>) -> u32 {
    input.below(6) as u32
}

fn id(device: u32) -> DeviceId {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&device.to_be_bytes());
    DeviceId::from_bytes(bytes)
}

fn announcement(device: u32) -> Announcement {
    let versions = ProtocolVersions::new(1, 2).expect("a range");
    Announcement::new(id(device), versions, 7)
}

/// What a device is called, once others have its name too.
fn label(device: u32, renamed: u8) -> String {
    let name = InstanceName::new(&id(device));
    match renamed {
        0..=0xdf => name.to_string(),
        number => format!("{name} ({number})"),
    }
}

fn full(label: &str) -> String {
    format!("{label}.{SERVICE_TYPE}")
}

fn honest(device: u32) -> Txt {
    let txt = announcement(device).to_txt().into_iter();
    txt.map(|(key, value)| (key.to_owned(), Some(value.into_bytes())))
        .collect()
}

/// Entries behind their lengths, as they are on the wire.
fn any(input: &mut Input<'_>) -> Txt {
    let mut txt = Vec::new();
    while !input.is_empty() {
        let len = input.u8().into();
        txt.push(entry(input.bytes(len)));
    }
    txt
}

fn entry(bytes: &[u8]) -> (String, Option<Vec<u8>>) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'=');
    let key = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    (key, parts.next().map(<[u8]>::to_vec))
}

fn addrs(input: &mut Input<'_>) -> Vec<SocketAddr> {
    let one = |input: &mut Input<'_>| -> SocketAddr {
        let (kind, port) = (input.u8(), u16::from(input.u8() % 4));
        match kind {
            0..=0x7f => (Ipv4Addr::new(192, 168, 1, kind), port).into(),
            0x80..=0xbf => (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, kind.into()), port).into(),
            _ => {
                let mut octets = [0; 16];
                let some = input.bytes(16);
                octets[..some.len()].copy_from_slice(some);
                (Ipv6Addr::from(octets), port).into()
            }
        }
    };
    (0..input.below(20)).map(|_| one(input)).collect()
}

/// What is read is written and read again the same.
fn check_text(label: &str, txt: &Txt) {
    let entries = txt.iter().map(|(key, value)| (&**key, value.as_deref()));
    let Ok(read) = Announcement::from_txt(label, entries) else {
        return;
    };
    let named = InstanceName::parse(label);
    assert_eq!(named.as_ref(), Ok(&read.id), "the name counts");
    let written = read.to_txt();
    let entries = written
        .iter()
        .map(|(key, value)| (*key, Some(value.as_bytes())));
    let len: usize = written.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
    assert!(len <= MAX_TXT_LEN);
    let again = Announcement::from_txt(InstanceName::new(&read.id).as_str(), entries);
    assert_eq!(again, Ok(read));
}

/// Somebody else, somewhere, with a name that can be shown.
fn check_candidate(candidate: &Candidate) {
    assert_ne!(candidate.id, id(OWN), "nobody is a peer of himself");
    assert_eq!(candidate.source, Source::MDNS);
    assert!((1..=MAX_ADDRS).contains(&candidate.addrs.len()));
    for addr in &candidate.addrs {
        let ip = addr.ip();
        assert!(addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast());
    }
    assert!(
        candidate
            .valid_for
            .is_some_and(|time| time < Duration::from_secs(3600))
    );
    if let Some(name) = &candidate.name {
        assert!((1..=MAX_NAME_LEN).contains(&name.len()) && !name.chars().any(char::is_control));
    }
}
