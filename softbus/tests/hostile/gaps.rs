//! Input 49: pieces of a stream with gaps between them. None can be read before the one that is missing, so each is kept until
//! there are too many.

use std::{
    any::Any,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use quinn::congestion::{Controller, ControllerFactory};
use tokio::{net::UdpSocket, task::JoinSet};

use super::*;

/// Bytes, each in a datagram of its own. RUSTSEC-2026-0185 kept a buffer of up to 64 KiB for each.
const PIECES: usize = 5000;
/// As many are nothing to end a connection for: packets are lost everywhere.
const A_FEW: usize = 1000;
/// What may be kept of the half of them that comes, at either end together, in bytes: a few hundred for each.
const AT_MOST: usize = 4 << 20;

/// Sends on whatever is lost.
#[derive(Clone, Debug)]
struct Careless;

impl Controller for Careless {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        1 << 30
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl ControllerFactory for Careless {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        Box::new(Self)
    }
}

/// Carries datagrams. While it makes gaps, every other one goes on, and nothing comes back that would say which to send again.
#[derive(Debug, Default)]
struct Gaps {
    made: AtomicBool,
    came: AtomicUsize,
}

impl Gaps {
    async fn before(self: &Arc<Self>, node: SocketAddr, tasks: &mut JoinSet<()>) -> SocketAddr {
        let outside = UdpSocket::bind(LOCAL).await.unwrap();
        let address = outside.local_addr().unwrap();
        let inside = UdpSocket::bind(LOCAL).await.unwrap();
        inside.connect(node).await.unwrap();
        let gaps = Arc::clone(self);
        tasks.spawn(async move { gaps.carry(&outside, &inside).await });
        address
    }

    async fn carry(&self, outside: &UdpSocket, inside: &UdpSocket) {
        let (mut out, mut back) = (vec![0; 65536], vec![0; 65536]);
        let mut client = None;
        loop {
            tokio::select! {
                Ok((len, from)) = outside.recv_from(&mut out) => {
                    client = Some(from);
                    let number = self.came.fetch_add(1, Ordering::Relaxed);
                    if !self.are_made() || number.is_multiple_of(2) {
                        let _ = inside.send(&out[..len]).await;
                    }
                }
                Ok(len) = inside.recv(&mut back) => {
                    if let (Some(client), false) = (client, self.are_made()) {
                        let _ = outside.send_to(&back[..len], client).await;
                    }
                }
                else => return,
            }
        }
    }

    fn are_made(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    fn make(&self) {
        self.made.store(true, Ordering::Relaxed);
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::Relaxed)
    }
}

#[test]
fn pieces_with_gaps_between_them_take_little_and_too_many_end_the_connection() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let (gaps, mut tasks) = (Arc::new(Gaps::default()), JoinSet::new());
        let address = gaps.before(scene.node.local_addr().unwrap(), &mut tasks);
        let address = address.await;
        let (tls, _) = tls::client_config(&scene.known, scene.node.device_id()).unwrap();
        let config = QuicClientConfig::try_from(tls).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(config));
        let mut transport = quinn::TransportConfig::default();
        transport.congestion_controller_factory(Arc::new(Careless));
        config.transport_config(Arc::new(transport));
        let endpoint = Scene::endpoint();
        let connection = endpoint.connect_with(config, address, tls::SERVER_NAME);
        let connection = connection.unwrap().await.unwrap();
        let [_control, mut calls] = session::begin(&connection).await;
        calls.get(0, SERVICE).await;
        let known = *scene.known.device_id();

        let (before, mut most, mut held) = (after::bytes(), 0, true);
        gaps.make();
        // A frame that is longer than all pieces together.
        calls.send_bytes(&60_000_u32.to_le_bytes()).await;
        for piece in 0..PIECES {
            let came = gaps.came();
            calls.send_bytes(&[7]).await;
            while gaps.came() == came {
                tokio::task::yield_now().await;
            }
            most = most.max(after::bytes().saturating_sub(before));
            held = scene.held().contains(&known);
            assert!(held || piece > A_FEW, "gone after {piece}");
        }
        println!("{PIECES} pieces: {most} bytes more");
        assert!(most < AT_MOST, "{most}");
        assert!(!held, "all of them were taken");
        // Its end goes nowhere, like all that the node says.
        scene.alone_again().await;
        scene.unharmed().await;
    });
}
