//! What a session leaves to be done once its lock is released.

use std::{
    cell::RefCell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Waker,
};

use proto::message::DeathReason;
use smallvec::SmallVec;
use tokio::task::AbortHandle;

use super::{PeerShared, State};
use crate::{
    dispatch::{self, Request},
    driver,
    remote::LocalObject,
    session::{Arrived, Event, Incoming, LinkId, OutgoingBulk, Reference},
};

#[derive(Default)]
pub(super) struct Work {
    wakers: SmallVec<[Waker; 4]>,
    requests: SmallVec<[Request; 1]>,
    cancelled: SmallVec<[AbortHandle; 1]>,
    deaths: Vec<(DeathReason, Vec<LinkId>)>,
    released: Vec<LocalObject>,
    held: SmallVec<[Reference; 1]>,
    bulk: Vec<OutgoingBulk>,
    credit: SmallVec<[u16; 4]>,
    timer: bool,
}

impl State {
    /// Takes everything the session wants done.
    pub(super) fn drain(&mut self, peer: &Arc<PeerShared>, work: &mut Work) {
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

    fn take_event(&mut self, peer: &Arc<PeerShared>, event: Event, work: &mut Work) {
        match event {
            Event::Request(incoming) => {
                let Incoming {
                    serving,
                    target,
                    code,
                    one_way,
                    context,
                    nested,
                    parcel,
                } = incoming;
                let Arrived { body, raw, objects } = parcel;
                let objects = self.take_objects(peer, objects);
                work.requests.push(Request {
                    serving,
                    target,
                    code,
                    one_way,
                    context,
                    nested,
                    body,
                    raw,
                    objects,
                });
            }
            Event::Cancel(serving) => {
                let handler = self.handlers.get_mut(serving.slot());
                work.cancelled.extend(handler.and_then(Option::take));
            }
            Event::CallEnded(id) => {
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
                tracing::warn!(device = ?peer.remote.device, count, "peer refused one-way calls");
            }
            Event::PeerGoingAway => {
                tracing::debug!(device = ?peer.remote.device, "peer is going away");
            }
        }
    }
}

impl Work {
    pub(super) fn perform(self, peer: &PeerShared) {
        for waker in self.wakers {
            waker.wake();
        }
        if self.timer {
            peer.timer.notify_one();
        }
        for lane in self.credit {
            peer.credit[usize::from(lane)].notify_waiters();
        }
        for handler in self.cancelled {
            handler.abort();
        }
        for reference in self.held {
            reference.0.publish();
        }
        drop(self.released);
        let rare = !self.bulk.is_empty() || !self.deaths.is_empty() || !self.requests.is_empty();
        let Some(peer) = (if rare { peer.me.upgrade() } else { None }) else {
            return;
        };
        for bulk in self.bulk {
            driver::spawn_bulk(&peer, bulk);
        }
        serve_in_turn(&peer, self.requests);
        for (reason, links) in self.deaths {
            tell_recipients(&peer, reason, links);
        }
    }
}

/// A request and the session it came on.
type Waiting = (Arc<PeerShared>, Request);

thread_local! {
    /// Requests that wait for the one this thread is at; `None` while it is at none.
    static WAITING: RefCell<Option<VecDeque<Waiting>>> = const { RefCell::new(None) };
}

/// Serves requests one after the other. One that ends at once makes the session hand out the next one of its object,
/// and that happens in here: without the queue a thousand one-way calls would be served inside one another.
fn serve_in_turn(peer: &Arc<PeerShared>, requests: impl IntoIterator<Item = Request>) {
    let mut requests = requests
        .into_iter()
        .map(|request| (Arc::clone(peer), request))
        .peekable();
    if requests.peek().is_none() {
        return;
    }
    let mine = WAITING.with_borrow_mut(|waiting| {
        let mine = waiting.is_none();
        waiting.get_or_insert_default().extend(requests);
        mine
    });
    if !mine {
        return;
    }
    let turn = Turn;
    while let Some((peer, request)) =
        WAITING.with_borrow_mut(|waiting| waiting.as_mut().and_then(VecDeque::pop_front))
    {
        dispatch::serve(&peer, request);
    }
    drop(turn);
}

/// This thread is at a request. Ends by a panic too.
struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        // Dropped outside the borrow: what is left holds objects, whose end may be anybody's code.
        let left = WAITING.take();
        drop(left);
    }
}

/// Runs death recipients on a task of their own: somebody's code, which may take its time or panic.
fn tell_recipients(peer: &Arc<PeerShared>, reason: DeathReason, links: Vec<LinkId>) {
    if links.is_empty() {
        return;
    }
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
