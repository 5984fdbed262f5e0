//! Brings what the discoveries say to the peers, and tells the world where this node is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use discovery::{
    Advertisement, Announcement, DeviceTable, Discovery, Event, Hint, Interfaces, Mdns,
    MdnsOptions, ProtocolVersions, Publication, PublishDeviceError, StaticPeers, TableEvent, Watch,
};
use proto::{DeviceId, message::VersionRange};
use tokio::sync::{Notify, mpsc, watch};

use super::networks::{Changes, Networks};
use crate::{error::StartNodeError, peers::Peers};

/// Events of all discoveries that wait for the table.
const QUEUE: usize = 256;

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

    async fn refresh(&self, hint: Hint) {
        for source in &self.sources {
            if let Err(error) = source.refresh(None, hint).await {
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
    // Before the first look: what changes afterwards is told.
    let mut changes = Changes::new();
    let mut networks = Networks::default();
    networks.look(&mut table);
    pin(&me, &peers, &mut table);
    loop {
        let mut changed = false;
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
            () = changes.next() => networks.something_has_changed(),
            () = look => if networks.look(&mut table) {
                tracing::debug!("an interface came, went or has another address");
                changed = true;
            },
            () = peers.wanted.notified() => me.refresh(Hint::Wanted).await,
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
        if changed {
            peers.network_changed();
            me.refresh(Hint::NetworkChanged).await;
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
    spoken: VersionRange,
) -> Advertisement {
    let version = |version: u32| u16::try_from(version).unwrap_or(u16::MAX);
    let versions = ProtocolVersions::new(version(spoken.lowest), version(spoken.highest));
    let mut announcement = versions.map(|versions| Announcement::new(device, versions, epoch));
    if let Some(name) = name {
        announcement = announcement.map(|announcement| announcement.with_name(name));
    }
    match announcement {
        Some(announcement) => Advertisement::new(announcement, port),
        None => unreachable!("a builder takes no range that is empty"),
    }
}
