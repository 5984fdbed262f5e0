//! Being dialled by a device that wants to pair.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use async_trait::async_trait;
use certs::{
    AuditEvent, CloseCode,
    pairing::{
        CONSENT_TIME, MESSAGE_TIME, PairingError, PairingMode, Responder, SESSION_TIME,
        SessionNumber, Step,
    },
    peer_device_id, tls,
};
use proto::DeviceId;
use rustls::pki_types::CertificateDer;

use super::{
    PairError, PairedDevice, PairingEvent, PairingRequest,
    slot::OpenWindow,
    wire::{End, Wire, channel},
};
use crate::peers::Peers;

/// Whether a connection is one for pairing.
pub(crate) fn is_pairing(connection: &quinn::Connection) -> bool {
    let data = connection
        .handshake_data()
        .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(tls::PAIRING_ALPN))
}

/// A stranger, or anybody, wants to pair.
pub(crate) async fn respond(peers: Arc<Peers>, connection: quinn::Connection) {
    let from = connection.remote_address();
    let certificates = connection.peer_identity();
    let certificates = certificates
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .unwrap_or_default();
    let Ok(device) = peer_device_id(&certificates) else {
        // The verifier let it finish, so this does not happen.
        connection.close(CloseCode::BadCertificate.code().into(), b"not paired");
        return;
    };
    let (open, session) = match admitted(&peers, device, from) {
        Ok(admitted) => admitted,
        Err(code) => {
            let device = Some(device);
            peers
                .audit()
                .tell(AuditEvent::TurnedAway { device, why: code });
            connection.close(code.code().into(), b"not paired");
            return;
        }
    };
    // Its stream is kept until the connection says why it closes: the end of a stream would come first.
    let mut wire = None;
    let pairing = pair(&peers, &open, session, &connection, device, &mut wire);
    let result = tokio::time::timeout(SESSION_TIME + CONSENT_TIME, pairing).await;
    let result = result.unwrap_or(Err(PairError::TimedOut));
    let mode = open.window().mode_of(session);
    if result.is_ok() {
        open.forgive().await;
    }
    match &result {
        Ok(_) => {
            peers.audit().tell(AuditEvent::Paired { device });
            connection.close(CloseCode::Leaving.code().into(), b"paired");
        }
        Err(error) => {
            let why = error.close_code();
            peers
                .audit()
                .tell(AuditEvent::PairingFailed { device, why });
            tracing::debug!(?device, %from, %error, "pairing failed");
            connection.close(why.code().into(), b"not paired");
        }
    }
    tell(&open, device, mode, result);
    // Last: when the window ends, everything has been told.
    open.window().over(session);
}

/// An attempt is told of, and so is what came of it; who only knocked is not.
fn tell(
    open: &OpenWindow,
    device: DeviceId,
    mode: Option<PairingMode>,
    result: Result<PairedDevice, PairError>,
) {
    match (result, mode) {
        (Ok(paired), _) => open.tell(PairingEvent::Paired(paired)),
        (Err(error), Some(mode)) => {
            let attempts_left = open.window().attempts_left(mode);
            open.tell(PairingEvent::Failed {
                device,
                error,
                attempts_left,
            });
        }
        (Err(_), None) => {}
    }
}

fn admitted(
    peers: &Peers,
    device: DeviceId,
    from: SocketAddr,
) -> Result<(Arc<OpenWindow>, SessionNumber), CloseCode> {
    if device == peers.me() {
        return Err(CloseCode::Oneself);
    }
    let open = peers.pairing.current().ok_or(CloseCode::PairingClosed)?;
    let known = peers.trust().get(&device);
    if known.is_some_and(|entry| entry.blocked) {
        return Err(CloseCode::Revoked);
    }
    let session = open.window().admit(from.ip(), Instant::now());
    let session = session.map_err(|error| error.close_code())?;
    Ok((open, session))
}

async fn pair(
    peers: &Arc<Peers>,
    open: &Arc<OpenWindow>,
    session: SessionNumber,
    connection: &quinn::Connection,
    device: DeviceId,
    wire: &mut Option<Wire>,
) -> Result<PairedDevice, PairError> {
    let stream = tokio::time::timeout(MESSAGE_TIME, connection.accept_bi()).await;
    let stream = stream
        .map_err(|_| PairError::TimedOut)?
        .map_err(|end| PairError::from(crate::link::quic::link_closed(end)))?;
    let channel = channel(connection, device, peers.me())?;
    let machine = Responder::new(channel, session, &peers.pairing.name());
    let mut end = RespondingEnd {
        machine,
        session,
        open: Arc::clone(open),
    };
    let wire = wire.insert(Wire::new(connection.clone(), stream, device));
    wire.run(&mut end, peers.trust(), "").await
}

/// The machine and the window it belongs to.
struct RespondingEnd {
    machine: Responder,
    session: SessionNumber,
    open: Arc<OpenWindow>,
}

#[async_trait]
impl End for RespondingEnd {
    async fn receive(&mut self, message: &[u8]) -> Result<Vec<Step>, PairingError> {
        let machine = &mut self.machine;
        let step = |window: &mut _| machine.receive(window, message, Instant::now());
        self.open.count(self.session, step).await
    }

    fn agreed(&mut self) -> Result<Vec<Step>, PairingError> {
        self.machine.agreed(&mut self.open.window())
    }

    fn stored(&mut self) -> Result<Vec<Step>, PairingError> {
        self.machine.stored(&mut self.open.window())
    }

    fn peer_name(&self) -> &str {
        self.machine.peer_name()
    }

    fn mode(&self) -> Option<PairingMode> {
        self.machine.mode()
    }

    fn waits_for_their_user(&self) -> bool {
        self.machine.waits_for_their_user()
    }

    fn ask(&mut self, request: PairingRequest) {
        self.open.tell(PairingEvent::Request(request));
    }
}
