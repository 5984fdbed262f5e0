//! Who speaks QUIC, or TLS on TCP, but means harm: before a device is known, and when it is.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use quinn::crypto::rustls::QuicClientConfig;
use softbus::{
    Allow, CallOption, Caller, DeviceId, GetServiceError, HandlerError, Identity, Node,
    NodeBuilder, Parcel, RemoteObject, RemoteStub, ServiceId, ServiceOptions, TrustStore,
    async_trait,
    certs::{AuditEvent, CloseCode, DoorLimits, Hidden, tls},
};

mod after;
mod early_data;
mod floods;
mod gaps;
mod quotas;
mod session;
mod tcp;

const SERVICE: ServiceId = ServiceId::new(7).unwrap();
const SOON: Duration = Duration::from_secs(20);
const PAYLOAD: &str = "correct horse battery staple";
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Echo;

#[async_trait]
impl RemoteStub for Echo {
    fn descriptor(&self) -> &str {
        "test.Echo"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(reply.write_string(&data.read_string()?)?)
    }
}

/// A node that offers a service, a friend who calls it, and an identity that the node trusts too.
struct Scene {
    /// Dropped while the node and its friend are still there, and after all that a test has made of its own.
    before: after::Before,
    node: Node,
    friend: Node,
    known: Identity,
}

impl Scene {
    async fn start(with: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        Self::start_behind(with, |address| address).await
    }

    /// The friend is told that the node is where `address` says.
    async fn start_behind(
        with: impl FnOnce(NodeBuilder) -> NodeBuilder,
        address: impl FnOnce(SocketAddr) -> SocketAddr,
    ) -> Self {
        let [own, friend, known] = [(); 3].map(|()| Identity::generate().unwrap());
        let trust = TrustStore::in_memory();
        for device in [friend.device_id(), known.device_id()] {
            trust.trust(*device, "").unwrap();
        }
        let here = *own.device_id();
        let options = ServiceOptions::distributed(Allow::trusted());
        let builder = Node::builder().identity(own).trust(trust).listen(LOCAL);
        let builder = builder.service(SERVICE, &RemoteObject::new(Echo), options);
        let node = with(builder).start().await.unwrap();
        let trust = TrustStore::in_memory();
        trust.trust(here, "").unwrap();
        let builder = Node::builder().identity(friend).trust(trust).listen(LOCAL);
        let builder = builder.static_peer(here, address(node.local_addr().unwrap()));
        let friend = builder.start().await.unwrap();
        let mut scene = Self {
            before: after::Before::default(),
            node,
            friend,
            known,
        };
        // What is made once, by whoever comes first, is there now.
        scene.calls(100).await;
        scene.before.is_now();
        scene
    }

    /// The after-check: another device's calls are unharmed, and nothing is held of anybody else. How long a call takes, in
    /// the middle.
    async fn unharmed(&self) -> Duration {
        let took = self.calls(100).await;
        assert_eq!(self.held(), [self.friend.device_id()]);
        took
    }

    /// Calls of the friend, one after the other, each of which is answered; how long one takes, in the middle.
    async fn calls(&self, count: usize) -> Duration {
        let (samgr, node) = (self.friend.samgr(), self.node.device_id());
        let proxy = samgr.get(SERVICE, &node).await.unwrap();
        let mut took = Vec::new();
        for _ in 0..count {
            let begun = Instant::now();
            let mut data = Parcel::new();
            data.write_string(PAYLOAD).unwrap();
            let option = CallOption::two_way();
            let mut reply = proxy.send_request(1, &data, option).await.unwrap();
            assert_eq!(reply.read_string().unwrap(), PAYLOAD);
            took.push(begun.elapsed());
        }
        median(&mut took)
    }

    /// Of whom the node holds anything.
    fn held(&self) -> Vec<DeviceId> {
        let held = self.node.usage().into_iter();
        held.map(|(of, _)| of.device).collect()
    }

    /// Until nothing is held of anybody but the friend.
    async fn alone_again(&self) {
        while self.held() != [self.friend.device_id()] {
            tokio::task::yield_now().await;
        }
    }

    fn endpoint() -> quinn::Endpoint {
        quinn::Endpoint::client(LOCAL).unwrap()
    }

    fn dial(&self, endpoint: &quinn::Endpoint, as_whom: &Identity) -> quinn::Connecting {
        connect(
            endpoint,
            as_whom,
            self.node.device_id(),
            self.node.local_addr().unwrap(),
        )
    }
}

fn connect(
    endpoint: &quinn::Endpoint,
    as_whom: &Identity,
    whom: DeviceId,
    at: SocketAddr,
) -> quinn::Connecting {
    let (tls, _) = tls::client_config(as_whom, whom).unwrap();
    let config = QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(config));
    endpoint.connect_with(config, at, tls::SERVER_NAME).unwrap()
}

fn run(test: impl AsyncFnOnce()) {
    run_within(SOON, test);
}

fn run_within(time: Duration, test: impl AsyncFnOnce()) {
    if !after::alone() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Threads that nobody needs are not kept.
        .thread_keep_alive(Duration::from_millis(10))
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(time, test()).await });
    ended.expect("the test ends in time");
}

fn median(took: &mut [Duration]) -> Duration {
    took.sort();
    took[took.len() / 2]
}

fn code(end: &quinn::ConnectionError) -> Option<CloseCode> {
    match end {
        quinn::ConnectionError::ApplicationClosed(close) => {
            CloseCode::from_code(close.error_code.into_inner())
        }
        _ => None,
    }
}

#[test]
fn another_version_of_quic_is_told_ours_and_nothing_is_kept() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let socket = UdpSocket::bind(LOCAL).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        // A long header of version 0x1a2a3a4a with connection ids of 8 bytes.
        let mut datagram = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8];
        datagram.extend([1; 8]);
        datagram.push(8);
        datagram.extend([2; 8]);
        datagram.resize(1200, 0);
        socket
            .send_to(&datagram, scene.node.local_addr().unwrap())
            .unwrap();
        let answer = tokio::task::spawn_blocking(move || {
            let mut answer = [0; 1500];
            let length = socket.recv(&mut answer).unwrap();
            answer[..length].to_vec()
        });
        let answer = answer.await.unwrap();
        assert_eq!(answer[1..5], [0; 4], "a version negotiation");
        assert!(answer[5..].windows(4).any(|four| four == [0, 0, 0, 1]));
        scene.unharmed().await;
    });
}

#[test]
fn no_more_streams_are_opened_than_are_allowed() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let endpoint = Scene::endpoint();
        let connection = scene.dial(&endpoint, &scene.known).await.unwrap();
        let mut opened = Vec::new();
        let open = async {
            while opened.len() < 10_000 {
                let Ok(stream) = connection.open_bi().await else {
                    return;
                };
                opened.push(stream);
            }
        };
        // It has said no Hello; what it may open it may open by now, and is closed after 5 s.
        let _ = tokio::time::timeout(Duration::from_secs(1), open).await;
        assert!((1..=65).contains(&opened.len()), "{}", opened.len());
        let mut beside = Vec::new();
        let open = async {
            while beside.len() < 10_000 {
                let Ok(stream) = connection.open_uni().await else {
                    return;
                };
                beside.push(stream);
            }
        };
        // The next one waits for ever, or until it is closed.
        let _ = tokio::time::timeout(Duration::from_secs(1), open).await;
        assert!(beside.len() <= 16, "{}", beside.len());
        scene.unharmed().await;
    });
}

#[test]
fn who_says_nothing_after_the_handshake_is_gone_after_five_seconds() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        scene.unharmed().await;
        let endpoint = Scene::endpoint();
        let stranger = Identity::generate().unwrap();
        let start = Instant::now();
        // One address gets ten at once and five a second, and no more than sixteen at one time.
        let mut silent = Vec::new();
        for number in 0..40 {
            let whom = if number % 2 == 0 {
                &stranger
            } else {
                &scene.known
            };
            if let Ok(connection) = scene.dial(&endpoint, whom).await {
                silent.push(connection);
            }
        }
        let let_in = silent.len();
        let most = 10 + 5 * (start.elapsed().as_secs() as usize + 1);
        assert!((1..=most).contains(&let_in), "{let_in} of {most}");
        scene.unharmed().await;
        let mut told = HashSet::new();
        for connection in silent {
            let end = connection.closed().await;
            told.insert(code(&end).map(CloseCode::code));
        }
        assert!(
            start.elapsed() < Duration::from_secs(12),
            "{:?}",
            start.elapsed()
        );
        assert!(
            told.contains(&Some(CloseCode::NotTrusted.code())),
            "{told:?}"
        );
        scene.unharmed().await;
    });
}

/// Input 54: a thousand, of a hundred addresses, half of them of a device that is let in and then says nothing.
#[test]
fn a_thousand_handshakes_and_then_nothing_are_over_and_hold_no_place() {
    run_within(6 * SOON, async || {
        let scene = Scene::start(|builder| builder).await;
        let before = scene.unharmed().await;
        let stranger = Identity::generate().unwrap();
        let mut dials = tokio::task::JoinSet::new();
        for source in 0..100 {
            let address = Ipv4Addr::new(127, 0, 3, source);
            let endpoint = quinn::Endpoint::client((address, 0).into()).unwrap();
            for number in 0..10 {
                let whom = [&stranger, &scene.known][number % 2];
                let dial = scene.dial(&endpoint, whom);
                dials.spawn(async move {
                    match dial.await {
                        Ok(connection) => (true, connection.closed().await),
                        Err(end) => (false, end),
                    }
                });
            }
        }
        let during = scene.calls(1000).await;
        let (mut let_in, mut told) = (0, HashSet::new());
        while let Some(ended) = dials.join_next().await {
            let (entered, end) = ended.unwrap();
            let_in += usize::from(entered);
            told.insert(code(&end).map(CloseCode::code));
        }
        let after = scene.unharmed().await;
        assert!(
            told.contains(&Some(CloseCode::NotTrusted.code())),
            "{told:?}"
        );
        // As many as there may be at one time, and some for which a place became free.
        assert!((1..1000).contains(&let_in), "{let_in}");
        println!(
            "| 1000 handshakes and then nothing, {let_in} let in | {before:.0?} | {during:.0?} | {after:.0?} |"
        );
    });
}

/// The first datagrams of so many dials of a device, which go nowhere.
async fn initials(count: usize, whom: DeviceId) -> Vec<Vec<u8>> {
    let sink = tokio::net::UdpSocket::bind(LOCAL).await.unwrap();
    let identity = Identity::generate().unwrap();
    let endpoint = Scene::endpoint();
    let mut initials = Vec::new();
    for _ in 0..count {
        let dial = connect(&endpoint, &identity, whom, sink.local_addr().unwrap());
        let mut datagram = vec![0; 2048];
        // Each has a destination connection id of its own; one that is sent again is passed over.
        loop {
            let length = sink.recv(&mut datagram).await.unwrap();
            let known = |known: &Vec<u8>| known[6..14] == datagram[6..14];
            if !initials.iter().any(known) {
                initials.push(datagram[..length].to_vec());
                break;
            }
        }
        drop(dial);
    }
    initials
}

#[test]
fn a_flood_of_first_packets_from_made_up_addresses_is_asked_to_prove_them() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let before = scene.unharmed().await;
        let node = scene.node.local_addr().unwrap();
        let mut sources = Vec::new();
        for (number, initial) in (0u8..).zip(initials(200, scene.node.device_id()).await) {
            let source = Ipv4Addr::new(127, 0, 1, number);
            let socket = tokio::net::UdpSocket::bind((source, 0)).await.unwrap();
            socket.send_to(&initial, node).await.unwrap();
            sources.push(socket);
        }
        let during = scene.unharmed().await;
        let is_retry = |first: u8| first & 0xf0 == 0xf0;
        let mut retries = 0;
        for socket in &sources {
            let mut answer = [0; 2048];
            let got = tokio::time::timeout(SOON / 10, socket.recv(&mut answer)).await;
            let length = got.unwrap().unwrap();
            assert!(length > 0);
            retries += usize::from(is_retry(answer[0]));
        }
        // Sixteen are let in, and of those that end others may be.
        assert!(
            retries >= 100,
            "{retries} of 200 were asked to prove their address"
        );
        let after = scene.unharmed().await;
        println!("a call takes {before:?}, during the flood {during:?}, afterwards {after:?}");
    });
}

#[test]
fn who_comes_too_often_is_refused_and_audited_and_hinders_nobody() {
    run(async || {
        let mut limits = DoorLimits::DEFAULT;
        limits.burst = 3;
        limits.per_second = 1;
        let scene = Scene::start(|builder| builder.strangers(limits)).await;
        let mut audit = scene.node.audit();
        scene.unharmed().await;
        let endpoint = Scene::endpoint();
        let stranger = Identity::generate().unwrap();
        let mut refused = 0;
        let mut let_in = 0;
        let begun = Instant::now();
        for _ in 0..100 {
            let dial = scene.dial(&endpoint, &stranger).await;
            match dial {
                Ok(connection) => {
                    let_in += 1;
                    assert_eq!(
                        code(&connection.closed().await),
                        Some(CloseCode::NotTrusted)
                    );
                }
                Err(quinn::ConnectionError::ConnectionClosed(_)) => refused += 1,
                Err(other) => assert_eq!(code(&other), Some(CloseCode::NotTrusted)),
            }
        }
        let most = 3 + begun.elapsed().as_secs() + 1;
        assert!(let_in <= most, "{let_in} of at most {most} let in");
        assert!(refused > 50, "{refused} of 100 refused");
        let limit = loop {
            if let AuditEvent::LimitReached { limit, value } = audit.next().await.unwrap().event {
                break (limit, value);
            }
        };
        assert_eq!(limit, ("handshakes of one source in a second", 1));
        scene.unharmed().await;
    });
}

#[test]
fn one_device_more_than_may_have_a_session_is_told_the_limit() {
    run(async || {
        let scene = Scene::start(|builder| builder.max_devices(1)).await;
        let mut audit = scene.node.audit();
        // The friend is the one.
        scene.unharmed().await;
        let endpoint = Scene::endpoint();
        let connection = scene.dial(&endpoint, &scene.known).await.unwrap();
        let _lane = session::say_hello(&connection).await;
        let end = connection.closed().await;
        assert_eq!(code(&end), Some(CloseCode::Limit), "{end}");
        let quinn::ConnectionError::ApplicationClosed(close) = end else {
            panic!("{end}");
        };
        assert_eq!(close.reason, "1 devices are connected");
        let limit = loop {
            if let AuditEvent::LimitReached { limit, value } = audit.next().await.unwrap().event {
                break (limit, value);
            }
        };
        assert_eq!(limit, ("devices with a session", 1));
        scene.unharmed().await;
    });
}

/// Input 35. The answer has to be the same; how long each takes is for who runs this to see, because machines that run
/// tests have other things to do.
#[test]
fn whom_no_rule_admits_hears_the_same_of_what_is_there_and_what_is_not() {
    const ROUNDS: usize = 200;
    run(async || {
        let nobody = Allow::devices([DeviceId::from_bytes([9; 32])]);
        let kinds = [
            ("there", Some(ServiceOptions::distributed(nobody))),
            ("not distributed", Some(ServiceOptions::local())),
            ("not there", None),
        ];
        let service = |kind: usize| ServiceId::new(20 + kind as u32).unwrap();
        let object = RemoteObject::new(Echo);
        let scene = Scene::start(|mut builder| {
            for (kind, (_, options)) in kinds.iter().enumerate() {
                if let Some(options) = options {
                    builder = builder.service(service(kind), &object, options.clone());
                }
            }
            builder
        })
        .await;
        scene.unharmed().await;
        let (samgr, node) = (scene.friend.samgr(), scene.node.device_id());
        let mut audit = scene.node.audit();
        let mut took = kinds.each_ref().map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (kind, took) in took.iter_mut().enumerate() {
                let begun = Instant::now();
                let answer = samgr.get(service(kind), &node).await;
                took.push(begun.elapsed());
                assert_eq!(answer.unwrap_err(), GetServiceError::Refused);
            }
        }
        // The owner can see why; of one device and kind the first is told, and the others are counted.
        let why = loop {
            match audit.next().await.unwrap().event {
                AuditEvent::LookUpDenied { why, .. } => break why,
                _ => continue,
            }
        };
        assert_eq!(why, Hidden::NotAdmitted);
        let first = median(&mut took[0]);
        for ((name, _), took) in kinds.iter().zip(&mut took) {
            let median = median(took);
            let part = median.as_secs_f64() / first.as_secs_f64();
            println!("refused for what is {name}: {median:?}, {part:.2} of the first");
        }
        scene.unharmed().await;
    });
}

/// Carries datagrams between two nodes and keeps them.
fn wire_tap(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let captured = Arc::<Mutex<Vec<u8>>>::default();
    let outside = UdpSocket::bind(LOCAL).unwrap();
    let address = outside.local_addr().unwrap();
    let kept = Arc::clone(&captured);
    outside.set_nonblocking(true).unwrap();
    let inside = UdpSocket::bind(LOCAL).unwrap();
    inside.connect(to).unwrap();
    inside.set_nonblocking(true).unwrap();
    let outside = tokio::net::UdpSocket::from_std(outside).unwrap();
    let inside = tokio::net::UdpSocket::from_std(inside).unwrap();
    tokio::spawn(async move {
        let (mut out, mut back) = (vec![0; 65536], vec![0; 65536]);
        let mut client = None;
        loop {
            tokio::select! {
                Ok((length, from)) = outside.recv_from(&mut out) => {
                    client = Some(from);
                    kept.lock().unwrap().extend(&out[..length]);
                    let _ = inside.send(&out[..length]).await;
                }
                Ok(length) = inside.recv(&mut back) => {
                    kept.lock().unwrap().extend(&back[..length]);
                    if let Some(client) = client {
                        let _ = outside.send_to(&back[..length], client).await;
                    }
                }
                else => return,
            }
        }
    });
    (address, captured)
}

#[test]
fn who_listens_learns_neither_who_talks_nor_what_about() {
    run(async || {
        let mut tap = None;
        let scene = Scene::start_behind(
            |builder| builder.name("kitchen-radio"),
            |node| tap.insert(wire_tap(node)).0,
        )
        .await;
        scene.unharmed().await;
        let captured = tap.unwrap().1.lock().unwrap().clone();
        assert!(captured.len() > 100 * PAYLOAD.len(), "{}", captured.len());
        let mut secrets = vec![
            PAYLOAD.as_bytes().to_vec(),
            b"kitchen-radio".to_vec(),
            tls::SERVER_NAME.as_bytes().to_vec(),
            b"test.Echo".to_vec(),
        ];
        for device in [scene.node.device_id(), scene.friend.device_id()] {
            secrets.push(device.as_bytes().to_vec());
            secrets.push(device.to_string().into_bytes());
            secrets.push(device.short().to_string().into_bytes());
        }
        for secret in secrets {
            let seen = captured.windows(secret.len()).any(|part| part == secret);
            assert!(
                !seen,
                "{:?} goes in the clear",
                String::from_utf8_lossy(&secret)
            );
        }
    });
}
