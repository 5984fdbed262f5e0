//! Who holds a stub.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use proto::DeviceId;
use smallvec::SmallVec;
use tokio::sync::watch;

use super::RemoteObject;

/// Another process that holds a stub of ours, as one of its sessions with us knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Its device.
    pub device: DeviceId,
    /// Which process, if it is one of this device.
    pub pid: Option<u32>,
    /// The session's name, as [`Peer::session_name`](crate::Peer::session_name) says it.
    pub session: u64,
    /// How many references it has: one to the stub itself, and one to each registration of it. However often a
    /// reference was sent, its holder has one proxy of it.
    pub references: usize,
}

/// How many references to a stub there are elsewhere, as it changes.
///
/// A holder that is told of nothing costs nothing, and many changes while nobody asks are one: it is the newest number
/// that counts.
#[derive(Debug)]
pub struct HolderWatch {
    count: watch::Receiver<usize>,
    begun: bool,
}

impl HolderWatch {
    /// The first time the number as it is; then, each time it has changed, the newest. `None` when the stub is gone.
    pub async fn next(&mut self) -> Option<usize> {
        if std::mem::replace(&mut self.begun, true) {
            self.count.changed().await.ok()?;
        }
        Some(*self.count.borrow_and_update())
    }
}

impl RemoteObject {
    /// Who else holds this stub: the other processes that have a proxy of it, on other devices or on this one. `None`
    /// for a proxy; only the stub's own process knows.
    ///
    /// References within this process do not count. A peer that is gone holds nothing.
    pub fn holders(&self) -> Option<Vec<Holder>> {
        let list = self.local()?.stub.holders().list();
        Some(list.iter().map(|(_, holder)| holder.clone()).collect())
    }

    /// How many references to this stub there are in other processes, now and whenever that changes: with none left, a
    /// service may put away what it keeps for its callers. `None` for a proxy.
    ///
    /// ```
    /// # use softbus_rpc::RemoteObject;
    /// # fn watch(stub: RemoteObject) -> Option<()> {
    /// let mut holders = stub.watch_holders()?;
    /// tokio::spawn(async move {
    ///     while let Some(count) = holders.next().await {
    ///         println!("{count} references elsewhere");
    ///     }
    /// });
    /// # Some(())
    /// # }
    /// ```
    pub fn watch_holders(&self) -> Option<HolderWatch> {
        let holders = self.local()?.stub.holders();
        let sender = holders
            .watch
            .get_or_init(|| watch::Sender::new(holders.count()));
        // What changed before there was anybody to tell.
        holders.publish();
        Some(HolderWatch {
            count: sender.subscribe(),
            begun: false,
        })
    }
}

/// A holder, by the number of its session in this process.
type Known = (u64, Holder);

/// The holders of one stub. Its lock is the innermost: it is taken under that of a session.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    list: Mutex<SmallVec<[Known; 1]>>,
    watch: OnceLock<watch::Sender<usize>>,
}

impl Holders {
    fn list(&self) -> MutexGuard<'_, SmallVec<[Known; 1]>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.list()
            .iter()
            .map(|(_, holder)| holder.references)
            .sum()
    }

    /// A session holds one more reference. Whether somebody wants to know.
    pub(crate) fn gained(&self, session: u64, who: impl FnOnce() -> Holder) -> bool {
        let mut list = self.list();
        match list.iter_mut().find(|(number, _)| *number == session) {
            Some((_, known)) => known.references += 1,
            None => list.push((session, who())),
        }
        drop(list);
        self.watch.get().is_some()
    }

    /// A session holds one reference less. Whether somebody wants to know.
    pub(crate) fn lost(&self, session: u64) -> bool {
        let mut list = self.list();
        if let Some(place) = list.iter().position(|(number, _)| *number == session) {
            list[place].1.references -= 1;
            if list[place].1.references == 0 {
                list.swap_remove(place);
            }
        }
        drop(list);
        self.watch.get().is_some()
    }

    /// Tells the number there is now. Outside of the locks of sessions: who is told is woken here.
    pub(crate) fn publish(&self) {
        let Some(sender) = self.watch.get() else {
            return;
        };
        // Counted while nobody else tells, so that who tells last tells the newest.
        sender.send_if_modified(|told| {
            let count = self.count();
            std::mem::replace(told, count) != count
        });
    }
}

/// What sessions report to; outlives the stub while they do.
pub(crate) type SharedHolders = Arc<Holders>;
