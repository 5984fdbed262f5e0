mod publishing;

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::{Announcement, MAX_DEVICES, ProtocolVersions, Source};

fn id(n: u32) -> DeviceId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    DeviceId::from_bytes(bytes)
}

fn announcement(n: u32, epoch: u64) -> Announcement {
    Announcement::new(id(n), ProtocolVersions::new(1, 1).unwrap(), epoch)
}

fn full(n: u32, suffix: &str) -> String {
    format!("{}{suffix}.{SERVICE_TYPE}", InstanceName::new(&id(n)))
}

fn resolved_as(fullname: String, n: u32, addrs: &[&str]) -> EngineEvent {
    let txt = announcement(n, 7).to_txt();
    EngineEvent::Resolved(Resolved {
        fullname,
        addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
        txt: txt
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Some(value.into_bytes())))
            .collect(),
    })
}

fn resolved(n: u32, addrs: &[&str]) -> EngineEvent {
    resolved_as(full(n, ""), n, addrs)
}

fn removed(n: u32) -> EngineEvent {
    EngineEvent::Removed(full(n, ""))
}

fn searching(interfaces: usize) -> EngineEvent {
    EngineEvent::SearchStarted(format!("{SERVICE_TYPE} on {interfaces} interfaces [..]"))
}

fn advertisement(n: u32) -> Advertisement {
    Advertisement::new(announcement(n, 1), 4433)
}

struct Bench {
    machine: Machine,
    start: Instant,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            machine: Machine::new(start),
            start,
            now: start,
        }
    }

    /// Searching, and quiet for the next minute.
    fn up() -> Self {
        let mut bench = Self::new();
        bench.event(searching(1));
        bench.wait(15_000);
        bench.actions();
        bench
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.machine.poll_action()).collect()
    }

    fn event(&mut self, event: EngineEvent) {
        self.machine.handle_event(self.now, event);
    }

    /// Lets time pass, stopping wherever the machine wants to.
    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
        }
        self.now = until;
    }

    /// The next time an action like this comes within `ms`, in milliseconds since the start.
    fn times(&mut self, ms: u64, wanted: &Action) -> Vec<u64> {
        let until = self.now + Duration::from_millis(ms);
        let mut times = Vec::new();
        while self.now < until {
            self.wait(10);
            let at = (self.now - self.start).as_millis() as u64;
            times.extend(self.actions().iter().filter(|a| *a == wanted).map(|_| at));
        }
        times
    }

    fn only_upsert(&mut self) -> Candidate {
        match self.actions().as_slice() {
            [Action::Upsert(candidate)] => candidate.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn starts_and_browses_on_schedule() {
    let mut bench = Bench::new();
    assert_eq!(bench.actions(), [Action::Create, Action::Browse]);
    bench.event(searching(2));
    assert_eq!(bench.actions(), [Action::Status(Status::Up)]);
    let times = bench.times(75_000, &Action::Browse);
    assert_eq!(times, [1000, 3000, 5000, 10_000, 70_000]);
}

#[test]
fn a_partial_address_set_is_an_upsert() {
    let mut bench = Bench::up();
    bench.event(resolved(1, &["[fe80::1%2]:9"]));
    let first = bench.only_upsert();
    assert_eq!(first.source, Source::MDNS);
    assert_eq!(first.epoch, Some(7));
    assert_eq!(first.addrs.len(), 1);
    bench.event(resolved(1, &["[fe80::1%2]:9", "10.0.0.1:9"]));
    assert_eq!(bench.only_upsert().addrs.len(), 2);
    bench.event(resolved(1, &["10.0.0.1:9", "[fe80::1%2]:9"]));
    assert_eq!(bench.actions(), [], "the same in another order");
    bench.wait(30_000);
    bench.actions();
    bench.event(resolved(1, &["10.0.0.1:9", "[fe80::1%2]:9"]));
    assert_eq!(
        bench.only_upsert().addrs.len(),
        2,
        "said again, so it holds on"
    );
}

#[test]
fn a_removal_browses_at_once_and_is_believed_later() {
    let mut bench = Bench::up();
    bench.event(resolved(1, &["10.0.0.1:9"]));
    bench.actions();
    bench.event(removed(1));
    assert_eq!(bench.actions(), [Action::Browse]);
    bench.wait(499);
    assert_eq!(bench.actions(), []);
    bench.wait(1);
    assert_eq!(bench.actions(), [Action::Withdrawn(id(1))]);
    bench.event(removed(1));
    assert_eq!(bench.actions(), [], "nothing left to remove");
}

#[test]
fn a_removed_device_that_lives_never_leaves() {
    let mut bench = Bench::up();
    bench.event(resolved(1, &["10.0.0.1:9"]));
    bench.actions();
    bench.event(removed(1));
    bench.wait(200);
    bench.event(resolved(1, &["10.0.0.1:9"]));
    bench.wait(2000);
    assert_eq!(bench.actions(), [Action::Browse]);
}

#[test]
fn forged_goodbyes_are_no_flood_of_queries() {
    let mut bench = Bench::up();
    let mut browses = 0;
    for _ in 0..1000 {
        bench.event(resolved(1, &["10.0.0.1:9"]));
        bench.event(removed(1));
        bench.wait(10);
        browses += bench
            .actions()
            .iter()
            .filter(|a| **a == Action::Browse)
            .count();
    }
    assert!(browses <= 11, "{browses} in 10 s");
}

#[test]
fn no_interface_for_5_s_is_down_and_tried_again_with_back_off() {
    let mut bench = Bench::new();
    bench.actions();
    let (mut downs, mut creates) = (Vec::new(), Vec::new());
    while bench.now < bench.start + Duration::from_secs(100) {
        bench.event(searching(0));
        bench.wait(100);
        let at = (bench.now - bench.start).as_millis() as u64;
        for action in bench.actions() {
            match action {
                Action::Status(Status::Down(_)) => downs.push(at),
                Action::Create => creates.push(at),
                Action::Status(other) => panic!("{other:?}"),
                _ => {}
            }
        }
    }
    assert_eq!(downs[0], 5000);
    assert_eq!(creates[..4], [6000, 13_000, 22_000, 35_000]);
    while !bench.actions().contains(&Action::Create) {
        bench.wait(100);
    }
    bench.event(searching(1));
    assert!(bench.actions().contains(&Action::Status(Status::Up)));
}

#[test]
fn an_interface_that_comes_late_is_no_failure() {
    let mut bench = Bench::new();
    bench.event(searching(0));
    bench.wait(4000);
    bench.event(searching(1));
    bench.wait(10_000);
    let actions = bench.actions();
    assert!(!actions.contains(&Action::Discard));
    assert!(actions.contains(&Action::Status(Status::Up)));
}

#[test]
fn an_engine_that_says_nothing_is_replaced() {
    let mut bench = Bench::new();
    bench.wait(5000);
    assert!(bench.actions().contains(&Action::Discard));
}

#[test]
fn an_unknown_text_says_nothing_bad() {
    let mut bench = Bench::new();
    bench.event(EngineEvent::SearchStarted(
        "gone searching, back soon".to_owned(),
    ));
    bench.wait(20_000);
    assert!(!bench.actions().contains(&Action::Discard));
}

#[test]
fn a_new_engine_announces_again_and_what_it_does_not_find_expires() {
    let mut bench = Bench::up();
    bench.machine.publish(bench.now, &advertisement(9));
    bench.event(resolved(1, &["10.0.0.1:9"]));
    bench.event(resolved(2, &["10.0.0.2:9"]));
    bench.actions();
    let gone = Failure::Gone("it died".to_owned());
    bench
        .machine
        .handle_failure(bench.now, &Action::Browse, gone);
    let down = Status::Down("it died".to_owned());
    assert_eq!(bench.actions(), [Action::Discard, Action::Status(down)]);
    bench.wait(1000);
    let actions = bench.actions();
    assert!(
        matches!(
            actions.as_slice(),
            [Action::Create, Action::Register(_), Action::Browse]
        ),
        "{actions:?}"
    );
    bench.event(searching(1));
    bench.event(resolved(2, &["10.0.0.2:9"]));
    bench.actions();
    bench.wait(5000);
    let actions = bench.actions();
    assert!(actions.contains(&Action::Expired(id(1))), "{actions:?}");
    assert!(!actions.contains(&Action::Expired(id(2))));
}

#[test]
fn a_closed_browse_is_opened_again_and_what_it_does_not_repeat_expires() {
    let mut bench = Bench::up();
    bench.event(resolved(1, &["10.0.0.1:9"]));
    bench.event(resolved(2, &["10.0.0.2:9"]));
    bench.actions();
    bench.event(EngineEvent::BrowseClosed);
    assert_eq!(bench.actions(), [Action::Browse]);
    bench.event(resolved(1, &["10.0.0.1:9"]));
    bench.wait(5000);
    assert_eq!(bench.actions(), [Action::Expired(id(2))]);
}

#[test]
fn our_names_are_what_the_library_can_bear() {
    let mut bench = Bench::up();
    let mut own = advertisement(9);
    own.addrs = vec![IpAddr::from([127, 0, 0, 1])];
    bench.machine.publish(bench.now, &own);
    let actions = bench.actions();
    let [Action::Register(registration)] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    let plain = |name: &str| {
        name.len() <= 63
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    assert!(plain(&registration.instance));
    let host = registration.host.strip_suffix(".local.").unwrap();
    assert!(plain(host) && registration.instance.starts_with(host));
    assert_eq!(registration.port, 4433);
    assert_eq!(registration.addrs, own.addrs);
    let len: usize = registration
        .txt
        .iter()
        .map(|(k, v)| k.len() + v.len() + 2)
        .sum();
    assert!(len <= crate::MAX_TXT_LEN);
}

#[test]
fn this_device_is_no_candidate() {
    let mut bench = Bench::up();
    bench.event(resolved(9, &["127.0.0.1:9"]));
    bench.actions();
    bench.machine.publish(bench.now, &advertisement(9));
    assert_eq!(bench.actions()[0], Action::Withdrawn(id(9)));
    bench.event(resolved(9, &["127.0.0.1:9"]));
    bench.event(resolved_as(full(9, " (2)"), 9, &["127.0.0.1:9"]));
    let found = |action: &Action| matches!(action, Action::Upsert(_));
    assert!(!bench.actions().iter().any(found));
}

#[test]
fn one_id_from_two_hosts_is_one_candidate_of_both() {
    let mut bench = Bench::up();
    bench.event(resolved_as(full(1, " (2)"), 1, &["10.0.0.1:9"]));
    bench.event(resolved(1, &["10.0.0.9:9"]));
    let actions = bench.actions();
    let Some(Action::Upsert(both)) = actions.last() else {
        panic!("{actions:?}");
    };
    let expected: [SocketAddr; 2] = ["10.0.0.9:9".parse().unwrap(), "10.0.0.1:9".parse().unwrap()];
    assert_eq!(both.addrs, expected, "its own name's first");
    bench.event(removed(1));
    bench.wait(500);
    let actions = bench.actions();
    let [Action::Browse, Action::Upsert(rest)] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(rest.addrs, expected[1..]);
}

const GHOSTS: u32 = 10_000;

#[test]
fn ghosts_are_bounded_and_never_push_out_a_pinned_device() {
    let mut bench = Bench::up();
    bench.machine.pin([id(1)].into());
    bench.event(resolved(1, &["10.0.0.1:9"]));
    for n in 1000..1000 + GHOSTS {
        bench.event(resolved(n, &["10.9.9.9:9"]));
    }
    for suffix in 2..50 {
        bench.event(resolved_as(
            full(1, &format!(" ({suffix})")),
            1,
            &["10.9.9.9:9"],
        ));
    }
    let (mut known, mut told) = (HashSet::new(), 0);
    for action in bench.actions() {
        match action {
            Action::Upsert(candidate) => {
                told += 1;
                known.insert(candidate.id);
            }
            Action::Expired(id) => assert!(known.remove(&id)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(known.len(), MAX_DEVICES);
    assert!(known.contains(&id(1)));
    assert!(told < GHOSTS + 10, "{told}");
}

#[test]
fn what_cannot_be_dialled_is_no_candidate() {
    let mut bench = Bench::up();
    bench.event(resolved(1, &["10.0.0.1:0"]));
    bench.event(resolved(2, &["0.0.0.0:9", "224.0.0.251:9"]));
    bench.event(resolved(3, &[]));
    bench.event(resolved_as(full(4, ""), 5, &["10.0.0.1:9"]));
    bench.event(resolved_as(
        format!("Printer.{SERVICE_TYPE}"),
        6,
        &["10.0.0.1:9"],
    ));
    assert_eq!(bench.actions(), []);
    let many: Vec<_> = (0..200).map(|n| format!("10.0.0.{n}:9")).collect();
    bench.event(resolved(
        7,
        &many.iter().map(String::as_str).collect::<Vec<_>>(),
    ));
    assert_eq!(bench.only_upsert().addrs.len(), crate::MAX_ADDRS);
}

#[test]
fn a_suspect_is_asked_at_most_every_4_s() {
    let mut bench = Bench::up();
    bench.event(resolved(1, &["10.0.0.1:9"]));
    bench.actions();
    let mut asked = Vec::new();
    for n in 0..90 {
        bench.machine.refresh(bench.now, Some(id(1)), Hint::Suspect);
        let verify = Action::Verify(full(1, ""));
        asked.extend(
            bench
                .actions()
                .iter()
                .filter(|a| **a == verify)
                .map(|_| n * 100),
        );
        bench.wait(100);
    }
    assert_eq!(asked, [0, 4000, 8000]);
}

#[test]
fn a_changed_network_starts_the_schedule_again() {
    let mut bench = Bench::up();
    bench.machine.refresh(bench.now, None, Hint::NetworkChanged);
    assert_eq!(bench.actions(), [Action::Browse]);
    assert_eq!(
        bench.times(12_000, &Action::Browse),
        [16_000, 18_000, 20_000, 25_000]
    );
}

#[test]
fn a_changed_network_ends_the_wait_for_an_interface() {
    let mut bench = Bench::new();
    while bench.now < bench.start + Duration::from_secs(60) {
        bench.event(searching(0));
        bench.wait(100);
    }
    while !matches!(
        bench.actions().as_slice(),
        [Action::Discard, Action::Status(Status::Down(_))]
    ) {
        bench.event(searching(0));
        bench.wait(100);
    }
    // Half a minute would be next.
    bench.machine.refresh(bench.now, None, Hint::NetworkChanged);
    let actions = bench.actions();
    assert_eq!(actions, [Action::Create, Action::Browse]);
}

#[test]
fn who_announces_our_id_is_told_of_until_it_is_withdrawn() {
    let mut bench = Bench::up();
    bench.machine.publish(bench.now, &advertisement(9));
    bench.actions();
    // Epoch 7, where ours is 1.
    bench.event(resolved(9, &["10.0.0.5:4433"]));
    bench.event(searching(1));
    let actions = bench.actions();
    assert_eq!(actions.len(), 2);
    assert!(
        actions
            .iter()
            .all(|a| matches!(a, Action::Status(Status::Degraded(_))))
    );
    bench.machine.withdraw(bench.now, &id(9));
    assert_eq!(bench.actions()[1], Action::Status(Status::Up));
}

#[test]
fn our_own_announcements_are_nobody_elses() {
    let mut bench = Bench::up();
    let ours = |port: u16| {
        let txt = announcement(9, 1).to_txt().into_iter();
        EngineEvent::Resolved(Resolved {
            fullname: full(9, ""),
            addrs: vec![SocketAddr::from(([10, 0, 0, 1], port))],
            txt: txt
                .map(|(key, value)| (key.to_owned(), Some(value.into_bytes())))
                .collect(),
        })
    };
    bench.machine.publish(bench.now, &advertisement(9));
    let mut moved = advertisement(9);
    moved.port = 4434;
    bench.machine.publish(bench.now, &moved);
    bench.actions();
    let unfinished = EngineEvent::Resolved(Resolved {
        fullname: full(9, ""),
        addrs: Vec::new(),
        txt: Vec::new(),
    });
    // What was announced before may be heard late.
    for event in [unfinished, ours(4433), ours(4434)] {
        bench.event(event);
        assert_eq!(bench.actions(), []);
    }
    bench.event(ours(4435));
    assert!(matches!(
        bench.actions().as_slice(),
        [Action::Status(Status::Degraded(_))]
    ));
}

#[derive(Clone, Debug)]
enum Step {
    Event(EngineEvent),
    Wait(u64),
    Publish(u32),
    Withdraw(u32),
    Fail(bool),
    Refresh(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0u32..4;
    prop_oneof![
        n.clone()
            .prop_map(|n| Step::Event(resolved(n, &["10.0.0.1:9"]))),
        n.clone().prop_map(|n| Step::Event(removed(n))),
        ".*".prop_map(|text| Step::Event(EngineEvent::Removed(text))),
        (0usize..2).prop_map(|n| Step::Event(searching(n))),
        Just(Step::Event(EngineEvent::BrowseClosed)),
        (0u64..8000).prop_map(Step::Wait),
        n.clone().prop_map(Step::Publish),
        n.clone().prop_map(Step::Withdraw),
        any::<bool>().prop_map(Step::Fail),
        n.prop_map(Step::Refresh),
    ]
}

proptest! {
    /// Whatever happens: every action is for an engine that exists, one exists at a time, and it ends when told to.
    #[test]
    fn actions_make_sense(steps in proptest::collection::vec(step(), 0..60)) {
        let mut bench = Bench::new();
        let mut engine = false;
        let mut known = HashSet::new();
        for step in steps {
            match step {
                Step::Event(event) => bench.event(event),
                Step::Wait(ms) => bench.wait(ms),
                Step::Publish(n) => bench.machine.publish(bench.now, &advertisement(n)),
                Step::Withdraw(n) => bench.machine.withdraw(bench.now, &id(n)),
                Step::Fail(busy) => {
                    let failure = if busy { Failure::Busy } else { Failure::Gone(String::new()) };
                    bench.machine.handle_failure(bench.now, &Action::Browse, failure);
                }
                Step::Refresh(n) => bench.machine.refresh(bench.now, Some(id(n)), Hint::Suspect),
            }
            check(bench.actions(), &mut engine, &mut known)?;
        }
        let deadline = bench.now + Duration::from_millis(150);
        bench.machine.close(bench.now, deadline);
        bench.wait(150);
        check(bench.actions(), &mut engine, &mut known)?;
        prop_assert!(!engine);
        prop_assert!(bench.machine.is_stopped());
        prop_assert_eq!(bench.machine.poll_timeout(), None);
    }
}

fn check(
    actions: Vec<Action>,
    engine: &mut bool,
    known: &mut HashSet<DeviceId>,
) -> Result<(), TestCaseError> {
    for action in actions {
        match action {
            Action::Create => {
                prop_assert!(!*engine);
                *engine = true;
            }
            Action::Discard | Action::Stop => {
                prop_assert!(*engine);
                *engine = false;
            }
            Action::Upsert(candidate) => {
                known.insert(candidate.id);
            }
            Action::Withdrawn(id) | Action::Expired(id) => prop_assert!(known.remove(&id)),
            Action::Status(_) => {}
            Action::Browse | Action::Register(_) | Action::Unregister(_) | Action::Verify(_) => {
                prop_assert!(*engine, "{:?} without an engine", action);
            }
        }
    }
    Ok(())
}
