//! Devices as processes: each in a namespace of the lab, with an identity of its own, all of them trusting each other.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use softbus::{DeviceId, Identity, TrustStore};
use tempfile::TempDir;
use testkit::{netns::Lab, process::Process};

/// For what does not depend on time-outs of devices that are gone.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A lab with an identity for each device, all of which trust each other.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    pub(crate) ids: Vec<DeviceId>,
    pub(crate) directory: TempDir,
}

/// A child program on a device.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) started: Instant,
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
            let others = ids.iter().filter(|id| **id != ids[place - 1]);
            let list: String = others.map(|id| format!("{id} other\n")).collect();
            trust.import_list(&list).unwrap();
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
    pub(crate) fn forget(&self, place: usize, other: usize) {
        let trust = TrustStore::open(home(self.directory.path(), place)).unwrap();
        assert!(trust.forget(&self.ids[other - 1]).unwrap());
    }

    pub(crate) fn start(&self, place: usize) -> Node {
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
    pub(crate) fn wait_for(&mut self, event: &str, within: Duration) -> Value {
        let wanted = |found: &Value| found["event"] == event;
        self.process.wait_for_event(within, wanted).unwrap()
    }

    pub(crate) fn wait_for_device(&mut self, event: &str, device: &str, within: Duration) -> Value {
        let wanted = |found: &Value| found["event"] == event && found["device"] == device;
        self.process.wait_for_event(within, wanted).unwrap()
    }

    /// Tells the node to do something, and returns the milliseconds that it took.
    pub(crate) fn succeeds(&mut self, command: &str) -> Duration {
        let done = self.ends(command);
        assert_eq!(done["result"], 9102, "{done}");
        milliseconds(&done)
    }

    /// Tells the node to do something that it cannot do, and returns why.
    pub(crate) fn fails(&mut self, command: &str) -> String {
        let done = self.ends(command);
        assert_eq!(done["event"], "failed", "{done}");
        done["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn ends(&mut self, command: &str) -> Value {
        self.process.send_line(command).unwrap();
        let wanted = |found: &Value| found["event"] == "called" || found["event"] == "failed";
        self.process.wait_for_event(SOON, wanted).unwrap()
    }
}

pub(crate) fn milliseconds(event: &Value) -> Duration {
    Duration::from_secs_f64(event["ms"].as_f64().unwrap() / 1000.0)
}
