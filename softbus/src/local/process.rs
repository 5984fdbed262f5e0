//! The end of a process, from the system: a process that ends may have left its sockets to its children.

use std::os::fd::OwnedFd;

use rpc::{DeathReason, Peer, opening::close_code};
use rustix::process::{Pid, PidfdFlags};
use tokio::net::UnixStream;

/// What becomes readable when a process has ended. `None` where the system has no such thing, or the process is gone: then its
/// sockets say so.
///
/// Should the system have given the number to another process since the socket was connected, the first one has ended, and its
/// sockets say that; the end of the other one ends nothing more.
pub(super) fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).ok()
}

/// Ends a session with the process at its other end, if that does not end it first.
pub(super) async fn watch(pidfd: Option<OwnedFd>, peer: Peer) {
    let ended = async {
        // Only waited for, so it does not matter that it is no stream.
        let watched = pidfd.and_then(|pidfd| UnixStream::from_std(pidfd.into()).ok());
        match watched {
            Some(watched) => watched.readable().await.is_ok(),
            None => false,
        }
    };
    let died = tokio::select! {
        died = ended => died,
        _ = peer.ended() => return,
    };
    if died {
        peer.close(
            DeathReason::ProcessDied,
            close_code::LEAVING,
            "process died",
        );
    } else {
        peer.ended().await;
    }
}
