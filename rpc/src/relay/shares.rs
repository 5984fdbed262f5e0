//! What one session takes is shared by those for whom we relay, or by those to whom our host relays: who has taken much leaves room for
//! others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::session::passing_rules::Party;

/// What callers have taken of one thing of a session.
///
/// One caller may have as much as is still free: alone it gets half of what there is, two get a third each, and however many
/// there are, there is room for one more. Nobody has to say how many there will be.
#[derive(Debug)]
pub(super) struct Shares {
    limit: u64,
    taken: Arc<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    table: Mutex<Table>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    by_caller: HashMap<Party, u64>,
    total: u64,
}

/// What one call has taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<Taken>,
    caller: Party,
    weight: u64,
}

impl Taken {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    /// Of `limit` that all callers may have together.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            taken: Arc::default(),
        }
    }

    /// So much more for a caller. One that has nothing gets it: whether there is room at all is for the session to say.
    ///
    /// # Errors
    /// What the caller has, which is as much as it may.
    pub(super) fn enter(&self, caller: Party, weight: u64) -> Result<Place, u64> {
        let mut table = self.taken.lock();
        let has = table.by_caller.get(&caller).copied().unwrap_or(0);
        let free = self.limit.saturating_sub(table.total);
        if has > 0 && has + weight > free {
            return Err(has);
        }
        table.by_caller.insert(caller, has + weight);
        table.total += weight;
        drop(table);
        Ok(Place {
            taken: Arc::clone(&self.taken),
            caller,
            weight,
        })
    }

    /// As [`enter`](Self::enter), as soon as the caller may have it.
    pub(super) async fn wait(&self, caller: Party, weight: u64) -> Place {
        loop {
            // Registered before the look, so that what is given back in between is not missed.
            let freed = self.taken.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Ok(place) = self.enter(caller, weight) {
                return place;
            }
            freed.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut table = self.taken.lock();
            table.total -= self.weight;
            if let Some(has) = table.by_caller.get_mut(&self.caller) {
                *has -= self.weight;
                if *has == 0 {
                    table.by_caller.remove(&self.caller);
                }
            }
        }
        self.taken.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use proto::DeviceId;

    use super::*;

    fn process(process: u64) -> Party {
        Party {
            device: DeviceId::from_bytes([1; 32]),
            process,
        }
    }

    fn fill(shares: &Shares, caller: Party) -> Vec<Place> {
        std::iter::from_fn(|| shares.enter(caller, 1).ok()).collect()
    }

    #[test]
    fn who_came_first_leaves_room_for_who_comes_later() {
        let shares = Shares::new(12);
        let first = fill(&shares, process(1));
        let second = fill(&shares, process(2));
        let third = fill(&shares, process(3));
        assert_eq!([first.len(), second.len(), third.len()], [6, 3, 2]);
    }

    #[test]
    fn what_ends_is_for_others_to_take() {
        let shares = Shares::new(12);
        let mut first = fill(&shares, process(1));
        let second = fill(&shares, process(2));
        assert_eq!(shares.enter(process(2), 1).unwrap_err(), 3);
        first.clear();
        assert_eq!(second.len() + fill(&shares, process(2)).len(), 6);
        drop(second);
        let table = shares.taken.lock();
        assert!(
            table.by_caller.is_empty() && table.total == 0,
            "nothing is kept of who has none"
        );
    }

    #[test]
    fn what_is_larger_than_its_share_comes_alone() {
        let shares = Shares::new(12);
        let large = shares.enter(process(1), 20).unwrap();
        assert_eq!(shares.enter(process(1), 1).unwrap_err(), 20);
        let _other = shares.enter(process(2), 20).unwrap();
        drop(large);
        assert!(shares.enter(process(1), 1).is_ok());
    }

    #[tokio::test]
    async fn who_waits_gets_what_it_gave_back() {
        let shares = Arc::new(Shares::new(2));
        let first = shares.enter(process(1), 1).unwrap();
        let waiting = Arc::clone(&shares);
        let waiting = tokio::spawn(async move { waiting.wait(process(1), 2).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap().weight, 2);
    }
}
