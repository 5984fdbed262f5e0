//! One-way calls of one object: one after the other, and many of them in one task.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Instant,
};

use proto::frame::Status;

use super::{
    call::{Call, Request},
    guard::{Serving, Ways},
    turn,
};
use crate::{
    peer::{PeerShared, now},
    telemetry::calls::Observed,
};

/// How many calls run before others on this thread do.
const CALLS_PER_POLL: usize = 32;

/// Calls that the session handed out together. When it is dropped, those that have not begun are refused.
pub(super) struct Run {
    peer: Arc<PeerShared>,
    calls: VecDeque<Request>,
}

/// Runs them, where they arrived as far as their stub asks for that.
pub(super) fn start(peer: &Arc<PeerShared>, calls: VecDeque<Request>) {
    let peer = Arc::clone(peer);
    let mut run = Run { peer, calls };
    while let Some((call, deadline)) = run.next(turn::begin) {
        let runtime = run.peer.runtime().clone();
        if !call.is_inline() {
            runtime.spawn(turn::together(run.work_off(call, deadline)));
            return;
        }
        if let Some(waiting) = call.run_here() {
            runtime.spawn(turn::together(run.go_on(waiting, deadline)));
            return;
        }
        turn::give_answers_due();
    }
}

impl Run {
    /// The next call that may begin, and when it has to have ended.
    fn next(&mut self, clock: impl Fn() -> Instant) -> Option<(Box<Call>, Option<Instant>)> {
        while let Some(request) = self.calls.pop_front() {
            let deadline = request.incoming.context.deadline;
            let status = if self.peer.is_over() {
                Some(Status::Cancelled)
            } else if let Some(reason) = request.incoming.target.death() {
                Some(Status::Dead(reason))
            } else {
                deadline
                    .is_some_and(|deadline| deadline <= clock())
                    .then_some(Status::Expired)
            };
            if let Some(status) = status {
                refuse(&self.peer, request, status);
            } else if let Some(call) = Call::admit(&self.peer, request) {
                return Some((call, deadline));
            }
        }
        None
    }

    async fn work_off(mut self, first: Box<Call>, deadline: Option<Instant>) {
        let mut next = Some((first, deadline));
        let mut begun = 0;
        while let Some((call, deadline)) = next {
            watch(&self.peer, deadline, pin!(call.run())).await;
            begun += 1;
            if begun % CALLS_PER_POLL == 0 {
                tokio::task::yield_now().await;
            }
            next = self.next(now);
        }
    }

    /// The same after a call that began where it arrived and has to wait.
    async fn go_on(
        mut self,
        waiting: Pin<Box<dyn Future<Output = ()> + Send>>,
        until: Option<Instant>,
    ) {
        watch(&self.peer, until, waiting).await;
        if let Some((call, deadline)) = self.next(now) {
            self.work_off(call, deadline).await;
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for request in std::mem::take(&mut self.calls) {
            refuse(&self.peer, request, Status::Cancelled);
        }
    }
}

fn refuse(peer: &Arc<PeerShared>, request: Request, status: Status) {
    let mut incoming = request.incoming;
    let (code, context) = (incoming.code, &mut incoming.context);
    let observed = Observed::begin(peer, &incoming.target, code, true, context);
    let ways = Ways::new(peer, &incoming.target, incoming.behalf.as_deref().copied());
    let mut serving = Serving::new(Arc::clone(peer), incoming.serving, ways, observed);
    serving.refuse(status.into());
}

/// Waits for a handler, until its deadline or the end of the session; most need no waiting.
async fn watch(
    peer: &PeerShared,
    deadline: Option<Instant>,
    mut handler: impl Future<Output = ()> + Unpin,
) {
    let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut handler).poll(cx))).await;
    if first.is_ready() {
        return;
    }
    let expired = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        _ = peer.ended() => {}
        () = expired => {}
        () = handler => {}
    }
}
