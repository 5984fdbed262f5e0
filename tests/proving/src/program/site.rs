//! A lab whose devices trust one another, and the processes in it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use softbus::{Identity, Parcel, TrustStore};
use tempfile::TempDir;
use testkit::{
    deaf::{Aim, Deaf, Question},
    netns::Lab,
    process::Process,
    wall_clock::WallClock,
};

use crate::program::{
    By, Failure, Result,
    device::{MARKS, SERVED},
};

/// The third method of what every device serves.
const ECHO: u32 = 3;

/// For what does not depend on time-outs of devices that are gone.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    pub(crate) lab: Lab,
    /// By what its devices talk.
    pub(crate) by: By,
    directory: TempDir,
    ids: Vec<String>,
    /// Those that go by a clock of their own.
    clocks: BTreeMap<usize, WallClock>,
}

/// A device that runs.
pub(crate) struct Device {
    pub(crate) process: Process,
    pub(crate) place: usize,
    /// When it began to start, by its own word.
    pub(crate) begun: f64,
    /// Where it listens.
    pub(crate) port: u16,
    /// What it has said and nobody has asked for yet.
    heard: Vec<Value>,
}

impl Site {
    pub(crate) fn new(devices: usize, by: By) -> Result<Self> {
        let lab = Lab::new(devices)?;
        let directory = tempfile::tempdir()?;
        let mut ids = Vec::new();
        for place in 1..=devices {
            let identity = Identity::open(directory.path().join(place.to_string()))?;
            ids.push(identity.device_id().to_string());
        }
        for place in 1..=devices {
            let trust = TrustStore::open(directory.path().join(place.to_string()))?;
            let others = ids.iter().filter(|id| **id != ids[place - 1]);
            let list: String = others.map(|id| format!("{id} other\n")).collect();
            trust.import_list(&list)?;
        }
        Ok(Self {
            lab,
            by,
            directory,
            ids,
            clocks: BTreeMap::new(),
        })
    }

    pub(crate) fn id(&self, place: usize) -> &str {
        &self.ids[place - 1]
    }

    pub(crate) fn home(&self, place: usize) -> PathBuf {
        self.directory.path().join(place.to_string())
    }

    /// From its next start on the wall clock of a device can be made to jump.
    pub(crate) fn wind(&mut self, place: usize) -> Result<()> {
        let clock = WallClock::make(&self.home(place))?;
        self.clocks.insert(place, clock);
        Ok(())
    }

    /// The clock that was [wound](Self::wind).
    pub(crate) fn clock(&self, place: usize) -> Result<&WallClock> {
        let clock = self.clocks.get(&place);
        clock.ok_or_else(|| "it goes by the clock of the machine".into())
    }

    /// Starts one that calls another device and does not read.
    pub(crate) fn start_deaf(&self, place: usize, callee: &Device) -> Result<Deaf> {
        let mut parcel = Parcel::new();
        // So much that it still goes in a frame.
        parcel.write(&vec![7_u8; 6 * 1024])?;
        let body = parcel.read_buffer(parcel.data_size())?.to_vec();
        let aim = Aim {
            identity: Identity::open(self.home(place))?,
            whom: self.id(callee.place).parse()?,
            at: (self.lab.address(callee.place), callee.port).into(),
            by: self.by.transports(),
            question: Question {
                service: MARKS,
                code: ECHO,
                bodies: vec![body.into()],
            },
        };
        Ok(Deaf::start(&self.lab, place, aim))
    }

    /// Starts a device without waiting for it.
    pub(crate) fn launch(&self, place: usize) -> Result<Device> {
        self.launch_with(place, |_| {})
    }

    /// The same with more arguments.
    pub(crate) fn launch_with(
        &self,
        place: usize,
        with: impl FnOnce(&mut Command),
    ) -> Result<Device> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("device").arg(self.home(place));
        command.args(["--transport", &self.by.to_string()]);
        if let Some(clock) = self.clocks.get(&place) {
            clock.wind(&mut command);
        }
        with(&mut command);
        let process = self.lab.run_in(place, command)?;
        Ok(Device {
            process,
            place,
            begun: 0.0,
            port: 0,
            heard: Vec::new(),
        })
    }

    pub(crate) fn start(&self, place: usize) -> Result<Device> {
        self.launch(place)?.ready()
    }

    /// Starts those places and waits until each is online to each.
    pub(crate) fn mesh(&self, places: impl IntoIterator<Item = usize>) -> Result<Vec<Device>> {
        let launched = places.into_iter().map(|place| self.launch(place));
        let mut devices = launched.collect::<Result<Vec<_>>>()?;
        self.wait_all(&mut devices)?;
        Ok(devices)
    }

    /// Waits until those that were launched are ready, and each is online to each; when the last heard of the last.
    pub(crate) fn wait_all(&self, devices: &mut [Device]) -> Result<f64> {
        for device in &mut *devices {
            device.is_ready()?;
        }
        let places: Vec<_> = devices.iter().map(|device| device.place).collect();
        let mut last: f64 = 0.0;
        for device in devices {
            let place = device.place;
            for other in places.iter().filter(|other| **other != place) {
                last = last.max(device.wait("online", self.id(*other))?);
            }
        }
        Ok(last)
    }

    /// How often each call of a run was served by a device.
    pub(crate) fn served(&self, place: usize, run: u64) -> Result<BTreeMap<u64, u32>> {
        let mut served = BTreeMap::new();
        let bytes = fs::read(self.home(place).join(SERVED))?;
        for entry in bytes.chunks_exact(16) {
            let number = |half: &[u8]| {
                half.iter()
                    .rev()
                    .fold(0, |all, byte| all << 8 | u64::from(*byte))
            };
            if number(&entry[..8]) == run {
                *served.entry(number(&entry[8..])).or_default() += 1;
            }
        }
        Ok(served)
    }
}

impl Device {
    /// Once it has started.
    pub(crate) fn ready(mut self) -> Result<Self> {
        self.is_ready()?;
        Ok(self)
    }

    fn is_ready(&mut self) -> Result<()> {
        let ready = self.next(|event| event["event"] == "ready", SOON)?;
        self.begun = ready["begun"].as_f64().unwrap_or_default();
        let port = ready["port"].as_u64();
        self.port = port.and_then(|port| port.try_into().ok()).unwrap_or(0);
        Ok(())
    }

    /// The next thing of this kind that it says; what it says meanwhile is kept.
    fn next(&mut self, wanted: impl Fn(&Value) -> bool, within: Duration) -> Result<Value> {
        if let Some(index) = self.heard.iter().position(&wanted) {
            return Ok(self.heard.remove(index));
        }
        let until = Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.process.next_event(left)?;
            if wanted(&event) {
                return Ok(event);
            }
            self.heard.push(event);
        }
    }

    /// Waits for it to say so of a device; when it did.
    pub(crate) fn wait(&mut self, what: &str, of: &str) -> Result<f64> {
        let event = self.next(
            |event| event["event"] == what && event["device"] == of,
            SOON,
        )?;
        event["at"].as_f64().ok_or_else(|| Failure::from("no time"))
    }

    /// What it has said so far and nobody has asked for is forgotten.
    pub(crate) fn forget(&mut self) {
        while let Ok(event) = self.process.next_event(Duration::ZERO) {
            drop(event);
        }
        self.heard.clear();
    }

    /// How often it has said that somebody went offline, since that was forgotten.
    pub(crate) fn losses(&mut self) -> Vec<Value> {
        while let Ok(event) = self.process.next_event(Duration::ZERO) {
            self.heard.push(event);
        }
        let (losses, others) = std::mem::take(&mut self.heard)
            .into_iter()
            .partition(|event| event["event"] == "offline");
        self.heard = others;
        losses
    }

    /// Has it do something; what it says of that.
    pub(crate) fn ask(&mut self, line: &str, answer: &str) -> Result<Value> {
        self.tell(line)?;
        self.outcome(answer)
    }

    /// What it says of what it was told to do.
    pub(crate) fn outcome(&mut self, answer: &str) -> Result<Value> {
        let wanted = |event: &Value| event["event"] == answer || event["event"] == "failed";
        let done = self.next(wanted, SOON)?;
        match done["event"] == answer {
            true => Ok(done),
            false => Err(format!("not {answer}: {done}").into()),
        }
    }

    /// Has it begin something of which it says nothing yet.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        Ok(self.process.send_line(line)?)
    }
}
