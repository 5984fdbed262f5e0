//! What is seen on the wire: each two-way call has one terminal frame, and no frame is about a call that is not.

use std::collections::BTreeSet;

use proto::CallId;

use super::{Rule, Verdict, require};
use crate::log::{Event, Frames, Passage};

/// Calls by connection, the end that makes them, and id.
type Open = BTreeSet<(u32, usize, u32, u32)>;

#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Sent, and not answered as far as the caller knows.
    calling: Open,
    /// Arrived and not answered.
    serving: Open,
}

const fn key(passage: &Passage, caller: usize, id: CallId) -> (u32, usize, u32, u32) {
    (passage.link, caller, id.slot, id.generation)
}

impl Wire {
    pub(super) fn see(&mut self, event: &Event) -> Verdict {
        match event {
            Event::Sent(passage, Frames::Call { id: Some(id), .. }) => {
                let new = self.calling.insert(key(passage, passage.from, *id));
                require(new, Rule::TerminalFrame, || {
                    format!("{passage} {id:?} names a call that has not ended")
                })
            }
            Event::Arrived(passage, Frames::Call { id: Some(id), .. }) => {
                self.serving.insert(key(passage, passage.from, *id));
                Ok(())
            }
            Event::Sent(passage, Frames::Reply { id, .. }) => {
                let open = self.serving.remove(&key(passage, 1 - passage.from, *id));
                require(open, Rule::TerminalFrame, || {
                    format!("{passage} {id:?} is answered twice")
                })
            }
            Event::Arrived(passage, Frames::Reply { id, .. }) => {
                let open = self.calling.remove(&key(passage, 1 - passage.from, *id));
                require(open, Rule::TerminalFrame, || {
                    format!("{passage} {id:?} has two answers")
                })
            }
            _ => Ok(()),
        }
    }
}
