//! Takes over what the owner has written into the file of the fleet, and looks again at members as time passes.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use certs::Fleet;
use tokio::sync::watch;

use super::file_watch;
use crate::{fleet::Members, peers::Peers};

/// How often members are looked at again: their certificates end.
const AGAIN: Duration = Duration::from_secs(60);

/// Follows the file, and time, until told to stop. A file that is not right, or gone, changes nothing.
pub(super) async fn follow(
    path: PathBuf,
    members: Arc<Members>,
    peers: Weak<Peers>,
    mut stop: watch::Receiver<bool>,
) {
    let reload = {
        let (path, peers) = (path.clone(), peers.clone());
        move || match Fleet::open(&path) {
            Ok(fleet) => {
                members.set_fleet(fleet);
                if let Some(peers) = peers.upgrade() {
                    peers.admit_again();
                }
            }
            Err(error) => tracing::error!(%error, "fleet not read, members stay as they were"),
        }
    };
    let changes = file_watch::follow(path, reload, stop.clone());
    let time = async {
        loop {
            tokio::time::sleep(AGAIN).await;
            match peers.upgrade() {
                Some(peers) => peers.admit_again(),
                None => return,
            }
        }
    };
    tokio::select! {
        () = changes => {}
        () = time => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}
