//! The mDNS backend with its real engine, on loopback in a network namespace of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod names;
mod only_loopback;
mod wire;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use only_loopback::only_loopback;
use proto::DeviceId;
use softbus_discovery::{
    Advertisement, Announcement, Candidate, Discovery, Event, Hint, InstanceName, Interfaces,
    MAX_DEVICES, Mdns, MdnsOptions, ProtocolVersions, Source, Status, Watch,
};
use wire::{Ghost, Response, Wire};

const CLOSE: Duration = Duration::from_secs(3);

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(test);
}

fn mdns() -> Mdns {
    Mdns::start(MdnsOptions::new(Interfaces::LoopbackOnly)).unwrap()
}

fn announcement(n: u8) -> Announcement {
    let versions = ProtocolVersions::new(1, 2).unwrap();
    Announcement::new(DeviceId::from_bytes([n; 32]), versions, 5)
}

fn ad(n: u8) -> Advertisement {
    Advertisement::new(announcement(n), 4433)
}

fn ghost_txt(n: u8) -> Vec<String> {
    let txt = announcement(n).to_txt();
    txt.iter().map(|(k, v)| format!("{k}={v}")).collect()
}

/// The first event that `wanted` turns into something.
async fn wait_for<T>(
    watch: &mut Watch,
    within: Duration,
    what: &str,
    mut wanted: impl FnMut(Event) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = watch.next().await.expect("not closed");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(within, search)
        .await
        .unwrap_or_else(|_| panic!("no {what} within {within:?}"))
}

async fn found(watch: &mut Watch, n: u8) -> Candidate {
    let id = announcement(n).id;
    wait_for(
        watch,
        Duration::from_secs(10),
        "candidate",
        |event| match event {
            Event::Upsert(candidate) if candidate.id == id => Some(candidate),
            _ => None,
        },
    )
    .await
}

async fn left(watch: &mut Watch, n: u8, within: Duration) {
    let gone = announcement(n).id;
    wait_for(watch, within, "departure", |event| match event {
        Event::Withdrawn { id, .. } | Event::Expired { id, .. } => (id == gone).then_some(()),
        _ => None,
    })
    .await;
}

async fn up(watch: &mut Watch) {
    wait_for(
        watch,
        Duration::from_secs(10),
        "status up",
        |event| match event {
            Event::Status { status, .. } => (status == Status::Up).then_some(()),
            _ => None,
        },
    )
    .await;
}

async fn down(watch: &mut Watch) {
    let within = Duration::from_secs(8);
    wait_for(watch, within, "status down", |event| match event {
        Event::Status { status, .. } => matches!(status, Status::Down(_)).then_some(()),
        _ => None,
    })
    .await;
}

#[test]
fn two_devices_find_each_other_and_part() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    run(async {
        let (mut joined, mut seen) = (Vec::new(), Vec::new());
        for round in 0..3 {
            let (a, b) = (2 * round + 1, 2 * round + 2);
            let (first, second) = (mdns(), mdns());
            let (mut at_first, mut at_second) = (first.watch(), second.watch());
            let _publication = first.publish(ad(a)).await.unwrap();
            found(&mut at_second, a).await;

            // The second joins: how long until the first knows?
            let start = Instant::now();
            let publication = second.publish(ad(b)).await.unwrap();
            let candidate = found(&mut at_first, b).await;
            seen.push(start.elapsed().as_millis());
            assert_eq!(candidate.addrs, ["127.0.0.1:4433".parse().unwrap()]);
            assert_eq!(candidate.epoch, Some(5));
            assert_eq!(candidate.versions, ProtocolVersions::new(1, 2));
            assert_eq!(candidate.name, None);

            // A third comes when both are there: how long until it knows the first?
            let start = Instant::now();
            let third = mdns();
            found(&mut third.watch(), a).await;
            joined.push(start.elapsed().as_millis());
            third.close(CLOSE).await.unwrap();

            publication.withdraw().await.unwrap();
            left(&mut at_first, b, Duration::from_secs(3)).await;
            second.close(CLOSE).await.unwrap();
            first.close(CLOSE).await.unwrap();
        }
        eprintln!("ms until a newcomer is seen: {seen:?}; until it sees: {joined:?}");
    });
}

#[test]
fn interfaces_are_chosen() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    run(async {
        let choices = [
            Interfaces::All,
            Interfaces::Only(vec!["lo".into()]),
            Interfaces::Only(vec![IpAddr::from([127, 0, 0, 1]).into()]),
            Interfaces::Predicate(Arc::new(|name, ip| name == "lo" && ip.is_ipv4())),
        ];
        for (n, interfaces) in (50..).zip(choices) {
            eprintln!("{interfaces:?}");
            let announcer = Mdns::start(MdnsOptions::new(interfaces)).unwrap();
            let finder = mdns();
            let _publication = announcer.publish(ad(n)).await.unwrap();
            let candidate = found(&mut finder.watch(), n).await;
            let loopback = "127.0.0.1:4433".parse().unwrap();
            assert!(candidate.addrs.contains(&loopback), "{candidate:?}");
            announcer.close(CLOSE).await.unwrap();
            finder.close(CLOSE).await.unwrap();
        }
        let none = MdnsOptions::new(Interfaces::Only(vec!["absent0".into()]));
        let none = Mdns::start(none).unwrap();
        down(&mut none.watch()).await;
        none.close(CLOSE).await.unwrap();
    });
}

#[test]
fn an_update_reaches_the_others() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    run(async {
        let (first, second) = (mdns(), mdns());
        let mut watch = second.watch();
        let publication = first.publish(ad(60)).await.unwrap();
        found(&mut watch, 60).await;
        let mut moved = Advertisement::new(announcement(60).with_name("kitchen"), 5544);
        moved.announcement.epoch = 6;
        publication.update(moved).await.unwrap();
        let id = announcement(60).id;
        wait_for(&mut watch, Duration::from_secs(5), "update", |event| {
            let Event::Upsert(candidate) = event else {
                return None;
            };
            (candidate.id == id
                && candidate.epoch == Some(6)
                && candidate.name.as_deref() == Some("kitchen")
                && candidate.addrs == ["127.0.0.1:5544".parse().unwrap()])
            .then_some(())
        })
        .await;
        first.close(CLOSE).await.unwrap();
        left(&mut watch, 60, Duration::from_secs(3)).await;
        second.close(CLOSE).await.unwrap();
    });
}

#[test]
fn announced_twice_and_goodbye_said_twice() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    let wire = Wire::tap();
    let name = InstanceName::new(&announcement(70).id);
    run(async {
        let mdns = mdns();
        up(&mut mdns.watch()).await;
        let publication = mdns.publish(ad(70)).await.unwrap();
        let heard = |within, wanted| {
            wire.responses(name.as_str(), Duration::from_secs(within), 2, move |r| {
                r == wanted
            })
        };
        // The engine has a thread of its own: blocking here does not stop it, once it has its command.
        until_commanded(&mdns).await;
        assert_eq!(heard(5, Response::Announcement), 2);
        publication.withdraw().await.unwrap();
        until_commanded(&mdns).await;
        assert_eq!(heard(1, Response::Goodbye), 2);
        mdns.close(CLOSE).await.unwrap();
    });
}

/// Until the driver handed all commands to the engine: it takes the next only after that.
async fn until_commanded(mdns: &Mdns) {
    let refused = mdns.publish(ad(71)).await.unwrap();
    refused.withdraw().await.unwrap();
}

#[test]
fn closing_says_goodbye_twice() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    let wire = Wire::tap();
    let name = InstanceName::new(&announcement(75).id);
    run(async {
        let (mdns, other) = (mdns(), mdns());
        let _publication = mdns.publish(ad(75)).await.unwrap();
        found(&mut other.watch(), 75).await;
        mdns.close(CLOSE).await.unwrap();
        other.close(CLOSE).await.unwrap();
    });
    let goodbyes = wire.responses(name.as_str(), Duration::from_millis(50), 3, |response| {
        response == Response::Goodbye
    });
    assert_eq!(goodbyes, 2);
}

#[test]
fn a_taken_port_is_down_and_later_up() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    run(async {
        // Without the option that lets others have it too; IPv4 and IPv6.
        let taken = std::net::UdpSocket::bind("[::]:5353").unwrap();
        let start = Instant::now();
        let mdns = mdns();
        let mut watch = mdns.watch();
        down(&mut watch).await;
        let took = start.elapsed();
        assert!(took < Duration::from_secs(6), "{took:?}");
        drop(taken);
        let start = Instant::now();
        up(&mut watch).await;
        eprintln!(
            "down after {took:?}, up {:?} after the port was free",
            start.elapsed()
        );
        mdns.close(CLOSE).await.unwrap();
    });
}

#[test]
fn a_forged_goodbye_of_a_live_device_is_overcome() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    let wire = Wire::tap();
    let name = InstanceName::new(&announcement(80).id);
    run(async {
        let (first, second) = (mdns(), mdns());
        let mut watch = second.watch();
        let _publication = first.publish(ad(80)).await.unwrap();
        found(&mut watch, 80).await;
        wire.forge(&Ghost {
            instance: name.as_str(),
            txt: &ghost_txt(80),
            ttl: 0,
        });
        // Either it was found again before the removal was believed, or it comes back.
        let gone = announcement(80).id;
        let start = Instant::now();
        let left = tokio::time::timeout(Duration::from_secs(3), async {
            while watch.next().await.expect("not closed")
                != (Event::Withdrawn {
                    id: gone,
                    source: Source::MDNS,
                })
            {}
        })
        .await;
        if left.is_ok() {
            let left = start.elapsed();
            found(&mut watch, 80).await;
            eprintln!(
                "left {left:?} after a forged goodbye, back after {:?}",
                start.elapsed()
            );
        } else {
            eprintln!("never left after a forged goodbye");
        }
        found(&mut second.watch(), 80).await;
        first.close(CLOSE).await.unwrap();
        second.close(CLOSE).await.unwrap();
    });
}

#[test]
fn a_silent_suspect_leaves_and_a_live_one_stays() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    let wire = Wire::tap();
    run(async {
        let (live, finder) = (mdns(), mdns());
        let mut watch = finder.watch();
        up(&mut watch).await;
        let _publication = live.publish(ad(85)).await.unwrap();
        found(&mut watch, 85).await;
        wire.forge(&Ghost {
            instance: InstanceName::new(&announcement(86).id).as_str(),
            txt: &ghost_txt(86),
            ttl: 120,
        });
        found(&mut watch, 86).await;
        let start = Instant::now();
        for n in [85, 86] {
            let id = announcement(n).id;
            finder.refresh(Some(id), Hint::Suspect).await.unwrap();
        }
        wait_for(&mut watch, Duration::from_secs(6), "departure", |event| {
            let Event::Withdrawn { id, .. } = event else {
                return None;
            };
            assert_eq!(id, announcement(86).id, "the other lives");
            Some(())
        })
        .await;
        eprintln!("a silent suspect left after {:?}", start.elapsed());
        found(&mut finder.watch(), 85).await;
        live.close(CLOSE).await.unwrap();
        finder.close(CLOSE).await.unwrap();
    });
}

#[test]
fn a_thousand_ghosts_are_bounded_and_a_liar_is_passed_over() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    let wire = Wire::tap();
    run(async {
        let (first, second) = (mdns(), mdns());
        up(&mut second.watch()).await;
        second.pin(&[announcement(90).id]);
        let _publication = first.publish(ad(90)).await.unwrap();
        let mut watch = second.watch();
        found(&mut watch, 90).await;
        for n in 0..1000u32 {
            let mut bytes = [0xee; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            let versions = ProtocolVersions::new(1, 1).unwrap();
            let ghost = Announcement::new(DeviceId::from_bytes(bytes), versions, 1);
            let txt = ghost.to_txt();
            let txt: Vec<_> = txt.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let instance = InstanceName::new(&ghost.id);
            wire.forge(&Ghost {
                instance: instance.as_str(),
                txt: &txt,
                ttl: 120,
            });
            // Faster, and the kernel drops most of them.
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let mut liar = ghost_txt(91);
        liar.push("n=liar".to_owned());
        wire.forge(&Ghost {
            instance: InstanceName::new(&announcement(92).id).as_str(),
            txt: &liar,
            ttl: 120,
        });
        // Sent after the ghosts, so it is heard after them.
        let _last = first.publish(ad(93)).await.unwrap();
        found(&mut watch, 93).await;
        let mut all = second.watch();
        let mut known = std::collections::HashSet::new();
        while let Ok(Some(event)) =
            tokio::time::timeout(Duration::from_millis(100), all.next()).await
        {
            match event {
                Event::Upsert(candidate) => {
                    known.insert(candidate.id);
                }
                Event::Withdrawn { id, .. } | Event::Expired { id, .. } => {
                    known.remove(&id);
                }
                Event::Lagged(snapshot) => {
                    known = snapshot.candidates.iter().map(|c| c.id).collect();
                }
                _ => {}
            }
        }
        eprintln!("{} candidates after 1000 ghosts", known.len());
        assert!(known.len() > 100, "the ghosts were heard");
        assert!(known.len() <= MAX_DEVICES + 1);
        assert!(known.contains(&announcement(90).id), "pinned");
        for n in [91, 92] {
            assert!(!known.contains(&announcement(n).id), "{n}");
        }
        first.close(CLOSE).await.unwrap();
        second.close(CLOSE).await.unwrap();
    });
}

#[test]
fn packets_that_claim_more_than_they_have_are_passed_over() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    let wire = Wire::tap();
    run(async {
        let (first, second) = (mdns(), mdns());
        let mut watch = second.watch();
        up(&mut watch).await;
        let response = |counts: [u16; 4], rest: &[u8]| {
            let counts = counts.iter().flat_map(|count| count.to_be_bytes());
            [0, 0, 0x84, 0]
                .into_iter()
                .chain(counts)
                .chain(rest.iter().copied())
                .collect::<Vec<_>>()
        };
        let pointer_to_itself = [0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 120, 0, 2, 0xc0, 12];
        let two_in_a_circle = [
            0xc0, 14, 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 120, 0, 2, 0xc0, 12,
        ];
        for packet in [
            response([u16::MAX; 4], &[]),
            response([0, u16::MAX, 0, 0], &pointer_to_itself),
            response([0, 1, 0, 0], &pointer_to_itself),
            response([1, 1, 0, 0], &two_in_a_circle),
            response([0, 1, 0, 0], &[63; 8988]),
            vec![0xff; 9000],
            vec![0; 11],
            Vec::new(),
        ] {
            for _ in 0..100 {
                wire.throw(&packet);
            }
        }
        // Sent after them, so heard after them.
        let _publication = first.publish(ad(95)).await.unwrap();
        found(&mut watch, 95).await;
        first.close(CLOSE).await.unwrap();
        second.close(CLOSE).await.unwrap();
    });
}

#[test]
fn nothing_is_left_after_close() {
    let Some(_guard) = only_loopback() else {
        return;
    };
    run(async {
        let before = descriptors();
        let start = Instant::now();
        for n in 100..120 {
            let mdns = mdns();
            let mut watch = mdns.watch();
            up(&mut watch).await;
            let _publication = mdns.publish(ad(n)).await.unwrap();
            mdns.close(CLOSE).await.unwrap();
        }
        eprintln!("20 cycles in {:?}", start.elapsed());
        all_gone(before, Duration::from_millis(500)).await;

        // Dropping the handle, or the whole runtime, ends the engine too.
        drop(mdns());
        run_elsewhere();
        all_gone(before, Duration::from_secs(3)).await;
    });
}

/// Until no thread of an engine is left, and no descriptor that was not there before.
async fn all_gone(before: usize, within: Duration) {
    let deadline = Instant::now() + within;
    while engine_threads() != 0 || descriptors() != before {
        let left = (engine_threads(), descriptors());
        assert!(Instant::now() < deadline, "left: {left:?}, {before} before");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Starts an engine on a runtime that is dropped under it.
fn run_elsewhere() {
    std::thread::spawn(|| {
        run(async {
            let mdns = mdns();
            up(&mut mdns.watch()).await;
            std::mem::forget(mdns);
        });
    })
    .join()
    .unwrap();
}

/// Sockets and pollers of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| {
            let target = target.to_string_lossy();
            target.starts_with("socket:") || target.starts_with("anon_inode:")
        })
        .count()
}

fn engine_threads() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .filter(|name| name.starts_with("mDNS"))
        .count()
}
