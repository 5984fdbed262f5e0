//! Devices as processes in the lab, and what happens to them: found, killed, started again, cut off, losing packets.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use softbus::{DeviceId, Identity, TrustStore};
use tempfile::TempDir;
use testkit::{netns::Lab, process::Process, scenarios::measured};

/// For what does not depend on time-outs of devices that are gone.
const SOON: Duration = Duration::from_secs(20);

/// A lab with an identity for each device, all of which trust each other.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    ids: Vec<DeviceId>,
    directory: TempDir,
}

/// A child program on a device.
struct Node {
    process: Process,
    started: Instant,
}

impl Site {
    #[track_caller]
    pub(crate) fn or_skip(devices: usize) -> Option<Self> {
        let lab = Lab::or_skip(devices)?;
        let directory = tempfile::tempdir().unwrap();
        let identity = |place| Identity::open(home(directory.path(), place)).unwrap();
        let ids: Vec<_> = (1..=devices)
            .map(|place| *identity(place).device_id())
            .collect();
        for place in 1..=devices {
            let trust = TrustStore::open(home(directory.path(), place)).unwrap();
            let others = ids
                .iter()
                .enumerate()
                .filter(|(index, _)| index + 1 != place);
            for (_, other) in others {
                trust.trust(*other, "other").unwrap();
            }
        }
        Some(Self {
            lab,
            ids,
            directory,
        })
    }

    pub(crate) fn id(&self, place: usize) -> String {
        self.ids[place - 1].to_string()
    }

    /// Where the files of a device are.
    pub(crate) fn home(&self, place: usize) -> PathBuf {
        home(self.directory.path(), place)
    }

    /// A device trusts another one no more. Before it starts.
    fn forget(&self, place: usize, other: usize) {
        let trust = TrustStore::open(home(self.directory.path(), place)).unwrap();
        assert!(trust.forget(&self.ids[other - 1]).unwrap());
    }

    fn start(&self, place: usize) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab_node"));
        command.arg(home(self.directory.path(), place));
        let started = Instant::now();
        let process = self.lab.run_in(place, command).unwrap();
        let mut node = Node { process, started };
        let ready = node.wait_for("ready", SOON);
        assert_eq!(ready["device"], self.id(place));
        node
    }
}

fn home(directory: &Path, place: usize) -> PathBuf {
    directory.join(place.to_string())
}

impl Node {
    fn wait_for(&mut self, event: &str, within: Duration) -> Value {
        let wanted = |found: &Value| found["event"] == event;
        self.process.wait_for_event(within, wanted).unwrap()
    }

    fn wait_for_device(&mut self, event: &str, device: &str, within: Duration) -> Value {
        let wanted = |found: &Value| found["event"] == event && found["device"] == device;
        self.process.wait_for_event(within, wanted).unwrap()
    }

    /// Tells the node to do something, and returns the milliseconds that it took.
    fn succeeds(&mut self, command: &str) -> Duration {
        let done = self.ends(command);
        assert_eq!(done["result"], 9102, "{done}");
        milliseconds(&done)
    }

    /// Tells the node to do something that it cannot do, and returns why.
    fn fails(&mut self, command: &str) -> String {
        let done = self.ends(command);
        assert_eq!(done["event"], "failed", "{done}");
        done["error"].as_str().unwrap().to_owned()
    }

    fn ends(&mut self, command: &str) -> Value {
        self.process.send_line(command).unwrap();
        let wanted = |found: &Value| found["event"] == "called" || found["event"] == "failed";
        self.process.wait_for_event(SOON, wanted).unwrap()
    }
}

fn milliseconds(event: &Value) -> Duration {
    Duration::from_secs_f64(event["ms"].as_f64().unwrap() / 1000.0)
}

#[test]
fn three_devices_find_and_call_each_other() {
    let Some(site) = Site::or_skip(3) else { return };
    let mut nodes: Vec<_> = (1..=3).map(|place| site.start(place)).collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        let mut others: Vec<_> = (1..=3).filter(|place| place - 1 != index).collect();
        while !others.is_empty() {
            let online = node.wait_for("online", SOON);
            others.retain(|place| online["device"] != site.id(*place));
        }
    }
    for (index, node) in nodes.iter_mut().enumerate() {
        for other in (1..=3).filter(|place| place - 1 != index) {
            node.succeeds(&format!("call {}", site.id(other)));
        }
    }
}

/// Rows 79 and 109, and the figures of the closing note.
#[test]
fn a_killed_device_is_missed_and_found_again() {
    let Some(site) = Site::or_skip(2) else { return };
    let mut watcher = site.start(1);
    let mut victim = site.start(2);
    let both_started = victim.started;
    watcher.wait_for_device("online", &site.id(2), SOON);
    measured(
        "discovery, from the start of the second device",
        both_started.elapsed(),
    );
    let call = format!("call {}", site.id(2));
    measured("first call, look-up included", watcher.succeeds(&call));

    let killed = Instant::now();
    victim.process.kill().unwrap();
    let died = watcher.wait_for_device("died", &site.id(2), Duration::from_secs(10));
    measured("death notice after SIGKILL", killed.elapsed());
    assert!(
        ["process died", "device unreachable"].contains(&died["reason"].as_str().unwrap()),
        "{died}"
    );
    watcher.wait_for_device("offline", &site.id(2), SOON);

    let mut again = site.start(2);
    watcher.wait_for_device("online", &site.id(2), SOON);
    measured("found again, from the start", again.started.elapsed());
    watcher.succeeds(&call);
    again.succeeds(&format!("call {}", site.id(1)));
}

/// One that is started again at once recognises the packets of the connections it had.
#[test]
fn a_device_that_crashes_and_comes_back_is_noticed_at_once() {
    let Some(site) = Site::or_skip(2) else { return };
    let mut watcher = site.start(1);
    let mut victim = site.start(2);
    watcher.wait_for_device("online", &site.id(2), SOON);
    let call = format!("call {}", site.id(2));
    watcher.succeeds(&call);
    let killed = Instant::now();
    victim.process.kill().unwrap();
    let _again = site.start(2);
    watcher.wait_for_device("died", &site.id(2), Duration::from_secs(10));
    measured("death notice after SIGKILL and restart", killed.elapsed());
    watcher.wait_for_device("online", &site.id(2), SOON);
    watcher.succeeds(&call);
}

/// A leave in which the device has time to say goodbye.
#[test]
fn a_device_that_leaves_is_missed_at_once() {
    let Some(site) = Site::or_skip(2) else { return };
    let mut watcher = site.start(1);
    let mut leaver = site.start(2);
    watcher.wait_for_device("online", &site.id(2), SOON);
    watcher.succeeds(&format!("call {}", site.id(2)));
    let left = Instant::now();
    leaver.process.send_line("leave").unwrap();
    watcher.wait_for_device("died", &site.id(2), SOON);
    measured("death notice after a graceful leave", left.elapsed());
    let offline = watcher.wait_for_device("offline", &site.id(2), SOON);
    assert_eq!(offline["reason"], "left");
    assert!(leaver.process.wait(SOON).unwrap().success());
}

#[test]
fn a_partition_is_noticed_by_both_sides_and_heals() {
    let Some(site) = Site::or_skip(3) else { return };
    let mut nodes: Vec<_> = (1..=3).map(|place| site.start(place)).collect();
    let [one, two, three] = &mut nodes[..] else {
        unreachable!("three were started")
    };
    two.wait_for_device("online", &site.id(3), SOON);
    one.succeeds(&format!("call {}", site.id(3)));
    one.succeeds(&format!("call {}", site.id(2)));

    let cut = Instant::now();
    site.lab.cut(3).unwrap();
    one.wait_for_device("died", &site.id(3), Duration::from_secs(10));
    measured("death notice after a cut cable", cut.elapsed());
    two.wait_for_device("offline", &site.id(3), SOON);
    three.wait_for_device("offline", &site.id(1), SOON);
    one.succeeds(&format!("call {}", site.id(2)));

    let healed = Instant::now();
    site.lab.heal(3).unwrap();
    one.wait_for_device("online", &site.id(3), SOON);
    measured("back online after a heal", healed.elapsed());
    one.succeeds(&format!("call {}", site.id(3)));
    three.succeeds(&format!("call {}", site.id(2)));
}

/// Row 107 as three processes: who introduced the others is killed at once, later the home is too.
#[test]
fn an_introduced_process_needs_nobody_in_between() {
    let Some(site) = Site::or_skip(3) else { return };
    let (mut a, mut b, mut c) = (site.start(1), site.start(2), site.start(3));
    a.succeeds(&format!("introduce {} {}", site.id(2), site.id(3)));
    a.process.kill().unwrap();
    let introduced = c.wait_for("introduced", SOON);
    assert_eq!(introduced["device"], site.id(2));
    assert_eq!(introduced["result"], 9102);
    c.succeeds("again");
    c.wait_for_device("offline", &site.id(1), SOON);
    c.succeeds("again");
    b.process.send_line("callers").unwrap();
    let mut callers = b.wait_for("callers", SOON)["devices"].clone();
    let callers = callers.as_array_mut().unwrap();
    callers.retain(|caller| *caller != site.id(1));
    assert_eq!(*callers, [site.id(3), site.id(3), site.id(3)]);
    b.process.kill().unwrap();
    c.wait_for_device("died", &site.id(2), SOON);
}

/// Row 107 as three processes: the home has not paired with who is to get its object, and who introduces is told so.
#[test]
fn a_process_that_the_home_does_not_trust_is_not_introduced() {
    let Some(site) = Site::or_skip(3) else { return };
    site.forget(2, 3);
    let (mut a, mut b, _c) = (site.start(1), site.start(2), site.start(3));
    let introduce = format!("introduce {} {}", site.id(2), site.id(3));
    let error = a.fails(&introduce);
    assert!(
        error.contains("receiver not trusted by the object's device"),
        "{error}"
    );
    b.process.send_line("callers").unwrap();
    let callers = b.wait_for("callers", SOON)["devices"].clone();
    assert_eq!(callers, Value::Array(Vec::new()));
}

/// Row 107 as three processes: who gets the object has not paired with its home, and reads that where the object stood.
#[test]
fn a_process_that_does_not_trust_the_home_is_told_so() {
    let Some(site) = Site::or_skip(3) else { return };
    site.forget(3, 2);
    let (mut a, _b, mut c) = (site.start(1), site.start(2), site.start(3));
    a.succeeds(&format!("introduce {} {}", site.id(2), site.id(3)));
    let missing = c.wait_for("missing", SOON);
    let error = missing["error"].as_str().unwrap();
    assert!(error.contains("its device is not trusted here"), "{error}");
}

#[test]
fn calls_succeed_while_a_fifth_of_the_packets_is_lost() {
    let Some(site) = Site::or_skip(2) else { return };
    let mut one = site.start(1);
    let _two = site.start(2);
    one.wait_for_device("online", &site.id(2), SOON);
    site.lab.drop_percent(20).unwrap();
    let took = one.succeeds(&format!("calls {} 200", site.id(2)));
    measured("200 calls at 20 % loss", took);
}
