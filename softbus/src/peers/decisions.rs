//! What a node decides about connections with another device: whom it welcomes, which of two connections stays, when it dials
//! again, and what the end of a session says. Pure, so that the simulation (`tests/simulation`) runs the very same; what is
//! remembered for it is in `contact`, `table` and `silence`.

use std::time::Duration;

use certs::CloseCode;
use proto::{BootId, message::DeathReason};
use rpc::{link::LinkClosed, peer::SessionEnd};

pub use super::{
    contact::{Began, Contact, Round, Talk},
    silence::{Ask, Look, Silence, TICK, Traffic, Watch, nobody_listens},
    table::{Refusal, Table},
};
use crate::presence::OfflineReason;

/// How long one round of dialling may take.
pub const DIAL_TIME: Duration = Duration::from_secs(3);
/// How long the smaller id withholds Welcome. Less than a dial takes: who dialled us is to hear it before giving up.
pub const WITHHELD: Duration = DIAL_TIME.saturating_sub(Duration::from_secs(1));
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// What a peer said when it dialled.
#[derive(Clone, Copy, Debug)]
pub struct Hello {
    /// Which start of it dialled.
    pub boot: BootId,
    /// The session it had and lost.
    pub replaces: u64,
}

/// The session that there is with it already.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    /// With which start of it.
    pub boot: BootId,
    /// The session's name.
    pub name: u64,
    /// The peer has it too: it said Welcome, or something came from it after ours.
    pub confirmed: bool,
}

/// Who may not have a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ghost {
    /// An older start of the device.
    Older,
    /// Another process with the same identity.
    Double,
}

/// A higher epoch is a younger process of the device and replaces what there is; a lower one is a ghost, and an equal
/// one with other bits is a second process with the same identity.
pub fn ghost(known: Option<BootId>, theirs: BootId) -> Option<Ghost> {
    let known = known?;
    if theirs.epoch < known.epoch {
        Some(Ghost::Older)
    } else if theirs.epoch == known.epoch && theirs.random != known.random {
        Some(Ghost::Double)
    } else {
        None
    }
}

/// When the smaller id says Welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// When our own dial has not brought a session.
    WhenDialEnds,
    /// There is a session that both ends keep.
    Never,
}

/// The smaller id's decision: of two connections that cross, both ends keep the one that it dialled.
pub fn welcome_due(current: Option<Current>, dialling: bool, hello: Hello) -> Due {
    // Its Hello crossed our Welcome or ours its: it would have named a session that it knew and lost. One that it may never have
    // heard of, because our Welcome came too late for it or not at all, is no reason to keep it waiting.
    let keeps = |current: Current| {
        current.confirmed && current.boot == hello.boot && current.name != hello.replaces
    };
    if current.is_some_and(keeps) {
        Due::Never
    } else if dialling {
        Due::WhenDialEnds
    } else {
        Due::Now
    }
}

/// Whether a peer has our Welcome for certain: something came after it, or it said Welcome itself (`None`). It may never have heard
/// ours, as long as nothing more comes.
pub fn confirmed(welcomed: Option<u64>, received: impl FnOnce() -> u64) -> bool {
    welcomed.is_none_or(|before| before != received())
}

/// How long nobody is dialled after so many failures. Doubles from 250 ms to 30 s, with up to a quarter of jitter so that devices
/// which lost each other together do not come back together.
pub fn backoff(failures: u32, chance: u8) -> Duration {
    let pause = FIRST_BACKOFF.saturating_mul(1 << failures.min(7).saturating_sub(1));
    jittered(pause, chance).min(LAST_BACKOFF)
}

/// A pause that is up to a quarter longer.
pub fn jittered(pause: Duration, chance: u8) -> Duration {
    let jitter = pause.as_millis() as u64 * u64::from(chance) / 1024;
    pause + Duration::from_millis(jitter)
}

/// What the end of a session says of the device.
pub fn offline_reason(end: &SessionEnd) -> OfflineReason {
    match end {
        SessionEnd::Link(LinkClosed::ByPeer { code, text }) => {
            match CloseCode::from_code((*code).into()) {
                Some(CloseCode::Leaving) => OfflineReason::Left,
                Some(CloseCode::Revoked | CloseCode::NotTrusted) => OfflineReason::AccessRevoked,
                Some(CloseCode::Replaced) => OfflineReason::Restarted,
                _ => OfflineReason::Failed(text.clone()),
            }
        }
        SessionEnd::Link(LinkClosed::TimedOut) => OfflineReason::TimedOut,
        SessionEnd::Link(LinkClosed::Reset) => OfflineReason::Crashed,
        SessionEnd::Link(LinkClosed::Failed(text)) => OfflineReason::Failed(text.clone()),
        SessionEnd::Closed(DeathReason::AccessRevoked) => OfflineReason::AccessRevoked,
        SessionEnd::Fault(fault) => OfflineReason::Failed(fault.to_string()),
        _ => OfflineReason::Left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: BootId = BootId {
        epoch: 4,
        random: 9,
    };
    const HELLO: Hello = Hello {
        boot: BOOT,
        replaces: 0,
    };
    const CURRENT: Current = Current {
        boot: BOOT,
        name: 7,
        confirmed: true,
    };

    #[test]
    fn a_hello_that_crossed_a_welcome_keeps_its_connection_from_replacing_the_session() {
        assert_eq!(welcome_due(Some(CURRENT), false, HELLO), Due::Never);
        assert_eq!(welcome_due(Some(CURRENT), true, HELLO), Due::Never);
    }

    #[test]
    fn who_lost_the_session_or_has_been_started_again_is_welcome() {
        let lost = Hello {
            replaces: CURRENT.name,
            ..HELLO
        };
        let younger = Hello {
            boot: BootId { epoch: 5, ..BOOT },
            ..HELLO
        };
        for hello in [lost, younger] {
            assert_eq!(welcome_due(Some(CURRENT), false, hello), Due::Now);
        }
    }

    #[test]
    fn who_may_never_have_heard_our_welcome_is_welcomed_again() {
        let unheard = Current {
            confirmed: false,
            ..CURRENT
        };
        assert_eq!(welcome_due(Some(unheard), false, HELLO), Due::Now);
    }

    #[test]
    fn while_we_dial_who_dials_us_waits() {
        assert_eq!(welcome_due(None, true, HELLO), Due::WhenDialEnds);
        assert_eq!(welcome_due(None, false, HELLO), Due::Now);
    }

    #[test]
    fn older_starts_and_doubles_are_ghosts() {
        let of = |epoch, random| ghost(Some(BOOT), BootId { epoch, random });
        assert_eq!(of(3, 9), Some(Ghost::Older));
        assert_eq!(of(4, 8), Some(Ghost::Double));
        assert_eq!(of(4, 9), None);
        assert_eq!(of(5, 1), None);
        assert_eq!(ghost(None, BOOT), None);
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let pauses = [1, 2, 3, 4].map(|failures| backoff(failures, 0).as_millis());
        assert_eq!(pauses, [250, 500, 1000, 2000]);
        assert_eq!(backoff(1, 255).as_millis(), 312);
        assert!(backoff(u32::MAX, 255) <= LAST_BACKOFF);
    }
}
