//! Notices that another process, such as the command line tool, has changed files: the trust store's, the policy's, those of the
//! fleet.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::MissedTickBehavior};

/// How often a file is looked at: one system call.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// What is read from files, and read again when they have changed.
pub(super) trait Followed: Clone + Send + 'static {
    /// Which files it is read from now.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads them; what it says of a failure is told to our user.
    fn reload(&self) -> Result<(), String>;

    /// Tells our user that they were not read, once for each thing that is wrong and each change of the files.
    fn failed(&self, error: &str);
}

/// What differs when a file has been replaced, written to or given other rights; `None` where there is no file.
type Stamp = Option<(Option<SystemTime>, u64, Identity)>;

/// Reloads whenever a file changes, until told to stop. The first look does too: the file may have changed since it was read.
///
/// What failed is tried again at each look, because what was in the way need not be in the file: a lock, a full table of
/// descriptors, another file.
pub(super) async fn follow(followed: impl Followed, mut stop: watch::Receiver<bool>) {
    let mut seen = Vec::new();
    let mut wrong = None;
    let mut first = true;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopped(&mut stop) => return,
        }
        // Before the files are read: a change meanwhile is then seen at the next look.
        let stamps = stamps(&followed);
        let changed = std::mem::replace(&mut seen, stamps) != seen;
        if !first && !changed && wrong.is_none() {
            continue;
        }
        first = false;
        let error = reload(followed.clone()).await.err();
        if let Some(error) = &error
            && (changed || wrong.as_ref() != Some(error))
        {
            followed.failed(error);
        }
        wrong = error;
    }
}

/// Away from the runtime's thread: it reads files as a whole, and may wait for the disk or for a lock.
async fn reload(followed: impl Followed) -> Result<(), String> {
    let reloaded = tokio::task::spawn_blocking(move || followed.reload());
    reloaded
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

fn stamps(followed: &impl Followed) -> Vec<(PathBuf, Stamp)> {
    let files = followed.files().into_iter();
    files
        .map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        })
        .collect()
}

fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok(), data.len(), identity(&data)))
}

/// A file that was replaced is another one, even within the clock's resolution; one whose rights have changed may be read now.
#[cfg(unix)]
type Identity = (u64, i64, i64);

#[cfg(unix)]
fn identity(data: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (data.ino(), data.ctime(), data.ctime_nsec())
}

#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_data: &std::fs::Metadata) -> Identity {}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;

    use super::*;

    /// What is read from one file: it cannot be read while something else is in the way.
    #[derive(Clone)]
    struct Notes {
        file: PathBuf,
        in_the_way: Arc<Mutex<Option<String>>>,
        told: mpsc::UnboundedSender<Result<(), String>>,
    }

    impl Followed for Notes {
        fn files(&self) -> Vec<PathBuf> {
            vec![self.file.clone()]
        }

        fn reload(&self) -> Result<(), String> {
            match self.in_the_way.lock().unwrap().clone() {
                Some(error) => Err(error),
                None => {
                    let _ = self.told.send(Ok(()));
                    Ok(())
                }
            }
        }

        fn failed(&self, error: &str) {
            let _ = self.told.send(Err(error.to_owned()));
        }
    }

    struct Watched {
        _temp: tempfile::TempDir,
        notes: Notes,
        told: mpsc::UnboundedReceiver<Result<(), String>>,
        _stop: watch::Sender<bool>,
    }

    impl Watched {
        fn new(in_the_way: Option<&str>) -> Self {
            let temp = tempfile::tempdir().unwrap();
            let (sender, told) = mpsc::unbounded_channel();
            let notes = Notes {
                file: temp.path().join("notes"),
                in_the_way: Arc::new(Mutex::new(in_the_way.map(str::to_owned))),
                told: sender,
            };
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(follow(notes.clone(), stopped));
            Self {
                _temp: temp,
                notes,
                told,
                _stop: stop,
            }
        }

        fn put_in_the_way(&self, error: Option<&str>) {
            *self.notes.in_the_way.lock().unwrap() = error.map(str::to_owned);
        }

        /// What is told within ten looks.
        async fn next(&mut self) -> Option<Result<(), String>> {
            let next = tokio::time::timeout(10 * INTERVAL, self.told.recv());
            next.await.ok().flatten()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_though_the_file_is_the_same() {
        let mut followed = Watched::new(Some("no descriptors left"));
        let wrong = |text: &str| Some(Err(text.to_owned()));
        assert_eq!(followed.next().await, wrong("no descriptors left"));
        assert_eq!(followed.next().await, None, "told once");
        followed.put_in_the_way(Some("no memory left"));
        assert_eq!(followed.next().await, wrong("no memory left"));
        followed.put_in_the_way(None);
        assert_eq!(followed.next().await, Some(Ok(())));
        assert_eq!(followed.next().await, None, "read once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_wrong_after_a_change_is_told_again() {
        let mut followed = Watched::new(Some("half a file"));
        assert!(matches!(followed.next().await, Some(Err(_))));
        std::fs::write(&followed.notes.file, "half").unwrap();
        assert!(matches!(followed.next().await, Some(Err(_))));
        assert_eq!(followed.next().await, None);
    }
}
