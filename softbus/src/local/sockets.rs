//! The sockets of two processes, from a path to what a link needs.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileTypeExt},
    },
    path::Path,
};

use bytes::{Buf, BufMut};
use proto::DeviceId;
use rpc::{opening::Credentials, session::passing_rules::Party};
use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use tokio::{io::Interest, net::UnixStream, time::timeout};

use super::{LocalError, OPENING, credentials_of};
use crate::link::unix::{
    Sockets,
    packets::{receive_with, send_with},
};

/// What a listener says first: `SBLU`, version, and who the other is.
const MAGIC: [u8; 4] = *b"SBLU";
const VERSION: u32 = 1;
const PRELUDE: usize = 4 + 4 + 8 + DEVICE;
/// Bytes of a device id.
const DEVICE: usize = 32;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// What a process that attaches is told before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prelude {
    /// Who it is.
    pub(super) party: Party,
}

impl Prelude {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PRELUDE);
        bytes.put_slice(&MAGIC);
        bytes.put_u32_le(VERSION);
        bytes.put_u64_le(self.party.process);
        bytes.put_slice(self.party.device.as_bytes());
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, LocalError> {
        let mut magic = [0; 4];
        bytes
            .try_copy_to_slice(&mut magic)
            .map_err(|_| LocalError::Protocol("no prelude"))?;
        let version = bytes.try_get_u32_le();
        if magic != MAGIC || version != Ok(VERSION) {
            return Err(LocalError::Protocol("another prelude"));
        }
        let process = bytes.try_get_u64_le();
        let (Ok(process), Ok(device)) = (process, <[u8; DEVICE]>::try_from(bytes)) else {
            return Err(LocalError::Protocol("prelude cut off"));
        };
        let device = DeviceId::from_bytes(device);
        Ok(Self {
            party: Party { device, process },
        })
    }
}

/// A socket that listens at `path`, and the lock that says so.
pub(super) fn listen(
    path: &Path,
) -> Result<(std::os::unix::net::UnixListener, OwnedFd), LocalError> {
    let denied = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => LocalError::Denied(path.to_owned()),
        _ => LocalError::System(error),
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
        // Whoever made it is gone: it held the lock.
        Ok(found) if found.file_type().is_socket() => {
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
    rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR).map_err(|error| denied(error.into()))?;
    rustix::net::listen(&socket, BACKLOG).map_err(io::Error::from)?;
    Ok((socket.into(), lock))
}

/// Who is at the other end, as the system knows it.
pub(super) fn credentials(socket: &UnixStream) -> Result<Credentials, LocalError> {
    let credentials = socket.peer_cred()?;
    credentials_of(credentials.pid(), credentials.uid())
}

/// Makes the sockets of a session, and hands their other ends to the process that attached.
pub(super) async fn offer(control: UnixStream, prelude: Prelude) -> Result<Sockets, LocalError> {
    let (call, their_call) = std::os::unix::net::UnixStream::pair()?;
    let flags = SocketFlags::CLOEXEC;
    let packets = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let (packets, their_packets) = packets.map_err(io::Error::from)?;
    let bytes = prelude.encode();
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
