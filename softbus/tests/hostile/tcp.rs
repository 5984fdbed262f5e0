//! Who comes by TCP and means harm. What is sent after the handshake by whom we trust is tried where the link is.

use std::io::ErrorKind;

use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

/// Kind of the frame that ends a link.
const CLOSE: u8 = 11;
/// Kind of the frame with bytes of a lane.
const LANE: u8 = 1;

async fn socket(scene: &Scene) -> TcpStream {
    let node = scene.node.local_addr().unwrap();
    TcpStream::connect(node).await.unwrap()
}

async fn shake_hands(
    scene: &Scene,
    config: rustls::ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = tls::SERVER_NAME.try_into().unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, socket(scene).await).await
}

fn config(scene: &Scene, as_whom: &Identity) -> rustls::ClientConfig {
    let (config, _) = tls::client_config(as_whom, scene.node.device_id()).unwrap();
    config
}

/// Everything that comes until the other side hangs up; the time limit is that of the test.
async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    // Hung up on with an error is hung up on.
    let _ = stream.read_to_end(&mut all).await;
    all
}

/// The code in the frame that comes first.
fn close_code(said: &[u8]) -> Option<CloseCode> {
    let frame = said.strip_prefix(b"SBT1")?.get(4..)?;
    let (kind, number) = (frame.first()?, frame.get(4..8)?);
    let code = u32::from_le_bytes(number.try_into().ok()?);
    (*kind == CLOSE).then(|| CloseCode::from_code(code.into()))?
}

#[test]
fn what_is_no_tls_is_hung_up_on() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        scene.unharmed().await;
        for said in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            &[0; 4096],
            &[0x16, 0x03, 0x01, 0xff, 0xff, 1, 0xff, 0xff, 0xff],
            b"SBT1\x88\x13\0\0",
        ] {
            let mut socket = socket(&scene).await;
            // A whole record, so that nothing more is waited for.
            socket.write_all(said).await.unwrap();
            socket.shutdown().await.unwrap();
            rest(&mut socket).await;
        }
        scene.unharmed().await;
    });
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn who_shows_no_certificate_is_hung_up_on() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let mut anonymous = config(&scene, &scene.known);
        anonymous.client_auth_cert_resolver = Arc::new(NoCertificate);
        let mut stream = shake_hands(&scene, anonymous).await.unwrap();
        assert_eq!(rest(&mut stream).await, b"");
        scene.unharmed().await;
    });
}

#[test]
fn only_sessions_are_spoken() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        for protocol in [&b"h2"[..], tls::PAIRING_ALPN] {
            let mut other = config(&scene, &scene.known);
            other.alpn_protocols = vec![protocol.to_vec()];
            let refused = shake_hands(&scene, other).await.map(drop);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
        }
        let mut none = config(&scene, &scene.known);
        none.alpn_protocols = Vec::new();
        if let Ok(mut stream) = shake_hands(&scene, none).await {
            assert_eq!(rest(&mut stream).await, b"");
        }
        scene.unharmed().await;
    });
}

#[test]
fn a_stranger_is_told_that_it_is_not_trusted() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let mut audit = scene.node.audit();
        let stranger = Identity::generate().unwrap();
        let mut stream = shake_hands(&scene, config(&scene, &stranger))
            .await
            .unwrap();
        let said = rest(&mut stream).await;
        assert_eq!(close_code(&said), Some(CloseCode::NotTrusted), "{said:?}");
        let turned_away = AuditEvent::TurnedAway {
            device: Some(*stranger.device_id()),
            why: CloseCode::NotTrusted,
        };
        while audit.next().await.unwrap().event != turned_away {}
        scene.unharmed().await;
    });
}

/// A session goes on only with the device it is with, by its name, and only from TCP.
#[test]
fn nobody_goes_on_with_a_session_that_is_not_theirs() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        scene.unharmed().await;
        let endpoint = Scene::endpoint();
        for name in [0_u64, 1, u64::MAX] {
            let connection = scene.dial(&endpoint, &scene.known).await.unwrap();
            let (mut send, _receive) = connection.open_bi().await.unwrap();
            let question = [&b"SBM1"[..], &name.to_le_bytes()].concat();
            send.write_all(&question).await.unwrap();
            let end = connection.closed().await;
            assert_eq!(code(&end), Some(CloseCode::Duplicate), "{end}");
        }
        let connection = scene.dial(&endpoint, &scene.known).await.unwrap();
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(b"SBX1\0\0").await.unwrap();
        let end = connection.closed().await;
        assert_eq!(code(&end), Some(CloseCode::Protocol), "{end}");
        scene.unharmed().await;
    });
}

/// One waits with its first byte, one in the middle of a record, one after the handshake; a stranger is told at once.
#[test]
fn who_takes_its_time_is_gone_after_five_seconds() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        scene.unharmed().await;
        let begun = Instant::now();
        let mut silent = socket(&scene).await;
        let mut slow = socket(&scene).await;
        slow.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
            .await
            .unwrap();
        let mut polite = shake_hands(&scene, config(&scene, &scene.known))
            .await
            .unwrap();
        tokio::join!(rest(&mut silent), rest(&mut slow), rest(&mut polite));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(12), "{took:?}");
        scene.unharmed().await;
    });
}

#[test]
fn who_comes_too_often_by_tcp_is_refused_and_audited_and_hinders_nobody() {
    run(async || {
        let mut limits = DoorLimits::DEFAULT;
        limits.burst = 3;
        limits.per_second = 1;
        let scene = Scene::start(|builder| builder.strangers(limits)).await;
        let mut audit = scene.node.audit();
        scene.unharmed().await;
        let begun = Instant::now();
        let mut let_in = 0;
        for _ in 0..100 {
            let mut stranger = config(&scene, &scene.known);
            stranger.alpn_protocols = vec![b"h2".to_vec()];
            // Who is let in is answered in TLS, and who is not is hung up on without a word.
            let answer = shake_hands(&scene, stranger).await.map(drop);
            let_in += u64::from(answer.unwrap_err().kind() == ErrorKind::InvalidData);
        }
        let most = 3 + begun.elapsed().as_secs() + 1;
        assert!(
            (1..=most).contains(&let_in),
            "{let_in} of at most {most} let in"
        );
        let limit = loop {
            if let AuditEvent::LimitReached { limit, value } = audit.next().await.unwrap().event {
                break (limit, value);
            }
        };
        assert_eq!(limit, ("handshakes of one source in a second", 1));
        scene.unharmed().await;
    });
}

/// Says Hello, and reads until the other side says Welcome, or closes: with which code.
async fn say_hello(stream: &mut TlsStream<TcpStream>) -> Result<(), Option<CloseCode>> {
    let hello = session::encoded(&session::hello());
    let mut said = [b"SBT1", &5000_u32.to_le_bytes()[..], &[LANE, 0]].concat();
    said.extend_from_slice(&(hello.len() as u16).to_le_bytes());
    said.extend_from_slice(&0_u32.to_le_bytes());
    said.extend_from_slice(&hello);
    stream.write_all(&said).await.unwrap();
    let mut preamble = [0; 8];
    stream.read_exact(&mut preamble).await.unwrap();
    loop {
        let mut head = [0; 8];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(u16::from_le_bytes([head[2], head[3]]))];
        stream.read_exact(&mut payload).await.unwrap();
        match head[0] {
            LANE => return Ok(()),
            CLOSE => return Err(close_code(&[&preamble[..], &head[..]].concat())),
            _ => {}
        }
    }
}

/// Over TCP nothing answers Welcome. Who never hears it gives the connection up, and is not kept waiting when it comes again
/// because of a session that it never had.
#[test]
fn whose_welcome_was_lost_is_welcome_again() {
    run(async || {
        let scene = loop {
            let scene = Scene::start(|builder| builder).await;
            // Only the smaller id chooses between connections.
            if scene.node.device_id() < *scene.known.device_id() {
                break scene;
            }
        };
        let mut silent = shake_hands(&scene, config(&scene, &scene.known))
            .await
            .unwrap();
        assert_eq!(say_hello(&mut silent).await, Ok(()));
        // Nothing more is heard on it, and it is not hung up.
        let mut again = shake_hands(&scene, config(&scene, &scene.known))
            .await
            .unwrap();
        assert_eq!(say_hello(&mut again).await, Ok(()));
        let said = rest(&mut silent).await;
        assert!(!said.is_empty(), "it is told that it was replaced");
        drop(again);
        scene.alone_again().await;
        scene.unharmed().await;
    });
}
