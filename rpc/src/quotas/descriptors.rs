//! The file descriptors of this process that came from other processes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{Full, InUse, Quotas};
use crate::registry::own_user;

/// Those of all processes, and of each user but ours.
#[derive(Debug, Default)]
pub(crate) struct DescriptorsInUse {
    in_all: Arc<InUse>,
    of_users: Mutex<HashMap<u32, Weak<InUse>>>,
}

/// What the processes of one user may have of it.
#[derive(Debug)]
pub(crate) struct DescriptorShare {
    in_all: Arc<InUse>,
    /// `None` for our own user: who can end this process need not be kept from filling it.
    of_user: Option<Arc<InUse>>,
    quota: usize,
}

/// Held as long as a descriptor that came is open.
#[derive(Debug)]
pub(crate) struct Counted {
    in_all: Arc<InUse>,
    of_user: Option<Arc<InUse>>,
}

impl DescriptorsInUse {
    /// What a process of `user` shares with the others of that user; `None` where the peer is no process of this device.
    pub(crate) fn share_of(&self, user: Option<u32>, quotas: &Quotas) -> DescriptorShare {
        let of_user = user.filter(|user| *user != own_user()).map(|user| {
            let mut users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
            users.retain(|_, share| share.strong_count() > 0);
            let known = users.get(&user).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let share = Arc::default();
                users.insert(user, Arc::downgrade(&share));
                share
            })
        });
        DescriptorShare {
            in_all: Arc::clone(&self.in_all),
            of_user,
            quota: quotas.file_descriptors_in_all as usize,
        }
    }
}

impl DescriptorShare {
    /// Room for one more descriptor, which has come.
    pub(crate) fn take(&self) -> Result<Counted, Full> {
        self.take_of(self.quota.min(may_be_open() / 4))
    }

    fn take_of(&self, limit: usize) -> Result<Counted, Full> {
        let Self {
            in_all, of_user, ..
        } = self;
        if let Some(of_user) = of_user {
            of_user.take(1, limit / 2)?;
        }
        in_all.take(1, limit).inspect_err(|_| {
            if let Some(of_user) = of_user {
                of_user.give_back(1);
            }
        })?;
        Ok(Counted {
            in_all: Arc::clone(in_all),
            of_user: of_user.clone(),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.in_all.give_back(1);
        if let Some(of_user) = &self.of_user {
            of_user.give_back(1);
        }
    }
}

/// How many descriptors this process may have. It can change at any time, and descriptors come rarely: the system is asked.
fn may_be_open() -> usize {
    #[cfg(target_os = "linux")]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        return usize::try_from(limit).unwrap_or(usize::MAX);
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(of: [Option<u32>; 3]) -> [DescriptorShare; 3] {
        let in_use = DescriptorsInUse::default();
        of.map(|user| in_use.share_of(user, &Quotas::DEFAULT))
    }

    fn taken(share: &DescriptorShare, limit: usize) -> Vec<Counted> {
        std::iter::from_fn(|| share.take_of(limit).ok()).collect()
    }

    #[test]
    fn another_user_has_half_whatever_the_number_of_its_processes() {
        let theirs = own_user() + 1;
        let [first, second, ours] = shares([Some(theirs), Some(theirs), Some(own_user())]);
        let held = taken(&first, 10);
        assert_eq!(held.len(), 5);
        let refused = second.take_of(10).unwrap_err();
        assert_eq!(refused, Full { limit: 5, value: 6 });
        // The rest is for others.
        let rest = taken(&ours, 10);
        assert_eq!(rest.len(), 5);
        let refused = ours.take_of(10).unwrap_err();
        let (limit, value) = (10, 11);
        assert_eq!(refused, Full { limit, value });
        drop(held);
        assert_eq!(taken(&second, 10).len(), 5);
        drop(rest);
        assert_eq!(taken(&ours, 10).len(), 10);
    }

    #[test]
    fn what_all_have_counts_for_each_and_a_refusal_takes_nothing() {
        let other = own_user();
        let [one, two, ours] = shares([Some(other + 1), Some(other + 2), None]);
        let held = [taken(&one, 4), taken(&two, 4)];
        assert_eq!(held.each_ref().map(Vec::len), [2, 2]);
        assert!(ours.take_of(4).is_err());
        let [of_one, of_two] = held;
        drop(of_one);
        let ours = taken(&ours, 4);
        assert_eq!(ours.len(), 2);
        let refused = one.take_of(4).unwrap_err();
        assert_eq!((refused.limit, refused.value), (4, 5));
        drop((ours, of_two));
        assert_eq!(taken(&one, 4).len(), 2);
    }
}
