//! Devices as processes: each in a namespace of the lab, with an identity of its own, all of them trusting each other.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use softbus::{DeviceId, Identity, TrustStore, transport::Transports};
use tempfile::TempDir;

use crate::{
    ledger::{Totals, audit, served},
    netns::Lab,
    process::Process,
    wait::wait_until,
};

/// For what does not depend on time-outs of devices that are gone.
pub const SOON: Duration = Duration::from_secs(20);

/// A lab with an identity for each device, all of which trust each other.
#[derive(Debug)]
pub struct Site {
    /// The network.
    pub lab: Lab,
    /// Who the devices are, the first at place 1.
    pub ids: Vec<DeviceId>,
    program: PathBuf,
    transports: Transports,
    directory: TempDir,
}

/// A child program on a device.
#[derive(Debug)]
pub struct Node {
    /// The program.
    pub process: Process,
    /// When it was.
    pub started: Instant,
}

impl Site {
    /// A site of so many devices, whose program this is; `None` after a loud skip where there can be no lab.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    #[track_caller]
    pub fn or_skip(program: impl AsRef<Path>, devices: usize) -> Option<Self> {
        let lab = Lab::or_skip(devices)?;
        let directory = tempfile::tempdir().unwrap();
        let identity = |place| Identity::open(home(directory.path(), place)).unwrap();
        let ids: Vec<_> = (1..=devices)
            .map(|place| *identity(place).device_id())
            .collect();
        for place in 1..=devices {
            let trust = TrustStore::open(home(directory.path(), place)).unwrap();
            let others = ids.iter().filter(|id| **id != ids[place - 1]);
            let list: String = others.map(|id| format!("{id} other\n")).collect();
            trust.import_list(&list).unwrap();
        }
        Some(Self {
            lab,
            ids,
            program: program.as_ref().to_owned(),
            transports: Transports::All,
            directory,
        })
    }

    /// A site whose devices talk by these only.
    #[must_use]
    pub fn over(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// What its devices talk by.
    #[must_use]
    pub fn transports(&self) -> Transports {
        self.transports
    }

    /// Who the device of a place is, as text.
    #[must_use]
    pub fn id(&self, place: usize) -> String {
        self.ids[place - 1].to_string()
    }

    /// Where the files of a device are.
    #[must_use]
    pub fn home(&self, place: usize) -> PathBuf {
        home(self.directory.path(), place)
    }

    /// A device trusts another one no more. Before it starts.
    ///
    /// # Panics
    /// When it did not.
    pub fn forget(&self, place: usize, other: usize) {
        let trust = TrustStore::open(self.home(place)).unwrap();
        assert!(trust.forget(&self.ids[other - 1]).unwrap());
    }

    /// Starts a device.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(&self, place: usize) -> Node {
        self.start_with(place, |_| {})
    }

    /// Starts a device with more arguments, or another environment, than usual.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with(&self, place: usize, with: impl FnOnce(&mut Command)) -> Node {
        let mut command = Command::new(&self.program);
        command.arg(self.home(place));
        match self.transports {
            Transports::Quic => command.arg("--quic"),
            Transports::Tcp => command.arg("--tcp"),
            _ => &mut command,
        };
        with(&mut command);
        let started = Instant::now();
        let process = self.lab.run_in(place, command).unwrap();
        let mut node = Node { process, started };
        let ready = node.wait_for("ready", SOON);
        assert_eq!(ready["device"], self.id(place));
        node
    }

    /// Starts the devices of these places, which are those from the first on, waits until all are online to all, and has each call
    /// the ledgers of the others without end.
    ///
    /// # Panics
    /// When they do not find each other.
    #[must_use]
    pub fn at_work<const DEVICES: usize>(&self) -> [Node; DEVICES] {
        let mut nodes = std::array::from_fn(|index| self.start(index + 1));
        self.all_are_online(&mut nodes);
        for (index, node) in nodes.iter_mut().enumerate() {
            node.process
                .send_line(&self.work(index + 1, DEVICES))
                .unwrap();
        }
        nodes
    }

    /// What has a device call the ledgers of the others of so many.
    #[must_use]
    pub fn work(&self, place: usize, devices: usize) -> String {
        let others = (1..=devices).filter(|other| *other != place);
        let others: String = others.map(|other| format!(" {}", self.id(other))).collect();
        format!("work 8 5{others}")
    }

    /// Waits until all are online to all: the devices of the places from the first on.
    ///
    /// # Panics
    /// When they are not in time.
    pub fn all_are_online(&self, nodes: &mut [Node]) {
        self.all_are_online_within(nodes, 2 * SOON);
    }

    /// The same, with so much time from one to the next.
    ///
    /// # Panics
    /// As [`all_are_online`](Self::all_are_online).
    pub fn all_are_online_within(&self, nodes: &mut [Node], within: Duration) {
        let devices = nodes.len();
        for (index, node) in nodes.iter_mut().enumerate() {
            let mut others: Vec<_> = (1..=devices).filter(|place| place - 1 != index).collect();
            while !others.is_empty() {
                let online = node.wait_for("online", within);
                others.retain(|place| online["device"] != self.id(*place));
            }
        }
    }

    /// Waits until the calls to a device are in full swing.
    ///
    /// # Panics
    /// When they are not in time.
    #[track_caller]
    pub fn is_called(&self, place: usize) {
        let home = self.home(place);
        let enough = served(&home).unwrap() + 200;
        let called = wait_until(SOON, || served(&home).unwrap() >= enough);
        assert!(called, "device {place} is called no more");
    }

    /// Waits until each of these devices has one session with each of the others, and no more.
    ///
    /// # Panics
    /// When they have others.
    #[track_caller]
    pub fn all_hold_one_session(&self, nodes: &mut [Node]) {
        let wanted = nodes.len() as u64 - 1;
        let mut held = Vec::new();
        let one = wait_until(SOON, || {
            held = nodes.iter_mut().map(Node::sessions).collect();
            held.iter().all(|held| *held == wanted)
        });
        assert!(one, "sessions of each: {held:?}");
    }

    /// All calls of the devices of the places from the first on end, and what their callers were told is what was done: none is lost
    /// silently, and none doubled.
    ///
    /// # Panics
    /// When one is.
    #[track_caller]
    pub fn rest(&self, nodes: &mut [Node]) -> Totals {
        for node in nodes.iter_mut() {
            node.told("rest", "rests");
        }
        let homes: Vec<_> = (1..=nodes.len())
            .map(|place| (self.id(place), self.home(place)))
            .collect();
        let homes = homes.iter().map(|(id, home)| (id.clone(), home.as_path()));
        let totals = audit(homes).unwrap().unwrap();
        println!("{totals}");
        totals
    }
}

fn home(directory: &Path, place: usize) -> PathBuf {
    directory.join(place.to_string())
}

impl Node {
    /// Waits for an event.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    pub fn wait_for(&mut self, event: &str, within: Duration) -> Value {
        let wanted = |found: &Value| found["event"] == event;
        self.process.wait_for_event(within, wanted).unwrap()
    }

    /// Waits for an event that concerns a device.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    pub fn wait_for_device(&mut self, event: &str, device: &str, within: Duration) -> Value {
        let wanted = |found: &Value| found["event"] == event && found["device"] == device;
        self.process.wait_for_event(within, wanted).unwrap()
    }

    /// Tells the node something, and returns what it says to that.
    ///
    /// # Panics
    /// When it does not say it in time.
    #[track_caller]
    pub fn told(&mut self, command: &str, event: &str) -> Value {
        self.process.send_line(command).unwrap();
        self.wait_for(event, SOON)
    }

    /// Whether another device is online to it now.
    ///
    /// # Panics
    /// When it does not say it in time.
    #[track_caller]
    pub fn has_online(&mut self, device: &str) -> bool {
        let online = self.told("online", "online now");
        let mut online = online["devices"].as_array().unwrap().iter();
        online.any(|online| online == device)
    }

    /// With how many devices it has a session.
    ///
    /// # Panics
    /// When it does not say it in time.
    #[track_caller]
    pub fn sessions(&mut self) -> u64 {
        self.told("usage", "usage")["sessions"].as_u64().unwrap()
    }

    /// The most memory that the program has had at a time, in KiB.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn most_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    /// Tells the node to do something, and returns the milliseconds that it took.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn succeeds(&mut self, command: &str) -> Duration {
        let done = self.ends(command);
        assert_eq!(done["result"], 9102, "{done}");
        milliseconds(&done)
    }

    /// Tells the node to do something that it cannot do, and returns why.
    ///
    /// # Panics
    /// When it succeeds.
    #[track_caller]
    pub fn fails(&mut self, command: &str) -> String {
        let done = self.ends(command);
        assert_eq!(done["event"], "failed", "{done}");
        done["error"].as_str().unwrap().to_owned()
    }

    /// Tells the node to do something, and returns how that ended.
    ///
    /// # Panics
    /// When it has not in time.
    #[track_caller]
    pub fn ends(&mut self, command: &str) -> Value {
        self.process.send_line(command).unwrap();
        let wanted = |found: &Value| found["event"] == "called" || found["event"] == "failed";
        self.process.wait_for_event(SOON, wanted).unwrap()
    }
}

/// What an event says that something took.
///
/// # Panics
/// When it does not say it.
#[must_use]
pub fn milliseconds(event: &Value) -> Duration {
    Duration::from_secs_f64(event["ms"].as_f64().unwrap() / 1000.0)
}
