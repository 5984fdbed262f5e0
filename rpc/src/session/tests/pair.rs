//! Two sessions and the wire between them: every lane keeps its order, nothing else does. Time stands still unless a
//! test moves it.

mod call;
mod forged;
mod stubs;

pub(super) use call::{TestCall, key, replied};
pub(super) use forged::{forged_call, grants};
pub(super) use stubs::{interface, named, register, same, stub, typed};

use stubs::TestStub;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use proto::{
    BootId, CallId, Handle,
    frame::{Frame, FrameReader, Status},
    message::{DeathReason, PeerLimits, feature},
};

use super::super::{
    Answer, Attached, Body, CallRequest, Config, Context, Delivered, Event, ImportKey, Incoming,
    LostBulk, Outcome, Outgoing, PeerFault, Scope, ServingId, Session, StartCallError, Usage,
};
use crate::{
    interface::Spoken,
    quotas::{Full, Quotas},
    remote::{LocalObject, StubCell},
};

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

/// What a session holds when nothing is under way: each end's system ability manager.
pub(super) const FLOOR: Usage = Usage {
    exports: 1,
    imports: 1,
    calls: 0,
    serving: 0,
    links: 0,
    bulk: 0,
    obituaries: 0,
};

/// One end, with what is on its way to it.
pub(super) struct End {
    pub(super) session: Session,
    /// The other's system ability manager.
    pub(super) root: ImportKey,
    pub(super) events: VecDeque<Event>,
    /// One-way calls that were handed out together: the one that runs, and those behind it.
    runs: Vec<(ServingId, VecDeque<Incoming>)>,
    /// Bytes towards this end, by lane.
    inbound: Vec<BytesMut>,
    /// Descriptors among them.
    attached: Vec<Attached>,
    /// For how many more of them there is room.
    pub(super) room: usize,
    readers: Vec<FrameReader>,
    /// Bulk streams towards this end; they may arrive in any order.
    pub(super) bulk: Vec<(u64, Bytes)>,
    /// Lanes of this end with something to transmit.
    dirty: u128,
    tags: u64,
    /// Stubs of this end that its application has declared dead.
    pub(super) killed: Vec<LocalObject>,
    /// What this end was told dead.
    died: HashSet<Handle>,
    /// What the other end did.
    pub(super) fault: Option<PeerFault>,
}

impl End {
    fn drain(&mut self, now: Instant) -> Vec<(u64, Bytes)> {
        self.take_events(now);
        while let Some(ended) = self
            .runs
            .iter()
            .position(|(running, _)| self.session.serving.get_mut(*running).is_none())
        {
            let (_, calls) = self.runs.swap_remove(ended);
            self.run_next(now, calls);
            self.take_events(now);
        }
        self.dirty |= self.session.take_dirty_lanes();
        let mut bulk = Vec::new();
        while let Some(next) = self.session.poll_bulk() {
            let mut bytes = BytesMut::from(&next.body[..]);
            bytes.extend_from_slice(&next.raw);
            bulk.push((next.id, bytes.freeze()));
        }
        bulk
    }

    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Died { key, .. } => {
                    let handle = self.session.imports.get(key).unwrap().handle;
                    assert!(self.died.insert(handle), "{handle:?} died twice");
                    self.events.push_back(event);
                }
                Event::OneWay { calls, .. } => self.run_next(now, calls),
                event => self.events.push_back(event),
            }
        }
    }

    /// What a driver does with one-way calls: the first that may still run is a request, and the others wait for it.
    fn run_next(&mut self, now: Instant, mut calls: VecDeque<Incoming>) {
        while let Some(incoming) = calls.pop_front() {
            let serving = incoming.serving;
            let late = incoming.context.deadline.is_some_and(|due| due <= now);
            let dead = self.killed.iter().any(|dead| same(dead, &incoming.target));
            if !late && !dead && self.session.closed().is_none() {
                self.runs.push((serving, calls));
                self.events.push_back(Event::Request(incoming));
                return;
            }
            self.session.undeliver(incoming.parcel.objects);
            let refused = Answer::Refused {
                status: Status::Expired,
                extensions: Default::default(),
            };
            self.session.finish(serving, &refused);
        }
    }
}

pub(super) struct Pair {
    pub(super) ends: [End; 2],
    pub(super) now: Instant,
}

/// What is said where there is no room for a descriptor.
pub(super) const NO_ROOM: Full = Full { limit: 7, value: 8 };

/// The limits most tests use: small enough to be reached.
pub(super) fn small_limits() -> PeerLimits {
    PeerLimits {
        calls_in_flight: 40,
        objects: 200,
        objects_per_parcel: 64,
        one_way_calls: 8,
        one_way_bytes: 4096,
        bulk_streams: 3,
    }
}

pub(super) fn boot(end: usize) -> BootId {
    BootId {
        epoch: 1,
        random: end as u64 + 1,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant has no other beginning; nothing here reads it as the time"
)]
fn beginning() -> Instant {
    Instant::now()
}

impl Pair {
    pub(super) fn new(scope: Scope) -> Self {
        Self::with(scope, 4, small_limits())
    }

    pub(super) fn with(scope: Scope, lanes: u16, limits: PeerLimits) -> Self {
        let end = |end: usize| {
            let (boot, peer_boot) = (boot(end), boot(1 - end));
            let config = Config {
                scope,
                lanes,
                limits,
                quotas: Quotas::DEFAULT,
                boot,
                peer_boot,
                features: match scope {
                    Scope::SameDevice => {
                        feature::INTRODUCTIONS | feature::RELAY | feature::DESCRIPTORS
                    }
                    Scope::OtherDevice => feature::INTRODUCTIONS,
                },
                // B hosts the bus of A.
                peer_is_host: end == A,
            };
            let root = StubCell::root(Arc::new(TestStub(Vec::new())));
            let (session, root) = Session::new(config, LocalObject::anonymous(Arc::new(root)));
            End {
                session,
                root,
                events: VecDeque::new(),
                runs: Vec::new(),
                inbound: vec![BytesMut::new(); usize::from(lanes) + 1],
                attached: vec![Attached::new(); usize::from(lanes) + 1],
                room: usize::MAX,
                readers: (0..=lanes).map(|_| FrameReader::new()).collect(),
                bulk: Vec::new(),
                dirty: 0,
                tags: 1000 * (end as u64 + 1),
                killed: Vec::new(),
                died: HashSet::new(),
                fault: None,
            }
        };
        Self {
            ends: [end(A), end(B)],
            now: beginning(),
        }
    }

    /// Does something to one end, and takes what that leaves to be done.
    pub(super) fn run<R>(&mut self, end: usize, f: impl FnOnce(&mut Session, Instant) -> R) -> R {
        let now = self.now;
        let this = &mut self.ends[end];
        for _ in 0..this.session.tags_wanted() {
            this.tags += 1;
            this.session.add_tag(this.tags);
        }
        let result = f(&mut this.session, now);
        let bulk = this.drain(now);
        self.ends[1 - end].bulk.extend(bulk);
        result
    }

    /// Moves at most `most` bytes of a lane towards an end; whether there were any.
    pub(super) fn deliver(&mut self, to: usize, lane: usize, most: usize) -> bool {
        let (from, bit) = (1 - to, 1 << lane);
        if self.ends[from].dirty & bit != 0 {
            self.ends[from].dirty &= !bit;
            let mut bytes = BytesMut::new();
            self.ends[from]
                .session
                .poll_transmit(lane as u16, &mut bytes);
            let attached = self.ends[from].session.take_attached(lane as u16);
            let end = &mut self.ends[to];
            let before = end.inbound[lane].len();
            let attached = attached.into_iter();
            end.attached[lane].extend(attached.map(|(at, some)| (before + at, some)));
            end.inbound[lane].extend_from_slice(&bytes);
        }
        let end = &mut self.ends[to];
        let count = most.min(end.inbound[lane].len());
        let moved = end.inbound[lane].split_to(count);
        end.readers[lane].buffer().extend_from_slice(&moved);
        let (came, rest): (Attached, Attached) = std::mem::take(&mut end.attached[lane])
            .into_iter()
            .partition(|(at, _)| *at < count);
        let rest = rest.into_iter();
        end.attached[lane] = rest.map(|(at, some)| (at - count, some)).collect();
        for (_, descriptors) in came {
            let room = &mut self.ends[to].room;
            let descriptors = descriptors.into_iter().map(|descriptor| {
                *room = room.checked_sub(1).ok_or(NO_ROOM)?;
                Ok(descriptor)
            });
            let descriptors = descriptors.collect();
            self.run(to, |session, _| {
                session.handle_descriptors(lane as u16, descriptors)
            });
        }
        loop {
            let frame = match self.ends[to].readers[lane].next_frame() {
                Ok(Some(frame)) => Frame::decode(frame),
                Ok(None) => {
                    self.pause(to, lane);
                    return count > 0;
                }
                Err(error) => Err(error),
            };
            let taken = match frame {
                Ok(Some(frame)) => self.run(to, |session, now| {
                    session.handle_frame(now, lane as u16, frame)
                }),
                Ok(None) => Ok(()),
                Err(error) => Err(error.into()),
            };
            if let Err(fault) = taken {
                self.fault(to, fault);
            }
        }
    }

    /// Nothing more has come on a lane.
    pub(super) fn pause(&mut self, end: usize, lane: usize) {
        let within = !self.ends[end].readers[lane].is_empty();
        let paused = self.run(end, |session, _| session.handle_pause(lane as u16, within));
        if let Err(fault) = paused {
            self.fault(end, fault);
        }
    }

    fn fault(&mut self, end: usize, fault: PeerFault) {
        self.ends[end].fault.get_or_insert(fault);
        self.run(end, |session, _| {
            session.close(DeathReason::DeviceUnreachable)
        });
    }

    /// A bulk stream arrives whole.
    pub(super) fn deliver_bulk(&mut self, to: usize, index: usize) {
        let (id, body) = self.ends[to].bulk.remove(index);
        let taken = self.run(to, |session, now| session.handle_bulk(now, id, body));
        if let Err(fault) = taken {
            self.fault(to, fault);
        }
        self.run(1 - to, |session, _| session.bulk_sent());
    }

    /// A bulk stream is given up.
    pub(super) fn reset_bulk(&mut self, to: usize, index: usize) {
        let (id, _) = self.ends[to].bulk.remove(index);
        self.run(to, |session, _| {
            session.handle_bulk_reset(id, LostBulk::GivenUp)
        });
        self.run(1 - to, |session, _| session.bulk_sent());
    }

    /// Moves everything on the lanes until nothing moves any more.
    pub(super) fn drive_lanes(&mut self) {
        self.until_quiet(|pair| {
            let mut moved = false;
            for to in [A, B] {
                for lane in 0..pair.ends[to].inbound.len() {
                    moved |= pair.deliver(to, lane, usize::MAX);
                }
            }
            moved
        });
    }

    /// Moves everything, bulk streams too.
    pub(super) fn drive(&mut self) {
        self.until_quiet(|pair| {
            pair.drive_lanes();
            for to in [A, B] {
                if !pair.ends[to].bulk.is_empty() {
                    pair.deliver_bulk(to, 0);
                    return true;
                }
            }
            false
        });
    }

    fn until_quiet(&mut self, mut step: impl FnMut(&mut Self) -> bool) {
        for _ in 0..100_000 {
            if !step(self) {
                return;
            }
        }
        panic!("the two sessions keep each other busy for ever");
    }

    /// Time passes, and both ends are told.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        for end in [A, B] {
            if self.ends[end]
                .session
                .poll_timeout()
                .is_some_and(|due| due <= now)
            {
                self.run(end, |session, now| session.handle_timeout(now));
            }
            let due = self.ends[end].session.poll_timeout();
            assert!(
                due.is_none_or(|due| due > now),
                "what was due has been done"
            );
        }
    }

    /// The link is gone: what was on it is lost, and both ends learn of it.
    pub(super) fn disconnect(&mut self) {
        for end in [A, B] {
            self.lose(end);
            self.run(end, |session, _| {
                session.close(DeathReason::DeviceUnreachable)
            });
        }
    }

    /// What was on its way to one end is lost.
    pub(super) fn lose(&mut self, end: usize) {
        self.ends[end].bulk.clear();
        self.ends[1 - end].dirty = 0;
        for lane in &mut self.ends[end].inbound {
            lane.clear();
        }
        for lane in &mut self.ends[end].attached {
            lane.clear();
        }
    }

    pub(super) fn usage(&self, end: usize) -> Usage {
        self.ends[end].session.usage()
    }

    pub(super) fn assert_floor(&self) {
        for end in [A, B] {
            assert_eq!(self.ends[end].fault, None, "fault seen by {end}");
            assert_eq!(self.usage(end), FLOOR, "what {end} holds");
            assert!(self.ends[end].session.is_idle(), "{end} has nothing to do");
            assert!(
                self.no_one_way_open(end),
                "the one-way credit of {end} is whole"
            );
        }
    }

    /// Whether every one-way call of an end has been acknowledged.
    pub(super) fn no_one_way_open(&self, end: usize) -> bool {
        let one = super::super::lanes::Credit {
            calls: 1,
            bytes: u64::MAX,
        };
        self.ends[end]
            .session
            .lanes
            .iter()
            .all(|lane| lane.has_credit(one, 0))
    }

    // Calls, as tests make them.

    pub(super) fn call(
        &mut self,
        from: usize,
        call: &TestCall<'_>,
    ) -> Result<Option<CallId>, StartCallError> {
        self.run(from, |session, now| {
            let context = Context {
                deadline: call.wait.map(|wait| now + wait),
                chain: 7,
                depth: call.depth,
                trace: None,
            };
            let interface = call.interface.map(Spoken::Own);
            session.start_call(
                now,
                &CallRequest {
                    target: call.target,
                    code: call.code,
                    interface: interface.as_ref(),
                    one_way: call.one_way,
                    idempotent: false,
                    long_poll: false,
                    context,
                    behalf: call.behalf,
                    body: Body {
                        parts: [call.body, &[]],
                        raw: call.raw.as_ref(),
                    },
                    objects: call.objects,
                },
            )
        })
    }

    pub(super) fn two_way(&mut self, from: usize, target: ImportKey) -> CallId {
        self.call(from, &TestCall::new(target)).unwrap().unwrap()
    }

    pub(super) fn one_way(&mut self, from: usize, target: ImportKey, body: &[u8]) {
        self.call(
            from,
            &TestCall {
                one_way: true,
                body,
                ..TestCall::new(target)
            },
        )
        .unwrap();
    }

    pub(super) fn answer(&mut self, end: usize, serving: ServingId, objects: &[Outgoing]) {
        let body = Body {
            parts: [&[1, 2, 3, 4], &[]],
            raw: None,
        };
        self.run(end, |session, _| {
            session.finish(serving, &Answer::Parcel { body, objects })
        });
    }

    pub(super) fn fail(&mut self, end: usize, serving: ServingId, status: Status) {
        let answer = Answer::Error {
            status,
            extensions: Default::default(),
        };
        self.run(end, |session, _| session.finish(serving, &answer));
    }

    /// The next request an end was told to serve, if there is one.
    pub(super) fn request(&mut self, end: usize) -> Option<Incoming> {
        let requests = |event: &Event| matches!(event, Event::Request(_));
        let index = self.ends[end].events.iter().position(requests)?;
        match self.ends[end].events.remove(index) {
            Some(Event::Request(incoming)) => Some(incoming),
            _ => None,
        }
    }

    /// How often one thing happened at an end, among what the test has not taken.
    pub(super) fn count(&self, end: usize, what: impl Fn(&Event) -> bool) -> usize {
        self.ends[end]
            .events
            .iter()
            .filter(|event| what(event))
            .count()
    }

    pub(super) fn outcome(&mut self, end: usize, id: CallId) -> Option<Outcome> {
        self.run(end, |session, _| session.take_outcome(id))
    }

    /// The status a call ended with; panics when it has not ended.
    pub(super) fn status(&mut self, end: usize, id: CallId) -> Status {
        match self.outcome(end, id) {
            Some(Outcome::Replied(_)) => Status::Ok,
            Some(Outcome::Failed { status, .. }) => status,
            other => panic!("{other:?} is no status"),
        }
    }

    /// One end passes an object to the other by a call, which is answered; what the other got.
    pub(super) fn give(&mut self, from: usize, object: Outgoing) -> Delivered {
        let target = self.ends[from].root;
        let call = TestCall {
            objects: &[object],
            ..TestCall::new(target)
        };
        let id = self.call(from, &call).unwrap().unwrap();
        self.drive();
        let mut incoming = self.request(1 - from).unwrap();
        self.answer(1 - from, incoming.serving, &[]);
        self.drive();
        assert_eq!(self.status(from, id), Status::Ok);
        incoming.parcel.objects.remove(0)
    }

    /// As [`give`](Self::give), for a stub that arrives as an import.
    pub(super) fn grant(&mut self, from: usize, object: &LocalObject) -> ImportKey {
        key(&self.give(from, Outgoing::Own(object.clone())))
    }

    pub(super) fn drop_hold(&mut self, end: usize, key: ImportKey) {
        self.run(end, |session, _| session.drop_hold(key));
    }

    /// What an end calls an object it imported.
    pub(super) fn handle(&self, end: usize, key: ImportKey) -> Handle {
        self.ends[end].session.imports.get(key).unwrap().handle
    }

    /// What an end calls a stub it exported.
    pub(super) fn handle_of(&mut self, end: usize, object: &LocalObject) -> Handle {
        let exports = &mut self.ends[end].session.exports;
        let handle = exports.handles().into_iter().find(|handle| {
            exports
                .find_mut(*handle)
                .is_some_and(|export| same(&export.object, object))
        });
        handle.unwrap()
    }

    pub(super) fn lane(&self, end: usize, handle: Handle) -> u16 {
        self.ends[end].session.lane_of(handle)
    }
}
