//! What a thread is at: requests that wait for the one it serves, and answers that are given to their session together.
//!
//! A lane brings many requests at a time. Those that end where they arrived are answered under one lock and with one
//! write, instead of each with its own.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use proto::frame::{Extensions, Status};

use super::call::{self, Arrival};
use crate::{
    Parcel,
    peer::PeerShared,
    session::{Answer, Body, Outgoing, ServingId},
    telemetry::calls::Observed,
};

/// How many answers wait for one another.
const MAX_ANSWERS: usize = 64;
/// And how many bytes of them.
const MAX_BYTES: usize = 32 * 1024;
/// And how long the first of them.
const MAX_WAIT: Duration = Duration::from_micros(100);

thread_local! {
    static TURN: RefCell<Turn> = const { RefCell::new(Turn::new()) };
}

struct Turn {
    /// The thread is at requests.
    begun: bool,
    /// What sessions brought.
    arrivals: VecDeque<(Arc<PeerShared>, Vec<Arrival>)>,
    answers: Vec<Answered>,
    /// Bytes of `answers`.
    bytes: usize,
    /// When the first of `answers` was there, as far as somebody has looked at the clock.
    since: Option<Instant>,
    /// The clock as it was last read, if nothing has happened since that takes time.
    clock: Option<Instant>,
}

/// A request that has ended.
pub(super) struct Answered {
    pub(super) peer: Arc<PeerShared>,
    pub(super) id: ServingId,
    pub(super) reply: Reply,
    pub(super) observed: Observed,
}

/// What its caller is told.
pub(super) enum Reply {
    Parcel {
        parcel: Parcel,
        objects: Option<Box<Objects>>,
    },
    Failed {
        status: Status,
        extensions: Extensions,
    },
    /// No handler has run.
    Refused {
        status: Status,
        extensions: Extensions,
    },
}

impl Turn {
    const fn new() -> Self {
        Self {
            begun: false,
            arrivals: VecDeque::new(),
            answers: Vec::new(),
            bytes: 0,
            since: None,
            clock: None,
        }
    }
}

/// The objects of a reply.
pub(super) struct Objects {
    /// Where they are, as the parcel travels.
    pub(super) offsets: Vec<u8>,
    /// What stands for them.
    pub(super) outgoing: Vec<Outgoing>,
}

/// Serves what a session brought, one after the other, and what becomes ready because of it: a request that ends makes
/// the session hand out the next ones of its object, and without the queue they would be served inside one another.
pub(crate) fn serve_in_turn(peer: &Arc<PeerShared>, arrivals: Vec<Arrival>) {
    if arrivals.is_empty() {
        return;
    }
    let mine = TURN.with_borrow_mut(|turn| {
        turn.arrivals.push_back((Arc::clone(peer), arrivals));
        !std::mem::replace(&mut turn.begun, true)
    });
    if mine {
        let guard = Guard;
        work_off();
        drop(guard);
    }
}

/// A future that ends requests: those that end in one poll are answered together.
pub(super) async fn together(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let mine = TURN.with_borrow_mut(|turn| !std::mem::replace(&mut turn.begun, true));
        let guard = mine.then_some(Guard);
        let polled = future.as_mut().poll(cx);
        if guard.is_some() {
            work_off();
        }
        polled
    })
    .await;
}

/// Serves what waits until nothing does, and gives the answers.
fn work_off() {
    loop {
        let next = TURN.with_borrow_mut(|turn| turn.arrivals.pop_front());
        match next {
            Some((peer, arrivals)) => {
                for arrival in arrivals {
                    call::serve(&peer, arrival);
                    give_answers_due();
                }
            }
            None if give_answers() => {}
            None => return,
        }
    }
}

/// A request has ended: answered together with others where this thread is at more of them, at once otherwise.
pub(super) fn end(mut answered: Answered) {
    let begun = TURN.with_borrow(|turn| turn.begun);
    if !begun {
        return tell(std::slice::from_mut(&mut answered));
    }
    TURN.with_borrow_mut(|turn| {
        turn.bytes += answered.reply.len();
        turn.answers.push(answered);
    });
}

/// Gives answers that have waited for others long enough.
pub(super) fn give_answers_due() {
    let due = TURN.with_borrow(|turn| {
        let waited = turn.clock.zip(turn.since);
        turn.answers.len() >= MAX_ANSWERS
            || turn.bytes >= MAX_BYTES
            || waited.is_some_and(|(now, since)| now - since >= MAX_WAIT)
    });
    if due {
        give_answers();
    }
}

/// Gives the answers that wait, if there are any.
fn give_answers() -> bool {
    let mut answers = TURN.with_borrow_mut(|turn| {
        (turn.bytes, turn.since, turn.clock) = (0, None, None);
        std::mem::take(&mut turn.answers)
    });
    if answers.is_empty() {
        return false;
    }
    for of_one_peer in answers.chunk_by_mut(|a, b| Arc::ptr_eq(&a.peer, &b.peer)) {
        tell(of_one_peer);
    }
    answers.clear();
    TURN.with_borrow_mut(|turn| {
        if turn.answers.is_empty() {
            // Its memory is for the next ones.
            turn.answers = answers;
        }
    });
    true
}

fn tell(answers: &mut [Answered]) {
    let Some(peer) = answers.first().map(|answered| Arc::clone(&answered.peer)) else {
        return;
    };
    let ended = answers.iter();
    let slow = peer.finish_all(ended.map(|answered| (answered.id, answered.reply.answer())));
    for answered in answers {
        let served = slow.iter().find(|(id, _)| *id == answered.id);
        let status = answered.reply.status();
        let served = served.map(|(_, served)| *served);
        answered.observed.ended(&peer, status, served);
    }
}

/// The time at which a handler that runs where its request arrived begins: when the one before it ended, if that was
/// just now.
pub(super) fn begin() -> Instant {
    let known = TURN.with_borrow_mut(|turn| turn.clock.take());
    known.unwrap_or_else(crate::peer::now)
}

/// One has been polled, until `now`.
pub(super) fn polled(now: Instant) {
    TURN.with_borrow_mut(|turn| {
        if turn.begun {
            turn.clock = Some(now);
            turn.since.get_or_insert(now);
        }
    });
}

impl Reply {
    fn status(&self) -> Status {
        match self {
            Self::Parcel { .. } => Status::Ok,
            Self::Failed { status, .. } | Self::Refused { status, .. } => *status,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Parcel { parcel, .. } => parcel.data_size(),
            Self::Failed { .. } | Self::Refused { .. } => 0,
        }
    }

    fn answer(&self) -> Answer<'_> {
        match self {
            Self::Parcel { parcel, objects } => {
                let parts = parcel.wire_parts();
                let (offsets, objects) = match objects {
                    Some(objects) => (&objects.offsets[..], &objects.outgoing[..]),
                    None => Default::default(),
                };
                Answer::Parcel {
                    body: Body {
                        parts: [parts.data, offsets],
                        raw: parts.raw,
                    },
                    objects,
                }
            }
            Self::Failed { status, extensions } => Answer::Error {
                status: *status,
                extensions: extensions.clone(),
            },
            Self::Refused { status, extensions } => Answer::Refused {
                status: *status,
                extensions: extensions.clone(),
            },
        }
    }
}

/// This thread is at a request. Ends by a panic too.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        // What has ended is answered whatever happened to the others. Dropped outside the borrow: what is left holds
        // objects, whose end may be anybody's code.
        give_answers();
        let left = TURN.with_borrow_mut(|turn| {
            turn.begun = false;
            turn.clock = None;
            std::mem::take(&mut turn.arrivals)
        });
        drop(left);
    }
}
