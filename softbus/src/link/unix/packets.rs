//! The socket of packets: what travels beside the lanes.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use rpc::{
    ashmem::{Ashmem, MAX_ASHMEM},
    limits,
    link::LinkClosed,
    opening::Credentials,
};
use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout},
};

use super::{
    body_of,
    lane::{TOO_MANY_UNREAD, is_too_many_unread},
};
use crate::link::end::{End, by_peer};

/// Bytes of the longest packet: a close with its text.
const MAX_PACKET: usize = 1024;

const BULK: u8 = 1;
const RESET: u8 = 2;
const CLOSE: u8 = 3;
const PAIR: u8 = 4;
/// The most descriptors of a packet: the three sockets of a pair, and what stands for a process.
const DESCRIPTORS: usize = 4;
/// Within what time a process takes a session that it is handed.
const TAKEN: Duration = limits::HANDSHAKE_TIME;

/// What one process tells the other beside the lanes.
#[derive(Debug)]
pub(super) enum Packet {
    /// A bulk body.
    Bulk { id: u64, memory: Ashmem },
    /// A bulk body that will not come.
    Reset { id: u64 },
    /// The end, and why.
    Close { code: u32, text: String },
    /// From a host only: an end of a session with another process, and there the place that it has until it is sent.
    Pair(Pair, Option<OwnedSemaphorePermit>),
}

/// One end of a session between two processes of a device, as the host of their bus hands it to each: what it says of the other
/// one is from that one's own socket with the host.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Which of the pairs of the two; grows.
    pub(crate) number: u64,
    /// Whether this end opens the session.
    pub(crate) dials: bool,
    /// The other process, as the host counts them.
    pub(crate) process: u64,
    /// The other process, as the system knows it.
    pub(crate) credentials: Credentials,
    /// Control, call and packets.
    pub(crate) sockets: [OwnedFd; 3],
    /// Readable when the other process has ended, where the system has such a thing.
    pub(crate) pidfd: Option<OwnedFd>,
}

/// Where packets go.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) bulk: mpsc::Sender<(u64, Option<Bytes>)>,
    /// Of a link with the host of our bus: nobody else hands us to others.
    pub(super) pairs: Option<mpsc::Sender<Pair>>,
}

/// Starts the tasks of a socket, one for each direction: what the peer does not take must not keep us from taking what it
/// sends. They end with the link.
pub(super) fn start(
    socket: OwnedFd,
    outgoing: mpsc::Receiver<Packet>,
    incoming: Incoming,
    end: &End,
) -> io::Result<()> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    // Only waited for and read in our own way, so it does not matter that it is no stream.
    let socket = Arc::new(UnixStream::from_std(socket.into())?);
    tokio::spawn(read(Arc::clone(&socket), incoming, end.clone()));
    tokio::spawn(write(socket, outgoing, end.clone()));
    Ok(())
}

async fn read(socket: Arc<UnixStream>, incoming: Incoming, end: End) {
    let reading = async {
        loop {
            let received = socket.async_io(Interest::READABLE, || Ok(receive(&socket)?));
            let (id, body) = match received.await {
                Ok(Some(Packet::Bulk { id, memory })) => (id, body_of(&memory)),
                Ok(Some(Packet::Reset { id })) => (id, None),
                Ok(Some(Packet::Pair(pair, _))) => {
                    let Some(pairs) = &incoming.pairs else {
                        return LinkClosed::Failed(
                            "pair from a process that is no host".to_owned(),
                        );
                    };
                    if pairs.send(pair).await.is_err() {
                        return LinkClosed::ByUs;
                    }
                    continue;
                }
                Ok(Some(Packet::Close { code, text })) => return by_peer(code, text.as_bytes()),
                // A process that ends says nothing; the system closes its sockets.
                Ok(None) => return LinkClosed::Reset,
                Err(error) => return LinkClosed::Failed(error.to_string()),
            };
            if incoming.bulk.send((id, body)).await.is_err() {
                return LinkClosed::ByUs;
            }
        }
    };
    tokio::select! {
        closed = reading => end.tell(closed),
        _ = end.wait() => {}
    }
}

async fn write(socket: Arc<UnixStream>, mut outgoing: mpsc::Receiver<Packet>, end: End) {
    let writing = async {
        while let Some(packet) = outgoing.recv().await {
            let closed = match &packet {
                // A host waits for nobody: what it hands out are descriptors of its own.
                Packet::Pair(..) => timeout(TAKEN, deliver(&socket, &packet)).await,
                _ => Ok(deliver(&socket, &packet).await),
            };
            match closed {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return LinkClosed::Reset,
                Err(_) => return LinkClosed::Failed("takes no sessions".to_owned()),
            }
            if let Packet::Pair(_, place) = packet {
                drop(place);
            }
        }
        LinkClosed::ByUs
    };
    tokio::select! {
        biased;
        _ = end.wait() => {}
        closed = writing => end.tell(closed),
    }
    // What is left, as far as it goes without waiting for a peer that does not read.
    while let Ok(packet) = outgoing.try_recv() {
        if send(&socket, &packet).is_err() {
            return;
        }
    }
    if let Some((code, text)) = end.goodbye() {
        let text = text.to_owned();
        let _ = send(&socket, &Packet::Close { code, text });
    }
}

/// Sends a packet as soon as there is room for it. While as many descriptors of this user are in sockets, unread, as may be, it is
/// tried again, and then given up: that is the fault of somebody else than who it is for.
async fn deliver(socket: &UnixStream, packet: &Packet) -> io::Result<()> {
    let until = Instant::now() + TAKEN / 2;
    loop {
        let sent = socket.async_io(Interest::WRITABLE, || Ok(send(socket, packet)?));
        match sent.await {
            Err(error) if is_too_many_unread(&error) => {}
            sent => return sent,
        }
        if Instant::now() >= until {
            tracing::warn!("too many descriptors of this user are in sockets, unread");
            return match packet {
                Packet::Bulk { id, .. } => {
                    Box::pin(deliver(socket, &Packet::Reset { id: *id })).await
                }
                // Its other end is closed with it, which who waits for it sees.
                _ => Ok(()),
            };
        }
        tokio::time::sleep(TOO_MANY_UNREAD).await;
    }
}

fn send(socket: &UnixStream, packet: &Packet) -> Result<(), Errno> {
    let (bytes, descriptors) = encode(packet)?;
    send_with(socket, &bytes, &descriptors)
}

fn encode(packet: &Packet) -> Result<(Vec<u8>, Vec<BorrowedFd<'_>>), Errno> {
    let mut bytes = Vec::with_capacity(32);
    let mut descriptors = Vec::new();
    match packet {
        Packet::Bulk { id, memory: body } => {
            bytes.put_u8(BULK);
            bytes.put_u64_le(*id);
            bytes.put_u64_le(body.size() as u64);
            descriptors.push(body.share().map_err(|_| Errno::BADF)?);
        }
        Packet::Reset { id } => {
            bytes.put_u8(RESET);
            bytes.put_u64_le(*id);
        }
        Packet::Close { code, text } => {
            bytes.put_u8(CLOSE);
            bytes.put_u32_le(*code);
            bytes.put_slice(text.as_bytes());
        }
        Packet::Pair(pair, _) => {
            bytes.put_u8(PAIR);
            bytes.put_u8(u8::from(pair.dials));
            bytes.put_u64_le(pair.number);
            bytes.put_u64_le(pair.process);
            bytes.put_u32_le(pair.credentials.pid);
            bytes.put_u32_le(pair.credentials.uid);
            let all = pair.sockets.iter().chain(&pair.pidfd);
            descriptors.extend(all.map(AsFd::as_fd));
        }
    }
    Ok((bytes, descriptors))
}

/// Sends bytes and at most four descriptors, in one piece.
pub(crate) fn send_with(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(Errno::IO)
    }
}

/// What comes in one piece: how many bytes, and exactly the descriptors. Those that are cut off, or more than there may be, are
/// a fault of the sender's, and all of them are closed.
pub(crate) fn receive_with(
    socket: impl AsFd,
    bytes: &mut [u8],
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        })
        .collect();
    if received
        .flags
        .intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC)
    {
        return Err(Errno::BADMSG);
    }
    Ok((received.bytes, descriptors))
}

/// The next packet; `None` at the end.
fn receive(socket: &UnixStream) -> Result<Option<Packet>, Errno> {
    let mut bytes = [0; MAX_PACKET];
    let (len, descriptors) = receive_with(socket, &mut bytes)?;
    if len == 0 {
        return Ok(None);
    }
    decode(&bytes[..len], descriptors)
        .map(Some)
        .ok_or(Errno::BADMSG)
}

fn decode(mut bytes: &[u8], mut descriptors: Vec<OwnedFd>) -> Option<Packet> {
    let packet = match bytes.try_get_u8().ok()? {
        BULK => {
            let id = bytes.try_get_u64_le().ok()?;
            let size = usize::try_from(bytes.try_get_u64_le().ok()?).ok()?;
            let memory = descriptors.pop().filter(|_| size <= MAX_ASHMEM)?;
            let memory = Ashmem::from_descriptor(memory, size).ok()?;
            // What may change is not taken for a body: it would be judged once and read again.
            Packet::Bulk {
                id,
                memory: memory.is_frozen().then_some(memory)?,
            }
        }
        RESET => Packet::Reset {
            id: bytes.try_get_u64_le().ok()?,
        },
        CLOSE => {
            let code = bytes.try_get_u32_le().ok()?;
            let text = String::from_utf8_lossy(std::mem::take(&mut bytes));
            Packet::Close {
                code,
                text: text.into_owned(),
            }
        }
        PAIR => {
            let pair = decode_pair(&mut bytes, std::mem::take(&mut descriptors))?;
            Packet::Pair(pair, None)
        }
        _ => return None,
    };
    (bytes.is_empty() && descriptors.is_empty()).then_some(packet)
}

fn decode_pair(bytes: &mut &[u8], mut descriptors: Vec<OwnedFd>) -> Option<Pair> {
    let dials = match bytes.try_get_u8().ok()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let number = bytes.try_get_u64_le().ok()?;
    let process = bytes.try_get_u64_le().ok()?;
    let credentials = Credentials {
        pid: bytes.try_get_u32_le().ok()?,
        uid: bytes.try_get_u32_le().ok()?,
    };
    let pidfd = match descriptors.len() {
        DESCRIPTORS => descriptors.pop(),
        _ => None,
    };
    Some(Pair {
        number,
        dials,
        process,
        credentials,
        sockets: <[OwnedFd; 3]>::try_from(descriptors).ok()?,
        pidfd,
    })
}

/// What came in one piece, as it would be sent again. See [`crate::fuzzing`].
pub fn packet_again(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let packet = decode(bytes, descriptors)?;
    let (bytes, descriptors) = encode(&packet).ok()?;
    let descriptors = descriptors.iter().map(BorrowedFd::try_clone_to_owned);
    Some((bytes, descriptors.collect::<io::Result<_>>().ok()?))
}
