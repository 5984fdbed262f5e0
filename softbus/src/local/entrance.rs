//! Processes that have come to the host and are not let in yet: how many of one user may be, so that those of the others find
//! room, and what who is refused is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::prelude::Refusal;

/// Of all users at a time. Further ones wait in the socket.
const MOST: usize = 64;
/// Of one user at a time.
const MOST_OF_ONE: usize = 16;

/// Where processes wait until they have said who they are.
#[derive(Debug)]
pub(super) struct Entrance {
    places: Arc<Semaphore>,
    by_user: Arc<ByUser>,
}

#[derive(Debug, Default)]
struct ByUser(Mutex<HashMap<u32, usize>>);

/// One of them; gone when dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    _place: OwnedSemaphorePermit,
    by_user: Arc<ByUser>,
    user: u32,
}

impl ByUser {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entrance {
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
            by_user: Arc::default(),
        }
    }

    /// Room for whoever comes next.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Somebody of this user has come.
    ///
    /// # Errors
    /// As many of this user wait as may.
    pub(super) fn enter(&self, place: OwnedSemaphorePermit, user: u32) -> Result<Waiting, Refusal> {
        let mut by_user = self.by_user.lock();
        let waiting = by_user.entry(user).or_default();
        if *waiting >= MOST_OF_ONE {
            return Err(Refusal::later(MOST_OF_ONE));
        }
        *waiting += 1;
        drop(by_user);
        Ok(Waiting {
            _place: place,
            by_user: Arc::clone(&self.by_user),
            user,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut by_user = self.by_user.lock();
        if let Some(waiting) = by_user.get_mut(&self.user) {
            *waiting -= 1;
            if *waiting == 0 {
                by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_user_leaves_room_for_others() {
        let entrance = Entrance::new();
        let mut waiting = Vec::new();
        for user in 1..=4 {
            for _ in 0..MOST_OF_ONE {
                let place = entrance.room().await.unwrap();
                waiting.push(entrance.enter(place, user).unwrap());
            }
            if user < 4 {
                let place = entrance.room().await.unwrap();
                let refused = entrance.enter(place, user).unwrap_err();
                assert_eq!(refused, Refusal::later(MOST_OF_ONE));
            }
        }
        assert_eq!(entrance.places.available_permits(), 0);
        waiting.truncate(1);
        assert_eq!(entrance.places.available_permits(), MOST - 1);
        assert_eq!(*entrance.by_user.lock(), HashMap::from([(1, 1)]));
    }
}
