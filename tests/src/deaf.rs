//! A device that is driven by hand, because no node does that: trusted and polite until it has a session and a service, and from then on it asks for much and
//! reads nothing. It is there all the time, as its keep-alives say.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use proto::{
    BootId, CallId, Handle,
    frame::{Call, Extensions, Frame, FrameReader, Grant, Grants},
    message::{Control, Hello, VersionRange},
};
use quinn::crypto::rustls::QuicClientConfig;
use softbus::{DeviceId, Identity, ServiceId, certs::tls, rpc::limits, transport::Transports};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::netns::Lab;

/// How many calls: as many as may be open at a time, or nearly.
pub const CALLS: u32 = 1000;

/// Kinds of frames over TCP.
const LANE: u8 = 1;
const PONG: u8 = 10;

/// What it asks for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of this service.
    pub service: ServiceId,
    /// By this method.
    pub code: u32,
    /// With these arguments, from the first to the last and again from the first; each goes in one frame.
    pub bodies: Vec<Bytes>,
}

/// Whom it is after, and as whom.
#[derive(Debug)]
pub struct Aim {
    /// Who it is; trusted by the other one.
    pub identity: Identity,
    /// Whom it calls.
    pub whom: DeviceId,
    /// Where that is.
    pub at: SocketAddr,
    /// By TCP where that is all, otherwise by QUIC.
    pub by: Transports,
    /// And what it asks.
    pub question: Question,
}

/// One that runs; for ever if nobody [stops](Self::stop) it.
#[derive(Debug)]
pub struct Deaf {
    asked: Arc<AtomicU32>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<bool>,
}

/// The same on its own thread.
struct Running {
    aim: Aim,
    asked: Arc<AtomicU32>,
    stopped: oneshot::Receiver<()>,
}

impl Deaf {
    /// Begins at a place of a lab.
    pub fn start(lab: &Lab, place: usize, aim: Aim) -> Self {
        let (stop, stopped) = oneshot::channel();
        let asked = Arc::<AtomicU32>::default();
        let running = Running {
            aim,
            asked: Arc::clone(&asked),
            stopped,
        };
        let run = move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                match running.aim.by {
                    Transports::Tcp => running.by_tcp().await,
                    _ => running.by_quic().await,
                }
            })
        };
        Self {
            asked,
            stop,
            // A thread is where the one is that starts it.
            thread: lab.within(place, || thread::spawn(run)),
        }
    }

    /// How many calls it has made.
    #[must_use]
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the other one has had enough of it.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, and says whether it still had its connection.
    ///
    /// # Panics
    /// When it could not connect, or the service was not there.
    pub fn stop(self) -> bool {
        let _ = self.stop.send(());
        self.thread.join().unwrap()
    }
}

impl Running {
    async fn by_quic(self) -> bool {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
        let (config, _) = tls::client_config(&self.aim.identity, self.aim.whom).unwrap();
        let config = QuicClientConfig::try_from(config).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(config));
        let mut transport = quinn::TransportConfig::default();
        transport.keep_alive_interval(Some(Duration::from_secs(1)));
        config.transport_config(Arc::new(transport));
        let dial = endpoint.connect_with(config, self.aim.at, tls::SERVER_NAME);
        let connection = dial.unwrap().await.unwrap();
        let (mut control, mut said) = connection.open_bi().await.unwrap();
        let preamble = |lane: u16| [b"SBL1".as_slice(), &lane.to_le_bytes()].concat();
        control.write_all(&preamble(0)).await.unwrap();
        control.write_all(&hello()).await.unwrap();
        welcome(first_frame(&mut said).await);
        let (mut calls, mut replies) = connection.open_bi().await.unwrap();
        calls.write_all(&preamble(1)).await.unwrap();
        calls.write_all(&self.aim.question.get()).await.unwrap();
        let handle = granted(first_frame(&mut replies).await);
        let ask = async {
            for slot in 2..2 + CALLS {
                let call = self.aim.question.call(slot, handle);
                if calls.write_all(&call).await.is_err() {
                    return;
                }
                self.asked.fetch_add(1, Ordering::Relaxed);
            }
            std::future::pending().await
        };
        tokio::select! {
            () = ask => {}
            _ = connection.closed() => {}
            _ = self.stopped => {}
        }
        connection.close_reason().is_none()
    }

    async fn by_tcp(self) -> bool {
        let (config, _) = tls::client_config(&self.aim.identity, self.aim.whom).unwrap();
        let stream = TcpStream::connect(self.aim.at).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let name = tls::SERVER_NAME.try_into().unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        // It bears silence for 5 s.
        stream.write_all(b"SBT1\x88\x13\0\0").await.unwrap();
        stream.write_all(&framed(LANE, 0, &hello())).await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
        let mut frames = FrameReader::new();
        welcome(first_frame_of_lane(&mut stream, 0, &mut frames).await);
        stream
            .write_all(&framed(LANE, 1, &self.aim.question.get()))
            .await
            .unwrap();
        let mut frames = FrameReader::new();
        let handle = granted(first_frame_of_lane(&mut stream, 1, &mut frames).await);
        let ask = async {
            for slot in 2..2 + CALLS {
                let call = framed(LANE, 1, &self.aim.question.call(slot, handle));
                stream.write_all(&call).await?;
                self.asked.fetch_add(1, Ordering::Relaxed);
            }
            let mut alive = tokio::time::interval(Duration::from_secs(1));
            loop {
                alive.tick().await;
                stream.write_all(&framed(PONG, 0, &[])).await?;
                stream.flush().await?;
            }
        };
        let ended: Option<std::io::Result<()>> = tokio::select! {
            ended = ask => Some(ended),
            _ = self.stopped => None,
        };
        ended.is_none()
    }
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes.to_vec()
}

fn framed(kind: u8, number: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_le_bytes();
    [&[kind, 0][..], &length, &number.to_le_bytes(), payload].concat()
}

fn hello() -> Vec<u8> {
    encoded(&Frame::Control(Control::Hello(Hello {
        versions: VersionRange::SPOKEN,
        features: 0,
        lanes: 1,
        limits: limits::DEFAULT_PEER_LIMITS,
        boot: BootId {
            epoch: 1,
            random: 0xdeaf,
        },
        replaces: 0,
    })))
}

fn call(slot: u32, handle: Handle, code: u32, body: Bytes) -> Vec<u8> {
    encoded(&Frame::Call(Call {
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
        deadline_us: 60_000_000,
        bulk: None,
        grants: Grants::default(),
        extensions: Extensions::default(),
        body,
    }))
}

impl Question {
    fn get(&self) -> Vec<u8> {
        let service = self.service.get().to_le_bytes();
        call(1, Handle::SAMGR, 1, Bytes::copy_from_slice(&service))
    }

    fn call(&self, slot: u32, handle: Handle) -> Vec<u8> {
        let body = &self.bodies[slot as usize % self.bodies.len()];
        call(slot, handle, self.code, body.clone())
    }
}

fn next_frame(frames: &mut FrameReader) -> Option<Frame> {
    let bytes = frames.next_frame().unwrap()?;
    Some(Frame::decode(bytes).unwrap().unwrap())
}

async fn first_frame(stream: &mut quinn::RecvStream) -> Frame {
    let mut frames = FrameReader::new();
    loop {
        if let Some(frame) = next_frame(&mut frames) {
            return frame;
        }
        let chunk = stream.read_chunk(4096, true).await.unwrap().unwrap();
        frames.buffer().extend_from_slice(&chunk.bytes);
    }
}

async fn first_frame_of_lane(
    stream: &mut TlsStream<TcpStream>,
    lane: u32,
    frames: &mut FrameReader,
) -> Frame {
    loop {
        if let Some(frame) = next_frame(frames) {
            return frame;
        }
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.unwrap();
        let [kind, _, low, high, number @ ..] = header;
        let mut payload = vec![0; u16::from_le_bytes([low, high]).into()];
        stream.read_exact(&mut payload).await.unwrap();
        if (kind, u32::from_le_bytes(number)) == (LANE, lane) {
            frames.buffer().extend_from_slice(&payload);
        }
    }
}

fn welcome(frame: Frame) {
    assert!(
        matches!(frame, Frame::Control(Control::Welcome(_))),
        "{frame:?}"
    );
}

fn granted(frame: Frame) -> Handle {
    let Frame::Reply(reply) = frame else {
        panic!("{frame:?}");
    };
    match reply.grants.iter().next() {
        Some(Grant::Granted { handle, .. }) => handle,
        other => panic!("{other:?} in a reply of status {:?}", reply.status),
    }
}
