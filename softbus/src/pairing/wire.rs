//! A pairing's messages on one QUIC stream, each behind its length, and the course both ends share.

use std::time::Duration;

use async_trait::async_trait;
use certs::{
    TrustStore,
    pairing::{
        CONSENT_TIME, CompareDigits, MAX_MESSAGE_LEN, MAX_SESSION_LEN, MESSAGE_TIME,
        PairingChannel, PairingError, PairingMode, Step,
    },
};
use proto::DeviceId;
use quinn::{Connection, ReadExactError, RecvStream, SendStream};

use super::{PairError, PairedDevice, PairingRequest, shown};
use crate::link::quic::link_closed;

/// One end of a pairing, as the pure machines have it.
#[async_trait]
pub(super) trait End: Send {
    /// A message has arrived. What has to be on disk before it is answered is, when this returns.
    async fn receive(&mut self, message: &[u8]) -> Result<Vec<Step>, PairingError>;
    fn agreed(&mut self) -> Result<Vec<Step>, PairingError>;
    fn stored(&mut self) -> Result<Vec<Step>, PairingError>;
    fn peer_name(&self) -> &str;
    fn mode(&self) -> Option<PairingMode>;
    fn waits_for_their_user(&self) -> bool;
    /// Asks our user.
    fn ask(&mut self, request: PairingRequest);
}

/// A connection on which two devices pair.
pub(super) struct Wire {
    pub(super) connection: Connection,
    pub(super) send: SendStream,
    pub(super) receive: RecvStream,
    pub(super) peer: DeviceId,
    /// What may still come.
    left: usize,
}

impl Wire {
    pub(super) fn new(
        connection: Connection,
        (send, receive): (SendStream, RecvStream),
        peer: DeviceId,
    ) -> Self {
        Self {
            connection,
            send,
            receive,
            peer,
            left: MAX_SESSION_LEN,
        }
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), PairError> {
        let len = u16::try_from(message.len()).map_err(|_| too_long())?;
        let framed = [&len.to_be_bytes()[..], message].concat();
        match tokio::time::timeout(MESSAGE_TIME, self.send.write_all(&framed)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.why_closed().await),
            Err(_) => Err(PairError::TimedOut),
        }
    }

    /// The next message. Of one that is too long its beginning, which no machine takes.
    pub(super) async fn receive(&mut self, within: Duration) -> Result<Vec<u8>, PairError> {
        let read = async {
            let mut len = [0; 2];
            self.receive.read_exact(&mut len).await?;
            let len = usize::from(u16::from_be_bytes(len)).min(MAX_MESSAGE_LEN + 1);
            // Bounded by what a message may have, whatever was claimed.
            let mut message = vec![0; len];
            self.receive.read_exact(&mut message).await?;
            Ok::<_, ReadExactError>(message)
        };
        match tokio::time::timeout(within, read).await {
            Ok(Ok(message)) => {
                self.left = self.left.checked_sub(message.len()).ok_or_else(too_long)?;
                Ok(message)
            }
            Ok(Err(ReadExactError::FinishedEarly(_))) => {
                Err(PairError::Protocol("stream ended".into()))
            }
            Ok(Err(_)) => Err(self.why_closed().await),
            Err(_) => Err(PairError::TimedOut),
        }
    }

    async fn why_closed(&self) -> PairError {
        // A stream may be reset without its connection.
        let closed = tokio::time::timeout(Duration::ZERO, self.connection.closed()).await;
        closed.map_or_else(
            |_| PairError::Protocol("stream was reset".into()),
            |end| PairError::from(link_closed(end)),
        )
    }

    /// Runs one end until both have stored their trust, as far as can be known.
    pub(super) async fn run(
        &mut self,
        end: &mut dyn End,
        trust: &TrustStore,
        name: &str,
    ) -> Result<PairedDevice, PairError> {
        let mut name = name.to_owned();
        let mut paired = None;
        let mut steps = Vec::new();
        loop {
            if steps.is_empty() {
                let time = match end.waits_for_their_user() {
                    true => CONSENT_TIME + MESSAGE_TIME,
                    false => MESSAGE_TIME,
                };
                let message = match self.receive(time).await {
                    Ok(message) => message,
                    Err(error) => return self.ended(trust, paired, error).await,
                };
                steps = end.receive(&message).await?;
                continue;
            }
            match steps.remove(0) {
                Step::Send(message) => {
                    if let Err(error) = self.send(&message).await {
                        return self.ended(trust, paired, error).await;
                    }
                }
                Step::AskUser => {
                    name = self.ask(end, None, name).await?;
                    steps.extend(end.agreed()?);
                }
                Step::Compare(digits) => {
                    name = self.ask(end, Some(digits), name).await?;
                    steps.extend(end.agreed()?);
                }
                Step::Store => {
                    let added = self.store(end.mode(), trust, &name).await?;
                    let device = PairedDevice {
                        device: self.peer,
                        claimed_name: shown(end.peer_name()),
                        added,
                    };
                    paired = Some(device);
                    steps.extend(end.stored()?);
                }
                Step::Done => {
                    return paired.ok_or_else(|| PairError::Protocol("nothing was stored".into()));
                }
                _ => return Err(PairError::Protocol("unknown step".into())),
            }
        }
    }

    /// The connection has ended. If our trust was stored already, that stays as it is when the end is silent: pairing
    /// again mends it. It is taken back if the peer says that it could not store its own.
    async fn ended(
        &self,
        trust: &TrustStore,
        paired: Option<PairedDevice>,
        error: PairError,
    ) -> Result<PairedDevice, PairError> {
        let Some(paired) = paired else {
            return Err(error);
        };
        if error != PairError::FailedThere {
            return Ok(paired);
        }
        if paired.added {
            let (trust, device) = (trust.clone(), paired.device);
            let _ = tokio::task::spawn_blocking(move || trust.forget(&device)).await;
        }
        Err(error)
    }

    async fn ask(
        &self,
        end: &mut dyn End,
        digits: Option<CompareDigits>,
        name: String,
    ) -> Result<String, PairError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        end.ask(PairingRequest {
            device: self.peer,
            claimed_name: shown(end.peer_name()),
            digits,
            answer,
        });
        tokio::select! {
            answer = tokio::time::timeout(CONSENT_TIME, answered) => match answer {
                Ok(Ok(given)) => Ok(if given.is_empty() { name } else { given }),
                Ok(Err(_)) | Err(_) => Err(PairError::Declined),
            },
            end = self.connection.closed() => Err(link_closed(end).into()),
        }
    }

    /// Away from the runtime's thread: it waits for the disk.
    async fn store(
        &self,
        mode: Option<PairingMode>,
        trust: &TrustStore,
        name: &str,
    ) -> Result<bool, PairError> {
        let mode = mode.ok_or_else(|| PairError::Protocol("no mode".into()))?;
        let (trust, device, name) = (trust.clone(), self.peer, name.to_owned());
        let stored =
            tokio::task::spawn_blocking(move || trust.add_paired(device, &name, mode)).await;
        match stored {
            Ok(Ok(added)) => Ok(added),
            Ok(Err(error)) => Err(PairError::Store(error.to_string())),
            Err(error) => Err(PairError::Store(error.to_string())),
        }
    }
}

/// The connection as both machines see it.
pub(super) fn channel(
    connection: &Connection,
    initiator: DeviceId,
    responder: DeviceId,
) -> Result<PairingChannel, PairError> {
    let mut exporter = [0; 32];
    connection
        .export_keying_material(&mut exporter, PairingChannel::EXPORTER_LABEL, &[])
        .map_err(|_| PairError::Protocol("no keying material".into()))?;
    Ok(PairingChannel::new(initiator, responder, exporter))
}

fn too_long() -> PairError {
    PairError::Protocol("too much was sent".into())
}
