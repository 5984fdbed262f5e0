//! Input 14: who sends before it has proven anything.

use rustls::client::Resumption;

use super::*;

/// A client that would send early data if anything let it: it asks for tickets, keeps them, and has early data switched on.
#[expect(clippy::disallowed_methods, reason = "the attempt is the test")]
#[test]
fn a_client_that_insists_on_early_data_has_no_ticket_to_send_it_with() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let (mut tls, _) = tls::client_config(&scene.known, scene.node.device_id()).unwrap();
        tls.enable_early_data = true;
        tls.resumption = Resumption::in_memory_sessions(8);
        let tls = QuicClientConfig::try_from(tls).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(tls));
        let endpoint = Scene::endpoint();
        let at = scene.node.local_addr().unwrap();
        for _ in 0..3 {
            let dial = endpoint.connect_with(config.clone(), at, tls::SERVER_NAME);
            let early = dial.unwrap().into_0rtt();
            // There would have to be a ticket of the connection before.
            let connection = early.err().expect("nothing to resume").await.unwrap();
            let mut control = session::say_hello(&connection).await;
            let _welcome = control.receive().await;
            connection.close(0_u32.into(), b"");
        }
        scene.alone_again().await;
        scene.unharmed().await;
    });
}

/// Packets of early data behind the first packet of a handshake, as no client library would send them.
#[test]
fn packets_of_early_data_that_nobody_can_read_are_dropped() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let at = scene.node.local_addr().unwrap();
        let socket = tokio::net::UdpSocket::bind(LOCAL).await.unwrap();
        for initial in initials(8, scene.node.device_id()).await {
            let ids_end = 6 + usize::from(initial[5]);
            let ids_end = ids_end + 1 + usize::from(initial[ids_end]);
            socket.send_to(&initial, at).await.unwrap();
            for number in 0..16 {
                // A long header of type 0-RTT with the connection ids of the handshake, and 1,000 bytes.
                let mut early = initial[..ids_end].to_vec();
                early[0] = 0xd3;
                early.extend([0x43, 0xe8]);
                early.extend([number; 1000]);
                socket.send_to(&early, at).await.unwrap();
            }
        }
        scene.unharmed().await;
    });
}
