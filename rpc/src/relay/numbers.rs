//! By which number other devices know a stub of a process.
//!
//! The host may have several proxies of one stub: as a service of some id, and as one that was handed over. Each has a relay of its
//! own, with the rights of its own; another device that has several of these is to see that they are one object.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use proto::ObjectId;

use crate::remote::StubCell;

/// The numbers of one process's stubs that have a relay. Another process may say the same of its own: a table for each session.
#[derive(Clone, Default)]
pub(crate) struct Numbers(Arc<Mutex<Table>>);

type Table = HashMap<ObjectId, Weak<Number>>;

/// The number of one stub, as long as it has a relay.
pub(crate) struct Number {
    number: u64,
    stub: ObjectId,
    among: Numbers,
}

impl Numbers {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a stub, as its process says which one it is: the one there is, or a new one.
    pub(super) fn of(&self, stub: ObjectId) -> Arc<Number> {
        let mut table = self.lock();
        let known = table.get(&stub).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let number = Arc::new(Number {
                number: StubCell::next_number(),
                stub,
                among: self.clone(),
            });
            table.insert(stub, Arc::downgrade(&number));
            number
        })
    }
}

impl Number {
    pub(super) fn get(&self) -> u64 {
        self.number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let mut table = self.among.lock();
        // The stub may have got another one meanwhile.
        if table
            .get(&self.stub)
            .is_some_and(|number| number.strong_count() == 0)
        {
            table.remove(&self.stub);
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::BootId;

    use super::*;

    fn stub(number: u64) -> ObjectId {
        let boot = BootId {
            epoch: 0,
            random: 7,
        };
        ObjectId { boot, number }
    }

    #[test]
    fn a_stub_has_one_number_as_long_as_somebody_needs_it() {
        let numbers = Numbers::default();
        let (first, again) = (numbers.of(stub(1)), numbers.of(stub(1)));
        assert_eq!(first.get(), again.get());
        assert_ne!(first.get(), numbers.of(stub(2)).get());
        let other_process = Numbers::default();
        assert_ne!(first.get(), other_process.of(stub(1)).get());
        drop(first);
        assert_eq!(numbers.of(stub(1)).get(), again.get());
        let before = again.get();
        drop(again);
        assert!(numbers.lock().is_empty());
        assert_ne!(numbers.of(stub(1)).get(), before, "it is not used again");
    }
}
