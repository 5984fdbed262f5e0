//! The stubs of ours that this peer may call.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use proto::{Handle, frame::Bind, message::DeathReason};

use super::{
    event::{Incoming, ServingId},
    fault::PeerFault,
};
use crate::{
    interface::{BoundInterface, Spoken},
    remote::{LocalObject, LocalObjectKey},
};

/// How many wrong tags a peer may send before it is taken for one that guesses.
const WRONG_TAGS: u32 = 3;

/// A stub and what this peer was granted of it.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) object: LocalObject,
    tag: u64,
    /// Grants sent and not given back.
    outstanding: u64,
    /// Grants ever sent, for an obituary.
    pub(super) granted: u64,
    pub(super) dead: Option<DeathReason>,
    /// How often it came home, as far as no release has said that it knows.
    pub(super) homes: u64,
    bindings: Vec<Binding>,
    /// What may not be acted on before what came earlier.
    pub(super) held: VecDeque<Held>,
    /// How many one-way calls the driver has been given that have not ended.
    pub(super) one_way_running: u32,
}

/// A frame of one object that waits for an earlier one.
#[derive(Debug)]
pub(super) enum Held {
    /// A call that is whole: a one-way call, or one that is passed on behind such.
    InTurn(Box<Incoming>),
    /// A call of which something is still to come: its body, or objects it introduces.
    Awaits(ServingId),
    /// Grants given back, after this many of it home.
    Release { homes: u64 },
}

/// What a caller said it speaks, judged once.
#[derive(Debug)]
struct Binding {
    number: u16,
    descriptor_differs: bool,
    /// Methods whose hash differs from the stub's.
    differing: Vec<u32>,
    /// All of it, where somebody else is to judge.
    passed_on: Option<Spoken>,
}

/// What a handle names.
#[derive(Debug)]
pub(super) enum Lookup {
    Found,
    /// Granted once and given back; frames about it are ignored.
    Freed,
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct ExportTable {
    slots: Vec<Option<Export>>,
    /// The tag last used at a place, so that a frame about a freed handle is not taken for a guess.
    last_tags: Vec<u64>,
    free: Vec<u32>,
    by_object: HashMap<LocalObjectKey, u32>,
    wrong_tags: u32,
}

impl ExportTable {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The place of one more grant of `object`; a new place takes `tag`. Whether it is new.
    pub(super) fn grant(
        &mut self,
        object: &LocalObject,
        tag: impl FnOnce() -> u64,
    ) -> (Handle, bool) {
        let (index, new) = match self.by_object.get(&object.key()) {
            Some(&index) => (index, false),
            None => (self.insert(object.clone(), tag()), true),
        };
        let export = self.get_mut(index);
        export.outstanding += 1;
        export.granted += 1;
        (Handle::new(index, export.tag), new)
    }

    /// Whether one more grant of `object` needs a new place.
    pub(super) fn is_new(&self, object: &LocalObject) -> bool {
        !self.by_object.contains_key(&object.key())
    }

    /// Makes the peer's way in: what it may call without having been granted anything.
    pub(super) fn insert_root(&mut self, object: LocalObject) {
        debug_assert!(self.slots.is_empty());
        let index = self.insert(object, Handle::SAMGR.tag());
        self.get_mut(index).outstanding = 1;
    }

    fn insert(&mut self, object: LocalObject, tag: u64) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.last_tags.push(u64::MAX);
            self.slots.len() as u32 - 1
        });
        self.by_object.insert(object.key(), index);
        self.last_tags[index as usize] = tag;
        self.slots[index as usize] = Some(Export {
            object,
            tag,
            outstanding: 0,
            granted: 0,
            dead: None,
            homes: 0,
            bindings: Vec::new(),
            held: VecDeque::new(),
            one_way_running: 0,
        });
        index
    }

    /// # Errors
    /// The handle was never issued, or this was one wrong tag too many.
    pub(super) fn lookup(&mut self, handle: Handle) -> Result<Lookup, PeerFault> {
        let index = handle.index();
        let Some(slot) = self.slots.get(index as usize) else {
            return Err(PeerFault::ForgedHandle);
        };
        if slot
            .as_ref()
            .is_some_and(|export| export.tag == handle.tag())
        {
            return Ok(Lookup::Found);
        }
        if self.last_tags[index as usize] == handle.tag() {
            return Ok(Lookup::Freed);
        }
        self.wrong_tags += 1;
        if self.wrong_tags >= WRONG_TAGS {
            Err(PeerFault::ForgedHandle)
        } else {
            Ok(Lookup::Unknown)
        }
    }

    fn get_mut(&mut self, index: u32) -> &mut Export {
        let Some(export) = &mut self.slots[index as usize] else {
            unreachable!("by_object names only places that are taken")
        };
        export
    }

    /// The export of a handle, if it has not been freed.
    pub(super) fn find_mut(&mut self, handle: Handle) -> Option<&mut Export> {
        let export = self.slots.get_mut(handle.index() as usize)?.as_mut()?;
        (export.tag == handle.tag()).then_some(export)
    }

    /// Takes out an export of which nothing is granted any more and on which nothing waits: what waits behind a release
    /// was sent by one who held the object anew, and has a release of its own behind it. The peer's way in stays.
    pub(super) fn remove_unused(&mut self, handle: Handle) -> Option<Export> {
        let export = self.find_mut(handle)?;
        let unused = export.outstanding == 0 && export.held.is_empty();
        if unused {
            self.remove(handle.index())
        } else {
            None
        }
    }

    fn remove(&mut self, index: u32) -> Option<Export> {
        let export = self.slots[index as usize].take()?;
        // A dead identity has already been unlinked, and its key may name a later export.
        if self.by_object.get(&export.object.key()) == Some(&index) {
            self.by_object.remove(&export.object.key());
        }
        self.free.push(index);
        Some(export)
    }

    /// Marks what `matches` dead; returns handle and number of grants of each for its obituary.
    pub(super) fn kill(
        &mut self,
        reason: DeathReason,
        matches: impl Fn(&LocalObject) -> bool,
    ) -> Vec<(Handle, u64)> {
        let mut killed = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate().skip(1) {
            let Some(export) = slot else { continue };
            if export.dead.is_none() && matches(&export.object) {
                export.dead = Some(reason);
                self.by_object.remove(&export.object.key());
                killed.push((Handle::new(index as u32, export.tag), export.granted));
            }
        }
        killed
    }

    #[cfg(test)]
    pub(super) fn handles(&self) -> Vec<Handle> {
        let handle = |(index, export): (usize, &Export)| Handle::new(index as u32, export.tag);
        let taken = self.slots.iter().enumerate();
        taken
            .filter_map(|(index, slot)| slot.as_ref().map(|export| handle((index, export))))
            .collect()
    }

    /// Everything goes: the lease of a session that has ended.
    pub(super) fn clear(&mut self) -> Vec<Export> {
        self.by_object.clear();
        self.free.clear();
        self.last_tags.clear();
        self.slots.drain(..).flatten().collect()
    }

    /// How many sessions' peers hold `object` is asked per session: does this one?
    pub(super) fn holds(&self, matches: impl Fn(&LocalObject) -> bool) -> bool {
        self.slots
            .iter()
            .skip(1)
            .flatten()
            .any(|export| matches(&export.object))
    }
}

/// Whether a call may go on after its binding was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Same interface and method, or nothing to check.
    Same,
    /// Another interface or another version of the method.
    Differs,
    /// The stub's interface has no such method.
    Missing,
}

impl Export {
    /// Counts grants that come back.
    pub(super) fn give_back(&mut self, handle: Handle, count: u32) -> Result<(), PeerFault> {
        let left = self.outstanding.checked_sub(count.into());
        let left = left.ok_or(PeerFault::OverRelease)?;
        if handle != Handle::SAMGR {
            self.outstanding = left;
        }
        Ok(())
    }

    /// Remembers what interface the caller speaks under a number, from here on.
    pub(super) fn bind(&mut self, bind: &Bind) -> Result<(), PeerFault> {
        if bind.binding > Bind::MAX_BINDINGS {
            return Err(PeerFault::InvalidBinding);
        }
        // An importer that let go of the object and was granted it anew knows nothing of what it said before.
        self.bindings
            .retain(|binding| binding.number != bind.binding);
        let methods = self.object.methods();
        let descriptor_differs =
            !methods.is_empty() && self.object.descriptor().as_bytes() != &bind.descriptor[..];
        let differing = bind
            .methods
            .iter()
            .filter(|theirs| {
                methods
                    .iter()
                    .any(|ours| ours.code == theirs.code && ours.hash != theirs.hash)
            })
            .map(|theirs| theirs.code)
            .collect();
        let passed_on = self.object.is_relay().then(|| {
            Spoken::Relayed(Arc::new(BoundInterface {
                descriptor: bind.descriptor.clone(),
                methods: bind.methods.clone(),
            }))
        });
        self.bindings.push(Binding {
            number: bind.binding,
            descriptor_differs,
            differing,
            passed_on,
        });
        Ok(())
    }

    /// What the caller said it speaks, for the one to whom its call is passed on.
    pub(super) fn passed_on(&self, binding: u16) -> Option<Spoken> {
        let bound = self.bindings.iter().find(|bound| bound.number == binding)?;
        bound.passed_on.clone()
    }

    /// Compares what the caller bound with what the stub is, for one method. A stub without a list of methods is
    /// written by hand and checks for itself.
    pub(super) fn check(&self, binding: u16, code: u32) -> Result<Check, PeerFault> {
        if binding == 0 {
            return Ok(Check::Same);
        }
        let bound = self
            .bindings
            .iter()
            .find(|bound| bound.number == binding)
            .ok_or(PeerFault::InvalidBinding)?;
        let methods = self.object.methods();
        Ok(if methods.is_empty() {
            Check::Same
        } else if bound.descriptor_differs || bound.differing.contains(&code) {
            Check::Differs
        } else if crate::call::is_method(code) && methods.iter().all(|ours| ours.code != code) {
            Check::Missing
        } else {
            Check::Same
        })
    }
}
