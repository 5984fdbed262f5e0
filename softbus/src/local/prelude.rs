//! What two processes say to each other before there is a session: who the one is that attaches.
//!
//! | | bytes |
//! |---|---|
//! | claim, from who attaches | `SBLA`, version, process or 0, ticket |
//! | prelude, from the host | `SBLU`, version, process, device, ticket; and two sockets |
//! | or a refusal | `SBLN`, version, whether it is worth coming again soon, the limit that was reached |
//!
//! A process keeps its number when it attaches to the next host: its peers know it by that. The ticket shows that the number is
//! its own. It is made with a secret of the device, so that the next host knows it without having seen it.

use bytes::{Buf, BufMut};
use proto::DeviceId;
use ring::hmac;
use rpc::session::passing_rules::Party;

use super::LocalError;

const CLAIM_MAGIC: [u8; 4] = *b"SBLA";
const PRELUDE_MAGIC: [u8; 4] = *b"SBLU";
const REFUSAL_MAGIC: [u8; 4] = *b"SBLN";
const VERSION: u32 = 2;
/// Bytes of a device id, and of a ticket.
const ID: usize = 32;
/// Bytes of a claim.
pub(super) const CLAIM: usize = 4 + 4 + 8 + ID;
/// Bytes of a prelude.
pub(super) const PRELUDE: usize = CLAIM + ID;

/// Shows a host that a process was given its number by this device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket([u8; ID]);

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// What a process that attaches says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Its number, if it has one.
    pub(super) process: u64,
    pub(super) ticket: Ticket,
}

impl Claim {
    /// The claim of a process that has no number.
    pub(super) const NEW: Self = Self {
        process: Party::HOST,
        ticket: Ticket([0; ID]),
    };

    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CLAIM);
        bytes.put_slice(&CLAIM_MAGIC);
        bytes.put_u32_le(VERSION);
        bytes.put_u64_le(self.process);
        bytes.put_slice(&self.ticket.0);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; CLAIM]) -> Result<Self, LocalError> {
        let mut bytes = begin(bytes, CLAIM_MAGIC)?;
        let cut_off = |_| LocalError::Protocol("claim cut off");
        Ok(Self {
            process: bytes.try_get_u64_le().map_err(cut_off)?,
            ticket: Ticket(take_id(&mut bytes)?),
        })
    }
}

/// What a process that attaches is told before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prelude {
    /// Who it is.
    pub(super) party: Party,
    /// What it shows the next host.
    pub(super) ticket: Ticket,
}

impl Prelude {
    /// What its receiver says to the next host.
    pub(super) const fn claim(self) -> Claim {
        Claim {
            process: self.party.process,
            ticket: self.ticket,
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PRELUDE);
        bytes.put_slice(&PRELUDE_MAGIC);
        bytes.put_u32_le(VERSION);
        bytes.put_u64_le(self.party.process);
        bytes.put_slice(self.party.device.as_bytes());
        bytes.put_slice(&self.ticket.0);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LocalError> {
        let mut bytes = begin(bytes, PRELUDE_MAGIC)?;
        let cut_off = |_| LocalError::Protocol("prelude cut off");
        let process = bytes.try_get_u64_le().map_err(cut_off)?;
        let device = DeviceId::from_bytes(take_id(&mut bytes)?);
        let ticket = Ticket(take_id(&mut bytes)?);
        if !bytes.is_empty() || process == Party::HOST {
            return Err(LocalError::Protocol("another prelude"));
        }
        Ok(Self {
            party: Party { device, process },
            ticket,
        })
    }
}

/// What a process is told for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Whether there may be room in a moment.
    soon: bool,
    limit: u32,
}

impl Refusal {
    const SOON: u32 = 1;
    const FULL: u32 = 2;

    fn new(soon: bool, limit: usize) -> Self {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Self { soon, limit }
    }

    /// As many as may are about to be let in.
    pub(super) fn later(limit: usize) -> Self {
        Self::new(true, limit)
    }

    /// As many as may are attached.
    pub(super) fn full(limit: usize) -> Self {
        Self::new(false, limit)
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::from(REFUSAL_MAGIC);
        bytes.put_u32_le(VERSION);
        bytes.put_u32_le(if self.soon { Self::SOON } else { Self::FULL });
        bytes.put_u32_le(self.limit);
        bytes
    }

    /// `None` for what is no refusal.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = begin(bytes, REFUSAL_MAGIC).ok()?;
        let soon = bytes.try_get_u32_le().ok()? == Self::SOON;
        let limit = bytes.try_get_u32_le().ok()?;
        Some(Self { soon, limit })
    }
}

impl From<Refusal> for LocalError {
    fn from(Refusal { soon, limit }: Refusal) -> Self {
        let limit = limit as usize;
        match soon {
            true => Self::TooManyAtOnce { limit },
            false => Self::Busy { limit },
        }
    }
}

fn begin(mut bytes: &[u8], magic: [u8; 4]) -> Result<&[u8], LocalError> {
    let mut found = [0; 4];
    bytes
        .try_copy_to_slice(&mut found)
        .map_err(|_| LocalError::Protocol("nothing said"))?;
    if found != magic || bytes.try_get_u32_le() != Ok(VERSION) {
        return Err(LocalError::Protocol("another protocol or version"));
    }
    Ok(bytes)
}

fn take_id(bytes: &mut &[u8]) -> Result<[u8; ID], LocalError> {
    let mut id = [0; ID];
    let taken = bytes.try_copy_to_slice(&mut id);
    taken.map_err(|_| LocalError::Protocol("cut off"))?;
    Ok(id)
}

/// Numbers processes.
pub(super) struct Numbers(hmac::Key);

impl Numbers {
    /// With a secret that every host of the device has.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The number that a claim shows to be its process's own, or a new one.
    pub(super) fn of(&self, claim: &Claim) -> Result<(u64, Ticket), LocalError> {
        let shown = hmac::verify(&self.0, &claim.process.to_le_bytes(), &claim.ticket.0).is_ok();
        if claim.process != Party::HOST && shown {
            return Ok((claim.process, claim.ticket));
        }
        let mut random = [0; 8];
        let random_bytes = getrandom::fill(&mut random);
        random_bytes.map_err(|_| LocalError::System("no random numbers".to_owned()))?;
        // Never the host's.
        let process = u64::from_le_bytes(random) | 1;
        Ok((process, self.ticket(process)))
    }

    fn ticket(&self, process: u64) -> Ticket {
        let tag = hmac::sign(&self.0, &process.to_le_bytes());
        Ticket(tag.as_ref().try_into().unwrap_or([0; ID]))
    }
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Numbers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [5; 32];

    #[test]
    fn a_number_is_kept_from_host_to_host_by_who_was_given_it() {
        let (process, ticket) = Numbers::new(&SECRET).of(&Claim::NEW).unwrap();
        assert_ne!(process, Party::HOST);
        let claim = Claim { process, ticket };
        let next_host = Numbers::new(&SECRET);
        assert_eq!(next_host.of(&claim).unwrap(), (process, ticket));
        let forged = Claim {
            process: process ^ 2,
            ..claim
        };
        assert_ne!(next_host.of(&forged).unwrap().0, forged.process);
        let another_device = Numbers::new(&[6; 32]);
        assert_ne!(another_device.of(&claim).unwrap().0, process);
    }

    #[test]
    fn what_is_said_comes_as_it_went() {
        let (process, ticket) = Numbers::new(&SECRET).of(&Claim::NEW).unwrap();
        let claim = Claim { process, ticket };
        let bytes = <[u8; CLAIM]>::try_from(claim.encode()).unwrap();
        assert_eq!(Claim::decode(&bytes).unwrap(), claim);
        for refusal in [Refusal::later(16), Refusal::full(256)] {
            assert_eq!(Refusal::decode(&refusal.encode()), Some(refusal));
        }
        let party = Party {
            device: DeviceId::from_bytes([7; 32]),
            process,
        };
        let prelude = Prelude { party, ticket };
        let bytes = prelude.encode();
        assert_eq!(bytes.len(), PRELUDE);
        assert_eq!(Prelude::decode(&bytes).unwrap(), prelude);
        for len in 0..bytes.len() {
            assert!(Prelude::decode(&bytes[..len]).is_err());
        }
        let mut other = bytes.clone();
        other[4] ^= 1;
        assert!(Prelude::decode(&other).is_err());
        let host = Prelude {
            party: Party {
                process: Party::HOST,
                ..party
            },
            ticket,
        };
        assert!(Prelude::decode(&host.encode()).is_err());
    }
}
