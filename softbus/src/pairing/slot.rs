//! What a node keeps for pairing: its window, if one is open, and what is remembered of failures.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use certs::{
    TrustStore,
    pairing::{PairingFreeze, PairingMode, PairingOptions, PairingWindow},
};
use tokio::sync::mpsc;

use super::{OpenPairingError, PairingEvent};

/// A node's place for a window.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    name: Mutex<String>,
    open: Mutex<Option<Arc<OpenWindow>>>,
    /// Of a node without a directory. With one the file there is what counts, and what could not be written to it.
    in_memory: Arc<Mutex<Option<PairingFreeze>>>,
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
    in_memory: Arc<Mutex<Option<PairingFreeze>>>,
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
        let left = freeze.clone().with(|freeze| freeze.left(SystemTime::now()));
        if let Some(left) = left.await?.max(freeze.not_written())
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

    /// Before a session is over: that it paired, or that it used up the attempts, is on disk before anybody may open again.
    pub(super) async fn remember(&self, mode: Option<PairingMode>, paired: bool) {
        let used_up = mode.is_some_and(|mode| self.window().attempts_left(mode) == 0);
        if !paired && !used_up {
            return;
        }
        let remember = move |freeze: &mut PairingFreeze| match paired {
            true => freeze.succeeded(),
            false => freeze.failed(SystemTime::now()),
        };
        let error = match self.freeze.clone().with(remember).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(%error, "pairing: failures not written");
        if !paired {
            self.freeze.keep_in_memory();
        }
    }
}

impl Freeze {
    /// A failure that the disk did not take is remembered until this process ends: a full one opens no door.
    fn keep_in_memory(&self) {
        let mut freeze = lock(&self.in_memory);
        let freeze = freeze.get_or_insert_with(PairingFreeze::in_memory);
        // Nothing is written, so nothing fails.
        let _ = freeze.failed(SystemTime::now());
    }

    fn not_written(&self) -> Option<Duration> {
        let freeze = lock(&self.in_memory);
        freeze.as_ref()?.left(SystemTime::now())
    }

    /// Away from the runtime's thread: it waits for the disk.
    async fn with<T: Send + 'static>(
        self,
        action: impl FnOnce(&mut PairingFreeze) -> T + Send + 'static,
    ) -> Result<T, OpenPairingError> {
        let done = tokio::task::spawn_blocking(move || match self.directory {
            Some(directory) => PairingFreeze::open(directory)
                .map(|mut freeze| action(&mut freeze))
                .map_err(|error| error.to_string()),
            None => {
                let mut freeze = lock(&self.in_memory);
                Ok(action(freeze.get_or_insert_with(PairingFreeze::in_memory)))
            }
        });
        match done.await {
            Ok(done) => done.map_err(OpenPairingError::Failed),
            Err(error) => Err(OpenPairingError::Failed(error.to_string())),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
