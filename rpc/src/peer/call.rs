//! Calling: from a parcel and an option to a reply.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::{
    CallId, DeviceId,
    frame::{ExtensionKind, Extensions, Status},
};

use super::{Passed, PeerShared, State, held_back::Turn, now};
use crate::{
    Parcel,
    call::CallOption,
    context,
    error::SendRequestError,
    interface::{Interface, Spoken},
    introduction, limits,
    parcel::{PassObjectError, Slot},
    relay::Place,
    session::{
        Arrived, Body, CallRequest, Context, ImportKey, Outcome, Outgoing, Scope, StartCallError,
    },
    telemetry::TraceContext,
};

/// A call about to be made.
#[derive(Clone, Copy)]
pub(crate) struct Making<'a> {
    pub(crate) target: ImportKey,
    /// The device of the target, when the peer relays for it.
    pub(crate) beyond: Option<&'a DeviceId>,
    pub(crate) code: u32,
    pub(crate) interface: Option<&'static Interface>,
    pub(crate) option: CallOption,
    /// It is somebody else's, and is passed on.
    pub(crate) relayed: Option<&'a Relayed>,
}

/// What a call that is passed on brings along.
pub(crate) struct Relayed {
    /// That of the call: it is the same one.
    pub(crate) context: Context,
    /// The device that makes it, if it is not ours.
    pub(crate) behalf: Option<DeviceId>,
    /// What its caller speaks.
    pub(crate) spoken: Option<Spoken>,
}

/// A call after the first look at it.
pub(crate) enum Begun<'a> {
    /// Its answer is waited for; the waker has been left.
    Sent(Call<'a>),
    /// It is on its way, and that is all.
    OneWay,
    /// It cannot be sent yet: [`PeerShared::send_later`].
    Waits(Waits),
}

/// What is known of a call that cannot be sent yet.
pub(crate) struct Waits {
    context: Context,
    /// How long it may take, and when it is over.
    wait: Option<Duration>,
    until: Option<Instant>,
    /// How its objects travel; `None` when devices have to be asked first.
    passed: Option<Vec<Outgoing>>,
    /// It waits for credit, and for nothing else.
    has_turn: bool,
    place: Option<Place>,
}

impl PeerShared {
    /// Makes a call, as far as nothing has to be waited for.
    pub(crate) fn begin(
        self: &Arc<Self>,
        making: Making<'_>,
        data: &Parcel,
        trace: Option<TraceContext>,
        waker: &Waker,
    ) -> Result<Begun<'_>, SendRequestError> {
        let parts = data.wire_parts();
        let body = Body {
            parts: [parts.data, &parts.offsets],
            raw: parts.raw,
        };
        let Making {
            beyond,
            option,
            relayed,
            ..
        } = making;
        let scope = match relayed {
            // One end of it is on another device, whichever of its ways this is.
            Some(_) => Scope::OtherDevice,
            None => self.scope_of(beyond),
        };
        check_size(scope, body.len())?;
        let passed = self.pass_all(parts.objects, beyond)?;
        let wait = match relayed {
            // Who makes it has bounded it.
            Some(_) => option.wait_time(),
            None => option.effective_wait(scope, body.raw.map_or(0, Bytes::len)),
        };
        let now = now();
        let one_way = option.is_one_way();
        // By default only its sending is bounded: it might be dropped for those before it, and nobody would know.
        let to_run = if one_way { option.wait_time() } else { wait };
        let context = match relayed {
            Some(relayed) => relayed.context,
            None => context::child(to_run.map(|wait| now + wait), trace)?,
        };
        let until = wait.map(|wait| now + wait);
        let until = [until, context.deadline].into_iter().flatten().min();
        let place = self.place_beyond(making, context)?;
        let waits = |passed, has_turn, place| Waits {
            context,
            wait,
            until,
            passed,
            has_turn,
            place,
        };
        let objects = match passed {
            Some(objects) if !self.held_back.holds(making.target, one_way) => objects,
            passed => return Ok(Begun::Waits(waits(passed, false, place))),
        };
        let own = making.interface.map(Spoken::Own);
        let request = making.request(own.as_ref(), context, body, &objects);
        match self.send(now, &request, waker) {
            Ok(Some(id)) => Ok(Begun::Sent(Call::new(self, id, making, wait, place))),
            Ok(None) => Ok(Begun::OneWay),
            Err(StartCallError::NoCredit { .. }) if option.waits_for_credit() => {
                Ok(Begun::Waits(waits(Some(objects), true, place)))
            }
            Err(error) => Err(start_error(error)),
        }
    }

    /// Sends a call once nothing has to be waited for. There is no call to wait for if it is one-way.
    pub(crate) async fn send_later(
        self: &Arc<Self>,
        making: Making<'_>,
        data: &Parcel,
        waits: Waits,
    ) -> Result<Option<Call<'_>>, SendRequestError> {
        let Waits {
            context,
            wait,
            until,
            passed,
            has_turn,
            place,
        } = waits;
        let parts = data.wire_parts();
        let body = Body {
            parts: [parts.data, &parts.offsets],
            raw: parts.raw,
        };
        let option = making.option;
        let (turn, objects) = match passed {
            Some(objects) if has_turn => (None, objects),
            passed => {
                let in_turn = self.in_turn(making, passed, parts.objects, until, wait);
                let (turn, objects) = in_turn.await?;
                (Some(turn), objects)
            }
        };
        let own = making.interface.map(Spoken::Own);
        let request = making.request(own.as_ref(), context, body, &objects);
        if option.is_one_way() {
            self.send_one_way(&request, option, until, wait).await?;
            return Ok(None);
        }
        let sent = poll_fn(|cx| Poll::Ready(self.send(now(), &request, cx.waker()))).await;
        // Before the reply, which those behind it do not wait for.
        drop(turn);
        let id = sent.map_err(start_error)?;
        Ok(id.map(|id| Call::new(self, id, making, wait, place)))
    }

    /// Room for a two-way call that the peer passes on to another device. As at a relay, a handler may always make one.
    fn place_beyond(
        &self,
        making: Making<'_>,
        context: Context,
    ) -> Result<Option<Place>, SendRequestError> {
        match making.beyond {
            Some(device) if !making.option.is_one_way() && context.depth == 0 => {
                let place = self.traffic().enter_beyond(*device);
                place
                    .map(Some)
                    .map_err(|has| match self.import_death(making.target) {
                        Some(reason) => SendRequestError::DeadObject { reason },
                        None => busy(Some(has)),
                    })
            }
            _ => Ok(None),
        }
    }

    /// Makes a call of somebody else's, from its arguments to its answer.
    pub(crate) async fn pass_on(
        self: &Arc<Self>,
        making: Making<'_>,
        data: &Parcel,
    ) -> Result<Parcel, SendRequestError> {
        let begun = poll_fn(|cx| Poll::Ready(self.begin(making, data, None, cx.waker())));
        let sent = match begun.await? {
            Begun::Sent(call) => Some(call),
            Begun::OneWay => None,
            Begun::Waits(waits) => self.send_later(making, data, waits).await?,
        };
        match sent {
            Some(mut call) => poll_fn(|cx| call.poll(making.code, cx.waker())).await,
            None => Ok(Parcel::new()),
        }
    }

    /// Queues a request, and leaves the waker of who waits for its reply.
    fn send(
        &self,
        now: Instant,
        request: &CallRequest<'_>,
        waker: &Waker,
    ) -> Result<Option<CallId>, StartCallError> {
        self.change(|state| {
            let id = state.session.start_call(now, request)?;
            if let Some(id) = id {
                state.wait_for(id, waker);
            }
            Ok(id)
        })
    }

    /// What a call does first that introduces, or would overtake one that does: the turn it has when this ends is its own
    /// until it is dropped.
    async fn in_turn(
        self: &Arc<Self>,
        making: Making<'_>,
        passed: Option<Vec<Outgoing>>,
        slots: &[Slot],
        until: Option<Instant>,
        wait: Option<Duration>,
    ) -> Result<(Turn<'_>, Vec<Outgoing>), SendRequestError> {
        let Making {
            target,
            beyond,
            option,
            ..
        } = making;
        if let Some(reason) = self.import_death(target) {
            return Err(SendRequestError::DeadObject { reason });
        }
        let one_way = option.is_one_way();
        let waits = !one_way || option.waits_for_credit();
        if !waits && self.held_back.holds(target, one_way) {
            return Err(busy(None));
        }
        let turn = self.held_back.enter(target, one_way);
        let turn = turn.ok_or_else(|| busy(Some(limits::MAX_HELD_BACK as u64)))?;
        let objects = match passed {
            Some(objects) => objects,
            None => {
                let patience = until.unwrap_or_else(|| now() + limits::DEFAULT_WAIT);
                introduction::ask(self, beyond, slots, patience).await?
            }
        };
        self.wait_for_turn(&turn, until, wait).await?;
        Ok((turn, objects))
    }

    /// Waits until no earlier call of the proxy is left to be sent; at the end of the session nobody is to wait longer.
    async fn wait_for_turn(
        &self,
        turn: &Turn<'_>,
        deadline: Option<Instant>,
        wait: Option<Duration>,
    ) -> Result<(), SendRequestError> {
        let comes = async {
            tokio::select! {
                biased;
                () = turn.comes() => {}
                _ = self.ended() => {}
            }
        };
        let Some(deadline) = deadline else {
            comes.await;
            return Ok(());
        };
        let waited = tokio::time::timeout_at(deadline.into(), comes).await;
        waited.map_err(|_| SendRequestError::TimedOut {
            after: wait.unwrap_or_default(),
        })
    }

    /// Sends a one-way call when the peer has room for it.
    async fn send_one_way(
        &self,
        request: &CallRequest<'_>,
        option: CallOption,
        until: Option<Instant>,
        wait: Option<Duration>,
    ) -> Result<(), SendRequestError> {
        loop {
            let lane = match self.run(|state, now| state.session.start_call(now, request)) {
                Ok(_) => return Ok(()),
                Err(StartCallError::NoCredit { lane }) => lane,
                Err(error) => return Err(start_error(error)),
            };
            if !option.waits_for_credit() {
                return Err(start_error(StartCallError::NoCredit { lane }));
            }
            // Registered before the second look, so that credit which comes in between is not missed.
            let credit = self.credit[usize::from(lane)].notified();
            tokio::pin!(credit);
            credit.as_mut().enable();
            match self.run(|state, now| state.session.start_call(now, request)) {
                Ok(_) => return Ok(()),
                Err(StartCallError::NoCredit { .. }) => {}
                Err(error) => return Err(start_error(error)),
            }
            match until {
                None => credit.await,
                Some(until) => {
                    let waited = tokio::time::timeout_at(until.into(), credit).await;
                    waited.map_err(|_| SendRequestError::TimedOut {
                        after: wait.unwrap_or_default(),
                    })?;
                }
            }
        }
    }

    /// The rules of what is at the peer, or at a device that it relays for.
    pub(crate) fn scope_of(&self, beyond: Option<&DeviceId>) -> Scope {
        beyond.map_or(self.scope, |_| Scope::OtherDevice)
    }

    /// How the objects of a parcel travel; `None` when devices have to be asked first.
    pub(crate) fn pass_all(
        &self,
        objects: &[Slot],
        beyond: Option<&DeviceId>,
    ) -> Result<Option<Vec<Outgoing>>, SendRequestError> {
        let mut outgoing = Vec::with_capacity(objects.len());
        let mut introduces = false;
        for (index, object) in objects.iter().enumerate() {
            let Ok(object) = object else {
                outgoing.push(Outgoing::Null);
                continue;
            };
            match self.pass(object, beyond) {
                Ok(Passed::Now(now)) => outgoing.push(now),
                Ok(Passed::Introduce(_)) => introduces = true,
                Err(reason) => return Err(SendRequestError::Pass { index, reason }),
            }
        }
        Ok((!introduces).then_some(outgoing))
    }
}

impl Making<'_> {
    /// `own` is the interface as the session has it.
    fn request<'a>(
        &'a self,
        own: Option<&'a Spoken>,
        context: Context,
        body: Body<'a>,
        objects: &'a [Outgoing],
    ) -> CallRequest<'a> {
        CallRequest {
            target: self.target,
            code: self.code,
            interface: match self.relayed {
                Some(relayed) => relayed.spoken.as_ref(),
                None => own,
            },
            one_way: self.option.is_one_way(),
            idempotent: self.option.is_idempotent(),
            // What is slow is told at the two ends of a call.
            long_poll: self.option.is_long_poll() || self.relayed.is_some(),
            context,
            behalf: self.relayed.and_then(|relayed| relayed.behalf),
            body,
            objects,
        }
    }
}

impl State {
    /// The one to wake when a call ends.
    fn wait_for(&mut self, id: CallId, waker: &Waker) {
        let slot = id.slot as usize;
        if self.call_wakers.len() <= slot {
            self.call_wakers.resize(slot + 1, None);
        }
        match &mut self.call_wakers[slot] {
            Some(known) if known.will_wake(waker) => {}
            place => *place = Some(waker.clone()),
        }
    }
}

fn check_size(scope: Scope, size: usize) -> Result<(), SendRequestError> {
    let limit = max_parcel(scope);
    if size > limit {
        return Err(SendRequestError::RequestTooLarge { size, limit });
    }
    Ok(())
}

/// The largest parcel to a peer of this scope.
pub(crate) fn max_parcel(scope: Scope) -> usize {
    match scope {
        Scope::OtherDevice => limits::MAX_REMOTE_PARCEL,
        Scope::SameDevice => limits::MAX_LOCAL_PARCEL,
    }
}

/// A call that has been sent; dropped before its end, it is cancelled.
pub(crate) struct Call<'a> {
    peer: &'a Arc<PeerShared>,
    /// `None` once it has ended.
    id: Option<CallId>,
    wait: Option<Duration>,
    /// What comes back is only to be passed on.
    relayed: bool,
    /// Given back with it.
    _place: Option<Place>,
}

impl<'a> Call<'a> {
    fn new(
        peer: &'a Arc<PeerShared>,
        id: CallId,
        making: Making<'_>,
        wait: Option<Duration>,
        place: Option<Place>,
    ) -> Self {
        Self {
            peer,
            id: Some(id),
            wait,
            relayed: making.relayed.is_some(),
            _place: place,
        }
    }

    /// How it ended; `waker` is woken when it has. `code` is what it called.
    pub(crate) fn poll(
        &mut self,
        code: u32,
        waker: &Waker,
    ) -> Poll<Result<Parcel, SendRequestError>> {
        let Some(id) = self.id else {
            return Poll::Pending;
        };
        let (outcome, slots) = {
            let mut state = self.peer.lock();
            let Some(mut outcome) = state.session.take_outcome(id) else {
                state.wait_for(id, waker);
                return Poll::Pending;
            };
            let slots = match &mut outcome {
                Outcome::Replied(arrived) => {
                    let objects = std::mem::take(&mut arrived.objects);
                    let introductions = arrived.introductions.take();
                    state.take_objects(self.peer, objects, introductions, self.relayed)
                }
                _ => Vec::new(),
            };
            (outcome, slots)
        };
        self.id = None;
        Poll::Ready(match outcome {
            Outcome::Replied(Arrived { body, raw, .. }) => {
                Parcel::from_wire(body, slots, raw).map_err(|_| SendRequestError::MalformedReply)
            }
            // The callee's clock was a little ahead of ours.
            Outcome::Failed {
                status: Status::Expired,
                ..
            }
            | Outcome::TimedOut => Err(SendRequestError::TimedOut {
                after: self.wait.unwrap_or_default(),
            }),
            Outcome::Failed { status, extensions } => Err(failure(code, status, &extensions)),
            Outcome::Indeterminate => Err(SendRequestError::Indeterminate),
        })
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.peer.run(|state, _| state.session.abandon(id));
        }
    }
}

fn start_error(error: StartCallError) -> SendRequestError {
    match error {
        StartCallError::Dead(reason) => SendRequestError::DeadObject { reason },
        StartCallError::PeerLeaving => SendRequestError::ShuttingDown,
        StartCallError::TooManyCalls { limit } | StartCallError::TooManyObjects { limit } => {
            busy(Some(limit.into()))
        }
        StartCallError::NoCredit { .. } => busy(None),
    }
}

/// Refused at this end, for a limit that one more would exceed or for something else.
fn busy(limit: Option<u64>) -> SendRequestError {
    SendRequestError::Busy {
        limit,
        value: limit.map(|limit| limit + 1),
        retry_after: None,
    }
}

/// One of the two numbers of a bound that was reached: where it begins.
fn bound(extensions: &Extensions, at: usize) -> Option<u64> {
    let bytes = extensions.get(ExtensionKind::Limit)?.get(at..)?;
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

/// The one place that turns a status into an error.
pub(crate) fn failure(code: u32, status: Status, extensions: &Extensions) -> SendRequestError {
    let text = || {
        let text = extensions.get(ExtensionKind::Text).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    match status {
        Status::App(code) => SendRequestError::Service(code),
        Status::BadObject => SendRequestError::BadObject,
        Status::Dead(reason) => SendRequestError::DeadObject { reason },
        Status::UnknownMethod => SendRequestError::UnknownMethod { code },
        Status::InterfaceMismatch => SendRequestError::InterfaceMismatch,
        Status::Refused => SendRequestError::Refused,
        Status::Busy => SendRequestError::Busy {
            limit: bound(extensions, 0),
            value: bound(extensions, 8).filter(|value| *value > 0),
            retry_after: extensions
                .get(ExtensionKind::RetryAfter)
                .and_then(|bytes| bytes.first_chunk::<4>())
                .map(|ms| Duration::from_millis(u32::from_le_bytes(*ms).into())),
        },
        // The callee's clock was a little ahead of ours.
        Status::Expired => SendRequestError::TimedOut {
            after: Duration::ZERO,
        },
        Status::Cancelled => SendRequestError::Cancelled,
        Status::ReplyTooLarge => SendRequestError::ReplyTooLarge,
        Status::MalformedParcel => SendRequestError::MalformedRequest,
        Status::Panicked => SendRequestError::Panicked,
        Status::TooDeep => SendRequestError::TooDeep {
            limit: limits::MAX_CALL_DEPTH,
        },
        Status::Indeterminate => SendRequestError::Indeterminate,
        Status::PassRefused => match extensions.get(ExtensionKind::PassRefused) {
            Some(&[index, rule]) => SendRequestError::Pass {
                index: index.into(),
                reason: PassObjectError::from_wire(rule),
            },
            _ => SendRequestError::ReplyPassRefused,
        },
        Status::ShuttingDown => SendRequestError::ShuttingDown,
        _ => SendRequestError::Internal(text()),
    }
}
