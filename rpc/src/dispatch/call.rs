//! Requests of peers, from the moment in which a session hands them out.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Waker},
};

use bytes::Bytes;
use proto::{
    frame::{Extensions, Status},
    openharmony::code::DESCRIBE_TRANSACTION,
};

use super::{
    Failure, Job, Onward, built_in,
    gate::{Entry, Gate, Visit},
    guard::{Serving, Ways},
    one_way, pool, turn,
};
#[cfg(unix)]
use crate::dump;
use crate::{
    Denied, Parcel, describe, introduction,
    parcel::Slot,
    peer::{PeerShared, now},
    remote::{Execution, LocalObject},
    session::{Incoming, passing_rules::Party},
    telemetry::calls::Observed,
};

/// What a session hands out at a time.
pub(crate) enum Arrival {
    /// A two-way call.
    Call(Request),
    /// One-way calls of one object, in their order.
    OneWay(VecDeque<Request>),
}

/// A request with its objects in hand.
pub(crate) struct Request {
    pub(crate) incoming: Incoming,
    pub(crate) objects: Vec<Slot>,
}

/// Serves requests of a peer. Called outside every lock, from the task that read them.
pub(super) fn serve(peer: &Arc<PeerShared>, arrival: Arrival) {
    match arrival {
        Arrival::Call(request) => {
            if let Some(call) = Call::admit(peer, request) {
                call.start(peer);
            }
        }
        Arrival::OneWay(calls) => one_way::start(peer, calls),
    }
}

/// A request that was let in. Boxed from the beginning: it is handed on more often than it is looked at.
pub(super) struct Call {
    serving: Serving,
    entry: Entry,
    job: Job,
}

impl Call {
    /// Whether a request may run; if not, its caller is told, or it has been answered already.
    pub(super) fn admit(peer: &Arc<PeerShared>, request: Request) -> Option<Box<Self>> {
        let Request { incoming, objects } = request;
        let Incoming {
            serving,
            target,
            code,
            one_way,
            idempotent,
            mut context,
            nested,
            behalf,
            spoken,
            parcel,
        } = incoming;
        let observed = Observed::begin(peer, &target, code, one_way, &mut context);
        let span = observed.span();
        let behalf = behalf.map(|device| *device);
        let ways = Ways::new(peer, &target, behalf);
        let mut serving = Serving::new(Arc::clone(peer), serving, ways, observed);
        // For who calls through the host, the host has asked.
        if let (Some(registration), Some(device)) = (&target.registration, peer.remote_device())
            && !peer.may_call(device, registration, code)
        {
            target.stub.gate.refused_by_rule();
            peer.access()
                .refused(device, registration.service, Denied::Call(code));
            serving.refuse(Status::Refused.into());
            return None;
        }
        let is_relay = target.is_relay();
        if code == DESCRIBE_TRANSACTION && !is_relay {
            let asker = behalf.or_else(|| peer.remote_device());
            serving.answer(describe::answer(&target, asker).map_err(Into::into));
            return None;
        }
        if !is_relay && let Some(reply) = built_in(&target.stub, code) {
            serving.answer(reply.map_err(Into::into));
            return None;
        }
        #[cfg(unix)]
        if code == dump::CODE && !dump::may_ask(&peer.caller_of(behalf)) {
            target.stub.gate.refused_by_rule();
            serving.refuse(Status::Refused.into());
            return None;
        }
        let bytes = parcel.body.len() + parcel.raw.as_ref().map_or(0, Bytes::len);
        let Ok(mut data) = Parcel::from_wire(parcel.body, objects, parcel.raw) else {
            serving.refuse(Status::MalformedParcel.into());
            return None;
        };
        if target.stub.number() == LocalObject::ROOT && introduction::answers(code) && !one_way {
            let answer = introduction::serve(peer, code, &mut data);
            serving.answer(answer.map_err(Into::into));
            return None;
        }
        let visit = Visit {
            caller: behalf.map_or_else(|| peer.remote(), Party::host_of),
            chain: context.chain,
            depth: context.depth,
            registration: target.registration_number(),
            nested,
        };
        let LocalObject { stub, registration } = target;
        let entry = match Gate::enter(stub, visit, bytes) {
            Ok(entry) => entry,
            Err(refusal) => {
                serving.refuse(refusal.into());
                return None;
            }
        };
        // Either this sees that it was removed, or who removes it sees that this waits.
        if let Some(reason) = entry.stub().death_of(registration.as_deref()) {
            entry.stub().gate.refused_dead();
            serving.refuse(Status::Dead(reason).into());
            return None;
        }
        let mut reply = Parcel::new();
        if !one_way {
            reply.set_pass_check(peer.pass_check(behalf));
        }
        let job = Job {
            caller: peer.caller_of(behalf),
            code,
            data,
            reply,
            context,
            nested,
            span,
            passage: is_relay.then(|| {
                Box::new(Onward {
                    from: Arc::clone(peer),
                    spoken: spoken.map(|spoken| *spoken),
                    one_way,
                    idempotent,
                })
            }),
        };
        Some(Box::new(Self {
            serving,
            entry,
            job,
        }))
    }

    fn execution(&self) -> Execution {
        self.entry.stub().options().execution
    }

    /// Whether it runs where it arrived.
    pub(super) fn is_inline(&self) -> bool {
        self.execution() == Execution::Inline && self.entry.stub().gate.runs_inline()
    }

    /// Runs it, where it arrived or in a task of its own.
    fn start(self: Box<Self>, peer: &Arc<PeerShared>) {
        let id = self.serving.id();
        let task = if self.is_inline() {
            let Some(waiting) = self.run_here() else {
                return;
            };
            peer.runtime().spawn(waiting)
        } else {
            peer.runtime().spawn(self.run())
        };
        peer.set_handler(id, task.abort_handle());
    }

    /// One look where the request arrived. Returns a handler that has to wait: it goes on as a task, which looks again
    /// and leaves its waker.
    pub(super) fn run_here(
        self: Box<Self>,
    ) -> Option<Pin<Box<impl Future<Output = ()> + Send + use<>>>> {
        let stub = Arc::clone(self.entry.stub());
        let mut handler = Box::pin(self.run());
        let begun = turn::begin();
        let polled = handler
            .as_mut()
            .poll(&mut TaskContext::from_waker(Waker::noop()));
        let ended = now();
        turn::polled(ended);
        if stub.gate.ran_inline(ended - begun) {
            tracing::warn!(
                ?stub,
                "handlers too slow to run inline get tasks from now on"
            );
        }
        polled.is_pending().then_some(handler)
    }

    /// Runs the handler when it is its turn, and sends its answer.
    pub(super) async fn run(mut self: Box<Self>) {
        // All of it, its place in the queue too, belongs to the future.
        let call = &mut *self;
        let turn = poll_fn(|cx| call.entry.poll_turn(cx)).await;
        if let Err(refusal) = turn {
            call.entry.leave();
            return call.serving.refuse(refusal.into());
        }
        if call.execution() == Execution::Blocking {
            // Such a handler moves to another thread. What it holds there it holds until it has really ended.
            let (context, nested) = (call.job.context, call.job.nested);
            let work = async move { self.handle().await };
            pool::run(context, nested, work).await;
            return;
        }
        call.handle().await;
    }

    /// Runs the handler. It is its turn.
    async fn handle(&mut self) {
        let Self {
            serving,
            entry,
            job,
        } = self;
        let result = job.run(entry.stub()).await;
        // Whoever has the answer can count on the place being free.
        entry.leave();
        let reply = std::mem::take(&mut job.reply);
        serving.answer(result.map(|()| reply));
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let extensions = Extensions::default();
        Self { status, extensions }
    }
}
