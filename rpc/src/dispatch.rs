//! Running handlers: who may call, in which order, on which task, and what becomes of the answer.

mod gate;
mod guard;

pub(crate) use gate::{Gate, next_chain};

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use proto::{
    frame::{ExtensionKind, Extensions, Status},
    openharmony::code::{INTERFACE_TRANSACTION, PING_TRANSACTION},
};
use tokio::sync::Semaphore;

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
use guard::Serving;

/// A request with its objects in hand.
pub(crate) struct Request {
    pub(crate) serving: ServingId,
    pub(crate) target: LocalObject,
    pub(crate) code: u32,
    pub(crate) one_way: bool,
    pub(crate) context: Context,
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
        return serving.fail(Status::Refused, Extensions::default());
    }
    if let Some(reply) = built_in(&target.stub, code) {
        return serving.answer(reply.map_err(Into::into));
    }
    let Ok(data) = Parcel::from_wire(body, objects, raw) else {
        return serving.fail(Status::MalformedParcel, Extensions::default());
    };
    let stub = target.stub;
    let Some(entry) = stub.gate.enter() else {
        tracing::warn!(?device, stub = ?stub, one_way, "queue is full");
        return serving.fail(Status::Busy, limit(stub.options().queue));
    };
    let id = serving.id();
    let caller = peer.caller().clone();
    let mut reply = Parcel::new();
    reply.set_pass_check(peer.pass_check());
    let inline = stub.options().execution == Execution::Inline && stub.gate.runs_inline();
    let owner = Arc::clone(&stub);
    let handler = async move {
        let _entry = entry;
        let result = handle(&stub, &caller, code, data, reply, context).await;
        serving.answer(result);
    };
    if inline {
        // One look where the request arrived; who waits goes on as a task, which looks again and leaves its waker.
        let mut handler = Box::pin(handler);
        let begun = now();
        let polled = handler
            .as_mut()
            .poll(&mut TaskContext::from_waker(Waker::noop()));
        if owner.gate.ran_inline(now() - begun) {
            tracing::warn!(stub = ?owner, "handlers too slow to run inline get tasks from now on");
        }
        if polled.is_pending() {
            let task = peer.runtime().spawn(handler);
            peer.set_handler(id, task.abort_handle());
        }
    } else {
        let task = peer.runtime().spawn(handler);
        peer.set_handler(id, task.abort_handle());
    }
}

/// Runs a stub's handler once it is its turn.
async fn handle(
    stub: &StubCell,
    caller: &Caller,
    code: u32,
    mut data: Parcel,
    mut reply: Parcel,
    context: Context,
) -> Result<Parcel, Failure> {
    let _turn = stub.gate.turn(context.chain).await;
    let request = stub
        .stub
        .on_remote_request(caller, code, &mut data, &mut reply);
    let request = WithContext::new(context, request);
    match (CatchPanic { future: request }).await {
        Some(Ok(())) => Ok(reply),
        Some(Err(error)) => Err(error.into()),
        None => {
            tracing::error!(stub = ?stub, code, "handler panicked");
            Err(Failure {
                status: Status::Panicked,
                extensions: Extensions::default(),
            })
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
                if let Some(after) = retry_after {
                    let ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
                    extensions = extensions.with(ExtensionKind::RetryAfter, &ms.to_le_bytes());
                }
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
            return self.fail(Status::ReplyTooLarge, limit(largest));
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

fn limit(limit: usize) -> Extensions {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(limit as u64).to_le_bytes());
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
    let data = received(data).ok_or(SendRequestError::MalformedRequest)?;
    let Some(entry) = stub.gate.enter() else {
        let limit = Some(stub.options().queue as u64);
        return Err(SendRequestError::Busy {
            limit,
            retry_after: None,
        });
    };
    let (context, wait) = local_context(option)?;
    let caller = Caller::local(stub.home());
    if option.is_one_way() {
        let queue = Arc::clone(&stub);
        queue.gate.one_way(Box::pin(async move {
            let _entry = entry;
            let _ = handle(&stub, &caller, code, data, Parcel::new(), context).await;
        }));
        return Ok(Parcel::new());
    }
    let handler = async {
        let _entry = entry;
        handle(&stub, &caller, code, data, Parcel::new(), context).await
    };
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
        Err(Failure { status, extensions }) => Err(crate::peer::failure(code, status, &extensions)),
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
fn local_context(
    option: CallOption,
) -> Result<(Context, Option<std::time::Duration>), SendRequestError> {
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

/// Runs a blocking handler on the pool, at most [`limits::BLOCKING_THREADS`] at a time in this process, with the
/// context of the call it serves.
pub async fn blocking<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    static POOL: Semaphore = Semaphore::const_new(limits::BLOCKING_THREADS);
    let context = context::current();
    // The semaphore is never closed.
    let permit = POOL.acquire().await;
    let done = tokio::task::spawn_blocking(move || context::enter(context, run)).await;
    drop(permit);
    match done {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down; the task that waits is about to be dropped with it.
            Err(_) => std::future::pending().await,
        },
    }
}
