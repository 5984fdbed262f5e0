//! Which object may be put into a parcel for whom: one pure function, asked when the receiver is known and again by
//! the receiver.
//!
//! OpenHarmony's constraints (IPC & RPC overview, "Constraints"): *a proxy object cannot be passed back to the device
//! that hosts the stub object pointed to by the proxy*, and *a proxy pointing to the stub of a remote device cannot be
//! passed across processes twice on the local device*. OpenHarmony's code fails late or not at all when they are
//! broken; here each is an answer of its own. The rules govern references: an application may always offer a stub of its
//! own that forwards.

use proto::DeviceId;

use crate::parcel::PassObjectError;

/// A process of a device: who hosts a stub, or who is about to get a reference to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// The device.
    pub device: DeviceId,
    /// Which of the device's processes, as the device itself counts them. Compared only between parties of our own
    /// device; what another device does with its processes is its own affair.
    pub process: u64,
}

impl Party {
    /// The process that hosts its device's bus, or that is alone on it.
    pub const HOST: u64 = 0;

    /// A device, whatever its processes.
    pub const fn host_of(device: DeviceId) -> Self {
        Self {
            device,
            process: Self::HOST,
        }
    }
}

/// What we hold of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It is a stub of our own.
    Own,
    /// It is a proxy of a stub that lives there.
    Proxy {
        /// Where the stub lives.
        home: Party,
        /// Whether the proxy is dead.
        dead: bool,
    },
}

/// How a reference that may be passed travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The receiver is granted one more count of our export.
    Grant,
    /// The receiver gets its own stub back.
    Home,
    /// The device of the stub, or its process if that is on this device, is asked to let the receiver have it; where the
    /// receiver is another device, its host is who gets it, and [hands it out](Self::HandOut).
    Introduce,
    /// We host the bus of its process: the receiver is granted an object of ours that forwards, if the owner of the stub lets
    /// others do that.
    HandOut,
}

/// Decides whether `we` may hand what we hold to `receiver`.
///
/// # Errors
/// The rule that forbids it; nothing has been sent.
pub fn decide(we: Party, held: Holding, receiver: Party) -> Result<Passing, PassObjectError> {
    let (home, dead) = match held {
        Holding::Own => return Ok(Passing::Grant),
        Holding::Proxy { home, dead } => (home, dead),
    };
    if dead {
        return Err(PassObjectError::DeadObject);
    }
    if home.device == we.device {
        // A stub of another process of this device.
        return Ok(if receiver == home {
            Passing::Home
        } else if receiver.device != we.device && we.process == Party::HOST {
            Passing::HandOut
        } else {
            Passing::Introduce
        });
    }
    if receiver.device == home.device {
        Err(PassObjectError::BackToOrigin)
    } else if receiver.device == we.device {
        Err(PassObjectError::SecondLocalPass)
    } else {
        Ok(Passing::Introduce)
    }
}

/// Whether `we` may be given a stub of `home` by `from`: the same rule, asked by the receiver. Processes of this device
/// introduce each other, and other devices introduce third ones.
pub fn accepts_introduction(we: Party, from: Party, home: Party) -> bool {
    let ours = |party: Party| party.device == we.device;
    match (ours(from), ours(home)) {
        (true, true) => ![we, from].contains(&home),
        (false, false) => from.device != home.device,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(device: u8, process: u64) -> Party {
        Party {
            device: DeviceId::from_bytes([device; 32]),
            process,
        }
    }

    const ALIVE: bool = false;

    fn proxy(home: Party) -> Holding {
        Holding::Proxy { home, dead: ALIVE }
    }

    #[test]
    fn own_stub_goes_to_anyone() {
        for receiver in [party(1, 2), party(2, 0)] {
            assert_eq!(
                decide(party(1, 1), Holding::Own, receiver),
                Ok(Passing::Grant)
            );
        }
    }

    #[test]
    fn proxy_back_to_its_origin_device_is_refused() {
        // Any process of the origin device, not only the one that hosts the stub.
        for process in [7, 8] {
            assert_eq!(
                decide(party(1, 1), proxy(party(2, 7)), party(2, process)),
                Err(PassObjectError::BackToOrigin)
            );
        }
    }

    #[test]
    fn proxy_of_another_device_is_not_passed_on_locally() {
        assert_eq!(
            decide(party(1, 1), proxy(party(2, 7)), party(1, 2)),
            Err(PassObjectError::SecondLocalPass)
        );
    }

    #[test]
    fn proxy_of_another_device_is_introduced_to_a_third() {
        assert_eq!(
            decide(party(1, 1), proxy(party(2, 7)), party(3, 0)),
            Ok(Passing::Introduce)
        );
        // As the third one sees it, and as nobody may.
        let (we, from) = (party(3, 0), party(1, 1));
        assert!(accepts_introduction(we, from, party(2, 7)));
        assert!(!accepts_introduction(we, from, from));
        assert!(!accepts_introduction(we, from, we));
        assert!(!accepts_introduction(we, from, party(3, 4)));
        // A stub of another device is not had through a process of this one.
        assert!(!accepts_introduction(we, party(3, 4), party(2, 7)));
    }

    #[test]
    fn stub_of_a_local_process_comes_home() {
        assert_eq!(
            decide(party(1, 1), proxy(party(1, 2)), party(1, 2)),
            Ok(Passing::Home)
        );
    }

    #[test]
    fn stub_of_a_local_process_goes_to_another_device_by_way_of_the_host() {
        let (host, receiver) = (party(1, Party::HOST), party(2, 7));
        for home in [host, party(1, 2)] {
            assert_eq!(
                decide(party(1, 1), proxy(home), receiver),
                Ok(Passing::Introduce)
            );
        }
        assert_eq!(
            decide(host, proxy(party(1, 2)), receiver),
            Ok(Passing::HandOut)
        );
    }

    #[test]
    fn stub_of_a_local_process_is_introduced_to_another() {
        let (we, home, receiver) = (party(1, 1), party(1, 2), party(1, 3));
        assert_eq!(decide(we, proxy(home), receiver), Ok(Passing::Introduce));
        assert!(accepts_introduction(receiver, we, home));
        assert!(!accepts_introduction(receiver, we, we));
        assert!(!accepts_introduction(receiver, we, receiver));
    }

    #[test]
    fn dead_proxy_goes_to_nobody() {
        let dead = Holding::Proxy {
            home: party(2, 7),
            dead: true,
        };
        for receiver in [party(1, 2), party(2, 7), party(3, 0)] {
            assert_eq!(
                decide(party(1, 1), dead, receiver),
                Err(PassObjectError::DeadObject)
            );
        }
    }
}
