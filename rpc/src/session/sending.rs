//! What we send: calls, replies, cancels, releases.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use proto::{
    CallId, DeviceId, Handle,
    frame::{
        Bind, BulkPart, Call, Cancel, Extensions, Frame, Grant, Grants, MAX_GRANTS,
        MAX_INLINE_BODY, ObjectKind, Release, Reply, Status,
    },
    message::{Control, DeathReason},
};

use super::{
    Scope, Session,
    bulk::Of,
    descriptors::weight_of,
    event::{
        Answer, Arrived, Body, Context, Delivered, Event, ImportKey, Outcome, Outgoing, ServingId,
    },
    export_table::{Export, Held},
    lanes::CONTROL,
    requests::MAX_CALL_SLOT,
    slow::Slowness,
};
use crate::{
    interface::Spoken, limits, remote::LocalObject, session::Served, telemetry::TraceContext,
};

/// A request about to leave. The passing rules and the size limits have been kept to by who makes it.
#[derive(Clone, Copy, Debug)]
pub struct CallRequest<'a> {
    /// What is called; the caller keeps a hold of it.
    pub target: ImportKey,
    /// Which method.
    pub code: u32,
    /// What the caller speaks, if it wants that checked.
    pub interface: Option<&'a Spoken>,
    /// Nobody waits for the result.
    pub one_way: bool,
    /// The bus may repeat it.
    pub idempotent: bool,
    /// It may take long, and nobody is told.
    pub long_poll: bool,
    /// Deadline, chain and depth of this call itself.
    pub context: Context,
    /// The device that makes the call, when we only relay it.
    pub behalf: Option<DeviceId>,
    /// The arguments.
    pub body: Body<'a>,
    /// Their objects.
    pub objects: &'a [Outgoing],
}

/// Why a call was not sent. Nothing of it has left, and nothing was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartCallError {
    /// The object is dead, or the session is over.
    Dead(DeathReason),
    /// The peer has said that it is going away.
    PeerLeaving,
    /// As many calls are in flight as the peer takes.
    TooManyCalls {
        /// The agreed number.
        limit: u32,
    },
    /// The peer would hold more objects than agreed.
    TooManyObjects {
        /// The agreed number.
        limit: u32,
    },
    /// As many one-way calls are under way as the peer takes; [`Event::Credit`] tells when to try again.
    NoCredit {
        /// The lane to wait for.
        lane: u16,
    },
}

impl Session {
    /// Sends a request. A two-way call is named by the id, under which its outcome can be taken.
    ///
    /// # Errors
    /// [`StartCallError`].
    pub fn start_call(
        &mut self,
        now: Instant,
        request: &CallRequest<'_>,
    ) -> Result<Option<CallId>, StartCallError> {
        let handle = self.check_target(request)?;
        let lane = self.lane_of(handle);
        let bytes = request.body.total_len() as u64 + weight_of(request.objects);
        if request.one_way && !self.lanes[usize::from(lane)].has_credit(self.credit, bytes) {
            return Err(StartCallError::NoCredit { lane });
        }
        let binding = request
            .interface
            .map_or(0, |interface| self.bind(request.target, interface));
        let context = request.context;
        let extensions = self.extensions_of(request.objects);
        let extensions = TraceContext::add_to(extensions, context.trace);
        let extensions = match request.behalf {
            Some(device) => extensions.on_behalf_of(device),
            None => extensions,
        };
        let (bulk, parts) = self.split(&request.body, Of::Request);
        let id = (!request.one_way).then(|| {
            let chain = (context.depth > 0).then_some(context.chain);
            self.watch.begin(now);
            let slow = match request.long_poll {
                true => Slowness::Told,
                false => Slowness::No,
            };
            let (code, deadline) = (request.code, context.deadline);
            self.calls.insert(now, lane, code, deadline, chain, slow)
        });
        let call = Call {
            handle,
            id,
            code: request.code,
            binding,
            idempotent: request.idempotent,
            depth: context.depth,
            chain: context.chain,
            deadline_us: remaining_us(now, context.deadline),
            bulk,
            grants: self.grant(request.objects),
            extensions,
            body: Bytes::new(),
        };
        let out = &mut self.lanes[usize::from(lane)];
        let at = out.out().len();
        out.descriptors.attach(at, request.objects);
        call.encode_with(parts, out.out());
        if request.one_way {
            out.one_way_sent(bytes);
        }
        self.touch(lane);
        self.bury_granted(request.objects);
        Ok(id)
    }

    /// The caller no longer waits for a call. The handler is told; the slot stays taken until the terminal frame.
    pub fn abandon(&mut self, id: CallId) {
        let (lane, outcome) = self.calls.abandon(id);
        if let Some(lane) = lane {
            self.queue(lane, &Frame::Cancel(Cancel { id }));
        }
        if let Some(outcome) = outcome {
            self.give_back(outcome);
        }
    }

    /// A handler has ended, after [`Event::Cancel`] too. What it answers reaches a caller that still waits. Tells since
    /// when it ran if that may be long.
    pub fn finish(&mut self, serving: ServingId, answer: &Answer<'_>) -> Option<Served> {
        let served = self.serving.remove(serving)?;
        match served.call {
            Some(call) if !served.replied => self.reply(served.lane, call, answer),
            Some(_) => {}
            None if self.closed.is_some() => {}
            None => {
                let refused = matches!(answer, Answer::Refused { .. });
                self.one_way_ended(served.lane, served.bytes, refused);
                if let Some(export) = self.exports.find_mut(served.export) {
                    export.one_way_running = export.one_way_running.saturating_sub(1);
                    if export.one_way_running <= 1 {
                        self.advance(served.export);
                    }
                }
            }
        }
        served
            .since
            .filter(|_| served.slow != Slowness::No)
            .map(|since| Served {
                since,
                was_stuck: served.slow == Slowness::Told,
            })
    }

    /// A one-way call gives its credit back; the peer is told of many together.
    pub(super) fn one_way_ended(&mut self, lane: u16, bytes: u64, refused: bool) {
        if self.lanes[usize::from(lane)].one_way_ended(self.credit, bytes, refused) {
            self.touch(lane);
        } else if self.acks_due.is_none() {
            // A time that is a little old makes this early, never late.
            self.acks_due = self.clock.map(|clock| clock + limits::ONE_WAY_ACK_DELAY);
        }
    }

    /// Which handle a request goes to, if everything lets it.
    fn check_target(&self, request: &CallRequest<'_>) -> Result<Handle, StartCallError> {
        let import = self.imports.get(request.target);
        let import = import.ok_or(StartCallError::Dead(DeathReason::Revoked))?;
        if let Some(reason) = import.dead.or(self.closed) {
            return Err(StartCallError::Dead(reason));
        }
        if self.peer_leaving {
            return Err(StartCallError::PeerLeaving);
        }
        // Calls that a handler makes have a reserve: without it, two peers whose callers fill the table would keep each
        // other's handlers from ever ending.
        let limit = self.config.limits.calls_in_flight;
        let room = if request.context.depth > 0 {
            limit
        } else {
            limit.saturating_sub(limits::NESTED_CALLS_RESERVE).max(1)
        };
        let full = self.calls.open() >= room || self.calls.len() > MAX_CALL_SLOT as usize;
        if !request.one_way && full || request.body.is_bulk() && self.bulk.is_full() {
            return Err(StartCallError::TooManyCalls { limit: room });
        }
        self.check_room(request.objects)?;
        Ok(import.handle)
    }

    fn check_room(&self, objects: &[Outgoing]) -> Result<(), StartCallError> {
        let limits = self.config.limits;
        if objects.len() > MAX_GRANTS.min(limits.objects_per_parcel as usize) {
            return Err(StartCallError::TooManyObjects {
                limit: limits.objects_per_parcel,
            });
        }
        let new = objects
            .iter()
            .filter(|object| matches!(object, Outgoing::Own(own) if self.exports.is_new(own)))
            .count();
        // The peer's way in is not one of the objects it was granted.
        let after = self.exports.len() - 1 + new;
        if new > 0 && (after > limits.objects as usize || new > self.tags.len()) {
            return Err(StartCallError::TooManyObjects {
                limit: limits.objects,
            });
        }
        Ok(())
    }

    /// Numbers an interface on an object, telling the peer before the first call that names it.
    fn bind(&mut self, target: ImportKey, interface: &Spoken) -> u16 {
        let fits = interface.descriptor().len() <= Bind::MAX_DESCRIPTOR
            && interface.methods().len() <= Bind::MAX_METHODS;
        let bound = if fits {
            self.imports.bind(target, interface)
        } else {
            None
        };
        let Some((binding, new)) = bound else {
            return 0;
        };
        let handle = self.imports.get(target).map(|import| import.handle);
        if let (true, Some(handle)) = (new, handle) {
            let bind = Bind {
                handle,
                binding,
                descriptor: interface.descriptor(),
                methods: interface.methods().to_vec(),
            };
            self.queue(self.lane_of(handle), &Frame::Bind(bind));
        }
        binding
    }

    /// Parts a body into what goes in the frame and what goes beside it.
    fn split<'a>(&mut self, body: &Body<'a>, of: Of) -> (Option<BulkPart>, [&'a [u8]; 2]) {
        if !body.is_bulk() {
            return (None, body.parts);
        }
        let raw = body.raw.cloned().unwrap_or_default();
        if body.len() > MAX_INLINE_BODY {
            let mut joined = BytesMut::with_capacity(body.len());
            joined.extend_from_slice(body.parts[0]);
            joined.extend_from_slice(body.parts[1]);
            (Some(self.bulk.send(joined.freeze(), raw, of)), [&[], &[]])
        } else {
            (Some(self.bulk.send(Bytes::new(), raw, of)), body.parts)
        }
    }

    /// Counts the grants of a header that is being made.
    fn grant(&mut self, objects: &[Outgoing]) -> Grants {
        if objects.is_empty() {
            return Grants::default();
        }
        let Self {
            exports,
            tags,
            config,
            imports,
            events,
            ..
        } = self;
        let mut entries = Entries::default();
        let mut homes = Entries::default();
        let local = config.scope == Scope::SameDevice;
        objects
            .iter()
            .map(|object| match object {
                Outgoing::Null => Grant::Null,
                Outgoing::Introduced(introduced) => Grant::Introduced {
                    entry: entries.place(introduced.introduction) as u8,
                    object: introduced.object,
                },
                Outgoing::Own(own) => {
                    // `check_room` has counted the tags.
                    let (handle, new) = exports.grant(own, || tags.pop().unwrap_or_default());
                    if new {
                        events.push_back(Event::Held(own.reference()));
                    }
                    if let (true, Some(origin)) = (local, own.origin()) {
                        return Grant::Relayed {
                            entry: homes.place(origin.home) as u8,
                            handle,
                            kind: origin.kind,
                            object: origin.object,
                        };
                    }
                    Grant::Granted {
                        handle,
                        kind: own
                            .registration()
                            .map_or(ObjectKind::Anonymous, ObjectKind::Named),
                        object: own.id(config.boot),
                    }
                }
                Outgoing::Descriptor(_) => Grant::Descriptor,
                Outgoing::Home(key) => imports
                    .send_home(*key)
                    .map_or(Grant::Null, |handle| Grant::Home { handle }),
            })
            .collect()
    }

    /// Where the introduced ones of these objects are to be had, where the relayed ones live, and which may be handed on.
    fn extensions_of(&self, objects: &[Outgoing]) -> Extensions {
        if objects.is_empty() {
            return Extensions::default();
        }
        let mut entries = Entries::default();
        let mut homes = Entries::default();
        let mut marks = 0;
        for (index, object) in objects.iter().enumerate() {
            match object {
                Outgoing::Introduced(introduced) => {
                    entries.place(introduced.introduction);
                }
                Outgoing::Own(own) if self.config.scope == Scope::SameDevice => {
                    if let Some(origin) = own.origin() {
                        homes.place(origin.home);
                    }
                    marks |= u64::from(own.is_re_exportable()) << index;
                }
                _ => {}
            }
        }
        Extensions::default()
            .introducing(&entries.0)
            .relaying(&homes.0)
            .re_exportable(marks)
    }

    /// Who was granted an object that has died since the rules let it pass is told at once: the round of obituaries may
    /// have come by before the grant.
    fn bury_granted(&mut self, objects: &[Outgoing]) {
        for object in objects {
            if let Outgoing::Own(own) = object
                && let Some(reason) = own.death()
            {
                self.kill(reason, |granted| granted.key() == own.key());
            }
        }
    }

    fn reply(&mut self, lane: u16, id: CallId, answer: &Answer<'_>) {
        if self.closed.is_some() {
            return;
        }
        let mut reply = Reply {
            id,
            status: Status::Ok,
            bulk: None,
            grants: Grants::default(),
            extensions: Extensions::default(),
            body: Bytes::new(),
        };
        let mut parts: [&[u8]; 2] = [&[], &[]];
        match answer {
            Answer::Error { status, extensions } | Answer::Refused { status, extensions } => {
                reply.status = *status;
                reply.extensions = extensions.clone();
            }
            Answer::Parcel { body, objects }
                if self.check_room(objects).is_err() || body.is_bulk() && self.bulk.is_full() =>
            {
                reply.status = Status::Busy;
            }
            Answer::Parcel { body, objects } => {
                (reply.bulk, parts) = self.split(body, Of::Reply);
                reply.grants = self.grant(objects);
                reply.extensions = self.extensions_of(objects);
            }
        }
        let out = &mut self.lanes[usize::from(lane)];
        if let (Answer::Parcel { objects, .. }, Status::Ok) = (answer, reply.status) {
            let at = out.out().len();
            out.descriptors.attach(at, objects);
        }
        reply.encode_with(parts, out.out());
        out.replies += 1;
        self.unsent_replies += 1;
        self.touch(lane);
        if let Answer::Parcel { objects, .. } = answer {
            self.bury_granted(objects);
        }
    }

    pub(super) fn reply_error(&mut self, lane: u16, id: CallId, status: Status, ext: Extensions) {
        self.reply(
            lane,
            id,
            &Answer::Error {
                status,
                extensions: ext,
            },
        );
    }

    pub(super) fn send_control(&mut self, control: Control) {
        self.queue(CONTROL, &Frame::Control(control));
    }

    pub(super) fn send_release(&mut self, release: Release) {
        self.queue(self.lane_of(release.handle), &Frame::Release(release));
    }

    /// Objects that arrived and that nobody will be given.
    pub(super) fn undeliver(&mut self, objects: Vec<Delivered>) {
        for object in objects {
            match object {
                // What became of it is not the session's to give back.
                Delivered::Introduced => {}
                Delivered::Import { key, .. } => self.drop_hold(key),
                Delivered::Home(own) => self.release_own(own),
                Delivered::Descriptor(descriptor) => self.close_all([descriptor]),
                Delivered::Null => {}
            }
        }
    }

    /// An outcome that nobody will take.
    pub(super) fn give_back(&mut self, outcome: Outcome) {
        if let Outcome::Replied(Arrived {
            objects,
            introductions,
            ..
        }) = outcome
        {
            self.forget_redemption(introductions);
            self.undeliver(objects);
        }
    }

    pub(super) fn release_own(&mut self, object: LocalObject) {
        self.events.push_back(Event::Released(object));
    }

    /// What is left of an export whose last grant has come back.
    pub(super) fn drop_export(&mut self, export: Export) {
        for held in export.held {
            if let Held::InTurn(incoming) = held {
                self.discard(*incoming);
            }
        }
        self.events
            .push_back(Event::Unheld(export.object.reference()));
        self.release_own(export.object);
    }

    /// Tells the driver to stop a handler. Those of one-way calls it stops by itself.
    pub(super) fn stop(&mut self, serving: ServingId) {
        if self
            .serving
            .get_mut(serving)
            .is_some_and(|served| served.dispatched && served.call.is_some())
        {
            self.events.push_back(Event::Cancel(serving));
        }
    }
}

/// What grants of one header name by its place: introductions, or homes. Each once.
struct Entries<T>(Vec<T>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Entries<T> {
    /// Where an entry stands; it is added if it is new.
    fn place(&mut self, entry: T) -> usize {
        let known = self.0.iter().position(|known| *known == entry);
        known.unwrap_or_else(|| {
            self.0.push(entry);
            self.0.len() - 1
        })
    }
}

/// What is left until `deadline`, for a header; a deadline that has passed is the shortest there is, since 0 is none.
fn remaining_us(now: Instant, deadline: Option<Instant>) -> u32 {
    deadline.map_or(0, |deadline| {
        let left = deadline.saturating_duration_since(now);
        let us = left.as_secs().saturating_mul(1_000_000);
        let us = us.saturating_add(left.subsec_micros().into());
        u32::try_from(us.max(1)).unwrap_or(u32::MAX)
    })
}
