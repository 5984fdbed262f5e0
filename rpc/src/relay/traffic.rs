//! What a session has to do with calls that are passed on: how much of it each caller has taken, and who calls through it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use proto::message::PeerLimits;

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
    /// Two-way calls that we pass on to the peer: as many as it takes at a time, but for those of handlers.
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

/// The place of a one-way call that is about to be sent.
pub(super) struct Sending {
    lane: u16,
    place: Place,
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

    /// A place for one more two-way call of a caller.
    ///
    /// # Errors
    /// Busy: the caller has as many as it may.
    pub(super) fn enter(&self, caller: Party) -> Result<Place, Failure> {
        let entered = self.calls.enter(caller, 1);
        entered.map_err(|has| Failure::busy(has, has + 1))
    }

    /// A place for one more one-way call, as soon as the caller may have it: the calls behind it wait at the caller, whose own
    /// credit ends. `None` for an object that is gone.
    pub(super) async fn enter_one_way(
        &self,
        to: &PeerShared,
        target: ImportKey,
        caller: Party,
        bytes: usize,
    ) -> Option<Sending> {
        let lane = to.lock().session.lane_of_import(target)?;
        let shares = &self.one_way.get(usize::from(lane))?.shares;
        let weight = (bytes as u64).max(self.smallest);
        tokio::select! {
            biased;
            place = shares.wait(caller, weight) => Some(Sending { lane, place }),
            _ = to.ended() => None,
        }
    }

    /// It has been sent: its place is taken until the peer acknowledges it.
    pub(super) fn sent(&self, to: &PeerShared, sending: Sending) {
        let Sending { lane, place } = sending;
        let Some(one_way) = self.one_way.get(usize::from(lane)) else {
            return;
        };
        {
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
