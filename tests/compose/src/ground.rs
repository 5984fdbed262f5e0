//! Devices in containers that a test on their host is a part of: each container hosts the bus of its device on a socket in a directory
//! of the host, so a node that [attaches](softbus::Node::attach) to it is a process of that device.

mod cables;
mod stranger;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use softbus::DeviceId;
use tempfile::TempDir;
use testkit::{netns::Namespace, wall_clock::WallClock};

use crate::{ComposeError, Container, Inside, Lan, devices::Devices, weather::Weather};
use cables::Cables;

/// The services of `devices.yaml`: three who trust each other, and one whom they do not.
const NAMES: [&str; 3] = ["one", "two", "three"];
const STRANGER: &str = "stranger";
/// Of these, the one whose wall clock can be set.
const CLOCK: usize = 1;

/// Three containers, all of which trust each other. They are started as they are wanted.
#[derive(Debug)]
pub struct Ground {
    lan: Lan,
    devices: Devices,
    places: Vec<Place>,
    weather: Mutex<Weather>,
    /// Who trusts whom no longer, by place.
    distrust: Mutex<Vec<(usize, usize)>>,
    /// Of addresses that Docker did not give.
    moves: AtomicU8,
    cables: Mutex<Cables>,
    stranger: Place,
    clock: WallClock,
    project: String,
    by_tcp: bool,
    _state: TempDir,
}

/// A container and its device.
#[derive(Debug)]
struct Place {
    name: &'static str,
    id: DeviceId,
    container: Container,
    socket: PathBuf,
    /// `None` while it does not run.
    inside: Mutex<Option<Inside>>,
    paused: AtomicBool,
    /// Off its network, or with another interface there than when it started.
    unplugged: AtomicBool,
}

impl Ground {
    /// Makes the containers of the compose file `devices.yaml`, whose devices talk by `transports`: quic, tcp or all.
    ///
    /// # Errors
    /// Docker or the program `softbus` fails.
    pub fn new(
        file: &Path,
        image: &str,
        softbus: &Path,
        transports: &str,
    ) -> Result<Arc<Self>, ComposeError> {
        let state = tempfile::tempdir().map_err(|source| ComposeError::File {
            path: "a temporary directory".to_owned(),
            source,
        })?;
        let devices = Devices::new(softbus.to_owned(), state.path().to_owned());
        let mut ids = Vec::new();
        let stranger = devices.create(STRANGER)?;
        for name in NAMES {
            let id = devices.create(name)?;
            devices.trust(STRANGER, &id, name)?;
            ids.push(id);
        }
        let home = devices.home(NAMES[CLOCK]);
        let clock = WallClock::make(&home).map_err(|source| ComposeError::File {
            path: home.display().to_string(),
            source,
        })?;
        for name in NAMES {
            for (other, id) in NAMES.iter().zip(&ids).filter(|(other, _)| **other != name) {
                devices.trust(name, id, other)?;
            }
        }
        let directory = state.path().to_string_lossy();
        let project = format!("softbus-{}-{transports}", std::process::id());
        let variables = [
            ("SOFTBUS_STATE", &*directory),
            ("SOFTBUS_IMAGE", image),
            ("SOFTBUS_TRANSPORTS", transports),
        ];
        let lan = Lan::create(file, &project, &variables)?;
        let place = |(name, id): (&'static str, String)| {
            Ok(Place {
                name,
                id: id.parse().map_err(|_| ComposeError::NotADevice(id))?,
                container: lan.container(name)?,
                socket: devices.home(name).join("bus").join("bus.sock"),
                inside: Mutex::default(),
                paused: AtomicBool::new(false),
                unplugged: AtomicBool::new(false),
            })
        };
        let stranger = place((STRANGER, stranger))?;
        let places = NAMES.into_iter().zip(ids).map(place);
        let places = places.collect::<Result<_, ComposeError>>()?;
        Ok(Arc::new(Self {
            lan,
            devices,
            places,
            weather: Mutex::default(),
            distrust: Mutex::default(),
            moves: AtomicU8::new(0),
            cables: Mutex::default(),
            stranger,
            clock,
            project,
            by_tcp: transports == "tcp",
            _state: state,
        }))
    }

    /// What the containers have printed.
    ///
    /// # Errors
    /// Compose fails.
    pub fn logs(&self) -> Result<String, ComposeError> {
        self.lan.logs()
    }

    /// How many devices there can be.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there can be none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Who is at a place, from 0.
    pub fn id(&self, place: usize) -> DeviceId {
        self.places[place].id
    }

    /// Where a device is.
    ///
    /// # Panics
    /// When it is none of this ground.
    pub fn place_of(&self, id: &DeviceId) -> usize {
        let mut places = self.places.iter();
        let place = places.position(|place| place.id == *id);
        place.expect("it is a device of this ground")
    }

    /// Where processes of a device attach.
    pub fn socket(&self, place: usize) -> &Path {
        &self.places[place].socket
    }

    /// Starts a container that does not run.
    ///
    /// # Errors
    /// Docker fails; so with all below.
    pub fn start(&self, place: usize) -> Result<(), ComposeError> {
        if self.runs(place) {
            return Ok(());
        }
        self.places[place].start()?;
        self.weathered()
    }

    /// Has a device take leave and end.
    pub fn stop(&self, place: usize) -> Result<(), ComposeError> {
        self.end(place, Container::stop)
    }

    /// Kills a device: its processes are gone, and its host with it.
    pub fn kill(&self, place: usize) -> Result<(), ComposeError> {
        self.end(place, Container::kill)
    }

    /// Has a device stand still.
    pub fn pause(&self, place: usize) -> Result<(), ComposeError> {
        self.places[place].container.pause()?;
        self.places[place].paused.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has it go on, if it stands still.
    pub fn unpause(&self, place: usize) -> Result<(), ComposeError> {
        let it = &self.places[place];
        match it.paused.swap(false, Ordering::Relaxed) {
            true => it.container.unpause(),
            false => Ok(()),
        }
    }

    /// Changes the weather.
    pub fn change(&self, change: impl FnOnce(&mut Weather)) -> Result<(), ComposeError> {
        let changed = {
            let mut weather = lock(&self.weather);
            let before = weather.clone();
            change(&mut weather);
            *weather != before
        };
        if changed { self.weathered() } else { Ok(()) }
    }

    /// Gives a device another address instead of the one it has.
    pub fn move_elsewhere(&self, place: usize) -> Result<(), ComposeError> {
        let inside = lock(&self.places[place].inside).clone();
        let Some(inside) = inside else { return Ok(()) };
        let [a, b, c, _] = inside.address.octets();
        // Docker gives them from below.
        let last = 100 + self.moves.fetch_add(1, Ordering::Relaxed) % 100;
        let namespace = Namespace::of_process(inside.process)?;
        namespace.ip("-4 addr flush dev eth0")?;
        let prefix = inside.prefix;
        namespace.ip(&format!(
            "addr add {a}.{b}.{c}.{last}/{prefix} brd + dev eth0"
        ))?;
        Ok(())
    }

    /// The wall clock of the second device is so many seconds ahead of that of everybody else, from now on.
    ///
    /// # Panics
    /// When that device does not go by it.
    pub fn set_clock(&self, seconds: i64) -> Result<(), ComposeError> {
        let inside = lock(&self.places[CLOCK].inside).clone();
        let process = inside.map(|inside| format!("/proc/{}/maps", inside.process));
        let loaded = process.and_then(|maps| std::fs::read_to_string(maps).ok());
        let loaded = loaded.is_some_and(|maps| maps.contains("wall_clock.so"));
        assert!(loaded, "the clock of {} cannot be set", NAMES[CLOCK]);
        self.jump(seconds)
    }

    fn jump(&self, seconds: i64) -> Result<(), ComposeError> {
        let jumped = self.clock.jump(seconds);
        jumped.map_err(|source| ComposeError::File {
            path: NAMES[CLOCK].to_owned(),
            source,
        })
    }

    /// A device trusts another one no longer. It reads its files twice a second.
    pub fn distrust(&self, place: usize, other: usize) -> Result<(), ComposeError> {
        // Before it is so: what is done by half is taken back too.
        lock(&self.distrust).push((place, other));
        let id = self.places[other].id.to_string();
        self.devices.forget(self.places[place].name, &id)
    }

    /// Takes back what was done to the devices, to their network and to their trust. It takes them a while to be what they were:
    /// [`ComposeWorld::rested`](crate::compose_world::ComposeWorld::rested) waits for that.
    pub fn clear(&self) -> Result<(), ComposeError> {
        (0..self.len()).try_for_each(|place| self.unpause(place))?;
        if lock(&self.stranger.inside).is_some() {
            self.stranger.end(Container::kill)?;
            // What it announced is remembered for two minutes.
            (0..self.len()).try_for_each(|place| self.kill(place))?;
        }
        self.jump(0)?;
        self.clear_cables()?;
        self.change(|weather| *weather = Weather::default())?;
        let distrust = std::mem::take(&mut *lock(&self.distrust));
        for (place, other) in distrust {
            let (of, other) = (self.places[place].name, &self.places[other]);
            self.devices.trust(of, &other.id.to_string(), other.name)?;
            // It reads what it trusts when it starts.
            self.kill(place)?;
        }
        Ok(())
    }

    fn runs(&self, place: usize) -> bool {
        lock(&self.places[place].inside).is_some()
    }

    fn end(
        &self,
        place: usize,
        how: fn(&Container) -> Result<(), ComposeError>,
    ) -> Result<(), ComposeError> {
        if !self.runs(place) {
            return Ok(());
        }
        self.unpause(place)?;
        self.places[place].end(how)
    }

    fn weathered(&self) -> Result<(), ComposeError> {
        let weather = lock(&self.weather).clone();
        let places = self.places.iter();
        let all: Vec<_> = places.map(|place| lock(&place.inside).clone()).collect();
        for number in 0..all.len() {
            weather.apply(number, &all)?;
        }
        Ok(())
    }
}

impl Place {
    fn start(&self) -> Result<(), ComposeError> {
        self.container.start()?;
        *lock(&self.inside) = Some(self.container.inside()?);
        Ok(())
    }

    fn end(&self, how: fn(&Container) -> Result<(), ComposeError>) -> Result<(), ComposeError> {
        if lock(&self.inside).is_some() {
            how(&self.container)?;
        }
        *lock(&self.inside) = None;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More than a container takes to start, or to be found by another.
pub(crate) const SOON: Duration = Duration::from_secs(20);
