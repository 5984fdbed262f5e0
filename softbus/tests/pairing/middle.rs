//! Who stands between the two devices, and who has listened.

use quinn::crypto::rustls::QuicServerConfig;
use softbus::certs::CloseCode;

use super::*;

/// A machine in the middle: a device of its own to both ends, which carries what each of them says to the other.
struct Middle {
    endpoint: quinn::Endpoint,
    /// What the end that dialled said, once it is over.
    said: tokio::task::JoinHandle<Vec<u8>>,
}

impl Middle {
    fn before(victim: SocketAddr) -> Self {
        let identity = Identity::generate().unwrap();
        let server = tls::server_config(&identity).unwrap();
        let server = QuicServerConfig::try_from(server).unwrap();
        let server = quinn::ServerConfig::with_crypto(Arc::new(server));
        let endpoint = quinn::Endpoint::server(server, LOCAL).unwrap();
        let said = tokio::spawn(Self::carry(endpoint.clone(), identity, victim));
        Self { endpoint, said }
    }

    async fn carry(endpoint: quinn::Endpoint, identity: Identity, victim: SocketAddr) -> Vec<u8> {
        let from = endpoint.accept().await.unwrap().await.unwrap();
        let to = dial(&endpoint, &identity, victim).await;
        let (mut back, mut there_from) = from.accept_bi().await.unwrap();
        let (mut there, mut back_from) = to.open_bi().await.unwrap();
        let mut said = Vec::new();
        let mut buffers = ([0; 2048], [0; 2048]);
        loop {
            tokio::select! {
                read = there_from.read(&mut buffers.0) => {
                    let Ok(Some(len)) = read else { break };
                    said.extend_from_slice(&buffers.0[..len]);
                    if there.write_all(&buffers.0[..len]).await.is_err() {
                        break;
                    }
                }
                read = back_from.read(&mut buffers.1) => {
                    let Ok(Some(len)) = read else { break };
                    if back.write_all(&buffers.1[..len]).await.is_err() {
                        break;
                    }
                }
            }
        }
        // How one end closes, so does the middle.
        if let Some(quinn::ConnectionError::ApplicationClosed(close)) = to.close_reason() {
            from.close(close.error_code, b"");
        }
        said
    }
}

pub(super) async fn dial(
    endpoint: &quinn::Endpoint,
    identity: &Identity,
    to: SocketAddr,
) -> quinn::Connection {
    let (client, _) = tls::pairing_client_config(identity, None).unwrap();
    let client = QuicClientConfig::try_from(client).unwrap();
    let client = quinn::ClientConfig::new(Arc::new(client));
    let connecting = endpoint.connect_with(client, to, tls::SERVER_NAME).unwrap();
    connecting.await.unwrap()
}

#[tokio::test]
async fn a_machine_in_the_middle_fails_at_both_ends_though_the_code_is_right() {
    let (phone, tv) = (stranger().await, stranger().await);
    let options = PairingOptions::code().without_asking();
    let mut window = tv.open_pairing(options).await.unwrap();
    let middle = Middle::before(tv.local_addr().unwrap());
    let with = PairWith::code(
        [middle.endpoint.local_addr().unwrap()],
        window.code().unwrap(),
    );
    let failed = phone.pair(with).await.unwrap_err();
    assert_eq!(failed, PairError::WrongCode);
    let told = next(&mut window).await;
    let PairingEvent::Failed { error, .. } = told else {
        panic!("{told:?}");
    };
    assert_eq!(error, PairError::WrongCode);
    assert!(
        phone.trust().unwrap().entries().is_empty() && tv.trust().unwrap().entries().is_empty()
    );
}

#[tokio::test]
async fn a_recording_opens_nothing() {
    let (phone, tv) = (stranger().await, stranger().await);
    let options = PairingOptions::code().without_asking();
    let mut window = tv.open_pairing(options).await.unwrap();
    let middle = Middle::before(tv.local_addr().unwrap());
    let with = PairWith::code(
        [middle.endpoint.local_addr().unwrap()],
        window.code().unwrap(),
    );
    phone.pair(with).await.unwrap_err();
    let recorded = middle.said.await.unwrap();
    assert!(
        recorded.len() > 100,
        "hello, key exchange and proof were heard"
    );
    let _ = next(&mut window).await;
    // Not to synchronise: it is the pace that is allowed.
    tokio::time::sleep(AGAIN).await;

    let identity = Identity::generate().unwrap();
    let connection = dial(&middle.endpoint, &identity, tv.local_addr().unwrap()).await;
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&recorded).await.unwrap();
    let closed = tokio::time::timeout(SOON, connection.closed())
        .await
        .unwrap();
    let quinn::ConnectionError::ApplicationClosed(close) = closed else {
        panic!("{closed}");
    };
    let code = CloseCode::from_code(close.error_code.into_inner());
    assert_eq!(code, Some(CloseCode::WrongCode));
    assert_eq!(window.attempts_left(PairingMode::Code), 1, "it counted");
    assert!(tv.trust().unwrap().entries().is_empty());
}
