//! Takes over what another process, such as the command line tool, has decided about devices.

use std::path::PathBuf;

use certs::TrustStore;
use tokio::sync::watch;

use super::file_watch::{self, Followed};

/// Reloads the store whenever its file changes, until told to stop.
pub(super) async fn follow(trust: TrustStore, stop: watch::Receiver<bool>) {
    let Some(path) = trust.path() else { return };
    file_watch::follow(TrustFile { path, trust }, stop).await;
}

#[derive(Clone)]
struct TrustFile {
    path: PathBuf,
    trust: TrustStore,
}

impl Followed for TrustFile {
    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn reload(&self) -> Result<(), String> {
        self.trust.reload().map_err(|error| error.to_string())?;
        tracing::debug!(path = ?self.path, "trust store read");
        Ok(())
    }

    fn failed(&self, error: &str) {
        tracing::error!(%error, "trust store not read, the devices stay as they were");
    }
}

#[cfg(test)]
mod tests {
    use proto::DeviceId;

    use super::{super::file_watch::INTERVAL, *};

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
