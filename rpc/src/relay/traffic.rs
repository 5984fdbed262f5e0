//! What a session has to do with calls that are passed on: how much of it each caller has taken, and who calls through it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use proto::{DeviceId, message::PeerLimits};

use super::{
    callers::Callers,
    shares::{Place, Shares},
};
use crate::{
    dispatch::Failure,
    limits,
    peer::PeerShared,
    session::{ImportKey, passing_rules::Party},
};

/// Of one session.
pub(crate) struct Traffic {
    /// Two-way calls that we pass on to the peer, by who makes them: as many as it takes at a time, but for those of handlers. Or those
    /// that the peer, the host of our bus, passes on for us, by the device they go to.
    calls: Shares,
    /// One-way calls, for each lane.
    one_way: Vec<OneWay>,
    /// What a small one-way call counts: its part of the bytes that may be under way, if as many as may be are.
    smallest: u64,
    /// Who calls us through the peer.
    pub(crate) callers: Callers,
}

/// The credit of a lane.
struct OneWay {
    shares: Shares,
    /// Those that the peer has not acknowledged: how many calls had been sent on the lane by then, and the place.
    under_way: Mutex<VecDeque<(u64, Place)>>,
}

/// What a call that is to be passed on takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) caller: Party,
    pub(super) one_way: bool,
    /// Whether a handler makes it.
    pub(super) nested: bool,
    pub(super) bytes: usize,
}

/// What it has taken; given back when dropped.
#[derive(Debug)]
pub(super) enum Room {
    /// A place of the two-way calls, or nothing: who serves a call may always make another, because the one it serves waits for
    /// it. So may who calls an object that is gone, and hear of that.
    Call { _place: Option<Place> },
    /// A part of a lane's credit.
    OneWay { lane: u16, place: Place },
}

impl OneWay {
    fn under_way(&self) -> MutexGuard<'_, VecDeque<(u64, Place)>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traffic {
    pub(crate) fn new(limits: &PeerLimits, lanes: usize) -> Self {
        let calls = limits.calls_in_flight;
        let calls = calls.saturating_sub(limits::NESTED_CALLS_RESERVE).max(1);
        let bytes = u64::from(limits.one_way_bytes);
        let one_way = || OneWay {
            shares: Shares::new(bytes),
            under_way: Mutex::default(),
        };
        Self {
            calls: Shares::new(calls.into()),
            one_way: (0..lanes).map(|_| one_way()).collect(),
            smallest: bytes / u64::from(limits.one_way_calls).max(1),
            callers: Callers::default(),
        }
    }

    /// Room for one more call of a caller. A one-way call waits for it, and those behind it at the caller, whose own credit ends.
    ///
    /// # Errors
    /// Busy: the caller has as many two-way calls as it may.
    pub(super) async fn enter(
        &self,
        to: &PeerShared,
        target: ImportKey,
        wanted: Wanted,
    ) -> Result<Room, Failure> {
        let caller = wanted.caller;
        if wanted.one_way {
            let room = self.enter_one_way(to, target, caller, wanted.bytes).await;
            return Ok(room.unwrap_or(Room::Call { _place: None }));
        }
        let place = (!wanted.nested).then(|| self.calls.enter(caller, 1));
        let place = place.transpose();
        let place = place.map_err(|has| Failure::busy(has, has + 1))?;
        Ok(Room::Call { _place: place })
    }

    /// Room for one more two-way call that the peer passes on to a device. The peer has a bound for it too, but a call behind one-way
    /// calls that wait there does not get so far, and would take what calls to other devices need.
    ///
    /// # Errors
    /// How many calls to the device there are, which is as many as may be.
    pub(crate) fn enter_beyond(&self, device: DeviceId) -> Result<Place, u64> {
        self.calls.enter(Party::host_of(device), 1)
    }

    async fn enter_one_way(
        &self,
        to: &PeerShared,
        target: ImportKey,
        caller: Party,
        bytes: usize,
    ) -> Option<Room> {
        let lane = to.lock().session.lane_of_import(target)?;
        let shares = &self.one_way.get(usize::from(lane))?.shares;
        let weight = (bytes as u64).max(self.smallest);
        tokio::select! {
            biased;
            place = shares.wait(caller, weight) => Some(Room::OneWay { lane, place }),
            _ = to.ended() => None,
        }
    }

    /// The call is over, or, if it is one-way, has been sent: then its part is taken until the peer acknowledges it.
    pub(super) fn sent(&self, to: &PeerShared, room: Room) {
        let Room::OneWay { lane, place } = room else {
            return;
        };
        if let Some(one_way) = self.one_way.get(usize::from(lane)) {
            let mut under_way = one_way.under_way();
            // Others may have been sent since, and hold it a little longer.
            let (sent, _) = to.lock().session.one_way_calls(lane);
            under_way.push_back((sent, place));
        }
        // The acknowledgement may have been quicker.
        self.acknowledged(to, lane);
    }

    /// The peer has acknowledged one-way calls of a lane.
    pub(crate) fn acknowledged(&self, to: &PeerShared, lane: u16) {
        let Some(one_way) = self.one_way.get(usize::from(lane)) else {
            return;
        };
        let (_, ended) = to.lock().session.one_way_calls(lane);
        let mut under_way = one_way.under_way();
        let over = under_way.partition_point(|(number, _)| *number <= ended);
        under_way.drain(..over);
    }
}
