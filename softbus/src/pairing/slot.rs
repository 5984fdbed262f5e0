//! What a node keeps for pairing: its window, if one is open, and what is remembered of failures.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use certs::{
    FileError, TrustStore,
    pairing::{PairingFreeze, PairingOptions, PairingWindow, SessionNumber},
};
use tokio::sync::mpsc;

use super::{OpenPairingError, PairingEvent};

/// A node's place for a window.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    name: Mutex<String>,
    open: Mutex<Option<Arc<OpenWindow>>>,
    /// What this process has seen; all there is of a node without a directory.
    in_memory: Arc<Mutex<PairingFreeze>>,
}

/// A window that is open, or was until its owner looks.
#[derive(Debug)]
pub(super) struct OpenWindow {
    window: Mutex<PairingWindow>,
    events: mpsc::Sender<PairingEvent>,
    freeze: Freeze,
}

/// Where failures are remembered.
#[derive(Clone, Debug)]
struct Freeze {
    directory: Option<PathBuf>,
    in_memory: Arc<Mutex<PairingFreeze>>,
}

impl Slot {
    /// What this device calls itself to others.
    pub(crate) fn set_name(&self, name: &str) {
        name.clone_into(&mut lock(&self.name));
    }

    pub(super) fn name(&self) -> String {
        lock(&self.name).clone()
    }

    pub(super) fn current(&self) -> Option<Arc<OpenWindow>> {
        lock(&self.open).clone()
    }

    pub(super) async fn open(
        &self,
        trust: &TrustStore,
        options: PairingOptions,
    ) -> Result<(Arc<OpenWindow>, mpsc::Receiver<PairingEvent>), OpenPairingError> {
        let directory = trust.path();
        let freeze = Freeze {
            directory: directory.and_then(|path| Some(path.parent()?.to_owned())),
            in_memory: Arc::clone(&self.in_memory),
        };
        if let Some(left) = freeze.left().await?
            && !options.is_despite_failures()
        {
            return Err(OpenPairingError::Frozen { left });
        }
        let window = PairingWindow::open(&options, Instant::now())
            .map_err(|error| OpenPairingError::Failed(error.to_string()))?;
        // Every way has few attempts, and each has few events.
        let (events, receiver) = mpsc::channel(128);
        let opened = Arc::new(OpenWindow {
            window: Mutex::new(window),
            events,
            freeze,
        });
        let mut open = lock(&self.open);
        if open.is_some() {
            return Err(OpenPairingError::AlreadyOpen);
        }
        *open = Some(Arc::clone(&opened));
        Ok((opened, receiver))
    }

    pub(super) fn close(&self, window: &Arc<OpenWindow>) {
        window.window().close();
        let mut open = lock(&self.open);
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, window)) {
            *open = None;
        }
    }
}

impl OpenWindow {
    /// Held for a look or a step of the machine, never while anything is waited for.
    pub(super) fn window(&self) -> MutexGuard<'_, PairingWindow> {
        lock(&self.window)
    }

    pub(super) fn tell(&self, event: PairingEvent) {
        // Full only if our own program has not looked for very long.
        let _ = self.events.try_send(event);
    }

    /// A message of a session has arrived and `step` of its machine is made with it. If that was the last attempt of its way, it
    /// is on disk before anything is answered: neither the end of this process nor a window that is dropped takes it back.
    pub(super) async fn count<T>(
        &self,
        session: SessionNumber,
        step: impl FnOnce(&mut PairingWindow) -> T,
    ) -> T {
        let (result, used_up) = {
            let mut window = self.window();
            let before = window.mode_of(session);
            let result = step(&mut window);
            let attempt = window.mode_of(session).filter(|_| before.is_none());
            let used_up = attempt.is_some_and(|mode| window.attempts_left(mode) == 0);
            (result, used_up)
        };
        if used_up {
            self.freeze.failed().await;
        }
        result
    }

    /// A device was paired: whoever tried before was our user.
    pub(super) async fn forgive(&self) {
        self.freeze.succeeded().await;
    }
}

impl Freeze {
    /// Written as well as remembered: where the disk takes nothing, a failure counts until this process ends.
    async fn failed(&self) {
        let now = SystemTime::now();
        // In memory nothing fails.
        let _ = lock(&self.in_memory).failed(now);
        self.write(move |freeze| freeze.failed(now)).await;
    }

    async fn succeeded(&self) {
        let _ = lock(&self.in_memory).succeeded();
        self.write(PairingFreeze::succeeded).await;
    }

    /// How long no window may be opened.
    async fn left(&self) -> Result<Option<Duration>, OpenPairingError> {
        let now = SystemTime::now();
        let remembered = lock(&self.in_memory).left(now);
        let written = self.on_disk(move |freeze| freeze.left(now)).await?;
        Ok(remembered.max(written.flatten()))
    }

    async fn write(
        &self,
        change: impl FnOnce(&mut PairingFreeze) -> Result<(), FileError> + Send + 'static,
    ) {
        let error = match self.on_disk(change).await {
            Ok(None | Some(Ok(()))) => return,
            Ok(Some(Err(error))) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(%error, "pairing: failures not written");
    }

    /// Away from the runtime's thread: it waits for the disk. `None` for a node without a directory.
    async fn on_disk<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut PairingFreeze) -> T + Send + 'static,
    ) -> Result<Option<T>, OpenPairingError> {
        let Some(directory) = self.directory.clone() else {
            return Ok(None);
        };
        let done = tokio::task::spawn_blocking(move || {
            let opened = PairingFreeze::open(directory);
            opened.map(|mut freeze| action(&mut freeze))
        });
        let failed = |error: &dyn std::fmt::Display| OpenPairingError::Failed(error.to_string());
        let done = done.await.map_err(|error| failed(&error))?;
        done.map(Some).map_err(|error| failed(&error))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
