//! What a session leaves to be done once its lock is released.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
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
    remote::LocalObject,
    session::{Event, Incoming, LinkId, OutgoingBulk, Reference, Slow},
    telemetry::{metrics, refusals, slow},
};

#[derive(Default)]
pub(super) struct Work {
    wakers: SmallVec<[Waker; 4]>,
    arrivals: Vec<Arrival>,
    cancelled: SmallVec<[AbortHandle; 1]>,
    deaths: Vec<(DeathReason, Vec<LinkId>)>,
    released: Vec<LocalObject>,
    held: SmallVec<[Reference; 1]>,
    bulk: Vec<OutgoingBulk>,
    credit: SmallVec<[u16; 4]>,
    closed: Vec<Descriptor>,
    redemptions: Vec<Redemption>,
    unredeemed: Vec<Unwanted>,
    timer: bool,
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
            work.bulk.push(bulk);
        }
        let mut dirty = self.session.take_dirty_lanes();
        while dirty != 0 {
            let lane = dirty.trailing_zeros() as usize;
            dirty &= dirty - 1;
            work.wakers.extend(self.lane_wakers[lane].take());
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
                work.cancelled.extend(handler.and_then(Option::take));
            }
            Event::CallEnded(id) => {
                if let Some((code, since)) = self.session.slow_call(id) {
                    let waited = now().saturating_duration_since(since);
                    if waited >= peer.slow_thresholds().call {
                        work.notable
                            .push(Notable::Slow(Slow::Call { code, waited }));
                    }
                }
                let waker = self.call_wakers.get_mut(id.slot as usize);
                work.wakers.extend(waker.and_then(Option::take));
            }
            Event::Died { reason, links, .. } => work.deaths.push((reason, links)),
            Event::Held(reference) => {
                if reference.0.gained(peer.number, || peer.holder()) {
                    work.held.push(reference);
                }
            }
            Event::Unheld(reference) => {
                if reference.0.lost(peer.number) {
                    work.held.push(reference);
                }
            }
            Event::Released(object) => work.released.push(object),
            Event::Credit { lane } => work.credit.push(lane),
            Event::OneWayRefused { count } => {
                work.notable.push(Notable::OneWayRefused(count));
            }
            Event::Refused {
                code,
                service,
                status,
            } => work.notable.push(Notable::Refused(code, service, status)),
            Event::Slow(slow) => work.notable.push(Notable::Slow(slow)),
            Event::Redeem { id, objects, until } => {
                self.redemptions.begin(id);
                work.redemptions.push(Redemption { id, objects, until });
            }
            Event::Close(descriptor) => work.closed.push(descriptor),
            Event::Unredeemed(id) => work.unredeemed.push(self.redemptions.forget(id)),
            Event::PeerGoingAway => {
                tracing::debug!(device = ?peer.remote.device, "peer is going away");
            }
        }
    }

    fn request(&mut self, peer: &PeerShared, mut incoming: Box<Incoming>) -> Request {
        let objects = std::mem::take(&mut incoming.parcel.objects);
        let introductions = incoming.parcel.introductions.take();
        let objects = self.take_objects(peer, objects, introductions);
        Request { incoming, objects }
    }
}

impl Work {
    pub(super) fn perform(&mut self, peer: &PeerShared) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
        if self.timer {
            peer.timer.notify_one();
        }
        for lane in self.credit.drain(..) {
            peer.credit[usize::from(lane)].notify_waiters();
        }
        for notable in self.notable.drain(..) {
            notable.tell(peer);
        }
        for handler in self.cancelled.drain(..) {
            handler.abort();
        }
        for reference in self.held.drain(..) {
            reference.0.publish();
        }
        self.released.clear();
        self.closed.clear();
        self.unredeemed.clear();
        let rare = !self.bulk.is_empty()
            || !self.deaths.is_empty()
            || !self.arrivals.is_empty()
            || !self.redemptions.is_empty();
        let Some(peer) = (if rare { peer.me.upgrade() } else { None }) else {
            return;
        };
        for bulk in self.bulk.drain(..) {
            driver::spawn_bulk(&peer, bulk);
        }
        for redemption in self.redemptions.drain(..) {
            redemption.start(&peer);
        }
        dispatch::serve_in_turn(&peer, self.arrivals.drain(..));
        for (reason, links) in self.deaths.drain(..) {
            tell_recipients(&peer, reason, links);
        }
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
