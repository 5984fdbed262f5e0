//! Sessions over a socket pair that two processes have between them from the start: a process and the child that it
//! started with one end.
//!
//! On a socket pair the system names who made it, at both ends. So who is at the other end is what the caller says: a parent
//! knows the number of its child, and a child that of its parent.

use std::{os::unix::net::UnixStream as StdUnixStream, sync::Arc};

use rpc::{Bus, Peer, opening::Credentials, session::passing_rules::Party};
use tokio::net::UnixStream;

use super::{Arrived, Door, LocalError, prelude::Claim};

/// The session with the process that has the other end of `socket` and [joins](join) there. It is told that it is process
/// `number` of the device, not 0 and each time another; `credentials` say who it is.
///
/// # Errors
/// [`LocalError`]; [`LocalError::TimedOut`] if it has not done its part in 5 s.
pub async fn welcome(
    bus: &Arc<Bus>,
    socket: StdUnixStream,
    number: u64,
    credentials: Credentials,
) -> Result<Peer, LocalError> {
    debug_assert_ne!(number, Party::HOST);
    let party = Party {
        process: number,
        ..bus.party()
    };
    let control = control(socket)?;
    let arrived = Arrived {
        control,
        credentials,
    };
    arrived.let_in_as(party).await?.welcome(bus).await
}

/// The other end of [`welcome`]: a bus for this process, and the session. `credentials` say who the other process is.
///
/// # Errors
/// [`LocalError`].
pub async fn join(
    socket: StdUnixStream,
    credentials: Credentials,
) -> Result<(Arc<Bus>, Peer), LocalError> {
    let door = Door::at(control(socket)?, credentials, Claim::NEW).await?;
    door.bus().await
}

fn control(socket: StdUnixStream) -> Result<UnixStream, LocalError> {
    socket.set_nonblocking(true)?;
    Ok(UnixStream::from_std(socket)?)
}
