//! Two ends of a pairing and what may go wrong between them, without a network.

mod comparing;
mod course;
mod hostile;
mod window;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use proto::DeviceId;

use super::*;
use crate::TrustStore;

const PHONE: DeviceId = DeviceId::from_bytes([1; 32]);
const TV: DeviceId = DeviceId::from_bytes([2; 32]);
const MALLORY: DeviceId = DeviceId::from_bytes([3; 32]);

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 1, number).into()
}

/// A connection between two devices, as each of them sees it.
fn channel(initiator: DeviceId, responder: DeviceId, connection: u8) -> PairingChannel {
    PairingChannel::new(initiator, responder, [connection; 32])
}

/// The end that opened a window.
struct Tv {
    window: PairingWindow,
    now: Instant,
    connections: u8,
}

impl Tv {
    fn new(options: &PairingOptions) -> Self {
        let now = Instant::now();
        Self {
            window: PairingWindow::open(options, now).unwrap(),
            now,
            connections: 0,
        }
    }

    fn code(&self) -> PairingCode {
        self.window.code().unwrap().clone()
    }

    fn wrong_code(&self) -> PairingCode {
        let other = if self.code().reveal() == "000000" {
            "000001"
        } else {
            "000000"
        };
        other.parse().unwrap()
    }

    /// The next connection, from an address of its own.
    fn connect(&mut self, from: DeviceId) -> Result<(Responder, SessionNumber, u8), PairingError> {
        self.connections += 1;
        let session = self.window.admit(address(self.connections), self.now)?;
        let channel = channel(from, TV, self.connections);
        let responder = Responder::new(channel, session, "tv");
        Ok((responder, session, self.connections))
    }

    /// A pairing with a phone that was told this code, to its end.
    fn pair(&mut self, code: &PairingCode) -> Result<(), PairingError> {
        let (mut responder, session, connection) = self.connect(PHONE)?;
        let (initiator, hello) =
            Initiator::by_code(channel(PHONE, TV, connection), "phone", code).unwrap();
        let result = self.run(initiator, hello, &mut responder);
        self.window.over(session);
        result.map(drop)
    }

    /// Carries messages until both ends are done, or one fails. Both users agree to everything. Returns all messages,
    /// those of the initiator first.
    fn run(
        &mut self,
        mut initiator: Initiator,
        hello: Vec<u8>,
        responder: &mut Responder,
    ) -> Result<[Vec<Vec<u8>>; 2], PairingError> {
        let mut sent = [vec![hello.clone()], vec![]];
        let (mut to_responder, mut to_initiator) = (vec![hello], Vec::new());
        let mut done = [false; 2];
        while !to_responder.is_empty() || !to_initiator.is_empty() {
            for message in std::mem::take(&mut to_responder) {
                let mut steps = responder.receive(&mut self.window, &message, self.now)?;
                while !steps.is_empty() {
                    match steps.remove(0) {
                        Step::Send(message) => to_initiator.push(message),
                        Step::AskUser | Step::Compare(_) => {
                            steps.extend(responder.agreed(&mut self.window)?);
                        }
                        Step::Store => steps.extend(responder.stored(&mut self.window)?),
                        Step::Done => done[1] = true,
                    }
                }
            }
            sent[1].extend(to_initiator.iter().cloned());
            for message in std::mem::take(&mut to_initiator) {
                let mut steps = initiator.receive(&message)?;
                while !steps.is_empty() {
                    match steps.remove(0) {
                        Step::Send(message) => to_responder.push(message),
                        Step::AskUser => unreachable!("an initiator's user has typed the code"),
                        Step::Compare(_) => steps.extend(initiator.agreed()?),
                        Step::Store => steps.extend(initiator.stored()?),
                        Step::Done => done[0] = true,
                    }
                }
            }
            sent[0].extend(to_responder.iter().cloned());
        }
        assert_eq!(done, [true; 2], "it ended without an error");
        Ok(sent)
    }
}

/// Up to the initiator's key exchange message, which is returned and not yet delivered.
fn up_to_kex(tv: &mut Tv, code: &PairingCode) -> (Initiator, Responder, SessionNumber, Vec<u8>) {
    let (mut responder, session, connection) = tv.connect(PHONE).unwrap();
    let (mut initiator, hello) =
        Initiator::by_code(channel(PHONE, TV, connection), "phone", code).unwrap();
    let answer = sent(responder.receive(&mut tv.window, &hello, tv.now).unwrap());
    let kex = sent(initiator.receive(&answer).unwrap());
    (initiator, responder, session, kex)
}

fn sent(mut steps: Vec<Step>) -> Vec<u8> {
    match steps.remove(0) {
        Step::Send(message) => message,
        other => panic!("{other:?} instead of a message"),
    }
}
