//! Brings what the discoveries say to the peers, and tells the world where this node is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use discovery::{
    Advertisement, Announcement, DeviceTable, Discovery, Event, Hint, Interfaces, Mdns,
    MdnsOptions, ProtocolVersions, Publication, PublishDeviceError, StaticPeers, TableEvent, Watch,
    local_networks,
};
use proto::{DeviceId, message::PROTOCOL_VERSION};
use tokio::sync::{Notify, mpsc, watch};

use crate::{error::StartNodeError, peers::Peers};

/// Events of all discoveries that wait for the table.
const QUEUE: usize = 256;
/// The shortest time between two looks at the networks of this device.
const NETWORKS_EVERY: Duration = Duration::from_secs(1);

/// The ways a node finds devices, and its announcements.
#[derive(Debug)]
pub(super) struct Discoveries {
    sources: Vec<Box<dyn Discovery>>,
    publications: Mutex<Vec<Box<dyn Publication>>>,
    /// Trust has changed: other devices are to be kept.
    repin: Notify,
}

impl Discoveries {
    pub(super) async fn start(
        mut sources: Vec<Box<dyn Discovery>>,
        mdns: Option<Interfaces>,
        static_peers: Option<StaticPeers>,
        advertisement: Advertisement,
        peers: &Arc<Peers>,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, StartNodeError> {
        let failed = |error: &dyn std::fmt::Display| StartNodeError::Discovery(error.to_string());
        if let Some(interfaces) = mdns {
            let options = MdnsOptions::new(interfaces);
            sources.push(Box::new(
                Mdns::start(options).map_err(|error| failed(&error))?,
            ));
        }
        if let Some(list) = static_peers {
            sources.push(Box::new(list));
        }
        let mut publications = Vec::new();
        for source in &sources {
            match source.publish(advertisement.clone()).await {
                Ok(publication) => publications.push(publication),
                Err(PublishDeviceError::Unsupported) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let watches: Vec<_> = sources.iter().map(|source| source.watch()).collect();
        let me = Arc::new(Self {
            sources,
            publications: Mutex::new(publications),
            repin: Notify::new(),
        });
        tokio::spawn(merge(Arc::clone(&me), watches, Arc::clone(peers), stop));
        Ok(me)
    }

    pub(super) fn trust_changed(&self) {
        self.repin.notify_one();
    }

    /// Withdraws what is announced, and stops.
    pub(super) async fn close(&self, within: Duration) {
        let publications = {
            let mut publications = self
                .publications
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *publications)
        };
        for publication in publications {
            let _ = tokio::time::timeout(within, publication.withdraw()).await;
        }
        for source in &self.sources {
            if let Err(error) = source.close(within).await {
                tracing::debug!(source = %source.kind(), %error, "discovery did not close");
            }
        }
    }

    async fn refresh(&self) {
        for source in &self.sources {
            if let Err(error) = source.refresh(None, Hint::Wanted).await {
                tracing::debug!(source = %source.kind(), %error, "discovery did not look again");
            }
        }
    }
}

/// One table for all sources; what changes in it goes to the peers.
async fn merge(
    me: Arc<Discoveries>,
    watches: Vec<Watch>,
    peers: Arc<Peers>,
    mut stop: watch::Receiver<bool>,
) {
    let (sender, mut events) = mpsc::channel(QUEUE);
    for mut watch in watches {
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(event) = watch.next().await {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
    }
    let mut table = DeviceTable::new();
    let mut networks = Networks::default();
    networks.look(&mut table);
    pin(&me, &peers, &mut table);
    loop {
        let (expiry, look) = (at(table.poll_timeout()), at(networks.due));
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    observe(&mut table, event);
                    networks.something_was_heard();
                }
                None => return,
            },
            () = expiry => table.expire(Instant::now()),
            () = look => networks.look(&mut table),
            () = peers.wanted.notified() => me.refresh().await,
            () = me.repin.notified() => pin(&me, &peers, &mut table),
            () = stopped(&mut stop) => return,
        }
        while let Some(event) = table.poll_event() {
            match event {
                TableEvent::Found(device) | TableEvent::Changed(device) => peers.candidate(device),
                TableEvent::Lost { id, .. } => peers.not_a_candidate(id),
                _ => {}
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

fn observe(table: &mut DeviceTable, event: Event) {
    if let Event::Status { source, status } = &event {
        tracing::info!(%source, ?status, "discovery");
    }
    table.observe(Instant::now(), event);
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// When the networks of this device are looked at: after something was heard, which is when they matter, and not for each
/// record of a flood.
#[derive(Default)]
struct Networks {
    looked: Option<Instant>,
    due: Option<Instant>,
}

impl Networks {
    fn something_was_heard(&mut self) {
        let soonest = self.looked.map(|looked| looked + NETWORKS_EVERY);
        self.due = self.due.or(soonest);
    }

    fn look(&mut self, table: &mut DeviceTable) {
        (self.looked, self.due) = (Some(Instant::now()), None);
        match local_networks() {
            Ok(networks) => table.set_local_networks(networks),
            Err(error) => tracing::debug!(%error, "no list of local networks"),
        }
    }
}

/// Trusted devices are not pushed out by a flood of strangers.
fn pin(me: &Discoveries, peers: &Peers, table: &mut DeviceTable) {
    let trusted: Vec<_> = peers
        .trust()
        .entries()
        .into_iter()
        .map(|entry| entry.device)
        .filter(|device| peers.trust().is_trusted(device))
        .collect();
    for device in &trusted {
        table.pin(*device);
    }
    for source in &me.sources {
        source.pin(&trusted);
    }
}

/// What a node says of itself.
pub(super) fn advertisement(
    device: DeviceId,
    epoch: u64,
    port: u16,
    name: Option<&str>,
) -> Advertisement {
    let version = PROTOCOL_VERSION as u16;
    // One version, from itself to itself: the range is never empty.
    let versions = ProtocolVersions::new(version, version);
    let mut announcement = versions.map(|versions| Announcement::new(device, versions, epoch));
    if let Some(name) = name {
        announcement = announcement.map(|announcement| announcement.with_name(name));
    }
    match announcement {
        Some(announcement) => Advertisement::new(announcement, port),
        None => unreachable!("the protocol's version is a valid one"),
    }
}
