//! A peer that is driven by hand: it speaks the protocol, or something like it.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use proto::{
    BootId, CallId, DeviceId, Handle, ObjectId,
    frame::{Call, Extensions, Frame, FrameReader, Grant, Grants, Reply, Status},
    message::{Control, Hello, VersionRange, Welcome, feature},
};
use softbus::rpc::{
    Bus, MemoryLink, Peer, limits,
    link::{Lane, Link, LinkClosed},
    opening::{Incoming, OpenSessionError, Remote},
    session::passing_rules::Party,
};

/// Longer than a memory link takes.
const SOON: Duration = Duration::from_secs(10);

/// The control lane.
pub const CONTROL: usize = 0;
/// The one call lane of the sessions here: every object is on it.
pub const CALLS: usize = 1;

/// One end of a link, without a session behind it.
#[derive(Debug)]
pub struct RawPeer {
    link: Arc<MemoryLink>,
    lanes: Vec<(Lane, FrameReader)>,
    calls: u32,
    /// What the other end agreed to.
    pub welcome: Option<Welcome>,
}

/// Who a hand-driven peer says it is.
pub const PARTY: Party = Party {
    device: DeviceId::from_bytes([0xba; 32]),
    process: 0,
};
/// Which start of it.
pub const BOOT: BootId = BootId {
    epoch: 1,
    random: 0xbad,
};

/// A well-formed Hello for one call lane.
pub fn hello() -> Hello {
    Hello {
        versions: VersionRange::SPOKEN,
        features: 0,
        lanes: 1,
        limits: limits::DEFAULT_PEER_LIMITS,
        boot: BOOT,
        replaces: 0,
    }
}

impl RawPeer {
    /// A link to a bus that accepts on it, and the session that the bus makes of it if the peer behaves.
    pub async fn dial(
        bus: &Arc<Bus>,
    ) -> (
        Self,
        tokio::task::JoinHandle<Result<Peer, OpenSessionError>>,
    ) {
        let (link, theirs) = MemoryLink::pair();
        let bus = Arc::clone(bus);
        let accept = tokio::spawn(async move {
            let remote = Remote::device(PARTY);
            let incoming = Incoming::accept(&bus, Arc::new(theirs), remote).await?;
            incoming.welcome(&bus).await
        });
        let mut peer = Self {
            link: Arc::new(link),
            lanes: Vec::new(),
            calls: 0,
            welcome: None,
        };
        peer.open(0).await;
        (peer, accept)
    }

    /// A peer in a session.
    ///
    /// # Panics
    /// When there is none.
    pub async fn in_session(bus: &Arc<Bus>) -> (Self, Peer) {
        Self::in_session_after(bus, hello()).await
    }

    /// A peer in a session, that knows introductions.
    ///
    /// # Panics
    /// When there is none.
    pub async fn introducing(bus: &Arc<Bus>) -> (Self, Peer) {
        let features = feature::INTRODUCTIONS;
        Self::in_session_after(
            bus,
            Hello {
                features,
                ..hello()
            },
        )
        .await
    }

    async fn in_session_after(bus: &Arc<Bus>, hello: Hello) -> (Self, Peer) {
        let (mut peer, accept) = Self::dial(bus).await;
        peer.send(CONTROL, &Frame::Control(Control::Hello(hello)))
            .await;
        match peer.receive(CONTROL).await {
            Some(Frame::Control(Control::Welcome(welcome))) => peer.welcome = Some(welcome),
            other => panic!("{other:?} instead of Welcome"),
        }
        peer.open(1).await;
        let session = accept.await.expect("no panic").expect("a session");
        (peer, session)
    }

    async fn open(&mut self, number: u16) {
        let lane = match number {
            0 => self.link.control().await.expect("a memory link has lanes"),
            _ => {
                let lanes = self.link.lanes(number).await;
                lanes.expect("a memory link has lanes").remove(0)
            }
        };
        self.lanes.push((lane, FrameReader::new()));
    }

    /// Writes a frame.
    pub async fn send(&mut self, lane: usize, frame: &Frame) {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        self.send_bytes(lane, &bytes).await;
    }

    /// Writes what need not be a frame. Nothing happens when the other end is gone.
    pub async fn send_bytes(&mut self, lane: usize, bytes: &[u8]) {
        let mut bytes = BytesMut::from(bytes);
        let (lane, _) = &mut self.lanes[lane];
        while !bytes.is_empty() {
            let written = poll_fn(|cx| lane.send.poll_write(cx, &mut bytes)).await;
            if written.is_err() {
                return;
            }
        }
    }

    /// Writes a length and then these bytes.
    pub async fn send_framed(&mut self, lane: usize, bytes: &[u8]) {
        let mut framed = BytesMut::new();
        framed.put_u32_le(bytes.len() as u32);
        framed.extend_from_slice(bytes);
        self.send_bytes(lane, &framed).await;
    }

    /// The next frame; `None` when the lane has ended.
    ///
    /// # Panics
    /// When none comes, or what comes is none.
    pub async fn receive(&mut self, lane: usize) -> Option<Frame> {
        let (lane, frames) = &mut self.lanes[lane];
        let receive = async {
            loop {
                if let Some(bytes) = frames.next_frame().expect("the other end sends frames") {
                    let frame = Frame::decode(bytes).expect("the other end sends frames");
                    return Some(frame.expect("and none of an unknown kind"));
                }
                let read = poll_fn(|cx| lane.receive.poll_read(cx, frames.buffer())).await;
                if !read.is_ok_and(|read| read > 0) {
                    return None;
                }
            }
        };
        let received = tokio::time::timeout(SOON, receive).await;
        received.expect("a frame or an end comes in time")
    }

    /// The next reply, frames of other kinds passed over.
    ///
    /// # Panics
    /// When none comes.
    pub async fn receive_reply(&mut self) -> Reply {
        loop {
            match self.receive(CALLS).await {
                Some(Frame::Reply(reply)) => return reply,
                Some(_) => {}
                None => panic!("the session has ended"),
            }
        }
    }

    /// A two-way call of an object, with everything else as it usually is.
    pub fn call(&mut self, handle: Handle, code: u32, body: &[u8]) -> Call {
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
            chain: u64::from(self.calls),
            deadline_us: 5_000_000,
            bulk: None,
            grants: Grants::default(),
            extensions: Extensions::default(),
            body: Bytes::copy_from_slice(body),
        }
    }

    /// Sends a call and returns the status it is answered with.
    pub async fn status_of(&mut self, call: Call) -> Status {
        self.send(CALLS, &Frame::Call(call)).await;
        self.receive_reply().await.status
    }

    /// Asks the system ability manager for a service.
    ///
    /// # Panics
    /// When it is not granted.
    pub async fn get(&mut self, service: u32) -> Handle {
        self.get_object(service).await.0
    }

    /// As [`get`](Self::get), and what the object is called everywhere.
    ///
    /// # Panics
    /// When it is not granted.
    pub async fn get_object(&mut self, service: u32) -> (Handle, ObjectId) {
        let call = self.call(Handle::SAMGR, 1, &service.to_le_bytes());
        self.send(CALLS, &Frame::Call(call)).await;
        let reply = self.receive_reply().await;
        match reply.grants.iter().next() {
            Some(Grant::Granted { handle, object, .. }) => (handle, object),
            other => panic!("{other:?} in a reply of status {:?}", reply.status),
        }
    }

    /// Opens a bulk stream, writes this much of it, and ends it.
    ///
    /// # Panics
    /// When the link is gone.
    pub async fn send_bulk(&self, id: u64, bytes: &[u8]) {
        let stream = self.link.open_bulk(id).await;
        let mut stream = stream.expect("the link is there");
        // The other end may have lost interest.
        let _ = stream.write(Bytes::copy_from_slice(bytes)).await;
        stream.finish();
    }

    /// Cuts the link.
    pub fn hang_up(&self) {
        self.link.close(0, "");
    }

    /// Waits until the other end has closed the link, and says with which code.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(&self) -> u32 {
        match tokio::time::timeout(SOON, self.link.closed()).await {
            Ok(LinkClosed::ByPeer { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }
}
