//! File descriptors: they go beside the bytes of a lane, in the order in which its frames name them.

use std::collections::VecDeque;

use proto::frame::{Grants, MAX_DESCRIPTORS};

use super::{
    Session,
    event::{Event, Outgoing},
    fault::PeerFault,
};
use crate::{link::Descriptor, quotas::Full};

/// What each counts against the credit of one-way calls, in bytes: 128 of them are the default credit of a lane.
const WEIGHT: u64 = 8192;

/// What is to be written together with bytes of a lane: where the frame begins that names them, counted from the first
/// byte that waits, and the descriptors.
pub type Attached = VecDeque<(usize, Vec<Descriptor>)>;

/// A descriptor that has come, if there is room for it.
pub type Taken = Result<Descriptor, Full>;

/// The descriptors of one lane.
#[derive(Debug, Default)]
pub(super) struct OfLane {
    /// To be written.
    pub(super) outgoing: Attached,
    /// Come, and named by no frame so far.
    arrived: VecDeque<Taken>,
}

impl OfLane {
    /// A frame that begins at `at` names these.
    pub(super) fn attach(&mut self, at: usize, objects: &[Outgoing]) {
        let descriptors: Vec<_> = objects
            .iter()
            .filter_map(|object| match object {
                Outgoing::Descriptor(descriptor) => Some(descriptor.clone()),
                _ => None,
            })
            .collect();
        if !descriptors.is_empty() {
            self.outgoing.push_back((at, descriptors));
        }
    }

    /// The next that has come.
    pub(super) fn claim(&mut self) -> Result<Taken, PeerFault> {
        self.arrived.pop_front().ok_or(PeerFault::Descriptors)
    }

    /// All of them, at the end.
    pub(super) fn into_all(self) -> impl Iterator<Item = Descriptor> {
        let outgoing = self.outgoing.into_iter().flat_map(|(_, attached)| attached);
        self.arrived.into_iter().flatten().chain(outgoing)
    }
}

impl Session {
    /// What goes with the bytes that [`poll_transmit`](Self::poll_transmit) has just given.
    pub fn take_attached(&mut self, lane: u16) -> Attached {
        let lane = self.lanes.get_mut(usize::from(lane));
        lane.map(|lane| std::mem::take(&mut lane.descriptors.outgoing))
            .unwrap_or_default()
    }

    /// Descriptors have come with bytes of a lane, some of which may be closed already. The frames that have become whole with them follow, and then
    /// [`handle_pause`](Self::handle_pause).
    pub fn handle_descriptors(&mut self, lane: u16, descriptors: Vec<Taken>) {
        match self.lanes.get_mut(usize::from(lane)) {
            Some(lane) if self.closed.is_none() => lane.descriptors.arrived.extend(descriptors),
            _ => self.close_all(descriptors.into_iter().flatten()),
        }
    }

    /// All whole frames of what has come on a lane have been handled; `within` says whether some of another is here.
    ///
    /// # Errors
    /// Descriptors have come that no frame names.
    pub fn handle_pause(&mut self, lane: u16, within: bool) -> Result<(), PeerFault> {
        let unclaimed = &self.lanes[usize::from(lane)].descriptors.arrived;
        let allowed = if within { MAX_DESCRIPTORS } else { 0 };
        if unclaimed.len() > allowed {
            return Err(PeerFault::Descriptors);
        }
        Ok(())
    }

    /// They are nobody's any more.
    pub(super) fn close_all(&mut self, descriptors: impl IntoIterator<Item = Descriptor>) {
        let close = descriptors.into_iter().map(Event::Close);
        self.events.extend(close);
    }
}

/// What the descriptors among these count against the credit of one-way calls, in bytes.
pub(super) fn weight_of(objects: &[Outgoing]) -> u64 {
    let is_one = |object: &&Outgoing| matches!(object, Outgoing::Descriptor(_));
    WEIGHT * objects.iter().filter(is_one).count() as u64
}

/// The same at the other end.
pub(super) fn weight(grants: &Grants) -> u64 {
    WEIGHT * grants.descriptors() as u64
}
