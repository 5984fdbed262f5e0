//! The objects this peer granted us.

use std::collections::HashMap;

use proto::{
    Handle, ObjectId,
    frame::Bind,
    message::{DeathReason, Obituary},
};

use super::{
    event::{About, Delivered, ImportKey},
    fault::PeerFault,
};
use crate::interface::Spoken;

#[derive(Debug)]
pub(super) struct Import {
    pub(super) handle: Handle,
    pub(super) about: About,
    /// Grants received and not given back: what a release gives back.
    received: u32,
    /// How often we sent it home: its owner is to have all of them before it takes our release for the last word.
    homes: u32,
    /// How many of ours use it.
    holds: u32,
    pub(super) dead: Option<DeathReason>,
    bindings: Vec<(u16, Spoken)>,
}

/// What the last hold leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) handle: Handle,
    pub(super) received: u32,
    pub(super) homes: u32,
    pub(super) key: ImportKey,
}

#[derive(Debug, Default)]
pub(super) struct ImportTable {
    slots: Vec<Option<Import>>,
    free: Vec<u32>,
    by_handle: HashMap<Handle, u32>,
    /// Objects told dead by the peer, until it says that no grant of them is under way any more.
    obituaries: HashMap<Handle, DeathReason>,
}

impl ImportTable {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many obituaries are kept for grants that may still come.
    pub(super) fn obituaries(&self) -> usize {
        self.obituaries.len()
    }

    /// Counts a grant. One hold comes with what is delivered.
    pub(super) fn receive(&mut self, handle: Handle, about: About) -> Delivered {
        let index = match self.by_handle.get(&handle) {
            Some(&index) => index,
            None => self.insert(handle, about),
        };
        let import = self.slot_mut(index);
        import.received = import.received.saturating_add(1);
        import.holds += 1;
        Delivered::Import {
            key: ImportKey(index),
            handle,
            about: import.about,
            dead: import.dead,
        }
    }

    /// The peer's way in, held by us without a grant.
    pub(super) fn insert_root(&mut self, object: ObjectId) -> ImportKey {
        let index = self.insert(Handle::SAMGR, About::anonymous(object));
        self.slot_mut(index).holds = 1;
        ImportKey(index)
    }

    fn insert(&mut self, handle: Handle, about: About) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.by_handle.insert(handle, index);
        self.slots[index as usize] = Some(Import {
            handle,
            about,
            received: 0,
            homes: 0,
            holds: 0,
            dead: self.obituaries.get(&handle).copied(),
            bindings: Vec::new(),
        });
        index
    }

    pub(super) fn get(&self, key: ImportKey) -> Option<&Import> {
        self.slots.get(key.0 as usize)?.as_ref()
    }

    /// One of ours uses it no longer. `Some` when it was the last: its grants are to be given back.
    pub(super) fn drop_hold(&mut self, key: ImportKey) -> Option<Dropped> {
        let import = self.slots.get_mut(key.0 as usize)?.as_mut()?;
        import.holds = import.holds.saturating_sub(1);
        if import.holds > 0 {
            return None;
        }
        let import = self.slots[key.0 as usize].take()?;
        self.by_handle.remove(&import.handle);
        self.free.push(key.0);
        let Import {
            handle,
            received,
            homes,
            ..
        } = import;
        Some(Dropped {
            handle,
            received,
            homes,
            key,
        })
    }

    /// The object goes home in a parcel: how its owner calls it.
    pub(super) fn send_home(&mut self, key: ImportKey) -> Option<Handle> {
        let import = self.slots.get_mut(key.0 as usize)?.as_mut()?;
        import.homes = import.homes.saturating_add(1);
        Some(import.handle)
    }

    /// The number of `interface` on this object, and whether the peer has to be told of it first. When all numbers are
    /// taken they are given anew, the oldest first.
    pub(super) fn bind(&mut self, key: ImportKey, interface: &Spoken) -> Option<(u16, bool)> {
        let import = self.slots.get_mut(key.0 as usize)?.as_mut()?;
        let known = import.bindings.iter().find(|(_, bound)| bound == interface);
        if let Some((number, _)) = known {
            return Some((*number, false));
        }
        let number = match import.bindings.len() as u16 {
            Bind::MAX_BINDINGS => import.bindings.remove(0).0,
            taken => taken + 1,
        };
        import.bindings.push((number, interface.clone()));
        Some((number, true))
    }

    /// Keeps an obituary, and returns the import it is about.
    pub(super) fn bury(
        &mut self,
        obituary: &Obituary,
        limit: usize,
    ) -> Result<Option<ImportKey>, PeerFault> {
        if self.obituaries.len() >= limit {
            return Err(PeerFault::TooManyObituaries);
        }
        self.obituaries.insert(obituary.handle, obituary.reason);
        let Some(&index) = self.by_handle.get(&obituary.handle) else {
            return Ok(None);
        };
        let import = self.slot_mut(index);
        if import.dead.is_some() {
            return Ok(None);
        }
        import.dead = Some(obituary.reason);
        Ok(Some(ImportKey(index)))
    }

    /// No grant of this dead object is under way any more.
    pub(super) fn end_obituary(&mut self, handle: Handle) {
        self.obituaries.remove(&handle);
    }

    /// The session is over: everything is dead. Returns what died just now, and why: what the peer relayed may live on where
    /// it is.
    pub(super) fn close(&mut self, reason: DeathReason) -> Vec<(ImportKey, DeathReason)> {
        self.obituaries.clear();
        let mut died = Vec::new();
        for (index, import) in self.slots.iter_mut().enumerate() {
            if let Some(import) = import.as_mut().filter(|import| import.dead.is_none()) {
                let reason = import.about.home.map_or(reason, |_| DeathReason::HostGone);
                import.dead = Some(reason);
                died.push((ImportKey(index as u32), reason));
            }
        }
        died
    }

    fn slot_mut(&mut self, index: u32) -> &mut Import {
        let Some(import) = &mut self.slots[index as usize] else {
            unreachable!("by_handle names only places that are taken")
        };
        import
    }
}
