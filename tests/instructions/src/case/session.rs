//! Two sessions and nothing else: what the state machine itself takes, both ends together.

use std::{hint::black_box, time::Instant};

use bytes::BytesMut;
use proto::{
    BootId, CallId,
    frame::{Frame, FrameReader},
};
use rpc::{
    Quotas,
    fuzzing::{a_stub, local, root},
    limits::DEFAULT_PEER_LIMITS,
    session::{
        Answer, Arrived, Body, CallRequest, Config, Context, Delivered, Event, ImportKey, Outcome,
        Outgoing, Scope, Session,
    },
};

use super::Case;

const LANES: u16 = 4;
const PAYLOAD: Body<'static> = Body {
    parts: [&[0x5a; 64], &[]],
    raw: None,
};

struct End {
    session: Session,
    /// What it calls: the other's system ability manager.
    root: ImportKey,
    readers: Vec<FrameReader>,
    writing: BytesMut,
    tags: u64,
}

struct Pair {
    caller: End,
    callee: End,
    now: Instant,
}

impl End {
    fn new(number: u64) -> Self {
        let boot = |random| BootId { epoch: 1, random };
        let config = Config {
            scope: Scope::OtherDevice,
            lanes: LANES,
            limits: DEFAULT_PEER_LIMITS,
            quotas: Quotas::DEFAULT,
            boot: boot(number),
            peer_boot: boot(1 - number),
            features: 0,
            peer_is_host: false,
        };
        let (session, peer_root) = Session::new(config, root());
        Self {
            session,
            root: peer_root,
            readers: (0..=LANES).map(|_| FrameReader::new()).collect(),
            writing: BytesMut::new(),
            tags: 0,
        }
    }

    /// Tags are the driver's, and random there.
    fn add_tags(&mut self) {
        for _ in 0..self.session.tags_wanted() {
            self.tags += 1;
            self.session.add_tag(self.tags);
        }
    }

    /// Gives what is queued to the other end, as a driver does.
    fn carry(&mut self, to: &mut Self, now: Instant) {
        let mut dirty = self.session.take_dirty_lanes();
        while dirty != 0 {
            let lane = dirty.trailing_zeros() as u16;
            dirty &= dirty - 1;
            self.session.poll_transmit(lane, &mut self.writing);
            let reader = &mut to.readers[usize::from(lane)];
            reader.buffer().extend_from_slice(&self.writing);
            self.writing.clear();
            while let Some(frame) = reader.next_frame().expect("what we write can be cut") {
                let frame = Frame::decode(frame).expect("what we write can be read");
                let frame = frame.expect("what we write is known");
                let taken = to.session.handle_frame(now, lane, frame);
                taken.expect("what we write is no fault");
            }
        }
    }
}

impl Pair {
    fn new() -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "an Instant has no other beginning"
        )]
        let now = Instant::now();
        Self {
            caller: End::new(0),
            callee: End::new(1),
            now,
        }
    }

    fn start(&mut self, one_way: bool, objects: &[Outgoing]) -> Option<CallId> {
        self.caller.add_tags();
        let request = CallRequest {
            target: self.caller.root,
            code: 1,
            interface: None,
            one_way,
            idempotent: false,
            long_poll: false,
            context: Context {
                deadline: (!one_way).then(|| self.now + std::time::Duration::from_secs(8)),
                chain: 1,
                depth: 0,
                trace: None,
            },
            behalf: None,
            body: PAYLOAD,
            objects,
        };
        let started = self.caller.session.start_call(self.now, &request);
        started.expect("far below every limit")
    }

    /// The callee answers what has come; what came with it.
    fn serve(&mut self) -> Arrived {
        self.caller.carry(&mut self.callee, self.now);
        let mut arrived = None;
        while let Some(event) = self.callee.session.poll_event() {
            let incoming = match event {
                Event::Request(incoming) => Some(incoming),
                Event::OneWay { mut calls, .. } => calls.pop_front(),
                _ => None,
            };
            if let Some(incoming) = incoming {
                let answer = Answer::Parcel {
                    body: if incoming.one_way {
                        Body {
                            parts: [&[], &[]],
                            raw: None,
                        }
                    } else {
                        PAYLOAD
                    },
                    objects: &[],
                };
                self.callee.session.finish(incoming.serving, &answer);
                arrived = Some(incoming.parcel);
            }
        }
        arrived.expect("a request came")
    }

    fn end(&mut self, id: CallId) {
        self.callee.carry(&mut self.caller, self.now);
        let mut ended = false;
        while let Some(event) = self.caller.session.poll_event() {
            ended |= matches!(event, Event::CallEnded(ended) if ended == id);
        }
        let outcome = self.caller.session.take_outcome(id);
        assert!(ended && matches!(outcome, Some(Outcome::Replied(_))));
        black_box(outcome);
    }

    fn call(&mut self, objects: &[Outgoing]) -> Arrived {
        let id = self
            .start(false, objects)
            .expect("a two-way call has an id");
        let arrived = self.serve();
        self.end(id);
        arrived
    }
}

/// A two-way call of 64 bytes, and as many back.
pub(super) fn call() -> Box<dyn Case> {
    let mut pair = Pair::new();
    Box::new(move || {
        black_box(pair.call(&[]));
    })
}

/// A one-way call, and its share of the acknowledgement.
pub(super) fn one_way() -> Box<dyn Case> {
    let mut pair = Pair::new();
    Box::new(move || {
        pair.start(true, &[]);
        black_box(pair.serve());
        pair.callee.carry(&mut pair.caller, pair.now);
        while pair.caller.session.poll_event().is_some() {}
    })
}

/// A call with a new object in it, which the callee lets go of.
pub(super) fn object() -> Box<dyn Case> {
    let mut pair = Pair::new();
    Box::new(move || {
        let stub = local(&a_stub()).expect("a stub of ours");
        let arrived = pair.call(&[Outgoing::Own(stub)]);
        let [Delivered::Import { key, .. }] = arrived.objects[..] else {
            panic!("one object came: {arrived:?}");
        };
        pair.callee.session.drop_hold(key);
        pair.callee.carry(&mut pair.caller, pair.now);
        let mut released = false;
        while let Some(event) = pair.caller.session.poll_event() {
            released |= matches!(event, Event::Released(_));
        }
        assert!(released, "the callee held it no longer");
    })
}
