//! A call that somebody watches, from its beginning to its end, at either of its two ends.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use proto::{
    ServiceId,
    frame::Status,
    openharmony::code::{INTERFACE_TRANSACTION, PING_TRANSACTION},
};
use tracing::Span;

use super::{
    CallStatus, TraceContext, metrics, refusals, slow, spans,
    trace::{self, Propagator},
};
use crate::{
    Parcel,
    call::CallOption,
    context,
    error::SendRequestError,
    interface::Interface,
    peer::{PeerShared, now},
    remote::{LocalObject, RemoteProxy},
    session::{Context, Served},
};

/// Which method is called, in words.
#[derive(Debug)]
pub(super) struct Method {
    /// The descriptor, or what is known instead of it.
    pub(super) interface: Cow<'static, str>,
    pub(super) service: Option<ServiceId>,
    pub(super) code: u32,
}

impl Method {
    /// As `rpc.method` has it: interface and method.
    pub(super) fn full_name(&self) -> String {
        let Self {
            interface, code, ..
        } = self;
        match *code {
            PING_TRANSACTION => format!("{interface}/ping"),
            INTERFACE_TRANSACTION => format!("{interface}/descriptor"),
            code => format!("{interface}/{code}"),
        }
    }
}

/// At which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Client,
    Server,
}

/// A call while somebody watches it. How it ended is told when it is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    span: Span,
    end: End,
    method: Method,
    /// Set while metrics are on.
    began: Option<Instant>,
    status: CallStatus,
    code: Option<i32>,
}

impl Watched {
    fn new(end: End, method: Method, span: Span) -> Box<Self> {
        Box::new(Self {
            span,
            end,
            method,
            began: metrics::is_enabled().then(now),
            // Whoever drops a call where it stands cancels it.
            status: CallStatus::Cancelled,
            code: None,
        })
    }

    /// How it ended, and with which code of the service's own.
    fn set_status(&mut self, status: CallStatus, code: Option<i32>) {
        (self.status, self.code) = (status, code);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        spans::record_end(&self.span, &self.method, self.end, self.status, self.code);
        if let Some(began) = self.began {
            let took = now().saturating_duration_since(began);
            metrics::call_ended(self.end, &self.method, self.status, took);
        }
    }
}

/// A call about to be made: who watches it, and the trace it belongs to from here on.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    pub(crate) watched: Option<Box<Watched>>,
    /// `None` leaves it as inherited.
    pub(crate) trace: Option<TraceContext>,
}

/// Whether anybody wants to know of calls.
#[inline]
fn anybody_listens() -> bool {
    metrics::is_enabled() || spans::are_enabled() || trace::propagator().is_some()
}

/// A call of ours begins.
#[inline]
pub(crate) fn client(
    proxy: &RemoteProxy,
    code: u32,
    interface: Option<&'static Interface>,
    option: CallOption,
) -> Begun {
    if !anybody_listens() {
        return Begun::default();
    }
    watch_client(proxy, code, interface, option)
}

#[cold]
fn watch_client(
    proxy: &RemoteProxy,
    code: u32,
    interface: Option<&'static Interface>,
    option: CallOption,
) -> Begun {
    let service = proxy.service();
    let method = Method {
        interface: match (interface, service) {
            (Some(interface), _) => Cow::Borrowed(interface.descriptor),
            (None, Some(service)) => Cow::Owned(service.to_string()),
            (None, None) => Cow::Borrowed("anonymous"),
        },
        service,
        code,
    };
    let inherited = context::current().and_then(|context| context.trace);
    let (span, trace) = match (trace::propagator(), inherited) {
        (Some(propagator), _) => {
            let span = spans::client(&proxy.0.peer, &method, option, None);
            (span.clone(), inject(propagator, &span))
        }
        // Who began the trace does not want it recorded.
        (None, Some(trace)) if !trace.is_sampled() => (Span::none(), None),
        (None, _) if !spans::are_enabled() => (Span::none(), None),
        (None, parent) => {
            let own = parent.map_or_else(TraceContext::root, TraceContext::child);
            let ids = Some((own, parent));
            (
                spans::client(&proxy.0.peer, &method, option, ids),
                Some(own),
            )
        }
    };
    Begun {
        watched: Some(Watched::new(End::Client, method, span)),
        trace,
    }
}

/// A call of ours has ended.
#[inline]
pub(crate) fn client_ended(
    proxy: &RemoteProxy,
    code: u32,
    watched: Option<Box<Watched>>,
    result: &Result<Parcel, SendRequestError>,
) {
    if let Err(error) = result {
        refusals::at_caller(&proxy.0.peer, code, proxy.service(), error);
    }
    if let Some(mut watched) = watched {
        match result {
            Ok(_) => watched.set_status(CallStatus::Ok, None),
            Err(SendRequestError::Service(code)) => {
                watched.set_status(CallStatus::Service, Some(*code));
            }
            Err(error) => watched.set_status(error.into(), None),
        }
    }
}

/// How far a caller's clock, and the way of its cancel, may be ahead of ours.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

/// What there is to tell of a request when it has ended.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    code: u32,
    service: Option<ServiceId>,
    deadline: Option<Instant>,
    watched: Option<Box<Watched>>,
}

impl Observed {
    /// A call of a peer's begins to be served. Its context becomes that of the span in which it is served.
    #[inline]
    pub(crate) fn begin(
        peer: &PeerShared,
        target: &LocalObject,
        code: u32,
        one_way: bool,
        context: &mut Context,
    ) -> Self {
        let watched = anybody_listens().then(|| watch_server(peer, target, code, one_way, context));
        Self {
            code,
            service: target.registration(),
            deadline: context.deadline,
            watched,
        }
    }

    /// The span that the handler runs in: none unless somebody watches.
    pub(crate) fn span(&self) -> Span {
        let watched = self.watched.as_ref();
        watched.map_or_else(Span::none, |watched| watched.span.clone())
    }

    /// It has ended.
    pub(crate) fn ended(&mut self, peer: &PeerShared, status: Status, served: Option<Served>) {
        if let Some(served) = served {
            let took = now().saturating_duration_since(served.since);
            if took >= peer.slow_thresholds().handler {
                slow::handler(peer, self.code, self.service, took, served.was_stuck);
            }
        }
        let status = self.really(status);
        if status != Status::Ok {
            refusals::at_callee(peer, self.code, self.service, status);
        }
        if let Some(mut watched) = self.watched.take() {
            let code = match status {
                Status::App(code) => Some(code),
                _ => None,
            };
            watched.set_status(status.into(), code);
        }
    }

    /// A handler whose time is over is stopped by our clock or by the caller's cancel, whichever is earlier: it is the
    /// same end.
    fn really(&self, status: Status) -> Status {
        let over = || self.deadline.is_some_and(|due| now() + CLOCK_SLACK >= due);
        match status {
            Status::Cancelled if over() => Status::Expired,
            status => status,
        }
    }
}

#[cold]
fn watch_server(
    peer: &PeerShared,
    target: &LocalObject,
    code: u32,
    one_way: bool,
    context: &mut Context,
) -> Box<Watched> {
    let method = Method {
        interface: Cow::Owned(target.descriptor().to_owned()),
        service: target.registration(),
        code,
    };
    let span = match (trace::propagator(), context.trace) {
        (Some(propagator), parent) => {
            let span = spans::server(peer, &method, one_way, None);
            if let (Some(parent), false) = (parent, span.is_disabled()) {
                propagator.extract(&span, parent);
            }
            if !span.is_disabled()
                && let Some(own) = propagator.inject(&span)
            {
                context.trace = Some(own);
            }
            span
        }
        (None, Some(trace)) if !trace.is_sampled() => Span::none(),
        (None, _) if !spans::are_enabled() => Span::none(),
        (None, parent) => {
            let own = parent.map_or_else(TraceContext::root, TraceContext::child);
            context.trace = Some(own);
            spans::server(peer, &method, one_way, Some((own, parent)))
        }
    };
    Watched::new(End::Server, method, span)
}

/// What the propagator sends along: the span of the call, or of whoever makes it.
fn inject(propagator: &dyn Propagator, span: &Span) -> Option<TraceContext> {
    if span.is_disabled() {
        propagator.inject(&Span::current())
    } else {
        propagator.inject(span)
    }
}
