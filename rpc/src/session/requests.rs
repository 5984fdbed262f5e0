//! What the peer asks of our stubs: calls, in their order, and what belongs to them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use proto::{
    CallId, Handle,
    frame::{Bind, Call, Cancel, ExtensionKind, Extensions, Release, Status},
    message::{Control, DeathReason},
};

use super::{
    ServingId, Session,
    bulk::Pending,
    descriptors::weight,
    event::{Arrived, Context, Event, Incoming},
    export_table::{Check, Held, Lookup},
    fault::PeerFault,
    introductions::Whole,
    receiving::Granted,
    serving_table::Serving,
    slow::Slowness,
};
use crate::{interface::Spoken, limits, remote::LocalObject, telemetry::TraceContext};

/// The object went away while its call was on its way.
const GONE: Status = Status::Dead(DeathReason::Revoked);
/// How many one-way calls of an object are handed out together.
const MAX_RUN: u32 = 256;
/// The highest place in a peer's call table that it may name.
pub(super) const MAX_CALL_SLOT: u32 = 0xffff;

impl Session {
    pub(super) fn on_call(&mut self, now: Instant, lane: u16, call: Call) -> Result<(), PeerFault> {
        if lane != self.lane_of(call.handle) {
            return Err(PeerFault::WrongLane);
        }
        if call.id.is_some_and(|id| !self.may_be_opened(id)) {
            return Err(PeerFault::InvalidCallId);
        }
        if call.bulk.is_some_and(|part| self.bulk.is_named(part.id)) {
            return Err(PeerFault::InvalidBulk);
        }
        let behalf = call.extensions.behalf();
        if behalf.is_some() && !self.takes_relayed() {
            return Err(PeerFault::UnexpectedRelay);
        }
        let raw_len = call.bulk.map_or(0, |part| part.raw_len);
        let body_len = call.bulk.map_or(0, |part| part.body_len) as usize + call.body.len();
        let bytes = body_len as u64 + u64::from(raw_len) + weight(&call.grants);
        if call.id.is_none() && !self.lanes[usize::from(lane)].one_way_arrived(self.credit, bytes) {
            return Err(PeerFault::CreditExceeded);
        }
        let admitted = self.admit_call(&call)?;
        // Whether the call is refused or not: its grants were counted by the sender when it was written.
        let Granted { objects, no_room } =
            self.receive_grants(lane, &call.grants, &call.extensions)?;
        let target = match admitted.and_then(|target| match no_room {
            None => Ok(target),
            Some(no_room) => Err((Status::Busy, no_room.extensions())),
        }) {
            Ok(target) => target,
            Err((status, extensions)) => {
                self.undeliver(objects);
                if let Some(part) = call.bulk {
                    self.bulk.refuse(part.id);
                }
                self.tell_refused(call.handle, call.code, status);
                self.refuse(lane, call.id, bytes, status, extensions);
                return Ok(());
            }
        };
        let spoken = match target.is_relay() {
            true => self.passed_on(&call),
            false => None,
        };
        let deadline =
            (call.deadline_us > 0).then(|| now + Duration::from_micros(call.deadline_us.into()));
        self.watch.begin(now);
        let serving = self.serving.insert(Serving {
            call: call.id,
            lane,
            export: call.handle,
            deadline,
            replied: false,
            stopped: false,
            dispatched: false,
            bytes,
            descriptors: call.grants.descriptors() as u32,
            code: call.code,
            since: None,
            slow: Slowness::No,
        });
        let introductions = self.begin_redemption(now, deadline, &call.grants, &call.extensions);
        let incoming = Incoming {
            serving,
            target,
            code: call.code,
            one_way: call.id.is_none(),
            idempotent: call.idempotent,
            context: Context {
                deadline,
                chain: call.chain,
                depth: call.depth,
                trace: TraceContext::from_extensions(&call.extensions),
            },
            // Nobody waits for a one-way call.
            nested: call.id.is_some() && call.depth > 0 && self.calls.waits_for(call.chain),
            behalf: behalf.map(Box::new),
            spoken: spoken.map(Box::new),
            parcel: Arrived {
                body: call.body,
                raw: None,
                objects,
                introductions,
            },
        };
        if call.bulk.is_none() && introductions.is_none() {
            self.arrived(call.handle, incoming);
            return Ok(());
        }
        if let Some(export) = self.exports.find_mut(call.handle) {
            export.held.push_back(Held::Awaits(serving));
        }
        let incoming = Box::new(incoming);
        match call.bulk {
            None => self.whole(Whole::Call(incoming)),
            Some(part) => {
                let met = self.bulk.header(Pending::Call(incoming, part))?;
                self.meet(met);
            }
        }
        Ok(())
    }

    /// Whether the peer may use this place of its call table now. What it cannot know to have ended is still open to
    /// it: a peer that does not read its replies gets no further calls, so that they cannot fill our memory.
    fn may_be_opened(&self, id: CallId) -> bool {
        let unread = self.unsent_replies.max(self.bulk.waiting_replies());
        let open = self.serving.open() + unread;
        id.slot <= MAX_CALL_SLOT
            && !self.serving.is_open(id)
            && open < self.config.limits.calls_in_flight.max(1)
    }

    /// What is called, or what the caller is to be told.
    fn admit_call(
        &mut self,
        call: &Call,
    ) -> Result<Result<LocalObject, (Status, Extensions)>, PeerFault> {
        let plain = |status| Ok(Err((status, Extensions::default())));
        let found = matches!(self.exports.lookup(call.handle)?, Lookup::Found);
        let Some(export) = self.exports.find_mut(call.handle).filter(|_| found) else {
            return plain(Status::BadObject);
        };
        if let Some(reason) = export.dead {
            return plain(Status::Dead(reason));
        }
        if !crate::call::is_code(call.code) {
            return plain(Status::UnknownMethod);
        }
        match export.check(call.binding, call.code)? {
            Check::Same => {}
            Check::Differs => return plain(Status::InterfaceMismatch),
            Check::Missing => return plain(Status::UnknownMethod),
        }
        let target = export.object.clone();
        if self.leaving {
            return plain(Status::ShuttingDown);
        }
        if call.depth > limits::MAX_CALL_DEPTH {
            return plain(Status::TooDeep);
        }
        let limit = self.config.limits.calls_in_flight;
        if call.id.is_some() && self.serving.two_way() >= limit {
            return Ok(Err((
                Status::Busy,
                limit_reached(limit, self.serving.two_way()),
            )));
        }
        let held = self.serving.descriptors() + call.grants.descriptors() as u32;
        let limit = self.config.quotas.file_descriptors;
        if call.id.is_some() && held > limit {
            return Ok(Err((Status::Busy, limit_reached(limit, held))));
        }
        Ok(Ok(target))
    }

    fn passed_on(&mut self, call: &Call) -> Option<Spoken> {
        let export = self.exports.find_mut(call.handle)?;
        export.passed_on(call.binding)
    }

    /// A request is whole.
    fn arrived(&mut self, handle: Handle, incoming: Incoming) {
        // Where a call is only passed on, it may not arrive before the one-way calls that were sent before it.
        let one_way = incoming.one_way;
        if !one_way && !incoming.target.is_relay() {
            return self.dispatch(incoming);
        }
        let Some(export) = self.exports.find_mut(handle) else {
            return self.discard(incoming);
        };
        let running = export.one_way_running;
        let first = export.held.is_empty() && export.dead.is_none();
        if first && one_way && self.may_run(handle, running) {
            self.dispatch_one_way(handle, incoming);
        } else if let Some(export) = self.exports.find_mut(handle) {
            export.held.push_back(Held::InTurn(Box::new(incoming)));
            self.advance(handle);
        }
    }

    fn dispatch(&mut self, incoming: Incoming) {
        match self.serving.get_mut(incoming.serving) {
            Some(served) if !served.stopped => {
                served.dispatched = true;
                served.since = self.clock.filter(|_| incoming.target.is_watched());
                self.events.push_back(Event::Request(incoming));
            }
            // Cancelled or expired before its turn: the caller has been told.
            _ => self.discard(incoming),
        }
    }

    /// Hands a one-way call out, together with those before it that the driver has not taken yet.
    fn dispatch_one_way(&mut self, handle: Handle, incoming: Incoming) {
        let Some(served) = self.serving.get_mut(incoming.serving) else {
            return self.discard(incoming);
        };
        if served.stopped {
            return self.discard(incoming);
        }
        served.dispatched = true;
        // The driver's to watch: it runs many in one task, and knows which of them is running.
        served.deadline = None;
        if let Some(export) = self.exports.find_mut(handle) {
            // Those behind it begin when the driver comes to them.
            let begins = export.one_way_running == 0 && incoming.target.is_watched();
            served.since = self.clock.filter(|_| begins);
            export.one_way_running += 1;
        }
        match self.events.back_mut() {
            Some(Event::OneWay { object, calls }) if *object == handle => calls.push_back(incoming),
            _ => self.events.push_back(Event::OneWay {
                object: handle,
                calls: VecDeque::from([incoming]),
            }),
        }
    }

    /// Whether one more one-way call of an object may be handed out: when none is running, or together with those that
    /// the driver is about to take.
    fn may_run(&self, handle: Handle, running: u32) -> bool {
        let last = self.events.back();
        running == 0
            || running < MAX_RUN
                && last.is_some_and(
                    |event| matches!(event, Event::OneWay { object, .. } if *object == handle),
                )
    }

    /// Acts on the held frames of an object as far as their order lets it.
    pub(super) fn advance(&mut self, handle: Handle) {
        while let Some(export) = self.exports.find_mut(handle) {
            let running = export.one_way_running;
            let ready = match export.held.front() {
                Some(Held::InTurn(incoming)) if !incoming.one_way => running == 0,
                Some(Held::InTurn(_)) => self.may_run(handle, running),
                // The last call before it has begun: what it calls is its own.
                Some(Held::Release { homes }) => export.homes >= *homes && running <= 1,
                Some(Held::Awaits(_)) | None => false,
            };
            let Some(export) = self.exports.find_mut(handle).filter(|_| ready) else {
                return;
            };
            let dead = export.dead;
            match (export.held.pop_front(), dead) {
                (Some(Held::InTurn(incoming)), Some(reason)) => {
                    self.refuse_incoming(*incoming, Status::Dead(reason));
                }
                (Some(Held::InTurn(incoming)), None) if !incoming.one_way => {
                    self.dispatch(*incoming);
                }
                (Some(Held::InTurn(incoming)), None) => self.dispatch_one_way(handle, *incoming),
                (Some(Held::Release { homes }), _) => {
                    if let Some(export) = self.exports.find_mut(handle) {
                        export.homes -= homes;
                    }
                    self.free_unused(handle);
                }
                (Some(Held::Awaits(_)) | None, _) => {}
            }
        }
    }

    /// A request that will not be run, after its caller has been told or when nobody waits.
    pub(super) fn discard(&mut self, incoming: Incoming) {
        self.forget_redemption(incoming.parcel.introductions);
        self.undeliver(incoming.parcel.objects);
        if let Some(served) = self.serving.remove(incoming.serving)
            && served.call.is_none()
        {
            self.one_way_ended(served.lane, served.bytes, true);
        }
        self.release_own(incoming.target);
    }

    fn refuse_incoming(&mut self, incoming: Incoming, status: Status) {
        self.refuse_incoming_with(incoming, status, Extensions::default());
    }

    pub(super) fn refuse_incoming_with(
        &mut self,
        incoming: Incoming,
        status: Status,
        extensions: Extensions,
    ) {
        let (code, service) = (incoming.code, incoming.target.registration());
        self.events.push_back(Event::Refused {
            code,
            service,
            status,
        });
        if let Some(served) = self.serving.get_mut(incoming.serving) {
            let (lane, call, replied) = (served.lane, served.call, served.replied);
            if let (Some(call), false) = (call, replied) {
                self.serving.mark_replied(incoming.serving);
                self.reply_error(lane, call, status, extensions);
            }
        }
        self.discard(incoming);
    }

    fn tell_refused(&mut self, handle: Handle, code: u32, status: Status) {
        let export = self.exports.find_mut(handle);
        let service = export.and_then(|export| export.object.registration());
        self.events.push_back(Event::Refused {
            code,
            service,
            status,
        });
    }

    /// Answers a call that never came into the serving table.
    fn refuse(
        &mut self,
        lane: u16,
        id: Option<CallId>,
        bytes: u64,
        status: Status,
        ext: Extensions,
    ) {
        match id {
            Some(id) => self.reply_error(lane, id, status, ext),
            None => self.one_way_ended(lane, bytes, true),
        }
    }

    /// Puts a request that has become whole where its header stood; a two-way call goes on at once.
    pub(super) fn unhold_into(&mut self, incoming: Box<Incoming>) -> Handle {
        let Some(served) = self.serving.get_mut(incoming.serving) else {
            self.discard(*incoming);
            return Handle::SAMGR;
        };
        let handle = served.export;
        let Some(export) = self.exports.find_mut(handle) else {
            self.refuse_incoming(*incoming, GONE);
            return handle;
        };
        let place = export
            .held
            .iter()
            .position(|held| matches!(held, Held::Awaits(id) if *id == incoming.serving));
        match place {
            Some(index) if incoming.one_way || incoming.target.is_relay() => {
                export.held[index] = Held::InTurn(incoming);
            }
            Some(index) => {
                export.held.remove(index);
                match export.dead {
                    Some(reason) => self.refuse_incoming(*incoming, Status::Dead(reason)),
                    None => self.dispatch(*incoming),
                }
            }
            None => self.refuse_incoming(*incoming, GONE),
        }
        handle
    }

    /// Takes the place of a request whose body will not come out of its object's queue.
    pub(super) fn unhold(&mut self, serving: ServingId) -> Handle {
        let handle = self
            .serving
            .get_mut(serving)
            .map_or(Handle::SAMGR, |served| served.export);
        if let Some(export) = self.exports.find_mut(handle) {
            export
                .held
                .retain(|held| !matches!(held, Held::Awaits(id) if *id == serving));
        }
        handle
    }

    pub(super) fn on_cancel(&mut self, cancel: Cancel) -> Result<(), PeerFault> {
        // The reply may have crossed it.
        let Some(serving) = self.serving.find(cancel.id) else {
            return Ok(());
        };
        let Some(served) = self.serving.get_mut(serving) else {
            return Ok(());
        };
        if std::mem::replace(&mut served.stopped, true) {
            return Ok(());
        }
        let (lane, dispatched) = (served.lane, served.dispatched);
        if dispatched {
            self.stop(serving);
        } else {
            self.serving.mark_replied(serving);
            self.reply_error(lane, cancel.id, Status::Cancelled, Extensions::default());
        }
        Ok(())
    }

    pub(super) fn on_release(&mut self, lane: u16, release: Release) -> Result<(), PeerFault> {
        if lane != self.lane_of(release.handle) {
            return Err(PeerFault::WrongLane);
        }
        let Lookup::Found = self.exports.lookup(release.handle)? else {
            return Ok(());
        };
        let Some(export) = self.exports.find_mut(release.handle) else {
            return Ok(());
        };
        export.give_back(release.handle, release.count)?;
        let homes = u64::from(release.homes);
        match export.held.back_mut() {
            Some(Held::Release { homes: held }) => *held += homes,
            _ => export.held.push_back(Held::Release { homes }),
        }
        self.advance(release.handle);
        Ok(())
    }

    /// Frees an export of which every grant has come back.
    fn free_unused(&mut self, handle: Handle) {
        if let Some(export) = self.exports.remove_unused(handle) {
            if export.dead.is_some() {
                self.send_control(Control::ObituaryEnd(handle));
            }
            self.drop_export(export);
        }
    }

    pub(super) fn on_bind(&mut self, lane: u16, bind: &Bind) -> Result<(), PeerFault> {
        if lane != self.lane_of(bind.handle) {
            return Err(PeerFault::WrongLane);
        }
        match self.exports.lookup(bind.handle)? {
            Lookup::Found => self
                .exports
                .find_mut(bind.handle)
                .map_or(Ok(()), |export| export.bind(bind)),
            Lookup::Freed | Lookup::Unknown => Ok(()),
        }
    }
}

fn limit_reached(limit: impl Into<u64>, value: impl Into<u64>) -> Extensions {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&limit.into().to_le_bytes());
    bytes[8..].copy_from_slice(&value.into().to_le_bytes());
    Extensions::default().with(ExtensionKind::Limit, &bytes)
}
