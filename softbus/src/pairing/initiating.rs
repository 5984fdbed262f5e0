//! Dialling a device to pair with it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use certs::{
    AuditEvent, VerifyPeerError,
    pairing::{CONSENT_TIME, Initiator, PairingError, PairingMode, SESSION_TIME, Step},
    peer_device_id, tls,
};
use rustls::pki_types::CertificateDer;
use tokio::task::JoinSet;

use super::{
    PairError, PairWith, PairedDevice, PairingRequest, Proof,
    wire::{End, Wire, channel},
};
use crate::{
    Node,
    link::quic::{config, link_closed},
    peers::Peers,
};

/// How long one address has to answer.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long the last message may take.
const LINGER_TIME: Duration = Duration::from_secs(2);

impl Node {
    /// Pairs with a device whose user has opened a window. Takes up to two minutes, most of which is the other user's.
    ///
    /// # Errors
    /// [`PairError`].
    pub async fn pair(&self, with: PairWith) -> Result<PairedDevice, PairError> {
        // On the node's runtime, whichever the caller is on; and no longer than the caller waits.
        let mut task = JoinSet::new();
        let peers = Arc::clone(self.peers().ok_or(PairError::Attached)?);
        task.spawn_on(pair_with(Arc::clone(&peers), with), peers.runtime());
        match task.join_next().await {
            Some(Ok(result)) => result,
            _ => Err(PairError::TimedOut),
        }
    }
}

async fn pair_with(peers: Arc<Peers>, with: PairWith) -> Result<PairedDevice, PairError> {
    let PairWith {
        addresses,
        expected,
        proof,
        name,
    } = with;
    let connection = connect(&peers, &addresses, expected).await?;
    // Its stream is kept until the connection says why it closes: the end of a stream would come first.
    let mut wire = None;
    let pairing = pair(&peers, &connection, proof, &name, &mut wire);
    let result = tokio::time::timeout(SESSION_TIME + CONSENT_TIME, pairing).await;
    let result = result.unwrap_or(Err(PairError::TimedOut));
    match &result {
        Ok(paired) => {
            let device = paired.device;
            peers.audit().tell(AuditEvent::Paired { device });
            // The other side closes when it has heard that we are done.
            let _ = tokio::time::timeout(LINGER_TIME, connection.closed()).await;
            connection.close(certs::CloseCode::Leaving.code().into(), b"paired");
            peers.met(paired.device, connection.remote_address());
        }
        Err(error) => {
            connection.close(error.close_code().code().into(), b"not paired");
        }
    }
    result
}

/// The first of the addresses that answers.
async fn connect(
    peers: &Peers,
    addresses: &[SocketAddr],
    expected: Option<proto::DeviceId>,
) -> Result<quinn::Connection, PairError> {
    let mut last = PairError::Unreachable("no address is known".into());
    for address in addresses {
        let dial = connect_to(peers, *address, expected);
        match tokio::time::timeout(CONNECT_TIME, dial).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => last = error,
            Err(_) => last = PairError::Unreachable("no answer".into()),
        }
    }
    Err(last)
}

async fn connect_to(
    peers: &Peers,
    address: SocketAddr,
    expected: Option<proto::DeviceId>,
) -> Result<quinn::Connection, PairError> {
    let unreachable = |error: &dyn std::fmt::Display| PairError::Unreachable(error.to_string());
    let (config, check) = config::pairing_client(peers.identity(), expected, peers.profile())
        .map_err(|error| unreachable(&error))?;
    let connecting = peers
        .endpoint()
        .connect_with(config, address, tls::SERVER_NAME)
        .map_err(|error| unreachable(&error))?;
    connecting.await.map_err(|error| match check.refused() {
        Some(VerifyPeerError::DeviceIdMismatch { .. }) => PairError::SomebodyElse,
        Some(other) => PairError::Protocol(other.to_string()),
        None => unreachable(&error),
    })
}

async fn pair(
    peers: &Arc<Peers>,
    connection: &quinn::Connection,
    proof: Proof,
    name: &str,
    wire: &mut Option<Wire>,
) -> Result<PairedDevice, PairError> {
    let certificates = connection.peer_identity();
    let certificates = certificates
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .unwrap_or_default();
    let device =
        peer_device_id(&certificates).map_err(|error| PairError::Protocol(error.to_string()))?;
    if device == peers.me() {
        return Err(PairError::Oneself);
    }
    let known = peers.trust().get(&device);
    if known.is_some_and(|entry| entry.blocked) {
        return Err(PairError::Blocked);
    }
    let channel = channel(connection, peers.me(), device)?;
    let our_name = peers.pairing.name();
    let (started, mode, ask) = match proof {
        Proof::Code(code) => (
            Initiator::by_code(channel, &our_name, &code),
            PairingMode::Code,
            None,
        ),
        Proof::Secret(secret) => (
            Initiator::by_secret(channel, &our_name, &secret),
            PairingMode::Qr,
            None,
        ),
        Proof::Compare(ask) => (
            Initiator::by_comparing(channel, &our_name),
            PairingMode::Compare,
            Some(ask),
        ),
    };
    let (machine, hello) = started?;
    let stream = connection
        .open_bi()
        .await
        .map_err(|end| PairError::from(link_closed(end)))?;
    let wire = wire.insert(Wire::new(connection.clone(), stream, device));
    wire.send(&hello).await?;
    let mut end = InitiatingEnd { machine, mode, ask };
    let paired = wire.run(&mut end, peers.trust(), name).await?;
    // What was written is sent before the stream's end, and the peer waits for that.
    let _ = wire.send.finish();
    Ok(paired)
}

struct InitiatingEnd {
    machine: Initiator,
    mode: PairingMode,
    ask: Option<Box<dyn FnOnce(PairingRequest) + Send>>,
}

#[async_trait]
impl End for InitiatingEnd {
    async fn receive(&mut self, message: &[u8]) -> Result<Vec<Step>, PairingError> {
        self.machine.receive(message)
    }

    fn agreed(&mut self) -> Result<Vec<Step>, PairingError> {
        self.machine.agreed()
    }

    fn stored(&mut self) -> Result<Vec<Step>, PairingError> {
        self.machine.stored()
    }

    fn peer_name(&self) -> &str {
        self.machine.peer_name()
    }

    fn mode(&self) -> Option<PairingMode> {
        Some(self.mode)
    }

    fn waits_for_their_user(&self) -> bool {
        self.machine.waits_for_their_user()
    }

    fn ask(&mut self, request: PairingRequest) {
        if let Some(ask) = self.ask.take() {
            ask(request);
        }
    }
}
