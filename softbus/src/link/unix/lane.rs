//! Streams of bytes, and file descriptors among them.

use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use rpc::{
    link::{Descriptor, Lane, LaneReceive, LaneSend, LinkError},
    parcel::MAX_DESCRIPTORS,
};
use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, Interest},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Sleep,
};

/// How much a lane reads at a time.
const READ: usize = 16 * 1024;
/// How long who sends waits when as many descriptors of this user are in sockets, unread, as may be.
pub(super) const TOO_MANY_UNREAD: Duration = Duration::from_millis(5);

/// The control lane. What comes with it but bytes is closed by the system.
pub(super) fn control(socket: UnixStream) -> Lane {
    let (receive, send) = socket.into_split();
    Lane {
        send: Box::new(LaneWriter {
            socket: send,
            waits: None,
        }),
        receive: Box::new(PlainReader(receive)),
    }
}

/// A lane with descriptors.
pub(super) fn call(socket: UnixStream) -> Lane {
    let (receive, send) = socket.into_split();
    Lane {
        send: Box::new(LaneWriter {
            socket: send,
            waits: None,
        }),
        receive: Box::new(LaneReader {
            socket: receive,
            came: Vec::new(),
        }),
    }
}

struct LaneWriter {
    socket: OwnedWriteHalf,
    /// For others to read what they have been sent: the system tells nobody when they have.
    waits: Option<Pin<Box<Sleep>>>,
}

impl LaneSend for LaneWriter {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<Result<(), LinkError>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes));
        bytes.advance(written.map_err(|_| LinkError::Closed)?);
        Poll::Ready(Ok(()))
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
        descriptors: &[Descriptor],
    ) -> Poll<Result<(), LinkError>> {
        loop {
            if let Some(waits) = &mut self.waits {
                ready!(waits.as_mut().poll(cx));
                self.waits = None;
            }
            let socket = self.socket.as_ref();
            ready!(socket.poll_write_ready(cx)).map_err(|_| LinkError::Closed)?;
            let send = || Ok(send_with(socket, bytes, descriptors)?);
            match socket.try_io(Interest::WRITABLE, send) {
                Ok(written) => {
                    bytes.advance(written);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_too_many_unread(&error) => {
                    self.waits = Some(Box::pin(tokio::time::sleep(TOO_MANY_UNREAD)));
                }
                Err(_) => return Poll::Ready(Err(LinkError::Closed)),
            }
        }
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<()> {
        // What the system has taken, the peer can read, whatever becomes of us.
        Poll::Ready(())
    }
}

struct PlainReader(OwnedReadHalf);

impl LaneReceive for PlainReader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        buffer.reserve(READ);
        // The future holds no state of its own between polls, so it can be made anew for each.
        let read = pin!(self.0.read_buf(buffer)).poll(cx);
        read.map_err(|_| LinkError::Closed)
    }
}

struct LaneReader {
    socket: OwnedReadHalf,
    came: Vec<Descriptor>,
}

impl LaneReceive for LaneReader {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, LinkError>> {
        thread_local! {
            /// One for all lanes, which read one after the other: bytes that come with descriptors have to go to memory that
            /// is initialised, and what `buffer` has is not.
            static ARRIVING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
        }
        let socket = self.socket.as_ref();
        ARRIVING.with_borrow_mut(|bytes| {
            loop {
                ready!(socket.poll_read_ready(cx)).map_err(|_| LinkError::Closed)?;
                let mut received = None;
                let tried = socket.try_io(Interest::READABLE, || {
                    let before = self.came.len();
                    let read = receive_with(socket, bytes, &mut self.came)?;
                    received = Some(read);
                    // With room to spare that was all, unless descriptors ended it: the next look waits for the system
                    // to say that there is more, and does not ask.
                    match read {
                        Some(1..READ) if self.came.len() == before => {
                            Err(io::ErrorKind::WouldBlock.into())
                        }
                        _ => Ok(()),
                    }
                });
                match (received, tried) {
                    (Some(Some(read)), _) => {
                        buffer.extend_from_slice(&bytes[..read]);
                        return Poll::Ready(Ok(read));
                    }
                    (Some(None), _) => return Poll::Ready(Err(LinkError::Descriptors)),
                    (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                        return Poll::Ready(Err(LinkError::Closed));
                    }
                    (None, _) => {}
                }
            }
        })
    }

    fn take_descriptors(&mut self) -> Vec<Descriptor> {
        std::mem::take(&mut self.came)
    }
}

/// Whether as many descriptors of this user are in sockets, unread, as may be.
pub(super) fn is_too_many_unread(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::TOOMANYREFS.raw_os_error())
}

/// Sends some of the bytes, and the descriptors with the first of them.
fn send_with(socket: impl AsFd, bytes: &[u8], descriptors: &[Descriptor]) -> Result<usize, Errno> {
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::INVAL);
    }
    let bytes = [IoSlice::new(bytes)];
    sendmsg(socket, &bytes, &mut ancillary, SendFlags::NOSIGNAL)
}

/// Reads bytes, and the descriptors that come with them: the system stops at the end of what was sent together with some.
/// `None` when there were more than there may be, or no room for all; those that came are closed.
fn receive_with(
    socket: impl AsFd,
    bytes: &mut [u8],
    came: &mut Vec<Descriptor>,
) -> io::Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [IoSliceMut::new(bytes)];
    let received = recvmsg(socket, &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    // Ours from here on, and closed when they are not kept.
    let descriptors = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<OwnedFd>>(),
        _ => Vec::new(),
    });
    let mut descriptors: Vec<_> = descriptors.map(Descriptor::from).collect();
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Ok(None);
    }
    came.append(&mut descriptors);
    Ok(Some(received.bytes))
}
