//! A device that is trusted and speaks the protocol, byte by byte as it likes.

use bytes::{Bytes, BytesMut};
use proto::{
    BootId, CallId, Handle,
    frame::{Call, ExtensionKind, Extensions, Frame, FrameReader, Grant, Grants, Reply, Status},
    message::{Control, Hello, VersionRange},
};
use softbus::rpc::{limits, opening::close_code};
use tokio::sync::mpsc;

use super::*;

const WHO: ServiceId = ServiceId::new(8).unwrap();
const CONTROL: u16 = 0;
const CALLS: u16 = 1;

fn preamble(lane: u16) -> Vec<u8> {
    [b"SBL1".as_slice(), &lane.to_le_bytes()].concat()
}

pub(crate) fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes.to_vec()
}

pub(crate) fn hello() -> Frame {
    Frame::Control(Control::Hello(Hello {
        versions: VersionRange::SPOKEN,
        features: 0,
        lanes: 1,
        limits: limits::DEFAULT_PEER_LIMITS,
        boot: BootId {
            epoch: 1,
            random: 0xbad,
        },
        replaces: 0,
    }))
}

fn call(slot: u32, handle: Handle, code: u32, body: &[u8]) -> Call {
    Call {
        handle,
        id: Some(CallId {
            slot,
            generation: 1,
        }),
        code,
        binding: 0,
        idempotent: false,
        depth: 0,
        chain: slot.into(),
        deadline_us: 5_000_000,
        bulk: None,
        grants: Grants::default(),
        extensions: Extensions::default(),
        body: Bytes::copy_from_slice(body),
    }
}

pub(crate) struct Lane {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    frames: FrameReader,
}

impl Lane {
    async fn open(connection: &quinn::Connection, number: u16) -> Self {
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&preamble(number)).await.unwrap();
        let frames = FrameReader::new();
        Self {
            send,
            receive,
            frames,
        }
    }

    async fn send(&mut self, frame: &Frame) {
        self.send_bytes(&encoded(frame)).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.frames.next_frame().unwrap() {
                return Frame::decode(frame).unwrap().unwrap();
            }
            let chunk = self.receive.read_chunk(4096, true).await.unwrap();
            self.frames
                .buffer()
                .extend_from_slice(&chunk.unwrap().bytes);
        }
    }

    /// Calls method 1, and does not wait for what comes of it.
    pub(crate) async fn ask(&mut self, slot: u32, handle: Handle) {
        self.send(&Frame::Call(call(slot, handle, 1, &[]))).await;
    }

    async fn reply(&mut self) -> Reply {
        loop {
            if let Frame::Reply(reply) = self.receive().await {
                return reply;
            }
        }
    }

    /// A service, as the system ability manager grants it.
    pub(crate) async fn get(&mut self, slot: u32, service: ServiceId) -> Handle {
        let get = call(slot, Handle::SAMGR, 1, &service.get().to_le_bytes());
        self.send(&Frame::Call(get)).await;
        let reply = self.reply().await;
        match reply.grants.iter().next() {
            Some(Grant::Granted { handle, .. }) => handle,
            other => panic!("{other:?} in a reply of status {:?}", reply.status),
        }
    }
}

/// Begins a session, which need not come to be.
pub(crate) async fn say_hello(connection: &quinn::Connection) -> Lane {
    let mut control = Lane::open(connection, CONTROL).await;
    control.send(&hello()).await;
    control
}

/// In a session, with its control and its call lane.
pub(crate) async fn in_session(
    scene: &Scene,
    endpoint: &quinn::Endpoint,
) -> (quinn::Connection, Lane, Lane) {
    let connection = scene.dial(endpoint, &scene.known).await.unwrap();
    let [control, calls] = begin(&connection).await;
    (connection, control, calls)
}

/// A session on a connection: its control and its call lane.
pub(crate) async fn begin(connection: &quinn::Connection) -> [Lane; 2] {
    let mut control = say_hello(connection).await;
    let welcome = control.receive().await;
    assert!(matches!(welcome, Frame::Control(Control::Welcome(_))));
    [control, Lane::open(connection, CALLS).await]
}

/// Tells who calls, and what it was told.
struct Who(mpsc::UnboundedSender<(DeviceId, bool, Option<u32>, Option<u32>)>);

#[async_trait]
impl RemoteStub for Who {
    fn descriptor(&self) -> &str {
        "test.Who"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        _code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let who = (
            caller.device(),
            caller.is_local(),
            caller.pid(),
            caller.uid(),
        );
        let _ = self.0.send(who);
        Ok(())
    }
}

/// Input 37: another device's id, ours, and a token where a caller's identity is said within one device, and in the bytes
/// of the call.
#[test]
fn who_says_it_is_somebody_else_is_still_itself_or_loses_its_session() {
    run(async || {
        let (seen, mut callers) = mpsc::unbounded_channel();
        let options = ServiceOptions::distributed(Allow::trusted());
        let who = RemoteObject::new(Who(seen));
        let scene = Scene::start(|builder| builder.service(WHO, &who, options)).await;
        let endpoint = Scene::endpoint();
        let (connection, _control, mut calls) = in_session(&scene, &endpoint).await;
        let handle = calls.get(1, WHO).await;
        let us = *scene.known.device_id();
        let forged = [scene.friend.device_id(), scene.node.device_id()];
        for (slot, device) in (2..).zip(forged) {
            // An id, process 0, user 0 and a token, in the body and where text for people may be.
            let claim = [device.as_bytes().as_slice(), &[0; 8], &[0xff; 16]].concat();
            let claims = Extensions::default()
                .with(ExtensionKind::Text, &claim)
                .with(ExtensionKind::Trace, &claim);
            let mut claiming = call(slot, handle, 1, &claim);
            claiming.extensions = claims;
            calls.send(&Frame::Call(claiming)).await;
            assert_eq!(calls.reply().await.status, Status::Ok);
            assert_eq!(callers.recv().await, Some((us, false, None, None)));
        }
        // Only the host of this device may say for whom it calls.
        let mut relayed = call(4, handle, 1, &[]);
        relayed.extensions = Extensions::default().on_behalf_of(scene.friend.device_id());
        calls.send(&Frame::Call(relayed)).await;
        let quinn::ConnectionError::ApplicationClosed(close) = connection.closed().await else {
            panic!("it is closed for what it did");
        };
        assert_eq!(close.error_code.into_inner(), close_code::PROTOCOL.into());
        assert!(callers.try_recv().is_err());
        scene.unharmed().await;
    });
}

/// Input 16: who was let in and says Hello only when it is blocked has no session.
#[test]
fn who_is_blocked_before_it_says_hello_has_no_session() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let endpoint = Scene::endpoint();
        let connection = scene.dial(&endpoint, &scene.known).await.unwrap();
        // The node has let it in by then: it has answered a hundred calls since.
        scene.unharmed().await;
        let trust = scene.node.trust().unwrap();
        trust.block(scene.known.device_id()).unwrap();
        let mut control = say_hello(&connection).await;
        let _welcome = control.receive().await;
        let _calls = Lane::open(&connection, CALLS).await;
        let end = connection.closed().await;
        assert_eq!(code(&end), Some(CloseCode::Revoked), "{end}");
        scene.unharmed().await;
    });
}

/// Input 47: time that is given for Hello is not given again with each byte.
#[test]
fn who_says_hello_byte_by_byte_is_gone_after_five_seconds() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let endpoint = Scene::endpoint();
        let connection = scene.dial(&endpoint, &scene.known).await.unwrap();
        let begun = Instant::now();
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        let mut sent = 0;
        let drip = async {
            for byte in [preamble(CONTROL), encoded(&hello())].concat() {
                if send.write_all(&[byte]).await.is_err() {
                    return;
                }
                sent += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            _ = connection.closed() => {}
            () = drip => panic!("it may say all of it"),
        }
        let took = begun.elapsed();
        println!("closed after {took:?}, with {sent} bytes");
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert!(sent >= 3, "it was still sending: {sent} bytes");
        scene.unharmed().await;
    });
}

/// Input 47: a call that comes a byte at a time is waited for, and holds up nobody but who sends it.
#[test]
fn a_call_that_comes_byte_by_byte_hinders_nobody_else() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let endpoint = Scene::endpoint();
        let (connection, _control, mut calls) = in_session(&scene, &endpoint).await;
        let handle = calls.get(1, SERVICE).await;
        // Nobody has such a method; that there is an answer is what counts.
        let slow = encoded(&Frame::Call(call(2, handle, 77, &[])));
        let proxy = scene
            .friend
            .samgr()
            .get(SERVICE, &scene.node.device_id())
            .await
            .unwrap();
        for byte in slow {
            calls.send.write_all(&[byte]).await.unwrap();
            // Between each two bytes another device is served.
            let mut data = Parcel::new();
            data.write_string(PAYLOAD).unwrap();
            let served = proxy.send_request(1, &data, CallOption::two_way()).await;
            assert_eq!(served.unwrap().read_string().unwrap(), PAYLOAD);
        }
        let reply = calls.reply().await;
        assert_ne!(reply.status, Status::Ok);
        assert_eq!(connection.close_reason(), None);
        let again = call(3, handle, 77, &[]);
        calls.send(&Frame::Call(again)).await;
        assert_eq!(calls.reply().await.status, reply.status);
        connection.close(0_u32.into(), b"");
        scene.unharmed().await;
    });
}

/// Input 49: what comes and is not read is never more than the windows.
#[test]
fn what_nobody_reads_is_bounded_by_the_windows_of_streams_and_connection() {
    const MIB: usize = 1 << 20;
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let endpoint = Scene::endpoint();
        let (connection, _control, _calls) = in_session(&scene, &endpoint).await;
        let mut held = Vec::new();
        let mut taken = Vec::new();
        // Streams beyond the agreed lanes are opened to the number that is given and read by nobody.
        while let Ok(opened) =
            tokio::time::timeout(Duration::from_millis(200), connection.open_bi()).await
        {
            let (mut send, receive) = opened.unwrap();
            let mut stream = 0;
            let block = vec![0; 64 << 10];
            let wait = Duration::from_millis(300);
            while stream <= 2 * MIB
                && let Ok(written) = tokio::time::timeout(wait, send.write(&block)).await
            {
                stream += written.unwrap();
            }
            let full = stream == 0;
            taken.push(stream);
            held.push((send, receive));
            if full {
                break;
            }
        }
        let all: usize = taken.iter().sum();
        println!(
            "{} streams, {all} bytes, of one at most {:?}",
            taken.len(),
            taken.iter().max()
        );
        assert!(taken.iter().all(|stream| *stream <= MIB), "{taken:?}");
        assert!(all <= 16 * MIB, "{all}");
        assert!(all >= MIB, "{all}");
        connection.close(0_u32.into(), b"");
        scene.unharmed().await;
    });
}
