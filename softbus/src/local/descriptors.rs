//! The file descriptors of a process that hosts a bus: each process that attaches costs five of them, each call may bring some.

use std::os::fd::{AsRawFd, RawFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept free for calls, and for the program that hosts.
const SPARE: RawFd = 64;

/// Raises how many we may have to as many as the system lets us: programs start with 1,024, and 256 processes want 1,280.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::info!(%error, "limit of file descriptors not raised");
    }
}

/// Whether few are left. The newest one has the lowest number that was free.
pub(super) fn are_few_left(newest: &impl AsRawFd) -> bool {
    let most = getrlimit(Resource::Nofile).current;
    let most = most.and_then(|most| RawFd::try_from(most).ok());
    most.is_some_and(|most| newest.as_raw_fd() >= most - SPARE)
}
