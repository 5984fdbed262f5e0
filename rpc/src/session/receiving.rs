//! What arrives: frames, bulk bodies, and the passing of time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::{
    CallId, Handle,
    frame::{
        Ack, Bind, Call, Cancel, ExtensionKind, Extensions, Frame, Grant, Grants, Release, Reply,
        Status,
    },
    message::{Control, Obituary},
};

use super::{
    Scope, Session,
    bulk::{Met, Pending},
    call_table::Completed,
    event::{Arrived, Context, Delivered, Event, Incoming, Outcome},
    export_table::{Held, Lookup, Spoken},
    fault::PeerFault,
    lanes::CONTROL,
    serving_table::Serving,
};
use crate::{limits, remote::LocalObject};

/// How many replies to no call a peer may send.
const FORGED_REPLIES: u32 = 3;
/// The highest place in a peer's call table that it may name.
pub(super) const MAX_CALL_SLOT: u32 = 0xffff;

impl Session {
    /// A frame has come on a lane.
    ///
    /// # Errors
    /// What the peer may not do; the session is to be closed.
    pub fn handle_frame(&mut self, now: Instant, lane: u16, frame: Frame) -> Result<(), PeerFault> {
        if self.closed.is_some() {
            return Ok(());
        }
        if matches!(frame, Frame::Control(_)) != (lane == CONTROL) {
            return Err(PeerFault::WrongLane);
        }
        match frame {
            Frame::Call(call) => self.on_call(now, lane, call),
            Frame::Reply(reply) => self.on_reply(lane, reply),
            Frame::Cancel(cancel) => self.on_cancel(cancel),
            Frame::Release(release) => self.on_release(lane, release),
            Frame::Bind(bind) => self.on_bind(lane, &bind),
            Frame::Ack(ack) => self.on_ack(lane, ack),
            Frame::Control(control) => self.on_control(control),
        }
    }

    /// A bulk stream has come whole.
    ///
    /// # Errors
    /// It does not fit its header.
    pub fn handle_bulk(&mut self, now: Instant, id: u64, body: Bytes) -> Result<(), PeerFault> {
        if self.closed.is_some() {
            return Ok(());
        }
        if let Some(pending) = self.bulk.body(now, id, &body)? {
            self.join(pending, body);
        }
        Ok(())
    }

    /// A bulk stream will not come: the sender gave it up, or we could not take it. `status` is what the caller of a
    /// call it belonged to is told.
    pub fn handle_bulk_reset(&mut self, id: u64, status: Status) {
        if self.closed.is_some() {
            return;
        }
        if let Some(pending) = self.bulk.reset(id, status) {
            self.give_up(pending, status);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut late = Vec::new();
        self.calls.expire(now, |id, lane| late.push((id, lane)));
        for (id, lane) in late {
            self.queue(lane, &Frame::Cancel(Cancel { id }));
            self.events.push_back(Event::CallEnded(id));
        }
        for serving in self.serving.expire(now) {
            let served = self
                .serving
                .get_mut(serving)
                .map(|served| (served.lane, served.call));
            if let Some((lane, Some(call))) = served {
                self.serving.mark_replied(serving);
                self.reply_error(lane, call, Status::Expired, Extensions::default());
            }
            self.stop(serving);
        }
        self.bulk.expire(now);
    }

    fn on_call(&mut self, now: Instant, lane: u16, call: Call) -> Result<(), PeerFault> {
        if lane != self.lane_of(call.handle) {
            return Err(PeerFault::WrongLane);
        }
        if call.id.is_some_and(|id| !self.may_be_opened(id)) {
            return Err(PeerFault::InvalidCallId);
        }
        if call.bulk.is_some_and(|part| self.bulk.is_named(part.id)) {
            return Err(PeerFault::InvalidBulk);
        }
        let raw_len = call.bulk.map_or(0, |part| part.raw_len);
        let body_len = call.bulk.map_or(0, |part| part.body_len) as usize + call.body.len();
        let bytes = body_len as u64 + u64::from(raw_len);
        if call.id.is_none() && !self.lanes[usize::from(lane)].one_way_arrived(self.credit, bytes) {
            return Err(PeerFault::CreditExceeded);
        }
        let admitted = self.admit_call(&call)?;
        // Whether the call is refused or not: its grants were counted by the sender when it was written.
        let objects = self.receive_grants(&call.grants)?;
        let target = match admitted {
            Ok(target) => target,
            Err((status, extensions)) => {
                self.undeliver(objects);
                if let Some(part) = call.bulk {
                    self.bulk.refuse(part.id);
                }
                self.refuse(lane, call.id, bytes, status, extensions);
                return Ok(());
            }
        };
        let deadline =
            (call.deadline_us > 0).then(|| now + Duration::from_micros(call.deadline_us.into()));
        let serving = self.serving.insert(Serving {
            call: call.id,
            lane,
            export: call.handle,
            deadline,
            replied: false,
            stopped: false,
            dispatched: false,
            bytes,
        });
        let incoming = Incoming {
            serving,
            target,
            code: call.code,
            one_way: call.id.is_none(),
            context: Context {
                deadline,
                chain: call.chain,
                depth: call.depth,
            },
            parcel: Arrived {
                body: call.body,
                raw: None,
                objects,
            },
        };
        match call.bulk {
            None => self.arrived(call.handle, incoming),
            Some(part) => {
                if let Some(export) = self.exports.find_mut(call.handle) {
                    export.held.push_back(Held::AwaitsBulk(part.id));
                }
                let met = self.bulk.header(Pending::Call(Box::new(incoming), part))?;
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
        if export.dead.is_some() {
            return plain(Status::Dead);
        }
        if !crate::call::is_code(call.code) {
            return plain(Status::UnknownMethod);
        }
        match export.check(call.binding, call.code)? {
            Spoken::Same => {}
            Spoken::Differs => return plain(Status::InterfaceMismatch),
            Spoken::Missing => return plain(Status::UnknownMethod),
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
        Ok(Ok(target))
    }

    /// A request is whole.
    fn arrived(&mut self, handle: Handle, incoming: Incoming) {
        if !incoming.one_way {
            self.dispatch(incoming);
            return;
        }
        if let Some(export) = self.exports.find_mut(handle) {
            export.held.push_back(Held::OneWay(Box::new(incoming)));
            self.advance(handle);
        } else {
            self.discard(incoming);
        }
    }

    fn dispatch(&mut self, incoming: Incoming) {
        match self.serving.get_mut(incoming.serving) {
            Some(served) if !served.stopped => {
                served.dispatched = true;
                self.events.push_back(Event::Request(incoming));
            }
            // Cancelled or expired before its turn: the caller has been told.
            _ => self.discard(incoming),
        }
    }

    /// Acts on the held frames of an object as far as their order lets it.
    pub(super) fn advance(&mut self, handle: Handle) {
        while let Some(export) = self.exports.find_mut(handle) {
            let ready = match export.held.front() {
                Some(Held::OneWay(_)) => !export.one_way_running,
                Some(Held::Release { homes }) => export.homes >= *homes,
                Some(Held::AwaitsBulk(_)) | None => false,
            };
            if !ready {
                return;
            }
            let dead = export.dead.is_some();
            match export.held.pop_front() {
                Some(Held::OneWay(incoming)) if dead => {
                    self.refuse_incoming(*incoming, Status::Dead)
                }
                Some(Held::OneWay(incoming)) => {
                    let stopped = self
                        .serving
                        .get_mut(incoming.serving)
                        .is_none_or(|served| served.stopped);
                    if let Some(export) = self.exports.find_mut(handle) {
                        export.one_way_running = !stopped;
                    }
                    self.dispatch(*incoming);
                }
                Some(Held::Release { homes }) => {
                    if let Some(export) = self.exports.find_mut(handle) {
                        export.homes -= homes;
                    }
                    self.free_unused(handle);
                }
                Some(Held::AwaitsBulk(_)) | None => {}
            }
        }
    }

    /// A request that will not be run, after its caller has been told or when nobody waits.
    pub(super) fn discard(&mut self, incoming: Incoming) {
        self.undeliver(incoming.parcel.objects);
        if let Some(served) = self.serving.remove(incoming.serving) {
            if served.call.is_none() {
                self.lanes[usize::from(served.lane)].one_way_ended(served.bytes, true);
                self.touch(served.lane);
            }
        }
        self.release_own(incoming.target);
    }

    fn refuse_incoming(&mut self, incoming: Incoming, status: Status) {
        if let Some(served) = self.serving.get_mut(incoming.serving) {
            let (lane, call, replied) = (served.lane, served.call, served.replied);
            if let (Some(call), false) = (call, replied) {
                self.serving.mark_replied(incoming.serving);
                self.reply_error(lane, call, status, Extensions::default());
            }
        }
        self.discard(incoming);
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
            None => {
                self.lanes[usize::from(lane)].one_way_ended(bytes, true);
                self.touch(lane);
            }
        }
    }

    fn on_reply(&mut self, lane: u16, reply: Reply) -> Result<(), PeerFault> {
        if reply.bulk.is_some_and(|part| self.bulk.is_named(part.id)) {
            return Err(PeerFault::InvalidBulk);
        }
        let objects = self.receive_grants(&reply.grants)?;
        if self.calls.lane_of(reply.id) != Some(lane) {
            self.undeliver(objects);
            if let Some(part) = reply.bulk {
                self.bulk.refuse(part.id);
            }
            self.forged_replies += 1;
            return if self.forged_replies >= FORGED_REPLIES {
                Err(PeerFault::ForgedReply)
            } else {
                Ok(())
            };
        }
        if reply.status != Status::Ok {
            let (status, extensions) = (reply.status, reply.extensions);
            self.complete(reply.id, Outcome::Failed { status, extensions });
            return Ok(());
        }
        let Some(part) = reply.bulk else {
            let arrived = Arrived {
                body: reply.body,
                raw: None,
                objects,
            };
            self.complete(reply.id, Outcome::Replied(arrived));
            return Ok(());
        };
        let pending = Pending::Reply {
            call: reply.id,
            body: reply.body,
            objects,
            part,
        };
        let met = self.bulk.header(pending)?;
        self.meet(met);
        Ok(())
    }

    fn complete(&mut self, id: CallId, outcome: Outcome) {
        match self.calls.complete(id, outcome) {
            Completed::Told => self.events.push_back(Event::CallEnded(id)),
            Completed::Late(outcome) => self.give_back(outcome),
        }
    }

    /// A header has come after its body, or after the news that there is none.
    fn meet(&mut self, met: Option<Met>) {
        match met {
            Some(Met::Whole(pending, body)) => self.join(pending, body),
            Some(Met::Lost(pending, status)) => self.give_up(pending, status),
            None => {}
        }
    }

    /// The body of a header will not come.
    fn give_up(&mut self, pending: Pending, status: Status) {
        match pending {
            Pending::Call(incoming, part) => {
                let export = self.unhold(incoming.serving, part.id);
                self.refuse_incoming(*incoming, status);
                self.advance(export);
            }
            Pending::Reply { call, objects, .. } => {
                self.undeliver(objects);
                self.complete(
                    call,
                    Outcome::Failed {
                        status,
                        extensions: Extensions::default(),
                    },
                );
            }
        }
    }

    /// Header and body are both here, and fit.
    fn join(&mut self, pending: Pending, mut stream: Bytes) {
        let part = pending.part();
        let body = stream.split_to(part.body_len as usize);
        let raw = (part.raw_len > 0).then_some(stream);
        match pending {
            Pending::Call(mut incoming, _) => {
                if part.body_len > 0 {
                    incoming.parcel.body = body;
                }
                incoming.parcel.raw = raw;
                let handle = self.unhold_into(incoming, part.id);
                self.advance(handle);
            }
            Pending::Reply {
                call,
                body: inline,
                objects,
                ..
            } => {
                let body = if part.body_len > 0 { body } else { inline };
                self.complete(call, Outcome::Replied(Arrived { body, raw, objects }));
            }
        }
    }

    /// Puts a request that has become whole where its header stood; a two-way call goes on at once.
    fn unhold_into(&mut self, incoming: Box<Incoming>, bulk: u64) -> Handle {
        let Some(served) = self.serving.get_mut(incoming.serving) else {
            self.discard(*incoming);
            return Handle::SAMGR;
        };
        let handle = served.export;
        let Some(export) = self.exports.find_mut(handle) else {
            self.refuse_incoming(*incoming, Status::Dead);
            return handle;
        };
        let place = export
            .held
            .iter()
            .position(|held| matches!(held, Held::AwaitsBulk(id) if *id == bulk));
        match place {
            Some(index) if incoming.one_way => export.held[index] = Held::OneWay(incoming),
            Some(index) => {
                export.held.remove(index);
                if export.dead.is_some() {
                    self.refuse_incoming(*incoming, Status::Dead);
                } else {
                    self.dispatch(*incoming);
                }
            }
            None => self.refuse_incoming(*incoming, Status::Dead),
        }
        handle
    }

    /// Takes the place of a request whose body will not come out of its object's queue.
    fn unhold(&mut self, serving: super::ServingId, bulk: u64) -> Handle {
        let handle = self
            .serving
            .get_mut(serving)
            .map_or(Handle::SAMGR, |served| served.export);
        if let Some(export) = self.exports.find_mut(handle) {
            export
                .held
                .retain(|held| !matches!(held, Held::AwaitsBulk(id) if *id == bulk));
        }
        handle
    }

    fn on_cancel(&mut self, cancel: Cancel) -> Result<(), PeerFault> {
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

    fn on_release(&mut self, lane: u16, release: Release) -> Result<(), PeerFault> {
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

    fn on_bind(&mut self, lane: u16, bind: &Bind) -> Result<(), PeerFault> {
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

    fn on_ack(&mut self, lane: u16, ack: Ack) -> Result<(), PeerFault> {
        let refused = self.lanes[usize::from(lane)]
            .acknowledged(ack)
            .ok_or(PeerFault::CreditExceeded)?;
        if refused > 0 {
            self.events
                .push_back(Event::OneWayRefused { count: refused });
        }
        self.events.push_back(Event::Credit { lane });
        Ok(())
    }

    fn on_control(&mut self, control: Control) -> Result<(), PeerFault> {
        match control {
            Control::Hello(_) | Control::Welcome(_) => Err(PeerFault::UnexpectedControl),
            Control::GoAway(_) => {
                self.peer_leaving = true;
                self.events.push_back(Event::PeerGoingAway);
                Ok(())
            }
            Control::Obituary(obituary) => self.on_obituary(&obituary),
            Control::ObituaryEnd(handle) => {
                self.imports.end_obituary(handle);
                Ok(())
            }
            Control::Unknown => Ok(()),
        }
    }

    fn on_obituary(&mut self, obituary: &Obituary) -> Result<(), PeerFault> {
        let limit = self.config.limits.objects as usize;
        if let Some(key) = self.imports.bury(obituary, limit)? {
            let links = self.links.take(key);
            self.events.push_back(Event::Died {
                key,
                reason: obituary.reason,
                links,
            });
        }
        Ok(())
    }

    /// Counts every grant of a header; those we do not take are given back.
    fn receive_grants(&mut self, grants: &Grants) -> Result<Vec<Delivered>, PeerFault> {
        if grants.is_empty() {
            return Ok(Vec::new());
        }
        grants
            .iter()
            .map(|grant| self.receive_grant(grant))
            .collect()
    }

    fn receive_grant(&mut self, grant: Grant) -> Result<Delivered, PeerFault> {
        Ok(match grant {
            Grant::Null => Delivered::Null,
            // Between devices this is a proxy on its way back to its origin, which no sender may pass.
            Grant::Home { .. } if self.config.scope == Scope::OtherDevice => Delivered::Null,
            Grant::Home { handle } => self.come_home(handle)?,
            Grant::Granted {
                handle,
                kind,
                object,
            } => {
                let delivered = self.imports.receive(handle, kind, object);
                let foreign =
                    self.config.scope == Scope::OtherDevice && object.boot != self.config.peer_boot;
                let reserved = handle.index() == Handle::SAMGR.index();
                let full = self.imports.len() > self.config.limits.objects as usize + 1;
                if let (true, Delivered::Import { key, .. }) =
                    (foreign || reserved || full, &delivered)
                {
                    self.drop_hold(*key);
                    return Ok(Delivered::Null);
                }
                delivered
            }
        })
    }

    /// A stub of ours comes home. The release of it may have been quicker, on a lane of its own, and waits.
    fn come_home(&mut self, handle: Handle) -> Result<Delivered, PeerFault> {
        let Lookup::Found = self.exports.lookup(handle)? else {
            return Ok(Delivered::Null);
        };
        let Some(export) = self.exports.find_mut(handle) else {
            return Ok(Delivered::Null);
        };
        export.homes += 1;
        let delivered = match export.dead {
            None => Delivered::Home(export.object.clone()),
            Some(_) => Delivered::Null,
        };
        self.advance(handle);
        Ok(delivered)
    }
}

fn limit_reached(limit: u32, value: u32) -> Extensions {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&u64::from(limit).to_le_bytes());
    bytes[8..].copy_from_slice(&u64::from(value).to_le_bytes());
    Extensions::default().with(ExtensionKind::Limit, &bytes)
}
