//! Notices that another process, such as the command line tool, has changed the trust store's file.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use certs::TrustStore;
use tokio::{sync::watch, time::MissedTickBehavior};

/// How often the file is looked at: one system call.
const INTERVAL: Duration = Duration::from_millis(500);

/// What differs when the file has been replaced or written to; `None` where there is no file.
type Stamp = Option<(Option<SystemTime>, u64, u64)>;

/// Reloads the store whenever its file changes, until told to stop. The first look reloads too: the file may have
/// changed since the store was opened.
pub(super) async fn follow(trust: TrustStore, mut stop: watch::Receiver<bool>) {
    let Some(path) = trust.path() else { return };
    let mut seen = None;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopped(&mut stop) => return,
        }
        // Before the file is read: a change meanwhile is then seen at the next look.
        let stamp = stamp(&path);
        if seen.replace(stamp) != Some(stamp) {
            reload(&trust, &path).await;
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Away from the runtime's thread: the file is read as a whole, and a change may wait for the disk under the same lock.
async fn reload(trust: &TrustStore, path: &PathBuf) {
    let store = trust.clone();
    match tokio::task::spawn_blocking(move || store.reload()).await {
        Ok(Ok(())) => tracing::debug!(?path, "trust store read"),
        Ok(Err(error)) => {
            tracing::error!(%error, "trust store not read, the devices stay as they were")
        }
        Err(error) => tracing::error!(%error, "trust store not read, a listener panicked"),
    }
}

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok(), data.len(), identity(&data)))
}

/// A file that was replaced is another one, even within the clock's resolution.
#[cfg(unix)]
fn identity(data: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(data)
}

#[cfg(not(unix))]
fn identity(_data: &std::fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use proto::DeviceId;

    use super::*;

    const DEVICE: DeviceId = DeviceId::from_bytes([7; 32]);

    /// Another process's view of a store that is followed.
    struct Followed {
        _temp: tempfile::TempDir,
        tool: TrustStore,
        node: TrustStore,
        changes: tokio::sync::mpsc::UnboundedReceiver<bool>,
        _subscription: certs::Subscription,
        stop: watch::Sender<bool>,
    }

    impl Followed {
        fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            let directory = temp.path().join("bus");
            let (tool, node) = (
                TrustStore::open(&directory).unwrap(),
                TrustStore::open(&directory).unwrap(),
            );
            let (sender, changes) = tokio::sync::mpsc::unbounded_channel();
            let subscription = node.subscribe(move |change| {
                let _ = sender.send(change.withdraws());
            });
            let (stop, _) = watch::channel(false);
            Self {
                _temp: temp,
                tool,
                node,
                changes,
                _subscription: subscription,
                stop,
            }
        }

        /// The next change the node is told of within two looks.
        async fn change(&mut self) -> Option<bool> {
            tokio::time::timeout(2 * INTERVAL, self.changes.recv())
                .await
                .ok()
                .flatten()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_process_decides_is_noticed() {
        let mut store = Followed::new();
        // Between the opening and the first look.
        store.tool.trust(DEVICE, "").unwrap();
        let task = tokio::spawn(follow(store.node.clone(), store.stop.subscribe()));
        assert_eq!(store.change().await, Some(false));
        assert!(store.node.is_trusted(&DEVICE));

        store.tool.forget(&DEVICE).unwrap();
        assert_eq!(store.change().await, Some(true));
        assert!(!store.node.is_trusted(&DEVICE));

        store.stop.send_replace(true);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_file_changes_nothing_until_it_is_mended() {
        let mut store = Followed::new();
        store.tool.trust(DEVICE, "").unwrap();
        let task = tokio::spawn(follow(store.node.clone(), store.stop.subscribe()));
        assert_eq!(store.change().await, Some(false));

        let path = store.tool.path().unwrap();
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, "half a li").unwrap();
        assert_eq!(store.change().await, None);
        assert!(store.node.is_trusted(&DEVICE));

        std::fs::write(&path, good).unwrap();
        store.tool.forget(&DEVICE).unwrap();
        assert_eq!(store.change().await, Some(true));
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_in_memory_is_not_followed() {
        let (_stop, stopped) = watch::channel(false);
        follow(TrustStore::in_memory(), stopped).await;
    }
}
