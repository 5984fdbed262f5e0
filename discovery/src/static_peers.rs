//! Devices from a list: written by the user, or told by peers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use proto::DeviceId;

use crate::networks::is_dialable;
use crate::{
    Advertisement, Candidate, CloseDiscoveryError, Discovery, Fanout, Hint, MAX_ADDRS, Publication,
    PublishDeviceError, RefreshDiscoveryError, Source, Status, Watch,
};

/// How many devices a list may hold.
const MAX_PEERS: usize = 1024;

/// A list of devices and where they are, which may change while it runs. Cannot announce this device. Clones are the
/// same list.
///
/// For what peers tell of each other, make a second one with [`Source::PEERS`] and a time after which an entry is
/// dropped: [`StaticPeers::with_expiry`].
#[derive(Clone, Debug)]
pub struct StaticPeers {
    fanout: Fanout,
    source: Source,
    valid_for: Option<Duration>,
    /// `None` once closed.
    peers: Arc<Mutex<Option<Peers>>>,
}

type Peers = BTreeMap<DeviceId, Peer>;

#[derive(Debug)]
struct Peer {
    addrs: Vec<SocketAddr>,
    heard: Instant,
}

impl StaticPeers {
    /// A list of devices that stay until they are taken off. A device that is named several times has several
    /// addresses.
    ///
    /// # Errors
    ///
    /// [`UpdatePeersError`].
    pub fn new(
        source: Source,
        peers: impl IntoIterator<Item = (DeviceId, SocketAddr)>,
    ) -> Result<Self, UpdatePeersError> {
        let list = Self::empty(source, None);
        list.replace(peers)?;
        Ok(list)
    }

    /// A list, empty at first, of devices that are dropped unless they are named again within `valid_for`. Like all
    /// that strangers can say, its devices give way when there are too many.
    pub fn with_expiry(source: Source, valid_for: Duration) -> Self {
        Self::empty(source, Some(valid_for))
    }

    fn empty(source: Source, valid_for: Option<Duration>) -> Self {
        let fanout = Fanout::new(source);
        fanout.set_status(Status::Up);
        Self {
            fanout,
            source,
            valid_for,
            peers: Arc::new(Mutex::new(Some(Peers::new()))),
        }
    }

    /// Names a device, or another address of it; if it is on the list with this address already, it is heard of again.
    ///
    /// # Errors
    ///
    /// [`UpdatePeersError`]; the list is unchanged then.
    pub fn insert(&self, id: DeviceId, addr: SocketAddr) -> Result<(), UpdatePeersError> {
        let mut guard = self.lock();
        let peers = guard.as_mut().ok_or(UpdatePeersError::Closed)?;
        self.drop_expired(peers);
        if peers.len() >= MAX_PEERS && !peers.contains_key(&id) {
            return Err(UpdatePeersError::TooManyPeers);
        }
        let mut addrs = peers
            .get(&id)
            .map(|peer| peer.addrs.clone())
            .unwrap_or_default();
        add(&mut addrs, id, addr)?;
        self.fanout.upsert(self.candidate(id, &addrs));
        let heard = Instant::now();
        peers.insert(id, Peer { addrs, heard });
        Ok(())
    }

    /// Takes a device off the list, with all its addresses. Says whether it was there.
    pub fn remove(&self, id: &DeviceId) -> bool {
        let mut peers = self.lock();
        let removed = peers
            .as_mut()
            .is_some_and(|peers| peers.remove(id).is_some());
        if removed {
            self.fanout.withdraw(*id);
        }
        removed
    }

    /// Makes this the whole list. Devices on both lists with the same addresses are not mentioned again.
    ///
    /// # Errors
    ///
    /// [`UpdatePeersError`]; the list is unchanged then.
    pub fn replace(
        &self,
        peers: impl IntoIterator<Item = (DeviceId, SocketAddr)>,
    ) -> Result<(), UpdatePeersError> {
        let mut new: BTreeMap<DeviceId, Vec<SocketAddr>> = BTreeMap::new();
        for (id, addr) in peers {
            if new.len() >= MAX_PEERS && !new.contains_key(&id) {
                return Err(UpdatePeersError::TooManyPeers);
            }
            add(new.entry(id).or_default(), id, addr)?;
        }
        let mut guard = self.lock();
        let old = guard.as_mut().ok_or(UpdatePeersError::Closed)?;
        for id in old.keys().filter(|id| !new.contains_key(id)) {
            self.fanout.withdraw(*id);
        }
        for (id, addrs) in &new {
            let same = old.get(id).is_some_and(|peer| peer.addrs == *addrs);
            if !same || self.valid_for.is_some() {
                self.fanout.upsert(self.candidate(*id, addrs));
            }
        }
        let heard = Instant::now();
        *old = new
            .into_iter()
            .map(|(id, addrs)| (id, Peer { addrs, heard }))
            .collect();
        Ok(())
    }

    /// Makes room for others; subscribers drop expired candidates by themselves.
    fn drop_expired(&self, peers: &mut Peers) {
        let Some(valid_for) = self.valid_for else {
            return;
        };
        peers.retain(|id, peer| {
            let keep = peer.heard.elapsed() < valid_for;
            if !keep {
                self.fanout.expire(*id);
            }
            keep
        });
    }

    fn candidate(&self, id: DeviceId, addrs: &[SocketAddr]) -> Candidate {
        let mut candidate = Candidate::new(id, self.source, addrs.to_vec());
        candidate.valid_for = self.valid_for;
        candidate
    }

    fn lock(&self) -> MutexGuard<'_, Option<Peers>> {
        // The map is whole after every statement that may panic.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(
    addrs: &mut Vec<SocketAddr>,
    id: DeviceId,
    addr: SocketAddr,
) -> Result<(), UpdatePeersError> {
    if addr.port() == 0 || !is_dialable(addr.ip()) {
        return Err(UpdatePeersError::Undialable(addr));
    }
    if !addrs.contains(&addr) {
        if addrs.len() >= MAX_ADDRS {
            return Err(UpdatePeersError::TooManyAddrs(id));
        }
        addrs.push(addr);
    }
    Ok(())
}

#[async_trait]
impl Discovery for StaticPeers {
    fn kind(&self) -> Source {
        self.source
    }

    async fn publish(
        &self,
        _advertisement: Advertisement,
    ) -> Result<Box<dyn Publication>, PublishDeviceError> {
        Err(PublishDeviceError::Unsupported)
    }

    fn watch(&self) -> Watch {
        if let Some(peers) = self.lock().as_mut() {
            self.drop_expired(peers);
        }
        self.fanout.watch()
    }

    async fn refresh(
        &self,
        _who: Option<DeviceId>,
        _hint: Hint,
    ) -> Result<(), RefreshDiscoveryError> {
        match *self.lock() {
            Some(_) => Ok(()),
            None => Err(RefreshDiscoveryError::Closed),
        }
    }

    async fn close(&self, _deadline: Duration) -> Result<(), CloseDiscoveryError> {
        self.lock().take();
        self.fanout.close();
        Ok(())
    }
}

/// Why a list of peers is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdatePeersError {
    /// The list has 1,024 devices. Take some off.
    #[error("too many peers")]
    TooManyPeers,
    /// The device has [`MAX_ADDRS`] addresses. Take it off and name it with fewer.
    #[error("too many addresses of {0:?}")]
    TooManyAddrs(DeviceId),
    /// Nothing can answer there: port 0, or an unspecified, multicast or broadcast address. Name another.
    #[error("nothing can answer at {0}")]
    Undialable(SocketAddr),
    /// The list is closed. Make another.
    #[error("closed")]
    Closed,
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::Event;

    fn id(n: u8) -> DeviceId {
        DeviceId::from_bytes([n; 32])
    }

    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 9))
    }

    fn events(watch: &mut Watch) -> Vec<Event> {
        std::iter::from_fn(|| watch.next().now_or_never().flatten()).collect()
    }

    #[test]
    fn a_list_changes_while_it_runs() {
        let peers = StaticPeers::new(Source::STATIC, [(id(1), addr(1)), (id(1), addr(2))]).unwrap();
        let mut watch = peers.watch();
        let both = Candidate::new(id(1), Source::STATIC, vec![addr(1), addr(2)]);
        assert_eq!(events(&mut watch)[1..], [Event::Upsert(both.clone())]);
        peers.insert(id(2), addr(3)).unwrap();
        let second = Candidate::new(id(2), Source::STATIC, vec![addr(3)]);
        assert_eq!(events(&mut watch), [Event::Upsert(second)]);
        peers.replace([(id(1), addr(1)), (id(1), addr(2))]).unwrap();
        let source = Source::STATIC;
        let withdrawn = |n| Event::Withdrawn { id: id(n), source };
        assert_eq!(events(&mut watch), [withdrawn(2)]);
        assert!(peers.remove(&id(1)));
        assert!(!peers.remove(&id(1)));
        assert_eq!(events(&mut watch), [withdrawn(1)]);
    }

    #[test]
    fn what_cannot_be_dialled_is_refused() {
        let peers = StaticPeers::new(Source::STATIC, []).unwrap();
        for wrong in ["10.0.0.1:0", "0.0.0.0:9", "[ff02::fb]:9"] {
            let wrong = wrong.parse().unwrap();
            assert_eq!(
                peers.insert(id(1), wrong),
                Err(UpdatePeersError::Undialable(wrong))
            );
        }
        let many = (0..17).map(|n| (id(1), addr(n)));
        assert_eq!(
            peers.replace(many),
            Err(UpdatePeersError::TooManyAddrs(id(1)))
        );
    }

    #[test]
    fn a_list_is_bounded() {
        let numbered = |n: u16| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            (DeviceId::from_bytes(bytes), addr(1))
        };
        let peers = StaticPeers::new(Source::STATIC, (0..1024).map(numbered)).unwrap();
        let (id, addr) = numbered(1024);
        assert_eq!(peers.insert(id, addr), Err(UpdatePeersError::TooManyPeers));
    }

    #[test]
    fn an_expired_peer_makes_room() {
        let peers = StaticPeers::with_expiry(Source::PEERS, Duration::ZERO);
        peers.insert(id(1), addr(1)).unwrap();
        peers.insert(id(2), addr(2)).unwrap();
        let told: Vec<_> = peers.fanout.snapshot().candidates;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].valid_for, Some(Duration::ZERO));
    }

    #[tokio::test]
    async fn closed_is_closed() {
        let peers = StaticPeers::with_expiry(Source::PEERS, Duration::from_secs(60));
        let mut watch = peers.watch();
        peers.insert(id(1), addr(1)).unwrap();
        peers.close(Duration::ZERO).await.unwrap();
        assert_eq!(events(&mut watch).len(), 2);
        assert_eq!(watch.next().await, None);
        assert_eq!(peers.insert(id(1), addr(1)), Err(UpdatePeersError::Closed));
        assert_eq!(
            peers.refresh(None, Hint::Wanted).await,
            Err(RefreshDiscoveryError::Closed)
        );
    }
}
