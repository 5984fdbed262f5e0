//! What arrives: frames, bulk bodies, and the passing of time.

use std::time::Instant;

use bytes::Bytes;
use proto::{
    CallId, Handle,
    frame::{Ack, Cancel, Extensions, Frame, Grant, Grants, Reply, Status},
    message::{Control, Obituary, feature},
};

use super::{
    Scope, Session,
    bulk::{LostBulk, Met, Pending},
    call_table::Completed,
    event::{About, Arrived, Delivered, Event, Outcome},
    export_table::Lookup,
    fault::PeerFault,
    introductions::Whole,
    lanes::CONTROL,
};
use crate::quotas::Full;

/// The objects of a header.
#[derive(Default)]
pub(super) struct Granted {
    pub(super) objects: Vec<Delivered>,
    /// There was no room for a descriptor among them.
    pub(super) no_room: Option<Full>,
}

/// How many replies to no call a peer may send.
const FORGED_REPLIES: u32 = 3;

impl Session {
    /// A frame has come on a lane.
    ///
    /// # Errors
    /// What the peer may not do; the session is to be closed.
    pub fn handle_frame(&mut self, now: Instant, lane: u16, frame: Frame) -> Result<(), PeerFault> {
        if self.closed.is_some() {
            return Ok(());
        }
        self.clock = Some(now);
        if matches!(frame, Frame::Control(_)) != (lane == CONTROL) {
            return Err(PeerFault::WrongLane);
        }
        match frame {
            Frame::Call(call) => self.on_call(now, lane, call),
            Frame::Reply(reply) => self.on_reply(now, lane, reply),
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
        self.clock = Some(now);
        let memory = self.config.quotas.bulk_memory;
        if let Some(pending) = self.bulk.body(now, id, &body, memory)? {
            self.join(pending, body);
        }
        Ok(())
    }

    /// A bulk stream will not come: the sender gave it up, or we could not take it.
    pub fn handle_bulk_reset(&mut self, id: u64, why: LostBulk) {
        if self.closed.is_some() {
            return;
        }
        if let Some(pending) = self.bulk.reset(id, why) {
            self.give_up(pending, why);
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
        self.clock = Some(now);
        if self.acks_due.is_some_and(|due| due <= now) {
            self.acks_due = None;
            for lane in 1..self.lanes.len() as u16 {
                if self.lanes[usize::from(lane)].has_untold() {
                    self.lanes[usize::from(lane)].tell();
                    self.touch(lane);
                }
            }
        }
        self.find_slow(now);
    }

    fn on_reply(&mut self, now: Instant, lane: u16, reply: Reply) -> Result<(), PeerFault> {
        if reply.bulk.is_some_and(|part| self.bulk.is_named(part.id)) {
            return Err(PeerFault::InvalidBulk);
        }
        let Granted { objects, no_room } =
            self.receive_grants(lane, &reply.grants, &reply.extensions)?;
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
        if let Some(no_room) = no_room {
            self.undeliver(objects);
            if let Some(part) = reply.bulk {
                self.bulk.refuse(part.id);
            }
            let (status, extensions) = (Status::Busy, no_room.extensions());
            self.complete(reply.id, Outcome::Failed { status, extensions });
            return Ok(());
        }
        if reply.status != Status::Ok {
            let (status, extensions) = (reply.status, reply.extensions);
            self.complete(reply.id, Outcome::Failed { status, extensions });
            return Ok(());
        }
        let deadline = self.calls.deadline_of(reply.id);
        let introductions = self.begin_redemption(now, deadline, &reply.grants, &reply.extensions);
        let Some(part) = reply.bulk else {
            let arrived = Arrived {
                body: reply.body,
                raw: None,
                objects,
                introductions,
            };
            match introductions {
                None => self.complete(reply.id, Outcome::Replied(arrived)),
                Some(_) => self.whole(Whole::Reply(reply.id, arrived)),
            }
            return Ok(());
        };
        let pending = Pending::Reply {
            call: reply.id,
            body: reply.body,
            objects,
            introductions,
            part,
        };
        let met = self.bulk.header(pending)?;
        self.meet(met);
        Ok(())
    }

    pub(super) fn complete(&mut self, id: CallId, outcome: Outcome) {
        match self.calls.complete(id, outcome) {
            Completed::Told => self.events.push_back(Event::CallEnded(id)),
            Completed::Late(outcome) => self.give_back(outcome),
        }
    }

    /// A header has come after its body, or after the news that there is none.
    pub(super) fn meet(&mut self, met: Option<Met>) {
        match met {
            Some(Met::Whole(pending, body)) => self.join(pending, body),
            Some(Met::Lost(pending, why)) => self.give_up(pending, why),
            None => {}
        }
    }

    /// The body of a header will not come.
    fn give_up(&mut self, pending: Pending, why: LostBulk) {
        match pending {
            Pending::Call(incoming, _) => {
                let export = self.unhold(incoming.serving);
                self.refuse_incoming_with(*incoming, why.status(), why.extensions());
                self.advance(export);
            }
            Pending::Reply {
                call,
                objects,
                introductions,
                ..
            } => {
                self.forget_redemption(introductions);
                self.undeliver(objects);
                self.complete(
                    call,
                    Outcome::Failed {
                        status: why.status(),
                        extensions: why.extensions(),
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
                self.whole(Whole::Call(incoming));
            }
            Pending::Reply {
                call,
                body: inline,
                objects,
                introductions,
                ..
            } => {
                let body = if part.body_len > 0 { body } else { inline };
                let arrived = Arrived {
                    body,
                    raw,
                    objects,
                    introductions,
                };
                self.whole(Whole::Reply(call, arrived));
            }
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
    pub(super) fn receive_grants(
        &mut self,
        lane: u16,
        grants: &Grants,
        extensions: &Extensions,
    ) -> Result<Granted, PeerFault> {
        let mut granted = Granted::default();
        if grants.is_empty() {
            return Ok(granted);
        }
        granted.objects.reserve(grants.len());
        for (index, grant) in grants.iter().enumerate() {
            let received = match grant {
                Grant::Descriptor => self.receive_descriptor(lane),
                _ => self.receive_grant((index, grant), extensions).map(Ok),
            };
            match received {
                Ok(Ok(object)) => granted.objects.push(object),
                Ok(Err(no_room)) => granted.no_room = Some(no_room),
                Err(fault) => {
                    // Nobody will be given those before it either.
                    self.undeliver(granted.objects);
                    return Err(fault);
                }
            }
        }
        Ok(granted)
    }

    fn receive_descriptor(&mut self, lane: u16) -> Result<Result<Delivered, Full>, PeerFault> {
        if self.config.features & feature::DESCRIPTORS == 0 {
            return Err(PeerFault::UnexpectedDescriptor);
        }
        let taken = self.lanes[usize::from(lane)].descriptors.claim()?;
        Ok(taken.map(Delivered::Descriptor))
    }

    fn receive_grant(
        &mut self,
        (index, grant): (usize, Grant),
        extensions: &Extensions,
    ) -> Result<Delivered, PeerFault> {
        let local = self.config.scope == Scope::SameDevice;
        Ok(match grant {
            Grant::Null => Delivered::Null,
            Grant::Introduced { .. } if self.config.features & feature::INTRODUCTIONS == 0 => {
                return Err(PeerFault::UnexpectedIntroduction);
            }
            Grant::Introduced { .. } => Delivered::Introduced,
            Grant::Relayed { .. } if !self.takes_relayed() => {
                return Err(PeerFault::UnexpectedRelay);
            }
            Grant::Relayed {
                entry,
                handle,
                kind,
                object,
            } => {
                // The frame was checked when it was decoded.
                let about = About {
                    kind,
                    object,
                    home: extensions.homes().nth(entry.into()),
                    re_exportable: false,
                };
                self.import(handle, about)
            }
            // It has been claimed where it came.
            Grant::Descriptor => return Err(PeerFault::UnexpectedDescriptor),
            // Between devices this is a proxy on its way back to its origin, which no sender may pass.
            Grant::Home { .. } if !local => Delivered::Null,
            Grant::Home { handle } => self.come_home(handle)?,
            Grant::Granted {
                handle,
                kind,
                object,
            } => {
                let about = About {
                    kind,
                    object,
                    home: None,
                    re_exportable: local && extensions.is_re_exportable(index),
                };
                self.import(handle, about)
            }
        })
    }

    fn import(&mut self, handle: Handle, about: About) -> Delivered {
        let delivered = self.imports.receive(handle, about);
        let foreign =
            self.config.scope == Scope::OtherDevice && about.object.boot != self.config.peer_boot;
        let reserved = handle.index() == Handle::SAMGR.index();
        let full = self.imports.len() > self.config.limits.objects as usize + 1;
        if let (true, Delivered::Import { key, .. }) = (foreign || reserved || full, &delivered) {
            self.drop_hold(*key);
            return Delivered::Null;
        }
        delivered
    }

    /// A stub of ours comes home, dead or alive: who sent it may not have heard of its death. The release of it may have been
    /// quicker, on a lane of its own, and waits.
    fn come_home(&mut self, handle: Handle) -> Result<Delivered, PeerFault> {
        let Lookup::Found = self.exports.lookup(handle)? else {
            return Ok(Delivered::Null);
        };
        let Some(export) = self.exports.find_mut(handle) else {
            return Ok(Delivered::Null);
        };
        export.homes += 1;
        let delivered = Delivered::Home(export.object.clone());
        self.advance(handle);
        Ok(delivered)
    }
}
