//! What a session leaves to be done once its lock is released.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    task::Waker,
};

use proto::{ServiceId, frame::Status, message::DeathReason};
use smallvec::SmallVec;
use tokio::task::AbortHandle;

use super::{PeerShared, State, now};
use crate::{
    dispatch::{self, Arrival, Request},
    driver,
    introduction::{Redemption, Unwanted},
    link::Descriptor,
    relay,
    remote::{LocalObject, RemoteProxy},
    session::{Event, Incoming, LinkId, OutgoingBulk, Reference, Slow},
    telemetry::{metrics, refusals, slow},
};

#[derive(Default)]
pub(super) struct Work {
    wakers: SmallVec<[Waker; 2]>,
    arrivals: Vec<Arrival>,
    timer: bool,
    rare: Option<Box<Rare>>,
}

/// What most commands leave nothing of.
#[derive(Default)]
struct Rare {
    cancelled: Vec<AbortHandle>,
    deaths: Vec<(DeathReason, Vec<LinkId>)>,
    /// What forwards to these is dead too.
    relayed: Vec<(RemoteProxy, DeathReason)>,
    released: Vec<LocalObject>,
    held: Vec<Reference>,
    bulk: Vec<OutgoingBulk>,
    credit: Vec<u16>,
    closed: Vec<Descriptor>,
    redemptions: Vec<Redemption>,
    unredeemed: Vec<Unwanted>,
    notable: Vec<Notable>,
}

/// What the log is told, once the lock is released: a subscriber is somebody's code.
enum Notable {
    Slow(Slow),
    Refused(u32, Option<ServiceId>, Status),
    OneWayRefused(u64),
}

impl State {
    /// Takes everything the session wants done.
    pub(super) fn drain(&mut self, peer: &PeerShared, work: &mut Work) {
        while let Some(event) = self.session.poll_event() {
            self.take_event(peer, event, work);
        }
        while let Some(bulk) = self.session.poll_bulk() {
            work.rare().bulk.push(bulk);
        }
        let mut dirty = self.session.take_dirty_lanes();
        while dirty != 0 {
            let lane = dirty.trailing_zeros() as usize;
            dirty &= dirty - 1;
            if let Some(waker) = self.lane_wakers[lane].take() {
                work.wakers.push(waker);
            }
        }
        let early = self.session.early_bytes();
        if early < self.early {
            peer.bulk_memory.give_back(self.early - early);
            self.early = early;
        }
        if let Some(due) = self.session.poll_timeout()
            && self.armed.is_none_or(|armed| due < armed)
        {
            self.armed = Some(due);
            work.timer = true;
        }
    }

    fn take_event(&mut self, peer: &PeerShared, event: Event, work: &mut Work) {
        match event {
            Event::Request(incoming) => {
                let request = self.request(peer, incoming);
                work.arrivals.push(Arrival::Call(request));
            }
            Event::OneWay { calls, .. } => {
                let calls = calls.into_iter();
                let calls = calls.map(|incoming| self.request(peer, incoming));
                work.arrivals.push(Arrival::OneWay(calls.collect()));
            }
            Event::Cancel(serving) => {
                let handler = self.handlers.get_mut(serving.slot());
                let handler = handler.and_then(Option::take);
                work.rare().cancelled.extend(handler);
            }
            Event::CallEnded(id) => {
                if let Some((code, since)) = self.session.slow_call(id) {
                    let waited = now().saturating_duration_since(since);
                    if waited >= peer.slow_thresholds().call {
                        let slow = Slow::Call { code, waited };
                        work.rare().notable.push(Notable::Slow(slow));
                    }
                }
                let waker = self.call_wakers.get_mut(id.slot as usize);
                if let Some(waker) = waker.and_then(Option::take) {
                    work.wakers.push(waker);
                }
            }
            Event::Died { key, reason, links } => {
                let proxy = self.proxies.get(&key).and_then(Weak::upgrade);
                let proxy = proxy.map(|proxy| (RemoteProxy(proxy), reason));
                let rare = work.rare();
                rare.relayed.extend(proxy);
                rare.deaths.push((reason, links));
            }
            Event::Held(reference) => {
                if reference.0.gained(peer.number, || peer.holder()) {
                    work.rare().held.push(reference);
                }
            }
            Event::Unheld(reference) => {
                if reference.0.lost(peer.number) {
                    work.rare().held.push(reference);
                }
            }
            Event::Released(object) => work.rare().released.push(object),
            Event::Credit { lane } => work.rare().credit.push(lane),
            Event::OneWayRefused { count } => {
                work.rare().notable.push(Notable::OneWayRefused(count));
            }
            Event::Refused {
                code,
                service,
                status,
            } => work
                .rare()
                .notable
                .push(Notable::Refused(code, service, status)),
            Event::Slow(slow) => work.rare().notable.push(Notable::Slow(slow)),
            Event::Redeem { id, objects, until } => {
                self.redemptions.begin(id);
                work.rare()
                    .redemptions
                    .push(Redemption { id, objects, until });
            }
            Event::Unredeemed(id) => {
                let unwanted = self.redemptions.forget(id);
                work.rare().unredeemed.push(unwanted);
            }
            Event::Close(descriptor) => work.rare().closed.push(descriptor),
            Event::PeerGoingAway => {
                tracing::debug!(device = ?peer.remote.device, "peer is going away");
            }
        }
    }

    fn request(&mut self, peer: &PeerShared, mut incoming: Incoming) -> Request {
        let parcel = &mut incoming.parcel;
        let objects = std::mem::take(&mut parcel.objects);
        let introductions = parcel.introductions.take();
        let relayed = incoming.target.is_relay();
        let objects = self.take_objects(peer, objects, introductions, relayed);
        Request { incoming, objects }
    }
}

impl Work {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn perform(self, peer: &PeerShared) {
        for waker in self.wakers {
            waker.wake();
        }
        if self.timer {
            peer.timer.notify_one();
        }
        let me = if self.rare.is_some() || !self.arrivals.is_empty() {
            peer.me.upgrade()
        } else {
            None
        };
        let deaths = self.rare.map(|rare| rare.perform(peer, me.as_ref()));
        let Some(peer) = me else { return };
        dispatch::serve_in_turn(&peer, self.arrivals);
        for (reason, links) in deaths.unwrap_or_default() {
            tell_recipients(&peer, reason, links);
        }
    }
}

impl Rare {
    /// What comes before requests are served. Returns what comes after.
    fn perform(
        self,
        peer: &PeerShared,
        me: Option<&Arc<PeerShared>>,
    ) -> Vec<(DeathReason, Vec<LinkId>)> {
        for lane in self.credit {
            peer.credit[usize::from(lane)].notify_waiters();
            peer.traffic().acknowledged(peer, lane);
        }
        for notable in self.notable {
            notable.tell(peer);
        }
        for handler in self.cancelled {
            handler.abort();
        }
        for reference in self.held {
            reference.0.publish();
        }
        for (proxy, reason) in self.relayed {
            relay::died(&proxy, reason);
        }
        drop((self.released, self.closed, self.unredeemed));
        if let Some(peer) = me {
            for bulk in self.bulk {
                driver::send_bulk(peer, bulk);
            }
            for redemption in self.redemptions {
                redemption.start(peer);
            }
        }
        self.deaths
    }
}

impl Notable {
    #[cold]
    fn tell(self, peer: &PeerShared) {
        match self {
            Self::Refused(code, service, status) => {
                refusals::at_callee(peer, code, service, status);
            }
            Self::OneWayRefused(count) => refusals::one_way_at_caller(peer, count),
            Self::Slow(Slow::Call { code, waited }) => slow::call(peer, code, waited),
            Self::Slow(Slow::Handler {
                code,
                service,
                running,
            }) => slow::stuck(peer, code, service, running),
        }
    }
}

/// Runs death recipients on a task of their own: somebody's code, which may take its time or panic.
fn tell_recipients(peer: &Arc<PeerShared>, reason: DeathReason, links: Vec<LinkId>) {
    if links.is_empty() {
        return;
    }
    metrics::died(reason, links.len());
    let peer = Arc::clone(peer);
    let runtime = peer.runtime().clone();
    runtime.spawn(async move {
        for link in links {
            // Taken one by one: a link that is dropped meanwhile is not told.
            let Some(recipient) = peer.take_recipient(link) else {
                continue;
            };
            let told = catch_unwind(AssertUnwindSafe(|| {
                recipient.on_remote_died(reason);
                drop(recipient);
            }));
            if told.is_err() {
                tracing::error!("a death recipient panicked");
            }
        }
    });
}
