//! Notices that another process, such as the command line tool, has changed a file: the trust store's or the policy's.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::MissedTickBehavior};

/// How often a file is looked at: one system call.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// What differs when the file has been replaced, written to or given other rights; `None` where there is no file.
type Stamp = Option<(Option<SystemTime>, u64, Identity)>;

/// Calls `reload` whenever a file changes, until told to stop. The first look does too: the file may have changed since it
/// was read.
///
/// `reload` runs away from the runtime's thread: it reads the file as a whole, and may wait for the disk or for a lock.
pub(super) async fn follow(
    path: impl AsRef<Path>,
    reload: impl Fn() + Clone + Send + 'static,
    mut stop: watch::Receiver<bool>,
) {
    let path = path.as_ref();
    let mut seen = None;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopped(&mut stop) => return,
        }
        // Before the file is read: a change meanwhile is then seen at the next look.
        let stamp = stamp(path);
        if seen.replace(stamp) != Some(stamp)
            && let Err(error) = tokio::task::spawn_blocking(reload.clone()).await
        {
            tracing::error!(?path, %error, "what follows the file panicked");
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
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
