//! Processes that have come to the host and are not let in yet: how many of one user may be, so that those of the others find
//! room, and what who is refused is told.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    by_user::{ByUser, Place},
    prelude::Refusal,
};

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

/// One of them; gone when dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    _place: OwnedSemaphorePermit,
    _of_user: Place,
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
        let of_user = self.by_user.take(user, MOST_OF_ONE);
        Ok(Waiting {
            _place: place,
            _of_user: of_user.ok_or_else(|| Refusal::later(MOST_OF_ONE))?,
        })
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
    }
}
