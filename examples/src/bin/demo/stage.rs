//! The three devices: what each is, where its files are, and its process.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use softbus::{DeviceId, Identity, TrustStore};
use tempfile::TempDir;

use crate::{
    actor::Actor,
    order::{Failure, OrFail},
};

pub(crate) const PHONE: usize = 0;
pub(crate) const TABLET: usize = 1;
pub(crate) const TV: usize = 2;
pub(crate) const NAMES: [&str; 3] = ["phone", "tablet", "tv"];

/// Processes of the phone, besides the one that hosts its bus.
#[cfg(target_os = "linux")]
pub(crate) const CAMERA: usize = 0;
#[cfg(target_os = "linux")]
pub(crate) const VIEWER: usize = 1;
#[cfg(target_os = "linux")]
pub(crate) const PROCESSES: [&str; 2] = ["camera", "viewer"];

/// How the devices find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Mdns,
    Static,
}

pub(crate) struct Stage {
    ids: [DeviceId; 3],
    actors: [Option<Actor>; 3],
    processes: [Option<Actor>; 2],
    // Last, so that the processes end before their files go.
    directory: TempDir,
}

impl Stage {
    /// Makes three identities and has each trust the two others.
    pub(crate) fn new() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("softbus-demo-").tempdir();
        let directory = directory.or_fail("a temporary directory")?;
        let path = |name: &str| directory.path().join(name);
        let mut ids = [DeviceId::from_bytes([0; 32]); 3];
        for (id, name) in ids.iter_mut().zip(NAMES) {
            *id = *Identity::open(path(name))
                .or_fail("an identity")?
                .device_id();
        }
        for name in NAMES {
            let store = TrustStore::open(path(name)).or_fail("a trust store")?;
            for (id, other) in ids.iter().zip(NAMES).filter(|(_, other)| *other != name) {
                store.trust(*id, other).or_fail("trust")?;
            }
        }
        Ok(Self {
            ids,
            actors: [None, None, None],
            processes: [None, None],
            directory,
        })
    }

    pub(crate) fn id(&self, which: usize) -> &DeviceId {
        &self.ids[which]
    }

    pub(crate) fn actor(&mut self, which: usize) -> Result<&mut Actor, Failure> {
        let gone = || Failure::new(format!("{} to run", NAMES[which]), "it does not");
        self.actors[which].as_mut().ok_or_else(gone)
    }

    /// All three at once: phone, tablet, tv.
    pub(crate) fn all(&mut self) -> Result<[&mut Actor; 3], Failure> {
        match &mut self.actors {
            [Some(phone), Some(tablet), Some(tv)] => Ok([phone, tablet, tv]),
            _ => Err(Failure::new("three devices", "fewer")),
        }
    }

    /// Starts a device, or starts it again.
    pub(crate) async fn start(&mut self, which: usize, finding: Finding) -> Result<(), Failure> {
        let mut arguments: Vec<OsString> = vec![
            "--name".into(),
            NAMES[which].into(),
            "--dir".into(),
            self.path(which).into_os_string(),
        ];
        if finding == Finding::Mdns {
            arguments.push("--mdns".into());
        }
        #[cfg(target_os = "linux")]
        if which == PHONE {
            arguments.extend(["--host".into(), self.bus().into_os_string()]);
        }
        for other in (0..NAMES.len()).filter(|other| *other != which) {
            let address = match &self.actors[other] {
                Some(actor) if finding == Finding::Static => format!("@{}", actor.address()),
                _ => String::new(),
            };
            arguments.push("--peer".into());
            arguments.push(format!("{}={}{address}", NAMES[other], self.ids[other]).into());
        }
        self.actors[which] = Some(Actor::start(NAMES[which], "device", arguments).await?);
        Ok(())
    }

    /// Starts both processes that attach to the phone's bus.
    #[cfg(target_os = "linux")]
    pub(crate) async fn attach(&mut self) -> Result<(), Failure> {
        for (which, name) in PROCESSES.into_iter().enumerate() {
            let arguments: Vec<OsString> = vec![
                "--name".into(),
                name.into(),
                "--attach".into(),
                self.bus().into_os_string(),
                "--peer".into(),
                format!("{}={}", NAMES[TABLET], self.ids[TABLET]).into(),
            ];
            self.processes[which] = Some(Actor::start(name, "process", arguments).await?);
        }
        Ok(())
    }

    /// Both of them: camera, viewer.
    #[cfg(target_os = "linux")]
    pub(crate) fn both(&mut self) -> Result<[&mut Actor; 2], Failure> {
        match &mut self.processes {
            [Some(camera), Some(viewer)] => Ok([camera, viewer]),
            _ => Err(Failure::new("two processes of the phone", "fewer")),
        }
    }

    /// Where the phone hosts its bus.
    #[cfg(target_os = "linux")]
    fn bus(&self) -> PathBuf {
        self.directory.path().join("bus").join("bus.sock")
    }

    fn path(&self, which: usize) -> PathBuf {
        self.directory.path().join(NAMES[which])
    }

    /// Ends every device that runs.
    pub(crate) async fn end_all(&mut self) {
        let actors = self.processes.iter_mut().chain(&mut self.actors);
        for actor in actors.filter_map(Option::take) {
            let _ = tokio::time::timeout(Duration::from_secs(5), actor.end()).await;
        }
    }

    /// Ends every process and removes every file.
    pub(crate) async fn clear(mut self) {
        self.end_all().await;
        let path = self.directory.path().to_owned();
        if let Err(error) = self.directory.close() {
            eprintln!("demo: {} not removed: {error}", path.display());
        }
    }
}
