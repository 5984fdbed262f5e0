use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::{MAX_ADDRS, Snapshot};

const MDNS_TTL: Duration = Duration::from_secs(300);

fn id(n: u32) -> DeviceId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    DeviceId::from_bytes(bytes)
}

fn addrs(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|addr| addr.parse().unwrap()).collect()
}

fn mdns(n: u32, list: &[&str]) -> Candidate {
    let mut candidate = Candidate::new(id(n), Source::MDNS, addrs(list));
    candidate.valid_for = Some(MDNS_TTL);
    candidate
}

fn fixed(n: u32, list: &[&str]) -> Candidate {
    Candidate::new(id(n), Source::STATIC, addrs(list))
}

/// Of tests that are not about networks.
fn everywhere() -> Vec<LocalNetwork> {
    let all = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
    all.map(|addr| LocalNetwork::new(addr, 0)).to_vec()
}

struct Bench {
    table: DeviceTable,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let mut table = DeviceTable::new();
        table.set_local_networks(everywhere());
        Self {
            table,
            now: Instant::now(),
        }
    }

    fn upsert(&mut self, candidate: Candidate) {
        self.table.observe(self.now, Event::Upsert(candidate));
    }

    fn withdraw(&mut self, n: u32, source: Source) {
        let id = id(n);
        self.table
            .observe(self.now, Event::Withdrawn { id, source });
    }

    fn events(&mut self) -> Vec<TableEvent> {
        std::iter::from_fn(|| self.table.poll_event()).collect()
    }

    fn only_event(&mut self) -> TableEvent {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    fn changed(&mut self) -> Device {
        match self.only_event() {
            TableEvent::Changed(device) => device,
            other => panic!("{other:?}"),
        }
    }
}

fn lost(n: u32, reason: LostReason) -> TableEvent {
    TableEvent::Lost { id: id(n), reason }
}

#[test]
fn lost_only_when_every_source_dropped_it() {
    let mut bench = Bench::new();
    bench.upsert(mdns(1, &["10.0.0.1:9"]));
    let TableEvent::Found(device) = bench.only_event() else {
        panic!("new");
    };
    assert_eq!(device.sources, [Source::MDNS]);
    bench.upsert(fixed(1, &["10.0.0.1:9", "192.0.2.1:9"]));
    let device = bench.changed();
    assert_eq!(device.sources, [Source::MDNS, Source::STATIC]);
    assert_eq!(device.addrs, addrs(&["10.0.0.1:9", "192.0.2.1:9"]));
    bench.withdraw(1, Source::MDNS);
    assert_eq!(bench.changed().sources, [Source::STATIC]);
    bench.withdraw(1, Source::STATIC);
    assert_eq!(bench.only_event(), lost(1, LostReason::Withdrawn));
    bench.withdraw(1, Source::STATIC);
    assert_eq!(bench.events(), []);
}

#[test]
fn a_partial_address_set_is_an_upsert() {
    let mut bench = Bench::new();
    bench.upsert(mdns(1, &["[fe80::1%2]:9"]));
    bench.events();
    bench.upsert(mdns(1, &["[fe80::1%2]:9", "10.0.0.1:9"]));
    assert_eq!(
        bench.changed().addrs,
        addrs(&["10.0.0.1:9", "[fe80::1%2]:9"])
    );
    bench.upsert(mdns(1, &["10.0.0.1:9", "[fe80::1%2]:9"]));
    assert_eq!(bench.events(), [], "another order is no change");
}

#[test]
fn addresses_are_ranked() {
    let mut bench = Bench::new();
    bench.table.set_local_networks(vec![lan()]);
    bench.upsert(fixed(
        1,
        &[
            "[fe80::1]:9",
            "[fe80::1%2]:9",
            "[2001:db8::1]:9",
            "192.0.2.1:9",
            "10.0.0.1:9",
            "0.0.0.0:9",
            "224.0.0.251:9",
            "255.255.255.255:9",
            "10.0.0.2:0",
        ],
    ));
    let ranked = [
        "10.0.0.1:9",
        "192.0.2.1:9",
        "[2001:db8::1]:9",
        "[fe80::1%2]:9",
        "[fe80::1]:9",
    ];
    let TableEvent::Found(device) = bench.only_event() else {
        panic!("new");
    };
    assert_eq!(device.addrs, addrs(&ranked));
    let working = "[2001:db8::1]:9".parse().unwrap();
    bench.table.set_working(id(1), working);
    assert_eq!(bench.changed().addrs[0], working);
    bench.table.set_local_networks(Vec::new());
    assert_eq!(
        bench.events(),
        [],
        "10.0.0.1 is before 192.0.2.1 either way"
    );
}

fn lan() -> LocalNetwork {
    LocalNetwork::new(Ipv4Addr::new(10, 0, 0, 5), 24)
}

#[test]
fn nobody_elsewhere_is_dialled_because_mdns_says_so() {
    let forged = [
        "8.8.8.8:443",
        "10.0.1.1:9",
        "[2001:4860:4860::8888]:443",
        "[::ffff:8.8.8.8]:443",
        "127.0.0.1:9",
    ];
    let mut bench = Bench::new();
    bench.table.set_local_networks(vec![lan()]);
    bench.upsert(mdns(1, &forged));
    assert_eq!(bench.table.device(&id(1)).unwrap().addrs, []);
    let near = ["10.0.0.1:9", "169.254.1.1:9", "[fe80::1%2]:9"];
    bench.upsert(mdns(1, &[&forged[..], &near].concat()));
    assert_eq!(bench.table.device(&id(1)).unwrap().addrs, addrs(&near));
    // What a user wrote or a trusted device says is of anywhere.
    bench.upsert(fixed(1, &["8.8.8.8:443"]));
    let both = addrs(&[
        "10.0.0.1:9",
        "8.8.8.8:443",
        "169.254.1.1:9",
        "[fe80::1%2]:9",
    ]);
    assert_eq!(bench.table.device(&id(1)).unwrap().addrs, both);
}

#[test]
fn a_network_that_comes_brings_the_addresses_that_were_told_before() {
    let mut bench = Bench::new();
    bench.table.set_local_networks(Vec::new());
    bench.upsert(mdns(1, &["10.0.0.1:9"]));
    bench.events();
    bench.table.set_local_networks(vec![lan()]);
    assert_eq!(bench.changed().addrs, addrs(&["10.0.0.1:9"]));
}

#[test]
fn the_best_16_of_200_addresses_are_kept() {
    let mut bench = Bench::new();
    let network = LocalNetwork::new(Ipv4Addr::new(203, 0, 113, 5), 24);
    bench.table.set_local_networks(vec![network]);
    let list: Vec<_> = (0..200).map(|n| format!("203.0.{n}.1:9")).collect();
    bench.upsert(fixed(
        1,
        &list.iter().map(String::as_str).collect::<Vec<_>>(),
    ));
    let device = bench.table.device(&id(1)).unwrap();
    assert_eq!(device.addrs.len(), MAX_ADDRS);
    assert_eq!(device.addrs[0], "203.0.113.1:9".parse().unwrap());
}

#[test]
fn a_candidate_expires_unless_heard_of_again() {
    let mut bench = Bench::new();
    let start = bench.now;
    bench.upsert(mdns(1, &["10.0.0.1:9"]));
    assert_eq!(bench.table.poll_timeout(), Some(start + MDNS_TTL));
    bench.events();
    bench.now += Duration::from_secs(200);
    bench.upsert(mdns(1, &["10.0.0.1:9"]));
    bench.table.expire(start + MDNS_TTL);
    assert_eq!(bench.events(), []);
    bench.table.expire(bench.now + MDNS_TTL);
    assert_eq!(bench.only_event(), lost(1, LostReason::Expired));
    assert_eq!(bench.table.poll_timeout(), None);
}

#[test]
fn no_candidate_that_expires_lives_longer_than_75_minutes() {
    let mut bench = Bench::new();
    let mut long = mdns(1, &["10.0.0.1:9"]);
    long.valid_for = Some(Duration::MAX);
    bench.upsert(long);
    assert_eq!(bench.table.poll_timeout(), Some(bench.now + MAX_VALID_FOR));
}

#[test]
fn a_flood_of_strangers_pushes_out_strangers_only() {
    let mut bench = Bench::new();
    bench.table.pin(id(1));
    bench.upsert(mdns(1, &["10.0.0.1:9"]));
    bench.upsert(fixed(2, &["10.0.0.2:9"]));
    bench.upsert(mdns(3, &["10.0.0.3:9"]));
    bench.events();
    for n in 1000..11_000 {
        bench.upsert(mdns(n, &["10.9.9.9:9"]));
    }
    assert_eq!(bench.table.len(), MAX_DEVICES + 2);
    assert!(bench.table.device(&id(1)).is_some(), "pinned");
    assert!(bench.table.device(&id(2)).is_some(), "from a user's list");
    let events = bench.events();
    assert_eq!(events[0], lost(3, LostReason::Evicted));
    assert_eq!(
        events.len(),
        1 + MAX_DEVICES,
        "the unseen are not mentioned"
    );
    bench.upsert(mdns(3, &["10.0.0.3:9"]));
    assert!(matches!(bench.events()[1], TableEvent::Found(ref d) if d.id == id(3)));
}

#[test]
fn the_least_recently_heard_of_is_pushed_out() {
    let mut bench = Bench::new();
    for n in 0..MAX_DEVICES as u32 {
        bench.upsert(mdns(n, &["10.0.0.1:9"]));
    }
    bench.upsert(mdns(0, &["10.0.0.1:9"]));
    bench.upsert(mdns(9999, &["10.0.0.1:9"]));
    assert!(bench.table.device(&id(0)).is_some());
    assert!(bench.table.device(&id(1)).is_none());
}

#[test]
fn a_snapshot_replaces_all_its_source_said() {
    let mut bench = Bench::new();
    bench.upsert(mdns(1, &["10.0.0.1:9"]));
    bench.upsert(mdns(2, &["10.0.0.2:9"]));
    bench.upsert(fixed(3, &["10.0.0.3:9"]));
    bench.events();
    let snapshot = Snapshot {
        source: Source::MDNS,
        status: Some(Status::Up),
        candidates: vec![mdns(2, &["10.0.0.2:9"]), mdns(4, &["10.0.0.4:9"])],
    };
    bench.table.observe(bench.now, Event::Lagged(snapshot));
    let events = bench.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0], lost(1, LostReason::Withdrawn));
    assert!(matches!(events[1], TableEvent::Found(ref d) if d.id == id(4)));
    assert_eq!(
        bench.table.statuses().next(),
        Some((Source::MDNS, &Status::Up))
    );
}

#[test]
fn the_higher_epoch_counts() {
    let mut bench = Bench::new();
    let mut old = mdns(1, &["10.0.0.1:9"]);
    old.epoch = Some(4);
    old.versions = ProtocolVersions::new(1, 1);
    let mut new = fixed(1, &["10.0.0.1:9"]);
    new.epoch = Some(5);
    new.versions = ProtocolVersions::new(1, 2);
    new.name = Some("new".to_owned());
    bench.upsert(new);
    bench.upsert(old);
    let device = bench.table.device(&id(1)).unwrap();
    assert_eq!(device.epoch, Some(5));
    assert_eq!(device.versions, ProtocolVersions::new(1, 2));
    assert_eq!(device.name.as_deref(), Some("new"));
}

proptest! {
    /// Whatever is said and whenever it is polled, a reader of the table's events knows what the table knows.
    #[test]
    fn events_tell_the_whole_story(
        steps in proptest::collection::vec((0u8..4, 0u32..6, 0u8..2, any::<bool>()), 0..60),
    ) {
        let mut bench = Bench::new();
        let mut told = BTreeMap::new();
        for (what, n, source, poll) in steps {
            let source = [Source::MDNS, Source::STATIC][usize::from(source)];
            match what {
                0 => {
                    let mut candidate = Candidate::new(id(n), source, addrs(&["10.0.0.1:9"]));
                    candidate.valid_for = Some(Duration::from_secs(u64::from(n) + 1));
                    bench.upsert(candidate);
                }
                1 => bench.withdraw(n, source),
                2 => bench.upsert(fixed(n, &["10.0.0.2:9"])),
                _ => {
                    bench.now += Duration::from_secs(2);
                    bench.table.expire(bench.now);
                }
            }
            if poll {
                replay(&mut bench, &mut told);
            }
        }
        replay(&mut bench, &mut told);
        let known: BTreeMap<_, _> = bench.table.devices().map(|d| (d.id, d)).collect();
        prop_assert_eq!(told, known);
    }
}

fn replay(bench: &mut Bench, told: &mut BTreeMap<DeviceId, Device>) {
    for event in bench.events() {
        match event {
            TableEvent::Found(device) => {
                assert!(told.insert(device.id, device).is_none());
            }
            TableEvent::Changed(device) => {
                assert!(told.insert(device.id, device).is_some());
            }
            TableEvent::Lost { id, .. } => assert!(told.remove(&id).is_some()),
        }
    }
}
