//! Devices of a lab whose wall clocks are not all the same.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use softbus::{DeviceId, Node, async_trait, transport::Transports};

use super::{
    Device, World,
    faults::Clocks,
    node::{NodeDevice, Vanish},
};
use crate::{
    site::{self, Site},
    wall_clock::WallClock,
};

/// The place of the device whose clock can be set.
const CLOCK: usize = 2;
/// In seconds: much longer than asking takes, much shorter than any jump.
const ABOUT: f64 = 60.0;

/// Each device is a program in the lab, because a clock is a program's, and a node of this process that is attached to its bus.
#[derive(Debug)]
pub struct ClockWorld {
    site: Site,
    clock: WallClock,
    /// By place, from 1.
    hosts: Vec<site::Node>,
    attached: Vec<Weak<NodeDevice>>,
}

impl ClockWorld {
    /// A world of so many devices at most, whose program is `lab_node`; `None` after a loud skip where there can be no lab.
    ///
    /// # Panics
    /// When there is no C compiler.
    #[track_caller]
    pub fn or_skip(
        lab_node: impl AsRef<Path>,
        devices: usize,
        transports: Transports,
    ) -> Option<Self> {
        let site = Site::or_skip(lab_node, devices)?.over(transports);
        let clock = WallClock::make(&site.home(CLOCK)).expect("there is a C compiler");
        Some(Self {
            site,
            clock,
            hosts: Vec::new(),
            attached: Vec::new(),
        })
    }

    fn socket(&self, place: usize) -> PathBuf {
        self.site.home(place).join("bus.sock")
    }

    fn host(&self, place: usize) -> site::Node {
        self.site.start_with(place, |command| {
            command.arg(self.socket(place));
            if place == CLOCK {
                self.clock.wind(command);
            }
        })
    }

    fn attach(&self, place: usize) -> Arc<NodeDevice> {
        let builder = Node::builder().attach(self.socket(place));
        let device = NodeDevice::start(builder, Vanish::Crash);
        Arc::new(device.expect("a process attaches to the bus of its device"))
    }

    fn place(&self, id: &DeviceId) -> usize {
        let index = self.site.ids.iter().position(|known| known == id);
        index.expect("it is a device of this site") + 1
    }
}

#[async_trait(?Send)]
impl World for ClockWorld {
    async fn device(&mut self) -> Arc<dyn Device> {
        let place = self.hosts.len() + 1;
        self.hosts.push(self.host(place));
        let device = self.attach(place);
        self.attached.push(Arc::downgrade(&device));
        device
    }

    async fn restart(&mut self, device: &Arc<dyn Device>) -> Arc<dyn Device> {
        let place = self.place(&device.id());
        if let Some(attached) = self.attached[place - 1].upgrade() {
            attached.crash();
        }
        let host = &mut self.hosts[place - 1];
        host.process.kill().expect("a program can be killed");
        self.hosts[place - 1] = self.host(place);
        let device = self.attach(place);
        self.attached[place - 1] = Arc::downgrade(&device);
        device
    }

    fn distrust(&self, device: &DeviceId, other: &DeviceId) {
        self.site.forget(self.place(device), self.place(other));
    }
}

#[async_trait(?Send)]
impl Clocks for ClockWorld {
    async fn set_ahead(&mut self, seconds: i64) {
        self.clock.jump(seconds).expect("a file can be written");
        let told = self.hosts[CLOCK - 1].told("clock", "clock");
        let shows = told["seconds"].as_f64().expect("it says what time it is");
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs_f64();
        let ahead = shows - now;
        assert!((ahead - seconds as f64).abs() < ABOUT, "{ahead} s ahead");
    }
}
