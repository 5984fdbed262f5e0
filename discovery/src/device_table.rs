//! One view of all sources: which devices may be reachable, and where. Pure: time is an argument.

mod rank;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto::DeviceId;

use crate::networks::is_near;
use crate::{Candidate, Event, LocalNetwork, MAX_DEVICES, ProtocolVersions, Source, Status};

/// The longest a candidate that expires at all is believed without being heard of again.
const MAX_VALID_FOR: Duration = Duration::from_secs(75 * 60);

/// A device that one source or more believe to be reachable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Who.
    pub id: DeviceId,
    /// Where, the best first, at most [`MAX_ADDRS`](crate::MAX_ADDRS): the one that worked last, IPv4 on a network of
    /// this device, other IPv4, IPv6, link-local IPv6. May be empty: of what mDNS says only addresses on networks of this
    /// device and link-local ones are taken, because anybody can say it of any host.
    pub addrs: Vec<SocketAddr>,
    /// The highest epoch any source claims.
    pub epoch: Option<u64>,
    /// The protocol versions claimed together with that epoch.
    pub versions: Option<ProtocolVersions>,
    /// A name for people. Proves nothing.
    pub name: Option<String>,
    /// Who says so, in order.
    pub sources: Vec<Source>,
}

/// Why a device is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LostReason {
    /// The last source that knew it says that it left.
    Withdrawn,
    /// The last source that knew it has not heard of it for too long.
    Expired,
    /// Too many strangers: it made room for others. It is found again when it is heard of again.
    Evicted,
}

/// What changed in the merged view.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableEvent {
    /// A device nobody knew of.
    Found(Device),
    /// Something about a known device is different: addresses or their order, epoch, versions, name, sources.
    Changed(Device),
    /// No source knows it any more. Says nothing about a connection to it.
    Lost {
        /// Who.
        id: DeviceId,
        /// Why.
        reason: LostReason,
    },
}

/// Merges what several sources say. A device is lost only when every source dropped it. Holds at most
/// [`MAX_DEVICES`] devices that are neither pinned nor from a source whose candidates never expire; when there are
/// more, the one not heard of for the longest time is lost.
///
/// Drive it so: [`observe`](Self::observe) each event of each backend and call [`expire`](Self::expire) when
/// [`poll_timeout`](Self::poll_timeout) says; after either, take everything from [`poll_event`](Self::poll_event).
/// What is not taken is joined: a device that came and went unseen is never mentioned.
#[derive(Debug, Default)]
pub struct DeviceTable {
    entries: HashMap<DeviceId, Entry>,
    pinned: HashSet<DeviceId>,
    networks: Vec<LocalNetwork>,
    working: HashMap<DeviceId, SocketAddr>,
    statuses: BTreeMap<Source, Status>,
    expiries: BTreeSet<(Instant, DeviceId, Source)>,
    /// Entries to be told of, in the order of their change.
    dirty: BTreeMap<u64, DeviceId>,
    /// An id is here only if it was told of and then left, so never twice.
    lost: VecDeque<(DeviceId, LostReason)>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Entry {
    claims: BTreeMap<Source, Claim>,
    /// When it was heard of, counted in events.
    heard: u64,
    dirty: Option<u64>,
    /// What was last told.
    told: Option<Device>,
}

#[derive(Debug)]
struct Claim {
    candidate: Candidate,
    expires: Option<Instant>,
}

impl DeviceTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event of a backend.
    pub fn observe(&mut self, now: Instant, event: Event) {
        match event {
            Event::Upsert(candidate) => self.upsert(now, candidate),
            Event::Withdrawn { id, source } => self.drop_claim(id, source, LostReason::Withdrawn),
            Event::Expired { id, source } => self.drop_claim(id, source, LostReason::Expired),
            Event::Status { source, status } => {
                self.statuses.insert(source, status);
            }
            Event::Lagged(snapshot) => {
                let source = snapshot.source;
                if let Some(status) = snapshot.status {
                    self.statuses.insert(source, status);
                }
                let present: HashSet<_> = snapshot.candidates.iter().map(|c| c.id).collect();
                let gone: Vec<_> = self
                    .entries
                    .iter()
                    .filter(|(id, entry)| {
                        entry.claims.contains_key(&source) && !present.contains(id)
                    })
                    .map(|(id, _)| *id)
                    .collect();
                for id in gone {
                    self.drop_claim(id, source, LostReason::Withdrawn);
                }
                for candidate in snapshot.candidates {
                    self.upsert(now, candidate);
                }
            }
        }
    }

    /// Drops what was not heard of for too long. Call it when [`poll_timeout`](Self::poll_timeout) says.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(at, id, source)) = self.expiries.first()
            && at <= now
        {
            self.drop_claim(id, source, LostReason::Expired);
        }
    }

    /// When to call [`expire`](Self::expire) next. Ask again after every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.expiries.first().map(|expiry| expiry.0)
    }

    /// The next change. Take all after every other call.
    pub fn poll_event(&mut self) -> Option<TableEvent> {
        if let Some((id, reason)) = self.lost.pop_front() {
            return Some(TableEvent::Lost { id, reason });
        }
        while let Some((_, id)) = self.dirty.pop_first() {
            let Some(device) = self.device(&id) else {
                continue;
            };
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            entry.dirty = None;
            match entry.told.replace(device.clone()) {
                None => return Some(TableEvent::Found(device)),
                Some(told) if told != device => return Some(TableEvent::Changed(device)),
                Some(_) => {}
            }
        }
        None
    }

    /// A device as it is known now, whether or not that was told.
    pub fn device(&self, id: &DeviceId) -> Option<Device> {
        let entry = self.entries.get(id)?;
        let claims = || entry.claims.values().map(|claim| &claim.candidate);
        let newest = claims().max_by_key(|candidate| candidate.epoch)?;
        Some(Device {
            id: *id,
            addrs: rank::rank(
                claims().flat_map(|candidate| self.believed(candidate)),
                self.working.get(id).copied(),
                &self.networks,
            ),
            epoch: newest.epoch,
            versions: newest.versions,
            name: newest
                .name
                .clone()
                .or_else(|| claims().find_map(|candidate| candidate.name.clone())),
            sources: entry.claims.keys().copied().collect(),
        })
    }

    /// The addresses of a candidate that may be dialled. mDNS is of one link, and so is who is found by it: nobody is to
    /// send our packets to a host of their choice elsewhere.
    fn believed(&self, candidate: &Candidate) -> impl Iterator<Item = SocketAddr> {
        let anywhere = candidate.source != Source::MDNS;
        let addrs = candidate.addrs.iter().copied();
        addrs.filter(move |addr| anywhere || is_near(addr.ip(), &self.networks))
    }

    /// All devices, in no order.
    pub fn devices(&self) -> impl Iterator<Item = Device> + '_ {
        self.entries.keys().filter_map(|id| self.device(id))
    }

    /// How many devices are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no device is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How each backend is that said so.
    pub fn statuses(&self) -> impl Iterator<Item = (Source, &Status)> {
        self.statuses
            .iter()
            .map(|(source, status)| (*source, status))
    }

    /// Never pushes this device out for strangers: it is trusted, or connected. Need not be known yet.
    pub fn pin(&mut self, id: DeviceId) {
        self.pinned.insert(id);
    }

    /// Takes [`pin`](Self::pin) back, and forgets which address worked.
    pub fn unpin(&mut self, id: &DeviceId) {
        self.pinned.remove(id);
        if !self.entries.contains_key(id) {
            self.working.remove(id);
        }
        self.evict();
    }

    /// Remembers which address a device answered at and proved its id: it comes first from now on, as long as a source
    /// names it. Remembered for as long as the device is known or pinned.
    pub fn set_working(&mut self, id: DeviceId, addr: SocketAddr) {
        if self.entries.contains_key(&id) || self.pinned.contains(&id) {
            self.working.insert(id, addr);
            self.mark(&id);
        }
    }

    /// Says which networks this device is on; IPv4 addresses on them come before others, and mDNS speaks of no others.
    /// Until it is said, only link-local ones are taken from mDNS. See [`local_networks`](crate::local_networks).
    pub fn set_local_networks(&mut self, networks: Vec<LocalNetwork>) {
        if self.networks != networks {
            self.networks = networks;
            let ids: Vec<_> = self.entries.keys().copied().collect();
            for id in ids {
                self.mark(&id);
            }
        }
    }

    fn upsert(&mut self, now: Instant, mut candidate: Candidate) {
        let (id, source) = (candidate.id, candidate.source);
        candidate.addrs = rank::rank(
            candidate.addrs.iter().copied(),
            self.working.get(&id).copied(),
            &self.networks,
        );
        let expires = candidate
            .valid_for
            .and_then(|valid_for| now.checked_add(valid_for.min(MAX_VALID_FOR)));
        self.clock += 1;
        let entry = self.entries.entry(id).or_default();
        entry.heard = self.clock;
        let claim = Claim { candidate, expires };
        if let Some(before) = entry.claims.insert(source, claim) {
            self.forget_expiry(before.expires, id, source);
        }
        if let Some(at) = expires {
            self.expiries.insert((at, id, source));
        }
        self.mark(&id);
        self.evict();
    }

    fn drop_claim(&mut self, id: DeviceId, source: Source, reason: LostReason) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let Some(claim) = entry.claims.remove(&source) else {
            return;
        };
        let gone = entry.claims.is_empty();
        self.forget_expiry(claim.expires, id, source);
        if gone {
            self.remove(id, reason);
        } else {
            self.mark(&id);
        }
    }

    fn remove(&mut self, id: DeviceId, reason: LostReason) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        for (source, claim) in entry.claims {
            self.forget_expiry(claim.expires, id, source);
        }
        if let Some(dirty) = entry.dirty {
            self.dirty.remove(&dirty);
        }
        if !self.pinned.contains(&id) {
            self.working.remove(&id);
        }
        if entry.told.is_some() {
            self.lost.push_back((id, reason));
        }
    }

    fn forget_expiry(&mut self, expires: Option<Instant>, id: DeviceId, source: Source) {
        if let Some(at) = expires {
            self.expiries.remove(&(at, id, source));
        }
    }

    fn mark(&mut self, id: &DeviceId) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if entry.dirty.is_none() {
            self.clock += 1;
            entry.dirty = Some(self.clock);
            self.dirty.insert(self.clock, *id);
        }
    }

    fn evict(&mut self) {
        // Usually there is room, and then nothing is counted.
        while self.entries.len() > MAX_DEVICES {
            let strangers = || {
                self.entries.iter().filter(|(id, entry)| {
                    !self.pinned.contains(id) && entry.claims.values().all(Claim::may_expire)
                })
            };
            if strangers().count() <= MAX_DEVICES {
                return;
            }
            let Some(oldest) = strangers().min_by_key(|(_, e)| e.heard).map(|(id, _)| *id) else {
                return;
            };
            self.remove(oldest, LostReason::Evicted);
        }
    }
}

impl Claim {
    fn may_expire(&self) -> bool {
        self.expires.is_some()
    }
}

#[cfg(test)]
mod tests;
