//! What waits to be written on each lane, and the credit for one-way calls.

use bytes::BytesMut;
use proto::{
    Handle,
    frame::{Ack, Frame, MAX_FRAME_LEN},
};

use super::descriptors::OfLane;

/// The control lane.
pub(super) const CONTROL: u16 = 0;

/// One lane, as one end sees it.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Frames to be written. Bounded by what the agreed limits let be under way.
    out: BytesMut,
    sent: Tally,
    acked: Ack,
    arrived: Tally,
    ended: Ack,
    /// What of `ended` the peer may know.
    told: Ack,
    /// What is not told is to be told without waiting for something else to write.
    ack_due: bool,
    /// How much was written at a time last: as much may come again.
    usual: usize,
    /// Replies in `out`.
    pub(super) replies: u32,
    pub(super) descriptors: OfLane,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    calls: u64,
    bytes: u64,
}

/// The agreed bounds of one-way calls under way on one lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    pub(super) calls: u64,
    pub(super) bytes: u64,
}

impl Lane {
    /// Whether a one-way call of `bytes` may be sent now. A call larger than the whole credit may, when nothing else
    /// is under way.
    pub(super) fn has_credit(&self, credit: Credit, bytes: u64) -> bool {
        let calls = self.sent.calls - self.acked.calls;
        let under_way = self.sent.bytes - self.acked.bytes;
        calls < credit.calls && (calls == 0 || under_way + bytes <= credit.bytes)
    }

    pub(super) fn one_way_sent(&mut self, bytes: u64) {
        self.sent.calls += 1;
        self.sent.bytes += bytes;
    }

    /// How many one-way calls were sent, and how many of them have ended as far as the peer has said.
    pub(super) fn one_way_calls(&self) -> (u64, u64) {
        (self.sent.calls, self.acked.calls)
    }

    /// The peer says what has ended. Returns how many calls it refused since last time; `None` if it cannot be true.
    pub(super) fn acknowledged(&mut self, ack: Ack) -> Option<u64> {
        let possible = ack.calls >= self.acked.calls
            && ack.calls <= self.sent.calls
            && ack.bytes >= self.acked.bytes
            && ack.bytes <= self.sent.bytes
            && ack.refused >= self.acked.refused
            && ack.refused <= ack.calls;
        let refused = possible.then(|| ack.refused - self.acked.refused);
        if possible {
            self.acked = ack;
        }
        refused
    }

    /// A one-way call has arrived; `false` if the peer had no credit for it. Only what was acknowledged gives credit
    /// back: a peer that does not read cannot make us work.
    pub(super) fn one_way_arrived(&mut self, credit: Credit, bytes: u64) -> bool {
        let calls = self.arrived.calls - self.told.calls;
        let under_way = self.arrived.bytes - self.told.bytes;
        self.arrived.calls += 1;
        self.arrived.bytes += bytes;
        calls < credit.calls && (calls == 0 || under_way + bytes <= credit.bytes)
    }

    /// A one-way call has ended. Whether the peer is to be told now: when a quarter of its credit has come back, or
    /// nothing is under way that would give an occasion later.
    pub(super) fn one_way_ended(&mut self, credit: Credit, bytes: u64, refused: bool) -> bool {
        self.ended.calls += 1;
        self.ended.bytes += bytes;
        self.ended.refused += u64::from(refused);
        let calls = self.ended.calls - self.told.calls;
        let given_back = self.ended.bytes - self.told.bytes;
        self.ack_due |= calls * 4 >= credit.calls
            || given_back * 4 >= credit.bytes
            || self.ended.calls == self.arrived.calls;
        self.ack_due
    }

    /// Whether calls have ended of which the peer may not know.
    pub(super) fn has_untold(&self) -> bool {
        self.ended.calls > self.told.calls
    }

    /// What has ended has waited long enough to be told.
    pub(super) fn tell(&mut self) {
        self.ack_due = true;
    }

    /// Takes what is to be written, and says how many replies are among it. An acknowledgement that is due, or that can
    /// ride along, is one for however many calls ended since the last.
    pub(super) fn take(&mut self, into: &mut BytesMut) -> u32 {
        if self.has_untold() && !self.is_empty() {
            self.ack_due = false;
            self.told = self.ended;
            Frame::Ack(self.ended).encode(self.out());
        }
        self.usual = self.out.len().min(MAX_FRAME_LEN);
        if into.is_empty() {
            std::mem::swap(&mut self.out, into);
        } else {
            into.extend_from_slice(&self.out);
            self.out.clear();
        }
        std::mem::take(&mut self.replies)
    }

    /// Where the next frame goes. A buffer that was given away is made anew at once as large as it is going to be.
    pub(super) fn out(&mut self) -> &mut BytesMut {
        if self.out.capacity() == 0 {
            self.out.reserve(self.usual);
        }
        &mut self.out
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && !self.ack_due
    }
}

/// The lane of an object: both ends count the same way, and every frame about the object uses it.
pub(super) fn lane_of(handle: Handle, lanes: u16) -> u16 {
    1 + (handle.index() % u32::from(lanes)) as u16
}
