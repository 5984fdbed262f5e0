//! Being dialled: handshake, admission, Hello.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use certs::{AdmitError, AuditEvent, AuthenticatedPeer, CloseCode, Door, Knock};
use quinn::VarInt;
use rpc::{
    link::Link,
    opening::{Incoming, Remote},
    session::passing_rules::Party,
    telemetry,
};
use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::net::TcpStream;

use super::{
    Connection, Peers,
    moving::take_over,
    welcome::{Guest, open_session},
};
use crate::{
    link::{
        quic::{Purpose, QuicLink, config},
        tcp::{Listening, Stranger},
    },
    pairing,
};

/// How long no connection is taken after the system had none to give: no descriptors, mostly.
const NO_CONNECTION: Duration = Duration::from_millis(100);

const NOT_ADMITTED: &str = "not admitted";

/// Accepts QUIC connections as long as the endpoint lives.
pub(super) async fn accept_quic(peers: Arc<Peers>, door: Arc<Mutex<Door>>) {
    while let Some(incoming) = peers.endpoint.accept().await {
        let Some((incoming, place)) = Place::take(&peers, &door, incoming) else {
            continue;
        };
        let handshake = {
            let peers = Arc::clone(&peers);
            async move {
                let connection = incoming.await.ok()?;
                receive_on_quic(&peers, connection).await
            }
        };
        let receive = receive(Arc::clone(&peers), place, handshake);
        peers.runtime.spawn(receive);
    }
}

/// Accepts TCP connections as long as the node does.
pub(super) async fn accept_tcp(peers: Arc<Peers>, door: Arc<Mutex<Door>>, listening: Listening) {
    let Listening { listener, config } = listening;
    let mut stopped = peers.stopped.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        let Ok((socket, from)) = accepted else {
            tokio::time::sleep(NO_CONNECTION).await;
            continue;
        };
        // Whoever completes the connection has its address.
        let Ok(place) = Place::knock(&peers, &door, from.ip(), true) else {
            continue;
        };
        let handshake = receive_on_tcp(Arc::clone(&peers), socket, from, Arc::clone(&config));
        let receive = receive(Arc::clone(&peers), place, handshake);
        peers.runtime.spawn(receive);
    }
}

/// What happens behind the door: as far as Hello within a short time, and no place is taken after that.
async fn receive(peers: Arc<Peers>, place: Place, handshake: impl Future<Output = Option<Guest>>) {
    let opened = tokio::time::timeout(place.time(), handshake).await;
    drop(place);
    if let Ok(Some(guest)) = opened {
        open_session(&peers, guest).await;
    }
}

/// One of the handshakes that may be open at one time.
struct Place {
    door: Arc<Mutex<Door>>,
    from: IpAddr,
}

impl Place {
    /// Asks at the door; who is not let in is told, and nothing is kept of it.
    fn take(
        peers: &Peers,
        door: &Arc<Mutex<Door>>,
        incoming: quinn::Incoming,
    ) -> Option<(quinn::Incoming, Self)> {
        let from = incoming.remote_address().ip();
        match Self::knock(peers, door, from, incoming.remote_address_validated()) {
            Ok(place) => return Some((incoming, place)),
            // Fails only when the address is proven already.
            Err(Knock::Prove) => drop(incoming.retry()),
            // Whatever a later version says: nobody is let in by not understanding it.
            Err(_) => incoming.refuse(),
        }
        None
    }

    fn knock(
        peers: &Peers,
        door: &Arc<Mutex<Door>>,
        from: IpAddr,
        proven: bool,
    ) -> Result<Self, Knock> {
        let knock = lock(door).knock(from, proven, std::time::Instant::now());
        if let Knock::Refuse { limit, value } = knock {
            peers.audit.tell(AuditEvent::LimitReached { limit, value });
        }
        match knock {
            Knock::Enter => Ok(Self {
                door: Arc::clone(door),
                from,
            }),
            other => Err(other),
        }
    }
}

impl Place {
    /// How long it may be held.
    fn time(&self) -> Duration {
        lock(&self.door).limits().time
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.door).left(self.from);
    }
}

fn lock(door: &Mutex<Door>) -> MutexGuard<'_, Door> {
    door.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive_on_quic(peers: &Arc<Peers>, connection: quinn::Connection) -> Option<Guest> {
    if pairing::is_pairing(&connection) {
        // It has limits of its own, and waits for users.
        peers.spawn(pairing::respond(Arc::clone(peers), connection));
        return None;
    }
    let streams = connection.clone();
    let connection = Connection::Quic(connection);
    let from = connection.remote_address();
    match judge(peers, &connection.certificates(), from) {
        Ok(admitted) => {
            streams.set_max_concurrent_bi_streams(VarInt::from_u32(config::LANE_STREAMS));
            streams.set_max_concurrent_uni_streams(VarInt::from_u32(config::BULK_STREAMS));
            let link = QuicLink::new(streams.clone(), false);
            match link.purpose().await {
                Ok(Purpose::Session) => greet(peers, admitted, connection, Arc::new(link)).await,
                Ok(Purpose::Move(name, answer)) => {
                    take_over(peers, &admitted, streams, link, name, answer).await;
                    None
                }
                Err(_) => {
                    connection.close(CloseCode::Protocol, "protocol");
                    None
                }
            }
        }
        Err(error) => {
            connection.close(error.close_code(), NOT_ADMITTED);
            None
        }
    }
}

async fn receive_on_tcp(
    peers: Arc<Peers>,
    socket: TcpStream,
    from: SocketAddr,
    config: Arc<ServerConfig>,
) -> Option<Guest> {
    let stranger = Stranger::accept(socket, from, &config).await.ok()?;
    match judge(&peers, stranger.certificates(), from) {
        Ok(admitted) => {
            let connection = stranger.into_connection(peers.profile, false);
            let link = connection.link();
            greet(
                &peers,
                admitted,
                Connection::Tcp(Arc::new(connection)),
                link,
            )
            .await
        }
        Err(error) => {
            let code = error.close_code().code();
            stranger.refuse(peers.profile, code, NOT_ADMITTED).await;
            None
        }
    }
}

/// From a proven key to an admitted device.
fn judge(
    peers: &Peers,
    certificates: &[CertificateDer<'_>],
    from: SocketAddr,
) -> Result<AuthenticatedPeer, AdmitError> {
    peers.admit(certificates).inspect_err(|error| {
        peers.audit.tell(AuditEvent::TurnedAway {
            device: error.device().copied(),
            why: error.close_code(),
        });
        match error {
            AdmitError::NotTrusted { device } | AdmitError::Blocked { device } => {
                telemetry::turned_away(&peers.bus, *device, from);
            }
            _ => tracing::info!(%from, %error, "turned away"),
        }
    })
}

/// From an admitted device to one that has said Hello.
async fn greet(
    peers: &Peers,
    admitted: AuthenticatedPeer,
    connection: Connection,
    link: Arc<dyn Link>,
) -> Option<Guest> {
    let device = *admitted.device_id();
    let remote = Remote::device(Party { device, process: 0 });
    match Incoming::accept(&peers.bus, link, remote).await {
        Ok(incoming) => Some(Guest {
            device,
            member: admitted.member().cloned(),
            connection,
            incoming,
        }),
        Err(error) => {
            tracing::info!(?device, %error, "no session");
            None
        }
    }
}
