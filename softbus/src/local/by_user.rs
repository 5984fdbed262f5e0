//! How many places each user has taken of something that users share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
pub(super) struct ByUser(Mutex<HashMap<u32, usize>>);

/// One of them; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<ByUser>,
    user: u32,
}

impl ByUser {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a user who has fewer than `most`.
    pub(super) fn take(self: &Arc<Self>, user: u32, most: usize) -> Option<Place> {
        let mut taken = self.lock();
        let of_user = taken.entry(user).or_default();
        if *of_user >= most {
            return None;
        }
        *of_user += 1;
        Some(Place {
            of: Arc::clone(self),
            user,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        if let Some(of_user) = taken.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_so_many_and_nothing_is_kept_of_who_has_none() {
        let places = Arc::<ByUser>::default();
        let mut taken: Vec<_> = (0..2).map(|_| places.take(7, 2)).collect();
        assert!(taken.iter().all(Option::is_some) && places.take(7, 2).is_none());
        assert!(places.take(8, 2).is_some());
        taken.pop();
        assert!(places.take(7, 2).is_some());
        drop(taken);
        assert!(places.lock().is_empty());
    }
}
