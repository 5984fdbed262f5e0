//! What an owner may want to know of who came and what was refused, and how little of it is written when somebody makes
//! as much of it as possible.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use proto::{DeviceId, ServiceId};

use crate::admit::CloseCode;
use crate::policy::RuleName;

/// Something that an owner may want to know. No arguments, no codes of pairing, no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditEvent {
    /// A session with a device has begun.
    Admitted {
        /// Who it is.
        device: DeviceId,
    },
    /// A device proved its key and was turned away.
    TurnedAway {
        /// Who it is; `None` if its certificate did not say.
        device: Option<DeviceId>,
        /// What it was told.
        why: CloseCode,
    },
    /// A device asked for a service that it may not call, and was not told whether it is there.
    LookUpDenied {
        /// Who asked.
        device: DeviceId,
        /// For which service.
        service: ServiceId,
        /// Why it may not.
        why: Hidden,
    },
    /// A device called a method that it may not call. The handler did not run.
    CallDenied {
        /// Who called.
        device: DeviceId,
        /// Which service.
        service: ServiceId,
        /// Which method.
        method: u32,
        /// What the policy says to it: empty if no rule speaks of it, or if the service's own rule was in the way.
        rules: Vec<RuleName>,
    },
    /// A process of this device wanted to register a service that the policy does not let its user register.
    RegistrationDenied {
        /// Which service.
        service: ServiceId,
        /// Whose process (uid).
        user: u32,
    },
    /// Another policy is in force.
    PolicyChanged,
    /// A policy's file was not taken, and what was in force stays.
    PolicyRefused {
        /// What is wrong with it.
        error: String,
    },
    /// A device is trusted no longer, and its session ends.
    TrustWithdrawn {
        /// Whose.
        device: DeviceId,
    },
    /// Our user lets others pair with this device.
    PairingOpened,
    /// A device was paired, and is trusted.
    Paired {
        /// Which.
        device: DeviceId,
    },
    /// A device tried to pair, and was not paired.
    PairingFailed {
        /// Who it is; proven, and nothing else about it.
        device: DeviceId,
        /// What it was told, or would have been.
        why: CloseCode,
    },
    /// Two processes use one identity.
    IdentityInUse {
        /// Whose.
        device: DeviceId,
    },
    /// Somebody who has not proven who it is wanted more than is given.
    LimitReached {
        /// Which limit.
        limit: &'static str,
        /// How much is given.
        value: u64,
    },
}

/// Why a device was not told of a service. It hears the same whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// There is none.
    Absent,
    /// It is for this device only.
    NotDistributed,
    /// It is for other devices: its own rule or the policy does not admit this one.
    NotAdmitted,
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "there is none",
            Self::NotDistributed => "not distributed",
            Self::NotAdmitted => "not admitted by its rule or the policy",
        })
    }
}

impl AuditEvent {
    const KINDS: usize = 13;

    /// What it is called in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Admitted { .. } => "admitted",
            Self::TurnedAway { .. } => "turned_away",
            Self::LookUpDenied { .. } => "look_up_denied",
            Self::CallDenied { .. } => "call_denied",
            Self::RegistrationDenied { .. } => "registration_denied",
            Self::PolicyChanged => "policy_changed",
            Self::PolicyRefused { .. } => "policy_refused",
            Self::TrustWithdrawn { .. } => "trust_withdrawn",
            Self::IdentityInUse { .. } => "identity_in_use",
            Self::LimitReached { .. } => "limit_reached",
            Self::PairingOpened => "pairing_opened",
            Self::Paired { .. } => "paired",
            Self::PairingFailed { .. } => "pairing_failed",
        }
    }

    const fn kind(&self) -> usize {
        match self {
            Self::Admitted { .. } => 0,
            Self::TurnedAway { .. } => 1,
            Self::LookUpDenied { .. } => 2,
            Self::CallDenied { .. } => 3,
            Self::PolicyChanged => 4,
            Self::PolicyRefused { .. } => 5,
            Self::TrustWithdrawn { .. } => 6,
            Self::IdentityInUse { .. } => 7,
            Self::LimitReached { .. } => 8,
            Self::PairingOpened => 9,
            Self::Paired { .. } => 10,
            Self::PairingFailed { .. } => 11,
            Self::RegistrationDenied { .. } => 12,
        }
    }

    /// Of whom it tells, if it tells of somebody.
    pub const fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Admitted { device }
            | Self::LookUpDenied { device, .. }
            | Self::CallDenied { device, .. }
            | Self::TrustWithdrawn { device }
            | Self::Paired { device }
            | Self::PairingFailed { device, .. }
            | Self::IdentityInUse { device } => Some(device),
            Self::TurnedAway { device, .. } => device.as_ref(),
            Self::PolicyChanged
            | Self::PolicyRefused { .. }
            | Self::RegistrationDenied { .. }
            | Self::PairingOpened
            | Self::LimitReached { .. } => None,
        }
    }

    /// Whether each one is told: they are few, and none is a peer's choice alone.
    const fn always(&self) -> bool {
        matches!(
            self,
            Self::PolicyChanged
                | Self::PolicyRefused { .. }
                | Self::TrustWithdrawn { .. }
                | Self::PairingOpened
                | Self::Paired { .. }
        )
    }
}

/// Which events are told: of one kind and one device one in 10 s, of one kind at most 10 in a second, whoever they are
/// about. What is left out is counted, and told with the next.
///
/// Pure: time comes in. Memory is bounded, however many devices there are.
#[derive(Debug, Default)]
pub struct AuditFold {
    kinds: [Kind; AuditEvent::KINDS],
    /// When an event of a kind about a device was told last, and how many have been left out since.
    told: HashMap<(usize, DeviceId), Told>,
}

#[derive(Debug, Default)]
struct Kind {
    second: Option<Instant>,
    told: u32,
    left_out: u64,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    left_out: u64,
}

impl AuditFold {
    /// One event of a kind about a device is told in this time.
    pub const PER_DEVICE: Duration = Duration::from_secs(10);
    /// As many events of one kind are told in a second.
    pub const PER_SECOND: u32 = 10;
    /// Of as many kinds and devices it is remembered when they were told of.
    pub const REMEMBERED: usize = 1024;

    /// Whether an event is told now, and how many like it have been left out since the last that was.
    pub fn admit(&mut self, event: &AuditEvent, now: Instant) -> Option<u64> {
        if event.always() {
            return Some(0);
        }
        let key = event.device().map(|device| (event.kind(), *device));
        if let Some(told) = key.and_then(|key| self.told.get_mut(&key))
            && now.saturating_duration_since(told.at) < Self::PER_DEVICE
        {
            told.left_out += 1;
            return None;
        }
        let kind = &mut self.kinds[event.kind()];
        let over = kind
            .second
            .is_none_or(|second| now.saturating_duration_since(second) >= Duration::from_secs(1));
        if over {
            kind.second = Some(now);
            kind.told = 0;
        }
        if kind.told >= Self::PER_SECOND {
            kind.left_out += 1;
            return None;
        }
        kind.told += 1;
        let of_kind = std::mem::take(&mut kind.left_out);
        Some(of_kind + key.map_or(0, |key| self.remember(key, now)))
    }

    /// How many of the key had been left out.
    fn remember(&mut self, key: (usize, DeviceId), now: Instant) -> u64 {
        if let Some(told) = self.told.get_mut(&key) {
            told.at = now;
            return std::mem::take(&mut told.left_out);
        }
        if self.told.len() >= Self::REMEMBERED {
            self.forget(now);
        }
        let told = Told {
            at: now,
            left_out: 0,
        };
        self.told.insert(key, told);
        0
    }

    /// Makes room: those whose time is over, or else all. What they left out is told with the next of their kind.
    fn forget(&mut self, now: Instant) {
        let over = |told: &Told| now.saturating_duration_since(told.at) >= Self::PER_DEVICE;
        let all = !self.told.values().any(over);
        let kinds = &mut self.kinds;
        self.told.retain(|(kind, _), told| {
            let goes = all || over(told);
            if goes {
                kinds[*kind].left_out += told.left_out;
            }
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u64) -> DeviceId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        DeviceId::from_bytes(bytes)
    }

    fn turned_away(number: u64) -> AuditEvent {
        AuditEvent::TurnedAway {
            device: Some(device(number)),
            why: CloseCode::NotTrusted,
        }
    }

    fn admitted(number: u64) -> AuditEvent {
        let device = device(number);
        AuditEvent::Admitted { device }
    }

    #[test]
    fn what_one_device_repeats_is_told_once_and_counted() {
        let mut fold = AuditFold::default();
        let start = Instant::now();
        assert_eq!(fold.admit(&turned_away(1), start), Some(0));
        for _ in 0..100 {
            assert_eq!(fold.admit(&turned_away(1), start), None);
        }
        // Neither another kind nor another device is kept from being told.
        assert_eq!(fold.admit(&admitted(1), start), Some(0));
        assert_eq!(fold.admit(&turned_away(2), start), Some(0));
        let almost = start + AuditFold::PER_DEVICE - Duration::from_millis(1);
        assert_eq!(fold.admit(&turned_away(1), almost), None);
        let later = start + AuditFold::PER_DEVICE;
        assert_eq!(fold.admit(&turned_away(1), later), Some(101));
        assert_eq!(fold.admit(&turned_away(1), later), None);
    }

    #[test]
    fn what_many_devices_cause_is_told_ten_times_a_second() {
        let mut fold = AuditFold::default();
        let start = Instant::now();
        let told = (0..1000).filter(|number| fold.admit(&turned_away(*number), start).is_some());
        assert_eq!(told.count(), AuditFold::PER_SECOND as usize);
        let almost = start + Duration::from_millis(999);
        assert_eq!(fold.admit(&turned_away(2000), almost), None);
        let later = start + Duration::from_secs(1);
        assert_eq!(fold.admit(&turned_away(2000), later), Some(991));
        let limit = AuditEvent::LimitReached {
            limit: "handshakes",
            value: 128,
        };
        assert_eq!(fold.admit(&limit, start), Some(0));
    }

    #[test]
    fn devices_without_end_fill_no_memory_and_nothing_is_lost() {
        let mut fold = AuditFold::default();
        let mut now = Instant::now();
        let mut told = 0;
        let events = 3 * AuditFold::REMEMBERED as u64;
        for number in 0..events {
            for _ in 0..2 {
                told += fold
                    .admit(&admitted(number), now)
                    .map_or(0, |left| left + 1);
            }
            assert!(fold.told.len() <= AuditFold::REMEMBERED);
            now += Duration::from_millis(100);
        }
        let waiting: u64 = fold.told.values().map(|told| told.left_out).sum();
        let of_kind: u64 = fold.kinds.iter().map(|kind| kind.left_out).sum();
        assert_eq!(told + waiting + of_kind, 2 * events);
    }

    #[test]
    fn room_is_made_of_what_is_over_first() {
        let mut fold = AuditFold::default();
        let start = Instant::now();
        let second = |number: u64| start + Duration::from_secs(number);
        let most = AuditFold::REMEMBERED as u64;
        // The first is over, the others are not.
        assert_eq!(fold.admit(&admitted(0), start), Some(0));
        let late = second(9);
        for number in 1..most {
            fold.remember((0, device(number)), late);
        }
        assert_eq!(fold.told.len() as u64, most);
        assert_eq!(fold.admit(&admitted(most), second(10)), Some(0));
        assert_eq!(fold.told.len() as u64, most);
        assert_eq!(fold.admit(&admitted(1), second(10)), None);
    }

    #[test]
    fn what_the_owner_does_is_always_told() {
        let mut fold = AuditFold::default();
        let now = Instant::now();
        let error = String::from("line 1");
        let events = [
            AuditEvent::PolicyChanged,
            AuditEvent::PolicyRefused { error },
            AuditEvent::TrustWithdrawn { device: device(1) },
        ];
        for _ in 0..100 {
            for event in &events {
                assert_eq!(fold.admit(event, now), Some(0));
            }
        }
        assert!(fold.told.is_empty());
    }

    #[test]
    fn every_kind_has_a_window_and_a_name_of_its_own() {
        let (device, service) = (device(1), ServiceId::new(1).unwrap());
        let events = [
            AuditEvent::Admitted { device },
            AuditEvent::TurnedAway {
                device: None,
                why: CloseCode::Busy,
            },
            AuditEvent::LookUpDenied {
                device,
                service,
                why: Hidden::Absent,
            },
            AuditEvent::CallDenied {
                device,
                service,
                method: 1,
                rules: Vec::new(),
            },
            AuditEvent::PolicyChanged,
            AuditEvent::PolicyRefused {
                error: String::new(),
            },
            AuditEvent::TrustWithdrawn { device },
            AuditEvent::IdentityInUse { device },
            AuditEvent::LimitReached {
                limit: "x",
                value: 1,
            },
            AuditEvent::PairingOpened,
            AuditEvent::Paired { device },
            AuditEvent::PairingFailed {
                device,
                why: CloseCode::WrongCode,
            },
            AuditEvent::RegistrationDenied { service, user: 7 },
        ];
        assert_eq!(events.len(), AuditEvent::KINDS);
        let kinds: Vec<_> = events.iter().map(AuditEvent::kind).collect();
        assert_eq!(kinds, (0..AuditEvent::KINDS).collect::<Vec<_>>());
        let names: std::collections::BTreeSet<_> = events.iter().map(AuditEvent::name).collect();
        assert_eq!(names.len(), AuditEvent::KINDS);
        let about: Vec<_> = events
            .iter()
            .map(|event| event.device().is_some())
            .collect();
        assert_eq!(
            about,
            [
                true, false, true, true, false, false, true, true, false, false, true, true, false
            ]
        );
    }
}
