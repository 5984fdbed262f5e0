//! The sockets of two processes, from a path to what a link needs.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileTypeExt},
    },
    path::Path,
};

use rpc::opening::Credentials;
use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
    time::timeout,
};

use super::{
    LocalError, OPENING, credentials_of,
    prelude::{CLAIM, Claim, PRELUDE, Prelude, Refusal},
};
use crate::link::unix::{
    Sockets,
    packets::{receive_with, send_with},
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that listens at `path` and what its mode is to be, and the lock that says so.
pub(super) fn listen(
    path: &Path,
    mode: Mode,
) -> Result<(std::os::unix::net::UnixListener, OwnedFd), LocalError> {
    let denied = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => LocalError::Denied(path.to_owned()),
        _ => error.into(),
    };
    if let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(denied)?;
    }
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::open(lock_path, flags, Mode::RUSR | Mode::WUSR);
    let lock = lock.map_err(|error| denied(error.into()))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(LocalError::InUse(path.to_owned())),
        Err(error) => return Err(denied(error.into())),
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            // Whoever holds no lock may listen all the same: systemd does.
            if listens(path).map_err(denied)? {
                return Err(LocalError::InUse(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(denied)?;
        }
        Ok(_) => return Err(LocalError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(denied(error)),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let socket = socket.map_err(io::Error::from)?;
    let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
    rustix::net::bind(&socket, &address).map_err(|error| denied(error.into()))?;
    // Nobody can connect before `listen`, so nobody can between these two.
    rustix::fs::chmod(path, mode).map_err(|error| denied(error.into()))?;
    rustix::net::listen(&socket, BACKLOG).map_err(io::Error::from)?;
    Ok((socket.into(), lock))
}

/// Whether somebody listens at a path where there is a socket.
fn listens(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        // Or its queue is full, or it is a socket of another type.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Who is at the other end, as the system knows it.
pub(super) fn credentials(socket: &UnixStream) -> Result<Credentials, LocalError> {
    let credentials = socket.peer_cred()?;
    credentials_of(credentials.pid(), credentials.uid())
}

/// What a process that attaches says first.
pub(super) async fn claim(control: &mut UnixStream) -> Result<Claim, LocalError> {
    let mut bytes = [0; CLAIM];
    let read = timeout(OPENING, control.read_exact(&mut bytes)).await;
    read.map_err(|_| LocalError::TimedOut)?
        .map_err(|_| LocalError::Protocol("nothing said"))?;
    Claim::decode(&bytes)
}

/// Makes the sockets of a session, and hands their other ends to the process that attached.
pub(super) async fn offer(control: UnixStream, prelude: Prelude) -> Result<Sockets, LocalError> {
    let (call, their_call) = std::os::unix::net::UnixStream::pair()?;
    let (packets, their_packets) = packet_pair()?;
    let bytes = prelude.encode();
    // What a process does not take counts against us: a few packets are enough.
    rustix::net::sockopt::set_socket_send_buffer_size(&packets, 0).map_err(io::Error::from)?;
    let descriptors = [their_call.as_fd(), their_packets.as_fd()];
    let sent = control.async_io(Interest::WRITABLE, || {
        Ok(send_with(&control, &bytes, &descriptors)?)
    });
    timeout(OPENING, sent)
        .await
        .map_err(|_| LocalError::TimedOut)??;
    call.set_nonblocking(true)?;
    Ok(Sockets {
        control,
        call: UnixStream::from_std(call)?,
        packets,
    })
}

/// The sockets of a session between two other processes, an end for each.
pub(super) fn pair() -> io::Result<([OwnedFd; 3], [OwnedFd; 3])> {
    let (control, their_control) = std::os::unix::net::UnixStream::pair()?;
    let (call, their_call) = std::os::unix::net::UnixStream::pair()?;
    let (packets, their_packets) = packet_pair()?;
    Ok((
        [control.into(), call.into(), packets],
        [their_control.into(), their_call.into(), their_packets],
    ))
}

/// One end of such a pair, for use.
pub(super) fn use_pair([control, call, packets]: [OwnedFd; 3]) -> io::Result<Sockets> {
    let stream = |socket: OwnedFd| {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket)
    };
    Ok(Sockets {
        control: stream(control)?,
        call: stream(call)?,
        packets,
    })
}

fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    Ok(pair?)
}

/// Says who we are to the process that listens.
pub(super) async fn say(control: &mut UnixStream, claim: Claim) -> Result<(), LocalError> {
    let said = timeout(OPENING, control.write_all(&claim.encode())).await;
    said.map_err(|_| LocalError::TimedOut)?
        .map_err(|_| LocalError::Protocol("closed at once"))
}

/// Tells a process that it is not let in. It may have gone, or take nothing: that is its own affair.
pub(super) fn refuse(control: &UnixStream, refusal: Refusal) {
    let _ = control.try_write(&refusal.encode());
}

/// Takes the sockets that the listener offers.
pub(super) async fn take(control: UnixStream) -> Result<(Sockets, Prelude), LocalError> {
    let mut bytes = [0; PRELUDE];
    let received = control.async_io(Interest::READABLE, || {
        Ok(receive_with(&control, &mut bytes)?)
    });
    let received = timeout(OPENING, received)
        .await
        .map_err(|_| LocalError::TimedOut)?;
    let (len, descriptors) = received?;
    if let Some(refusal) = Refusal::decode(&bytes[..len]) {
        return Err(refusal.into());
    }
    let prelude = Prelude::decode(&bytes[..len])?;
    let Ok([call, packets]) = <[OwnedFd; 2]>::try_from(descriptors) else {
        return Err(LocalError::Protocol("other sockets"));
    };
    let call = std::os::unix::net::UnixStream::from(call);
    call.set_nonblocking(true)?;
    let sockets = Sockets {
        control,
        call: UnixStream::from_std(call)?,
        packets,
    };
    Ok((sockets, prelude))
}
