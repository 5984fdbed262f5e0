//! Whether a device is there: a pure machine fed by what connections do. Discovery is a hint and never takes a device
//! offline; only the authenticated connection does.

use std::time::Duration;

use proto::{BootId, DeviceId};

use crate::device::Device;
pub use crate::device::{DeviceEvents, DeviceWatch};

/// How quickly a silent device is noticed, and what that costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// A packet every second, gone after 5 s. No false alarm at 20 % loss.
    #[default]
    Balanced,
    /// A packet every second, gone after 3 s.
    Interactive,
    /// A packet every 15 s, gone after 45 s.
    LowPower,
}

impl Profile {
    /// How often something is sent when nothing else is.
    pub const fn keep_alive(self) -> Duration {
        match self {
            Self::Balanced | Self::Interactive => Duration::from_secs(1),
            Self::LowPower => Duration::from_secs(15),
        }
    }

    /// After how long without a packet a device is offline. The shorter of the two ends' figures holds.
    pub const fn idle_timeout(self) -> Duration {
        match self {
            Self::Balanced => Duration::from_secs(5),
            Self::Interactive => Duration::from_secs(3),
            Self::LowPower => Duration::from_secs(45),
        }
    }
}

/// Why a device is offline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfflineReason {
    /// It said that it is leaving.
    Left,
    /// Its bus process is gone, its host is there.
    Crashed,
    /// It has not been heard for too long, or has not heard this device for too long.
    TimedOut,
    /// It has been started again; it comes online anew.
    Restarted,
    /// Trust was withdrawn, here or there.
    AccessRevoked,
    /// The process that hosted this device's bus is gone, and with it its connections.
    HostGone,
    /// It broke the protocol, or the connection failed; the text is for people.
    Failed(String),
}

impl std::fmt::Display for OfflineReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Left => f.write_str("left"),
            Self::Crashed => f.write_str("crashed"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Restarted => f.write_str("restarted"),
            Self::AccessRevoked => f.write_str("access revoked"),
            Self::HostGone => f.write_str("host of the bus gone"),
            Self::Failed(text) => write!(f, "failed: {text}"),
        }
    }
}

/// Where a device stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It may be near: something was heard of it.
    Candidate,
    /// It is being dialled.
    Connecting,
    /// It has proven itself and answers.
    Online,
    /// It was online and has gone quiet.
    Suspect,
    /// It was online.
    Offline(OfflineReason),
}

/// What the one who asked is told of a device, in order and without gaps: [`DeviceEvents`] of those that come online and go, a
/// [`DeviceWatch`] of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceEvent {
    /// A device may be near: something is heard of it for the first time.
    Found(DeviceId),
    /// A device has come online.
    Online(DeviceId),
    /// Something about it is different, and it neither came nor went.
    Changed(DeviceId, DeviceChange),
    /// It has gone offline; once for each time it came.
    Offline(DeviceId, OfflineReason),
    /// Nothing tells of it any more. It is not online.
    Lost(DeviceId),
}

impl DeviceEvent {
    /// The device that it is about.
    pub const fn device(&self) -> DeviceId {
        match self {
            Self::Found(id)
            | Self::Online(id)
            | Self::Changed(id, _)
            | Self::Offline(id, _)
            | Self::Lost(id) => *id,
        }
    }
}

/// What is different about a device, of what [`Device`] says.
///
/// Not that it is being dialled: a device that is away is dialled every few seconds, and nothing follows from it for a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceChange {
    /// It has gone quiet or is heard again, or is offline for another reason.
    pub presence: bool,
    /// What it calls itself.
    pub name: bool,
    /// Its session has moved to another transport.
    pub transport: bool,
    /// Whether it is trusted.
    pub trusted: bool,
    /// Where it is connected, or where it may be.
    pub addresses: bool,
}

impl DeviceChange {
    pub(crate) fn between(before: &Device, after: &Device) -> Self {
        Self {
            presence: before.presence != after.presence,
            name: before.name != after.name,
            transport: before.transport != after.transport,
            trusted: before.trusted != after.trusted,
            addresses: before.addresses != after.addresses,
        }
    }

    /// Whether nothing is different.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A device's way through the states.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    presence: Presence,
    /// How often it came online; tells a device that went and came again from one that never left.
    pub times_online: u64,
    /// Which start of it came online last.
    pub boot: Option<BootId>,
    last_offline: Option<OfflineReason>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// Of a device that something was heard of.
    pub fn new() -> Self {
        Self {
            presence: Presence::Candidate,
            times_online: 0,
            boot: None,
            last_offline: None,
        }
    }

    /// Where it stands.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Why it went offline last, whatever has been tried since.
    pub fn last_offline(&self) -> Option<&OfflineReason> {
        self.last_offline.as_ref()
    }

    /// Whether it has proven itself and answers.
    pub fn is_online(&self) -> bool {
        matches!(self.presence, Presence::Online | Presence::Suspect)
    }

    /// It is being dialled.
    pub fn dialling(&mut self) {
        if !self.is_online() {
            self.presence = Presence::Connecting;
        }
    }

    /// A dial ended without a session: the device is what it was before.
    pub fn dial_failed(&mut self) {
        if self.presence == Presence::Connecting {
            let last = self.last_offline.clone();
            self.presence = last.map_or(Presence::Candidate, Presence::Offline);
        }
    }

    /// A session has begun.
    pub fn online(&mut self, boot: BootId) {
        self.presence = Presence::Online;
        self.times_online += 1;
        self.boot = Some(boot);
    }

    /// Nothing has been heard for a while.
    pub fn suspect(&mut self) {
        if self.presence == Presence::Online {
            self.presence = Presence::Suspect;
        }
    }

    /// Something has been heard again.
    pub fn heard(&mut self) {
        if self.presence == Presence::Suspect {
            self.presence = Presence::Online;
        }
    }

    /// The session has ended. Whether it was news.
    pub fn offline(&mut self, reason: OfflineReason) -> bool {
        let was_online = self.is_online();
        if was_online {
            self.last_offline = Some(reason.clone());
            self.presence = Presence::Offline(reason);
        }
        was_online
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: BootId = BootId {
        epoch: 1,
        random: 1,
    };

    #[test]
    fn offline_is_news_once() {
        let mut machine = Machine::new();
        assert!(
            !machine.offline(OfflineReason::TimedOut),
            "was never online"
        );
        machine.dialling();
        machine.online(BOOT);
        assert!(machine.offline(OfflineReason::Left));
        assert!(!machine.offline(OfflineReason::TimedOut));
        assert_eq!(machine.presence(), &Presence::Offline(OfflineReason::Left));
    }

    #[test]
    fn suspicion_is_taken_back() {
        let mut machine = Machine::new();
        machine.online(BOOT);
        machine.suspect();
        assert_eq!(machine.presence(), &Presence::Suspect);
        assert!(machine.is_online(), "a quiet device is not gone");
        machine.heard();
        assert_eq!(machine.presence(), &Presence::Online);
    }

    #[test]
    fn why_it_went_offline_outlives_the_next_dial() {
        let mut machine = Machine::new();
        machine.online(BOOT);
        machine.offline(OfflineReason::Crashed);
        machine.dialling();
        assert_eq!(machine.presence(), &Presence::Connecting);
        assert_eq!(machine.last_offline(), Some(&OfflineReason::Crashed));
        machine.dial_failed();
        let offline = Presence::Offline(OfflineReason::Crashed);
        assert_eq!(machine.presence(), &offline);
    }

    #[test]
    fn a_failed_dial_takes_nothing_offline() {
        let mut machine = Machine::new();
        machine.online(BOOT);
        machine.dialling();
        machine.dial_failed();
        assert_eq!(machine.presence(), &Presence::Online);
    }
}
