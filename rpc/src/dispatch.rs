//! Running handlers: who may call, in which order, on which task, and what becomes of the answer.

mod call;
mod gate;
mod guard;
mod guests;
mod one_way;
mod pool;
mod turn;

pub(crate) use call::{Arrival, Request};
pub(crate) use gate::{Gate, next_chain};
pub use guests::{lend_thread, take_back_thread};
pub use pool::{blocking, raise_blocking_threads};
pub(crate) use turn::serve_in_turn;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

#[cfg(unix)]
use crate::dump;
use crate::{
    Parcel,
    call::{CallOption, Caller},
    context, describe,
    error::{HandlerError, SendRequestError},
    interface::{Interface, Spoken},
    parcel::WriteParcelError,
    peer::{PeerShared, now},
    relay::Passage,
    remote::{Execution, LocalObject, StubCell},
    session::Context,
};
use bytes::Bytes;
use gate::{Refusal, Visit};
use proto::{
    frame::{ExtensionKind, Extensions, Status},
    openharmony::code::{DESCRIBE_TRANSACTION, INTERFACE_TRANSACTION, PING_TRANSACTION},
};
use tracing::{Instrument, Span};

/// What a handler is given.
struct Job {
    caller: Caller,
    code: u32,
    data: Parcel,
    reply: Parcel,
    context: Context,
    nested: bool,
    span: Span,
    /// What is needed to pass it on, when that is what is to be done.
    passage: Option<Box<Onward>>,
}

/// What of a request only who passes it on has to know.
struct Onward {
    from: Arc<PeerShared>,
    spoken: Option<Spoken>,
    one_way: bool,
    idempotent: bool,
}

impl Job {
    /// Runs a stub's handler. It is its turn.
    async fn run(&mut self, stub: &StubCell) -> Result<(), Failure> {
        let Self {
            code,
            context,
            nested,
            ..
        } = *self;
        let span = std::mem::replace(&mut self.span, Span::none());
        let Some(stub_itself) = stub.stub() else {
            return Box::pin(self.pass_on(stub).instrument(span)).await;
        };
        let mut request = match code {
            #[cfg(unix)]
            dump::CODE => {
                let execution = stub.options().execution;
                Box::pin(dump::run(stub_itself, execution, &mut self.data))
            }
            _ => stub_itself.on_remote_request(&self.caller, code, &mut self.data, &mut self.reply),
        };
        if !span.is_none() {
            request = Box::pin(request.instrument(span));
        }
        // The context is there whenever the handler runs, and one that panics is its caller's error and nobody else's.
        let handled = poll_fn(|cx| {
            let poll = || context::within(context, nested, || request.as_mut().poll(cx));
            match catch_unwind(AssertUnwindSafe(poll)) {
                Ok(Poll::Ready(result)) => Poll::Ready(Some(result)),
                Ok(Poll::Pending) => Poll::Pending,
                Err(_) => Poll::Ready(None),
            }
        });
        match handled.await {
            Some(result) => Ok(result?),
            None => {
                tracing::error!(?stub, code, "handler panicked");
                Err(Status::Panicked.into())
            }
        }
    }
}

impl Job {
    /// Has the stub, which is a relay, pass the request on.
    async fn pass_on(&mut self, stub: &StubCell) -> Result<(), Failure> {
        let (Some(relay), Some(onward)) = (stub.as_relay(), &self.passage) else {
            // This process holds what the relay forwards to, and never the relay.
            return Err(Status::Refused.into());
        };
        let passage = Passage {
            from: &onward.from,
            caller: &self.caller,
            code: self.code,
            spoken: &onward.spoken,
            one_way: onward.one_way,
            idempotent: onward.idempotent,
            context: self.context,
            data: &mut self.data,
        };
        let (context, nested) = (self.context, self.nested);
        let mut passed_on = pin!(relay.pass_on(passage));
        let polled = poll_fn(|cx| context::within(context, nested, || passed_on.as_mut().poll(cx)));
        self.reply = polled.await?;
        Ok(())
    }
}

/// What every stub answers without its own doing.
fn built_in(stub: &StubCell, code: u32) -> Option<Result<Parcel, HandlerError>> {
    let mut reply = Parcel::new();
    let written = match code {
        PING_TRANSACTION => reply.write_i32(0),
        INTERFACE_TRANSACTION => {
            // A long one takes twice its length in UTF-16.
            reply.raise_to_transport_limit();
            reply.write_string16(stub.descriptor())
        }
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
pub(crate) fn with_retry_after(extensions: Extensions, after: Option<Duration>) -> Extensions {
    let Some(after) = after else {
        return extensions;
    };
    let ms = u32::try_from(after.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
    extensions.with(ExtensionKind::RetryAfter, &ms.to_le_bytes())
}

pub(crate) fn limit_reached(limit: u64, value: u64) -> Extensions {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&limit.to_le_bytes());
    bytes[8..].copy_from_slice(&value.to_le_bytes());
    Extensions::default().with(ExtensionKind::Limit, &bytes)
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
    if code == DESCRIBE_TRANSACTION {
        return match describe::answer(target, None) {
            Ok(reply) => received(&reply).ok_or(SendRequestError::MalformedReply),
            Err(error) => {
                let Failure { status, extensions } = error.into();
                Err(crate::peer::failure(code, status, &extensions))
            }
        };
    }
    if let Some(reply) = built_in(&stub, code) {
        return reply.map_err(|error| SendRequestError::Internal(error.to_string()));
    }
    let size = data.wire_parts();
    let bytes = size.data.len() + size.raw.map_or(0, Bytes::len);
    let data = received(data).ok_or(SendRequestError::MalformedRequest)?;
    // A deadline only if it asks for one, or serves a call that has one.
    let wait = option.wait_time();
    let context = context::child(wait.map(|wait| now() + wait), None)?;
    let visit = Visit {
        caller: stub.home(),
        chain: context.chain,
        depth: context.depth,
        registration: 0,
        // A handler of this process makes the call, and waits for it unless it is one-way.
        nested: context.depth > 0 && !option.is_one_way(),
    };
    let failed = |failure: Failure| {
        let Failure { status, extensions } = failure;
        crate::peer::failure(code, status, &extensions)
    };
    let mut entry =
        Gate::enter(Arc::clone(&stub), visit, bytes).map_err(|refusal| failed(refusal.into()))?;
    let mut job = Job {
        caller: Caller::local(stub.home()),
        code,
        data,
        reply: Parcel::new(),
        context,
        nested: visit.nested,
        // What runs in the caller's task is in its span.
        span: Span::none(),
        passage: None,
    };
    let blocks = stub.options().execution == Execution::Blocking;
    let handler = async move {
        poll_fn(|cx| entry.poll_turn(cx)).await?;
        if !blocks {
            let result = job.run(entry.stub()).await;
            return result.map(|()| job.reply);
        }
        let (context, nested) = (job.context, job.nested);
        let work = async move {
            let result = job.run(entry.stub()).await;
            result.map(|()| job.reply)
        };
        let ended = pool::run(context, nested, work).await;
        ended.unwrap_or_else(|| {
            Err(Failure {
                status: Status::Cancelled,
                extensions: Extensions::default(),
            })
        })
    };
    if option.is_one_way() {
        let deadline = context.deadline;
        stub.gate.one_way(Box::pin(async move {
            match deadline {
                None => drop(handler.await),
                // It waited too long for those before it.
                Some(deadline) if deadline <= now() => {}
                Some(deadline) => drop(tokio::time::timeout_at(deadline.into(), handler).await),
            }
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
