//! What one session takes is shared by those for whom we relay: who has taken much leaves room for others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{dispatch::Failure, session::passing_rules::Party};

/// Relayed calls under way on one session, by who makes them.
///
/// One caller may have as many as are still free: alone it gets half of what there is, two get a third each, and however many
/// there are, there is room for one more. Nobody has to say how many there will be.
#[derive(Debug, Default)]
pub(super) struct Shares(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    by_caller: HashMap<Party, u32>,
    total: u32,
}

/// One of the calls; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    caller: Party,
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shares {
    /// One more call, of `limit` that all callers may have together.
    ///
    /// # Errors
    /// Busy: the caller has as many as are still free.
    pub(super) fn enter(&self, caller: Party, limit: u32) -> Result<Place, Failure> {
        let mut taken = lock(&self.0);
        let has = taken.by_caller.get(&caller).copied().unwrap_or(0);
        let free = limit.saturating_sub(taken.total);
        if has >= free {
            return Err(Failure::busy(has.into(), u64::from(has) + 1));
        }
        taken.by_caller.insert(caller, has + 1);
        taken.total += 1;
        drop(taken);
        Ok(Place {
            taken: Arc::clone(&self.0),
            caller,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.total -= 1;
        if let Some(has) = taken.by_caller.get_mut(&self.caller) {
            *has -= 1;
            if *has == 0 {
                taken.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::DeviceId;

    use super::*;

    const LIMIT: u32 = 12;

    fn process(process: u64) -> Party {
        Party {
            device: DeviceId::from_bytes([1; 32]),
            process,
        }
    }

    fn fill(shares: &Shares, caller: Party) -> Vec<Place> {
        std::iter::from_fn(|| shares.enter(caller, LIMIT).ok()).collect()
    }

    #[test]
    fn who_came_first_leaves_room_for_who_comes_later() {
        let shares = Shares::default();
        let first = fill(&shares, process(1));
        let second = fill(&shares, process(2));
        let third = fill(&shares, process(3));
        assert_eq!([first.len(), second.len(), third.len()], [6, 3, 2]);
    }

    #[test]
    fn what_ends_is_for_others_to_take() {
        let shares = Shares::default();
        let mut first = fill(&shares, process(1));
        let second = fill(&shares, process(2));
        assert!(shares.enter(process(2), LIMIT).is_err());
        first.clear();
        assert_eq!(second.len() + fill(&shares, process(2)).len(), 6);
        drop(second);
        assert!(
            lock(&shares.0).by_caller.is_empty(),
            "nothing is kept of who has none"
        );
    }
}
