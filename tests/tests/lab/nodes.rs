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
struct Site {
    lab: Lab,
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
    fn or_skip(devices: usize) -> Option<Self> {
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

    fn id(&self, place: usize) -> String {
        self.ids[place - 1].to_string()
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
        self.process.send_line(command).unwrap();
        let wanted = |found: &Value| found["event"] == "called" || found["event"] == "failed";
        let done = self.process.wait_for_event(SOON, wanted).unwrap();
        assert_eq!(done["result"], 9102, "{done}");
        milliseconds(&done)
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
