//! The five devices, and how they are asked.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use softbus::transport::Transport;
use softbus_compose::{Answer, Container, Lan, devices::Devices, weather::Weather};
use tempfile::TempDir;
use testkit::wait::wait_for;

use crate::Failure;

/// The service that each device has.
const ROOM: &str = "1403";
/// Those that trust one another.
pub(crate) const FRIENDS: [&str; 4] = ["service", "alice", "bob", "member"];
const ALL: [&str; 5] = ["service", "alice", "bob", "member", "stranger"];

pub(crate) struct World {
    pub(crate) lan: Lan,
    containers: HashMap<&'static str, Container>,
    ids: HashMap<&'static str, String>,
    /// When the containers had been started.
    pub(crate) began: Instant,
    /// By which they talk: by TCP because no UDP gets through.
    transport: Transport,
    state: TempDir,
}

impl World {
    pub(crate) fn start(
        file: &Path,
        image: &str,
        softbus: &Path,
        transport: Transport,
    ) -> Result<Self, Failure> {
        let state = tempfile::tempdir()?;
        let devices = Devices::new(softbus.to_owned(), state.path().to_owned());
        let mut ids = HashMap::new();
        for name in ALL {
            ids.insert(name, devices.create(name)?);
        }
        for name in FRIENDS {
            // Nobody has an entry for the member.
            for other in FRIENDS
                .iter()
                .filter(|other| **other != name && **other != "member")
            {
                devices.trust(name, &ids[other], other)?;
            }
            devices.trust("stranger", &ids[name], name)?;
        }
        devices.fleet("member", &FRIENDS)?;
        let directory = state.path().to_string_lossy();
        let project = format!("softbus-{}", std::process::id());
        let variables = [("SOFTBUS_STATE", &*directory), ("SOFTBUS_IMAGE", image)];
        let lan = Lan::up(file, &project, &variables)?;
        let began = Instant::now();
        let mut containers = HashMap::new();
        for name in ALL {
            containers.insert(name, lan.container(name)?);
        }
        let world = Self {
            lan,
            containers,
            ids,
            began,
            transport,
            state,
        };
        for name in ALL {
            world.block(name)?;
        }
        Ok(world)
    }

    /// Starts a container that has ended.
    pub(crate) fn start_again(&self, name: &str) -> Result<(), Failure> {
        self.container(name).start()?;
        self.block(name)
    }

    /// Where all has to go by TCP, lets no UDP into a container. One that starts has a network like new.
    fn block(&self, name: &str) -> Result<(), Failure> {
        if self.transport == Transport::Tcp {
            let weather = Weather {
                without_udp: true,
                ..Weather::default()
            };
            weather.apply(0, &[Some(self.container(name).inside()?)])?;
        }
        Ok(())
    }

    /// What a device has with these is on the transport that is meant to be tried.
    pub(crate) fn talks(&self, from: &str, to: &[&str]) -> Result<(), Failure> {
        for (name, device) in to.iter().zip(self.devices(from, to)?) {
            let found = &device["transport"];
            same(
                found,
                &self.transport.to_string(),
                &format!("{from} to {name}"),
            )?;
        }
        Ok(())
    }

    pub(crate) fn id(&self, name: &str) -> &str {
        &self.ids[name]
    }

    pub(crate) fn container(&self, name: &str) -> &Container {
        &self.containers[name]
    }

    /// Starts a device again, as one that speaks these versions of the protocol, or what it speaks.
    pub(crate) fn restart_as(&self, name: &str, versions: Option<&str>) -> Result<(), Failure> {
        let file = self.state.path().join(name).join("versions");
        match versions {
            Some(versions) => fs::write(file, versions)?,
            None => fs::remove_file(file)?,
        }
        self.container(name).stop()?;
        self.start_again(name)
    }

    /// Calls a method of the room of `of`, as a process of `from`.
    pub(crate) fn call(
        &self,
        from: &str,
        of: &str,
        method: &str,
        arguments: &[&str],
    ) -> Result<Answer, Failure> {
        let words = [&["call", self.id(of), ROOM, method][..], arguments].concat();
        Ok(self.container(from).softbus(&words)?)
    }

    /// The same where it has to succeed; its result.
    pub(crate) fn ask(
        &self,
        from: &str,
        of: &str,
        method: &str,
        arguments: &[&str],
    ) -> Result<Value, Failure> {
        let answer = self.call(from, of, method, arguments)?;
        match answer.code {
            Some(0) => Ok(answer.object()["result"].clone()),
            code => Err(format!(
                "{from} called {method} of {of}: exit code {code:?}, {}",
                answer.error
            )
            .into()),
        }
    }

    /// `from` is known to `of` as who it is.
    pub(crate) fn greet(&self, from: &str, of: &str) -> Result<(), Failure> {
        let greeted = self.ask(from, of, "greet", &[])?;
        same(&greeted, self.id(from), &format!("{of} says who {from} is"))
    }

    /// How `from` sees these: what `softbus devices` prints of each.
    pub(crate) fn devices(&self, from: &str, of: &[&str]) -> Result<Vec<Value>, Failure> {
        let answer = self.container(from).softbus(&["devices", "--for", "1"])?;
        let find = |name: &&str| {
            let mut devices = answer.objects.iter();
            let device = devices.find(|device| device["device"] == self.id(name));
            device.cloned().unwrap_or_default()
        };
        Ok(of.iter().map(find).collect())
    }

    /// `from` sees that all of these are online, or that none of them is.
    pub(crate) fn sees(&self, from: &str, of: &[&str], online: bool) -> Result<(), Failure> {
        for (name, device) in of.iter().zip(self.devices(from, of)?) {
            let presence = &device["presence"];
            // Somebody who was silent for a moment is not gone yet.
            if (presence == "online" || presence == "suspect") != online {
                return Err(format!("{name}, as {from} sees it: {presence}").into());
            }
        }
        Ok(())
    }

    /// Those that trust one another, but for one.
    pub(crate) fn others(name: &str) -> Vec<&'static str> {
        FRIENDS.into_iter().filter(|other| *other != name).collect()
    }
}

pub(crate) fn same(found: &Value, expected: &str, what: &str) -> Result<(), Failure> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found}, expected {expected:?}").into()),
    }
}

/// Tries again until it works; how long that took.
pub(crate) fn eventually(
    within: Duration,
    mut attempt: impl FnMut() -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let began = Instant::now();
    let mut last = None;
    let done = wait_for(within, || match attempt() {
        Ok(()) => Some(()),
        Err(error) => {
            last = Some(error);
            None
        }
    });
    match (done, last) {
        (Some(()), _) => Ok(began.elapsed().as_secs_f64()),
        (None, Some(error)) => Err(format!("not within {within:?}: {error}").into()),
        (None, None) => Err(format!("not within {within:?}").into()),
    }
}
