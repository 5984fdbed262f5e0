//! A process that is driven by hand: it attaches as any does, and then sends what it likes.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use proto::{
    BootId, CallId, Handle,
    frame::{BulkPart, Call, Extensions, Frame, FrameReader, Grant, Reply},
    message::{Control, Hello, VersionRange, feature},
};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use softbus::rpc::limits;
use tokio::{io::Interest, net::UnixStream, time::timeout};

use crate::{SOON, stage::SERVICE};

/// More than the other end has room for in one message.
const ROOM: usize = 64;

pub(crate) struct RawProcess {
    control: UnixStream,
    call: UnixStream,
    packets: UnixStream,
    frames: FrameReader,
    /// Descriptors that have come.
    pub(crate) came: Vec<OwnedFd>,
    calls: u32,
}

impl RawProcess {
    /// Attaches, and agrees on descriptors.
    pub(crate) async fn attach(path: &Path) -> Self {
        Self::attach_knowing(path, feature::DESCRIPTORS, &[]).await
    }

    /// Attaches, and says that it knows these features, and `more` behind its Hello.
    pub(crate) async fn attach_knowing(path: &Path, features: u64, more: &[u8]) -> Self {
        let control = UnixStream::connect(path).await.unwrap();
        // The claim of a process that never was here.
        let claim = [&b"SBLA"[..], &2_u32.to_le_bytes(), &[0; 40]].concat();
        send(&control, &claim, &[]).await.unwrap();
        let (prelude, descriptors) = receive(&control, 4096).await.unwrap();
        assert_eq!(&prelude[..4], b"SBLU");
        let [call, packets] = <[OwnedFd; 2]>::try_from(descriptors).unwrap();
        let stream = |socket: OwnedFd| {
            rustix::io::ioctl_fionbio(&socket, true).unwrap();
            UnixStream::from_std(socket.into()).unwrap()
        };
        let this = Self {
            control,
            call: stream(call),
            packets: stream(packets),
            frames: FrameReader::new(),
            came: Vec::new(),
            calls: 0,
        };
        let hello = Hello {
            versions: VersionRange::SPOKEN,
            features,
            lanes: 1,
            limits: limits::DEFAULT_PEER_LIMITS,
            boot: BootId {
                epoch: 0,
                random: 0xbad,
            },
            replaces: 0,
        };
        let mut bytes = BytesMut::new();
        Frame::Control(Control::Hello(hello)).encode(&mut bytes);
        bytes.put_slice(more);
        let len = bytes.len() as u32 - 4;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        send(&this.control, &bytes, &[]).await.unwrap();
        // Welcome; what it says is the other tests' affair.
        receive(&this.control, 4096).await.unwrap();
        this
    }

    /// Sends bytes on the call lane, and descriptors with the first.
    pub(crate) async fn send(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        send(&self.call, bytes, descriptors).await
    }

    /// Whether the other end takes all of these bytes within a moment.
    pub(crate) async fn is_taken(&self, bytes: &[u8]) -> bool {
        let writable = timeout(Duration::from_millis(500), self.call.writable()).await;
        writable.is_ok()
            && self
                .call
                .try_write(bytes)
                .is_ok_and(|sent| sent == bytes.len())
    }

    /// The same on the control lane.
    pub(crate) async fn send_control(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        send(&self.control, bytes, descriptors).await.unwrap();
    }

    /// Sends a packet of the socket beside the lanes.
    pub(crate) async fn send_packet(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        send(&self.packets, bytes, descriptors).await.unwrap();
    }

    /// Takes the packets that have come. Returns how many.
    pub(crate) fn packets_there(&self) -> usize {
        let there =
            || matches!(receive_now(&self.packets, 4096), Ok((bytes, _)) if !bytes.is_empty());
        std::iter::repeat_with(there)
            .take_while(|there| *there)
            .count()
    }

    /// A call that names `descriptors` of them, whose body begins with `head`.
    pub(crate) fn call(
        &mut self,
        handle: Handle,
        code: u32,
        head: &[u8],
        descriptors: u32,
    ) -> Call {
        let mut body = BytesMut::from(head);
        for index in 0..descriptors {
            body.put_u32_le(0x534f_4c54);
            body.put_u32_le(index);
        }
        for index in 0..descriptors {
            body.put_u32_le(head.len() as u32 + index * 8);
        }
        self.calls += 1;
        Call {
            handle,
            id: Some(CallId {
                slot: self.calls,
                generation: 1,
            }),
            code,
            binding: 0,
            idempotent: false,
            depth: 0,
            chain: 1,
            deadline_us: 0,
            bulk: None,
            grants: (0..descriptors).map(|_| Grant::Descriptor).collect(),
            extensions: Extensions::default(),
            body: body.freeze(),
        }
    }

    /// A call whose raw data is to come as a packet.
    pub(crate) fn call_with_raw(&mut self, handle: Handle, code: u32, id: u64, len: u32) -> Call {
        let mut call = self.call(handle, code, &len.to_le_bytes(), 0);
        call.body = [len.to_le_bytes(), len.to_le_bytes()].concat().into();
        call.bulk = Some(BulkPart {
            id,
            body_len: 0,
            raw_len: len,
        });
        call
    }

    /// The service's handle.
    pub(crate) async fn service(&mut self) -> Handle {
        self.object(Handle::SAMGR, 1, &SERVICE.get().to_le_bytes())
            .await
    }

    /// The handle of an object that a call answers.
    pub(crate) async fn object(&mut self, of: Handle, code: u32, body: &[u8]) -> Handle {
        let call = self.call(of, code, body, 0);
        self.send(&encoded(&Frame::Call(call)), &[]).await.unwrap();
        let reply = self.reply().await.unwrap();
        match reply.grants.iter().next() {
            Some(Grant::Granted { handle, .. }) => handle,
            other => panic!("{other:?} instead of an object"),
        }
    }

    /// The next reply; `None` at the end of the lane.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        loop {
            while let Some(bytes) = self.frames.next_frame().unwrap() {
                if let Some(Frame::Reply(reply)) = Frame::decode(bytes).unwrap() {
                    return Some(reply);
                }
            }
            let (bytes, came) = receive(&self.call, 65536).await.ok()?;
            if bytes.is_empty() {
                return None;
            }
            self.frames.buffer().extend_from_slice(&bytes);
            self.came.extend(came);
        }
    }
}

pub(crate) fn encoded(frame: &Frame) -> Bytes {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes.freeze()
}

/// What a packet says that brings a body.
pub(crate) fn bulk(id: u64, size: u64) -> Vec<u8> {
    [&[1][..], &id.to_le_bytes(), &size.to_le_bytes()].concat()
}

pub(crate) async fn send(
    socket: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let sent = socket.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ROOM))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        let flags = SendFlags::NOSIGNAL;
        Ok(sendmsg(
            socket,
            &[IoSlice::new(bytes)],
            &mut ancillary,
            flags,
        )?)
    });
    let sent = timeout(SOON, sent).await.unwrap()?;
    assert_eq!(sent, bytes.len(), "what tests send is small");
    Ok(())
}

async fn receive(socket: &UnixStream, most: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let received = socket.async_io(Interest::READABLE, || receive_now(socket, most));
    timeout(SOON, received).await.unwrap()
}

/// What there is already.
fn receive_now(socket: impl AsFd, most: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; most];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ROOM))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let into = &mut [IoSliceMut::new(&mut bytes)];
    let len = recvmsg(socket, into, &mut ancillary, flags)?.bytes;
    let descriptors = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    let descriptors = descriptors.collect();
    bytes.truncate(len);
    Ok((bytes, descriptors))
}
