use std::time::Duration;

use rustls::client::Resumption;
use rustls::{HandshakeKind, ProtocolVersion};

use super::*;

fn configs() -> (ClientConfig, ServerConfig) {
    let server = Identity::generate().unwrap();
    let client = Identity::generate().unwrap();
    (
        client_config(&client, *server.device_id()).unwrap().0,
        server_config(&server).unwrap(),
    )
}

#[test]
fn server_speaks_two_protocols() {
    let expected: [&[u8]; 2] = [b"softbus/1", b"softbus-pair/1"];
    assert_eq!(configs().1.alpn_protocols, expected);
}

#[test]
fn server_gives_no_tickets() {
    let (_, server) = configs();
    assert_eq!(server.send_tls13_tickets, 0);
    assert!(!server.ticketer.enabled());
}

#[test]
fn server_stores_no_sessions() {
    let (_, server) = configs();
    assert!(!server.session_storage.can_cache());
    assert!(!server.session_storage.put(vec![1], vec![2]));
    assert_eq!(server.session_storage.get(&[1]), None);
}

#[test]
fn server_takes_no_early_data() {
    assert_eq!(configs().1.max_early_data_size, 0);
}

#[test]
fn server_sends_nothing_before_the_client_is_known() {
    assert!(!configs().1.send_half_rtt_data);
}

#[test]
fn client_speaks_one_protocol_and_checks_it() {
    let (client, _) = configs();
    assert_eq!(client.alpn_protocols, [b"softbus/1"]);
    assert!(client.check_selected_alpn);
}

#[test]
fn client_resumes_nothing() {
    // There is no getter, but the form for logs names the store.
    let disabled = format!("{:?}", Resumption::disabled());
    assert_eq!(format!("{:?}", configs().0.resumption), disabled);
    assert_ne!(format!("{:?}", Resumption::default()), disabled);
}

#[test]
fn client_sends_no_early_data() {
    assert!(!configs().0.enable_early_data);
}

#[test]
fn client_names_nobody_in_the_clear() {
    assert!(!configs().0.enable_sni);
}

#[test]
fn keys_are_never_logged_nor_handed_out() {
    let (client, server) = configs();
    for label in ["CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET"] {
        assert!(!client.key_log.will_log(label));
        assert!(!server.key_log.will_log(label));
    }
    assert!(!client.enable_secret_extraction);
    assert!(!server.enable_secret_extraction);
}

#[test]
fn certificates_are_not_compressed() {
    let (client, server) = configs();
    assert!(client.cert_compressors.is_empty() && client.cert_decompressors.is_empty());
    assert!(server.cert_compressors.is_empty() && server.cert_decompressors.is_empty());
}

#[test]
fn certificates_are_required_of_both() {
    assert!(configs().0.client_auth_cert_resolver.has_certs());
    let verifier = AnyDevice::new(provider());
    assert!(rustls::server::danger::ClientCertVerifier::client_auth_mandatory(&verifier));
    assert!(rustls::server::danger::ClientCertVerifier::offer_client_auth(&verifier));
}

#[test]
fn only_tls13() {
    let (client, server) = configs();
    let client = rustls::ClientConnection::new(Arc::new(client), server_name()).unwrap();
    let server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    let (client, server) = finish(client, server);
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
    assert!(
        provider()
            .cipher_suites
            .iter()
            .any(|suite| suite.tls13().is_some())
    );
}

#[test]
fn the_name_is_one_that_clients_take() {
    assert!(rustls::pki_types::ServerName::try_from(SERVER_NAME).is_ok());
}

#[test]
fn a_clock_before_1970_reads_as_1970() {
    let zero = UnixTime::since_unix_epoch(Duration::ZERO);
    assert_eq!(unix_time(UNIX_EPOCH - Duration::from_secs(1)), zero);
    assert_eq!(unix_time(UNIX_EPOCH - Duration::from_secs(1 << 40)), zero);
    assert_eq!(unix_time(UNIX_EPOCH + Duration::from_secs(7)).as_secs(), 7);
    let (client, server) = configs();
    assert_eq!(
        format!("{:?} {:?}", client.time_provider, server.time_provider),
        "Clock Clock"
    );
}

fn server_name() -> rustls::pki_types::ServerName<'static> {
    SERVER_NAME.try_into().unwrap()
}

fn finish(
    mut client: rustls::ClientConnection,
    mut server: rustls::ServerConnection,
) -> (rustls::ClientConnection, rustls::ServerConnection) {
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut &*bytes).unwrap();
        server.process_new_packets().unwrap();
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &*bytes).unwrap();
        client.process_new_packets().unwrap();
    }
    (client, server)
}
