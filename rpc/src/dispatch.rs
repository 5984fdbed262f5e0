//! Running handlers: who may call, in which order, on which task, and what becomes of the answer.

mod gate;
mod guard;
mod pool;

pub(crate) use gate::{Gate, next_chain};
pub use pool::blocking;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use crate::{
    Parcel,
    call::{CallOption, Caller},
    context::{self, WithContext},
    error::{HandlerError, SendRequestError},
    interface::Interface,
    limits,
    parcel::WriteParcelError,
    peer::{PeerShared, max_parcel, now},
    remote::{Execution, LocalObject, RemoteObject, StubCell},
    session::{Answer, Body, Context, ServingId},
};
use bytes::Bytes;
use gate::{Entry, Refusal, Visit};
use guard::Serving;
use proto::{
    frame::{ExtensionKind, Extensions, Status},
    openharmony::code::{INTERFACE_TRANSACTION, PING_TRANSACTION},
};

/// A request with its objects in hand.
pub(crate) struct Request {
    pub(crate) serving: ServingId,
    pub(crate) target: LocalObject,
    pub(crate) code: u32,
    pub(crate) one_way: bool,
    pub(crate) context: Context,
    /// It comes from where a handler of its chain waits.
    pub(crate) nested: bool,
    pub(crate) body: Bytes,
    pub(crate) raw: Option<Bytes>,
    pub(crate) objects: Vec<Option<RemoteObject>>,
}

/// Serves a request of a peer. Called outside every lock, from the task that read the request.
pub(crate) fn serve(peer: &Arc<PeerShared>, request: Request) {
    let Request {
        serving,
        target,
        code,
        one_way,
        context,
        nested,
        body,
        raw,
        objects,
    } = request;
    let serving = Serving::new(Arc::clone(peer), serving);
    let device = peer.remote().device;
    if target
        .registration
        .as_ref()
        .is_some_and(|registration| !registration.admits(device))
    {
        tracing::warn!(?device, service = ?target.registration(), "call refused");
        target.stub.gate.refused_by_rule();
        return serving.fail(Status::Refused, Extensions::default());
    }
    if let Some(reply) = built_in(&target.stub, code) {
        return serving.answer(reply.map_err(Into::into));
    }
    let bytes = body.len() + raw.as_ref().map_or(0, Bytes::len);
    let Ok(data) = Parcel::from_wire(body, objects, raw) else {
        return serving.fail(Status::MalformedParcel, Extensions::default());
    };
    let visit = Visit {
        caller: peer.remote(),
        chain: context.chain,
        registration: target.registration_number(),
        nested,
    };
    let entry = match Gate::enter(Arc::clone(&target.stub), visit, bytes) {
        Ok(entry) => entry,
        Err(refusal) => {
            tracing::debug!(?device, stub = ?target.stub, one_way, ?refusal, "not let in");
            return serving.answer(Err(refusal.into()));
        }
    };
    // Either this sees that it was removed, or who removes it sees that this waits.
    if let Some(reason) = target.death() {
        target.stub.gate.refused_dead();
        return serving.fail(Status::Dead(reason), Extensions::default());
    }
    let id = serving.id();
    let mut reply = Parcel::new();
    reply.set_pass_check(peer.pass_check());
    let job = Job {
        caller: peer.caller().clone(),
        code,
        data,
        reply,
        context,
        nested,
    };
    let stub = target.stub;
    match stub.options().execution {
        Execution::Blocking => {
            let task = peer.runtime().spawn(serve_on_pool(serving, entry, job));
            peer.set_handler(id, task.abort_handle());
        }
        Execution::Inline if stub.gate.runs_inline() => {
            // One look where the request arrived; who waits goes on as a task, which looks again and leaves its waker.
            let mut handler = Box::pin(serve_here(serving, entry, job));
            let begun = now();
            let polled = handler
                .as_mut()
                .poll(&mut TaskContext::from_waker(Waker::noop()));
            if stub.gate.ran_inline(now() - begun) {
                tracing::warn!(
                    ?stub,
                    "handlers too slow to run inline get tasks from now on"
                );
            }
            if polled.is_pending() {
                let task = peer.runtime().spawn(handler);
                peer.set_handler(id, task.abort_handle());
            }
        }
        _ => {
            let task = peer.runtime().spawn(serve_here(serving, entry, job));
            peer.set_handler(id, task.abort_handle());
        }
    }
}

/// What a handler is given.
struct Job {
    caller: Caller,
    code: u32,
    data: Parcel,
    reply: Parcel,
    context: Context,
    nested: bool,
}

/// Runs a handler in the task that this is polled by.
async fn serve_here(serving: Serving, mut entry: Entry, job: Job) {
    let result = match entry.turn().await {
        Ok(()) => job.run(entry.stub()).await,
        Err(refusal) => Err(refusal.into()),
    };
    // Whoever has the answer can count on the place being free.
    drop(entry);
    serving.answer(result);
}

/// Runs a handler on a thread of the pool. What it holds there it holds until it has really ended.
async fn serve_on_pool(serving: Serving, mut entry: Entry, job: Job) {
    if let Err(refusal) = entry.turn().await {
        drop(entry);
        return serving.answer(Err(refusal.into()));
    }
    let (context, nested) = (job.context, job.nested);
    let work = async move {
        let result = job.run(entry.stub()).await;
        drop(entry);
        serving.answer(result);
    };
    pool::run(context, nested, work).await;
}

impl Job {
    /// Runs a stub's handler. It is its turn.
    async fn run(mut self, stub: &StubCell) -> Result<Parcel, Failure> {
        let Self { code, context, .. } = self;
        let request =
            stub.stub
                .on_remote_request(&self.caller, code, &mut self.data, &mut self.reply);
        let request = WithContext::new(context, self.nested, request);
        match (CatchPanic { future: request }).await {
            Some(Ok(())) => Ok(self.reply),
            Some(Err(error)) => Err(error.into()),
            None => {
                tracing::error!(?stub, code, "handler panicked");
                Err(Failure {
                    status: Status::Panicked,
                    extensions: Extensions::default(),
                })
            }
        }
    }
}

/// What every stub answers without its own doing.
fn built_in(stub: &StubCell, code: u32) -> Option<Result<Parcel, HandlerError>> {
    let mut reply = Parcel::new();
    let written = match code {
        PING_TRANSACTION => reply.write_i32(0),
        INTERFACE_TRANSACTION => reply.write_string16(stub.descriptor()),
        _ => return None,
    };
    Some(written.map(|()| reply).map_err(HandlerError::from))
}

/// A status with its details, as it goes into a reply.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) extensions: Extensions,
}

impl From<HandlerError> for Failure {
    /// The one place that turns a handler's answer into a status.
    fn from(error: HandlerError) -> Self {
        let mut extensions = Extensions::default();
        let status = match error {
            HandlerError::Code(code) => Status::App(code),
            HandlerError::UnknownMethod => Status::UnknownMethod,
            HandlerError::InterfaceMismatch => Status::InterfaceMismatch,
            HandlerError::Refused => Status::Refused,
            HandlerError::Busy { retry_after } => {
                extensions = with_retry_after(extensions, retry_after);
                Status::Busy
            }
            HandlerError::Arguments(_) => Status::MalformedParcel,
            HandlerError::Reply(WriteParcelError::Pass(_)) => Status::PassRefused,
            HandlerError::Reply(WriteParcelError::CapacityExceeded { .. }) => Status::ReplyTooLarge,
            HandlerError::Reply(error) => {
                extensions = extensions.with(ExtensionKind::Text, error.to_string().as_bytes());
                Status::Internal
            }
            HandlerError::Failed(text) => {
                extensions = extensions.with(ExtensionKind::Text, text.as_bytes());
                Status::Internal
            }
        };
        Self { status, extensions }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy {
                limit,
                value,
                retry_after,
                ..
            } => Self {
                status: Status::Busy,
                extensions: with_retry_after(limit_reached(limit, value), retry_after),
            },
            Refusal::Dead(reason) => Self {
                status: Status::Dead(reason),
                extensions: Extensions::default(),
            },
        }
    }
}

/// In whole milliseconds, and never earlier than was said.
fn with_retry_after(extensions: Extensions, after: Option<Duration>) -> Extensions {
    let Some(after) = after else {
        return extensions;
    };
    let ms = u32::try_from(after.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
    extensions.with(ExtensionKind::RetryAfter, &ms.to_le_bytes())
}

impl Serving {
    /// Sends what the handler answered.
    fn answer(self, result: Result<Parcel, Failure>) {
        let reply = match result {
            Ok(reply) => reply,
            Err(Failure { status, extensions }) => return self.fail(status, extensions),
        };
        let parts = reply.wire_parts();
        let body = Body {
            parts: [parts.data, &parts.offsets],
            raw: parts.raw,
        };
        let largest = max_parcel(self.peer().scope());
        if body.len() > largest {
            let extensions = limit_reached(largest as u64, body.len() as u64);
            return self.fail(Status::ReplyTooLarge, extensions);
        }
        let mut objects = Vec::new();
        for object in parts.objects {
            // Checked when it was written; what has died since is refused here.
            match object.as_ref().map(|object| self.peer().pass(object)) {
                None => objects.push(crate::session::Outgoing::Null),
                Some(Ok(outgoing)) => objects.push(outgoing),
                Some(Err(_)) => return self.fail(Status::PassRefused, Extensions::default()),
            }
        }
        self.end(&Answer::Parcel {
            body,
            objects: &objects,
        });
    }

    fn fail(self, status: Status, extensions: Extensions) {
        self.end(&Answer::Error { status, extensions });
    }
}

fn limit_reached(limit: u64, value: u64) -> Extensions {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&limit.to_le_bytes());
    bytes[8..].copy_from_slice(&value.to_le_bytes());
    Extensions::default().with(ExtensionKind::Limit, &bytes)
}

/// `None` when the future panicked: one handler's fault is its caller's error and nobody else's.
struct CatchPanic<F> {
    future: F,
}

impl<F: Future + Unpin> Future for CatchPanic<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<F::Output>> {
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.future).poll(cx))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    }
}

/// Calls a stub of this process, without a transport but with the same rules of order, limits and panics.
pub(crate) async fn call_local(
    target: &LocalObject,
    code: u32,
    interface: Option<&'static Interface>,
    data: &Parcel,
    option: CallOption,
) -> Result<Parcel, SendRequestError> {
    let stub = Arc::clone(&target.stub);
    if let Some(reason) = stub.death() {
        return Err(SendRequestError::DeadObject { reason });
    }
    if interface.is_some_and(|spoken| spoken.differs(target.descriptor(), target.methods(), code)) {
        return Err(SendRequestError::InterfaceMismatch);
    }
    if let Some(reply) = built_in(&stub, code) {
        return reply.map_err(|error| SendRequestError::Internal(error.to_string()));
    }
    let size = data.wire_parts();
    let bytes = size.data.len() + size.raw.map_or(0, Bytes::len);
    let data = received(data).ok_or(SendRequestError::MalformedRequest)?;
    let (context, wait) = local_context(option)?;
    let visit = Visit {
        caller: stub.home(),
        chain: context.chain,
        registration: 0,
        // A handler of this process makes the call, and waits for it.
        nested: context.depth > 0,
    };
    let failed = |failure: Failure| {
        let Failure { status, extensions } = failure;
        crate::peer::failure(code, status, &extensions)
    };
    let mut entry =
        Gate::enter(Arc::clone(&stub), visit, bytes).map_err(|refusal| failed(refusal.into()))?;
    let job = Job {
        caller: Caller::local(stub.home()),
        code,
        data,
        reply: Parcel::new(),
        context,
        nested: visit.nested,
    };
    let blocks = stub.options().execution == Execution::Blocking;
    let handler = async move {
        entry.turn().await?;
        if !blocks {
            return job.run(entry.stub()).await;
        }
        let (context, nested) = (job.context, job.nested);
        let work = async move { job.run(entry.stub()).await };
        let ended = pool::run(context, nested, work).await;
        ended.unwrap_or_else(|| {
            Err(Failure {
                status: Status::Cancelled,
                extensions: Extensions::default(),
            })
        })
    };
    if option.is_one_way() {
        stub.gate.one_way(Box::pin(async move {
            let _ = handler.await;
        }));
        return Ok(Parcel::new());
    }
    let result = match context.deadline {
        None => handler.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), handler)
            .await
            .map_err(|_| SendRequestError::TimedOut {
                after: wait.unwrap_or_default(),
            })?,
    };
    match result {
        Ok(reply) => received(&reply).ok_or(SendRequestError::MalformedReply),
        Err(failure) => Err(failed(failure)),
    }
}

/// A parcel as it would arrive: read from the beginning, and not to be written.
fn received(sent: &Parcel) -> Option<Parcel> {
    let parts = sent.wire_parts();
    let mut body = Vec::with_capacity(parts.data.len() + parts.offsets.len());
    body.extend_from_slice(parts.data);
    body.extend_from_slice(&parts.offsets);
    Parcel::from_wire(body.into(), parts.objects.to_vec(), parts.raw.cloned()).ok()
}

/// A local call has a deadline only if it asks for one or serves a call that has one.
fn local_context(option: CallOption) -> Result<(Context, Option<Duration>), SendRequestError> {
    let wait = option.wait_time();
    let own = wait.map(|wait| now() + wait);
    let context = match context::current() {
        None => Context {
            deadline: own,
            chain: next_chain(),
            depth: 0,
        },
        Some(outer) if outer.depth >= limits::MAX_CALL_DEPTH => {
            return Err(SendRequestError::TooDeep {
                limit: limits::MAX_CALL_DEPTH,
            });
        }
        Some(outer) => Context {
            deadline: [own, outer.deadline].into_iter().flatten().min(),
            chain: outer.chain,
            depth: outer.depth + 1,
        },
    };
    Ok((context, wait))
}
