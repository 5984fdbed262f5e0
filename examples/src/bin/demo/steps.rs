//! What a device does when it is told to; most of it is the phone's part.

mod calls;
mod death;
mod find;
mod introduction;
mod refusals;
mod transfer;

use std::time::{Duration, Instant};

use softbus::{DeviceEvent, DeviceId, Node, RemoteObject, ServiceId, presence::OfflineReason};
use tokio::sync::watch;

use crate::{
    device::Peer,
    order::{Done, Failure, OrFail, Order, Outcome, millis, within},
};

pub(crate) use transfer::TRANSFER_BYTES;

/// How long devices may take to find each other.
const FINDING_TIME: Duration = Duration::from_secs(15);

/// What happened to a device, and when.
#[derive(Clone, Debug)]
struct Seen {
    event: DeviceEvent,
    at: Instant,
}

/// A device's part of the script, and what it keeps between the steps.
pub(crate) struct Steps {
    node: Node,
    name: String,
    peers: Vec<Peer>,
    started: Instant,
    seen: watch::Receiver<Vec<Seen>>,
    watched: Option<death::Watched>,
}

impl Steps {
    pub(crate) fn new(node: Node, name: String, peers: Vec<Peer>) -> Self {
        let (sender, seen) = watch::channel(Vec::new());
        let mut events = node.device_events();
        tokio::spawn(async move {
            loop {
                let event = events.next().await;
                sender.send_modify(|seen| {
                    seen.push(Seen {
                        event,
                        at: Instant::now(),
                    })
                });
            }
        });
        Self {
            node,
            name,
            peers,
            started: Instant::now(),
            seen,
            watched: None,
        }
    }

    pub(crate) async fn perform(&mut self, order: Order) -> Outcome {
        match order {
            Order::Meet => self.meet().await,
            Order::TypedCall => self.typed_call().await,
            Order::RawCall => self.raw_call().await,
            Order::Callback => self.callback().await,
            Order::Burst => self.burst().await,
            Order::Transfer => self.transfer().await,
            Order::List => self.list().await,
            Order::Find => self.find().await,
            Order::NotFound => self.not_found().await,
            Order::BackToOrigin => self.back_to_origin().await,
            Order::AnonymousDeath => self.anonymous_death().await,
            Order::Introduction => self.introduction().await,
            Order::ThirdParty => self.third_party().await,
            Order::Watch => self.watch().await,
            Order::Told => self.told().await,
            Order::Aftermath => self.aftermath().await,
            Order::FindAgain => self.find_again().await,
            Order::SeeLeave => self.see_leave().await,
            other => Err(Failure::new("a step of a device", format!("{other:?}"))),
        }
    }

    fn id_of(&self, name: &str) -> Result<DeviceId, Failure> {
        let peer = self.peers.iter().find(|peer| peer.name == name);
        peer.map(|peer| peer.id)
            .ok_or_else(|| Failure::new(format!("a device {name}"), "none"))
    }

    /// A service of a device.
    async fn get(&self, service: ServiceId, device: &str) -> Result<RemoteObject, Failure> {
        let id = self.id_of(device)?;
        let object = self.node.samgr().get(service, &id).await;
        object.or_fail(&format!("service {service} of the {device}"))
    }

    /// Waits for the first thing seen that `wanted` accepts.
    async fn see(
        &self,
        what: &str,
        wanted: impl Fn(&DeviceEvent) -> bool,
    ) -> Result<Seen, Failure> {
        let find = |seen: &Vec<Seen>| seen.iter().find(|seen| wanted(&seen.event)).cloned();
        let mut all = self.seen.clone();
        let seen = within(FINDING_TIME, what, all.wait_for(|all| find(all).is_some())).await?;
        let seen = seen.or_fail(what)?;
        find(&seen).ok_or_else(|| Failure::new(what, "nothing"))
    }

    /// How the tablet went offline, in its latest session.
    async fn offline(&self, device: DeviceId) -> Result<OfflineReason, Failure> {
        let reason = |seen: &Vec<Seen>| match seen.last().map(|seen| &seen.event) {
            Some(DeviceEvent::Offline(id, reason)) if *id == device => Some(reason.clone()),
            _ => None,
        };
        let what = "the device to go offline";
        let mut all = self.seen.clone();
        let seen = within(
            FINDING_TIME,
            what,
            all.wait_for(|all| reason(all).is_some()),
        )
        .await?;
        reason(&*seen.or_fail(what)?).ok_or_else(|| Failure::new(what, "nothing"))
    }

    async fn meet(&self) -> Outcome {
        let mut times = Vec::new();
        for peer in &self.peers {
            let what = format!("{} to find {}", self.name, peer.name);
            let seen = self
                .see(&what, |event| *event == DeviceEvent::Online(peer.id))
                .await?;
            times.push(millis(seen.at.saturating_duration_since(self.started)));
        }
        Ok(Done {
            times,
            ..Done::new(self.started.elapsed(), "all online")
        })
    }
}
