//! Making a call: what is in it, what its handler is to do, and what becomes of it.

use std::time::Duration;

use bytes::Bytes;
use rpc::{CallOption, Parcel, parcel::WriteParcelError};

use super::{Application, Held};
use crate::{
    log::{Answer, Begun, Event},
    node::Node,
    random::Random,
};

/// The one method of every stub here.
const WORK: u32 = 1;
/// How deep handlers call back.
const DEEPEST: u32 = 3;

/// A call about to be made.
#[derive(Clone, Debug)]
pub(super) struct Request {
    one_way: bool,
    wait: Option<u64>,
    objects: Vec<Held>,
    script: Script,
}

/// What travels with a call without being in its parcel: what its handler is to find and to do. Holds nothing of anybody's.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The objects of the parcel: of which stub, and of which registration.
    pub(super) objects: Vec<(u32, Option<u32>)>,
    /// Bytes in the parcel that mean nothing.
    pub(super) padding: usize,
    pub(super) raw: Option<usize>,
    /// How long the handler takes, in milliseconds.
    pub(super) takes: u64,
    pub(super) answer: Answer,
    /// The handler keeps what it was given.
    pub(super) keeps: bool,
    pub(super) returns: Returns,
    /// What the handler makes of the first object that it was given.
    pub(super) inner: Option<Inner>,
}

/// A call that a handler makes before it answers.
#[derive(Clone, Debug)]
pub(super) struct Inner {
    wait: Option<u64>,
    /// It brings a stub of its own along.
    stub: bool,
    script: Box<Script>,
}

/// What a handler puts into its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    Nothing,
    /// A stub of its own.
    Own,
    /// What it was given.
    Given,
}

/// A call that has not ended.
struct Open<'a> {
    node: &'a Node,
    call: u32,
    ended: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.node.record(Event::Abandoned(self.call));
        }
    }
}

impl Script {
    fn draw(random: &mut Random, depth: u32) -> Self {
        let inner = depth < DEEPEST && random.percent(30);
        Self {
            objects: Vec::new(),
            padding: match random.below(12) {
                0 => 33_000 + random.below(60_000) as usize,
                _ => random.below(200) as usize,
            },
            raw: random
                .percent(12)
                .then(|| 1 + random.below(200_000) as usize),
            takes: match random.below(6) {
                0 => random.below(1500),
                1 | 2 => random.below(60),
                _ => 0,
            },
            answer: match random.below(14) {
                0 => Answer::Code(random.below(1000) as i32),
                1 => Answer::Panic,
                _ => Answer::Reply,
            },
            keeps: random.percent(60),
            returns: match random.below(5) {
                0 => Returns::Own,
                1 => Returns::Given,
                _ => Returns::Nothing,
            },
            inner: inner.then(|| Inner {
                wait: wait(random),
                stub: random.percent(50),
                script: Box::new(Self::draw(random, depth + 1)),
            }),
        }
    }
}

/// How long a call may take: mostly as long as calls do.
fn wait(random: &mut Random) -> Option<u64> {
    match random.below(10) {
        0 => Some(20 + random.below(400)),
        1 | 2 => Some(500 + random.below(4000)),
        _ => None,
    }
}

impl Request {
    /// The parcel.
    fn parcel(&self, call: u32) -> Result<Parcel, WriteParcelError> {
        let mut parcel = Parcel::new();
        parcel.write_u32(call)?;
        parcel.write_buffer(&vec![0; self.script.padding])?;
        for held in &self.objects {
            parcel.write_remote_object(&held.object)?;
        }
        if let Some(len) = self.script.raw {
            parcel.write_raw_data(raw(call, len))?;
        }
        Ok(parcel)
    }

    fn option(&self) -> CallOption {
        let option = if self.one_way {
            CallOption::one_way()
        } else {
            CallOption::two_way()
        };
        match self.wait {
            Some(wait) => option.wait(Duration::from_millis(wait)),
            None => option,
        }
    }
}

impl Application {
    pub(super) fn request(&self, random: &mut Random, target: &Held, one_way: bool) -> Request {
        let wait = wait(random).filter(|_| !one_way || random.percent(20));
        let objects = self.arguments(random, target);
        let mut script = Script::draw(random, 0);
        if one_way {
            // There is no reply, and nobody to ask whether it might carry something.
            script.returns = Returns::Nothing;
        }
        Request {
            one_way,
            wait,
            objects,
            script,
        }
    }

    /// Objects for a parcel: stubs of its own, and what others gave; seldom something that the receiver's own device gave.
    fn arguments(&self, random: &mut Random, receiver: &Held) -> Vec<Held> {
        let state = self.state();
        let count = match random.below(10) {
            0..5 => 0,
            5..8 => 1,
            _ => 2 + random.below(3),
        };
        let one = |random: &mut Random| {
            if random.percent(60) {
                return random.pick(&state.stubs).cloned();
            }
            let home = receiver.object.device();
            let back = random.percent(10);
            let held = state.held.iter();
            let held: Vec<_> = held
                .filter(|held| back || held.object.device() != home)
                .collect();
            random.pick(&held).map(|held| (*held).clone())
        };
        (0..count).filter_map(|_| one(random)).collect()
    }

    /// Makes a call and takes what comes back.
    pub(super) async fn make_call(&self, target: &Held, mut request: Request, inside: Option<u32>) {
        let node = &self.node;
        let shared = node.shared();
        let call = shared.number();
        let begun = Begun {
            at: node.place,
            target: target.reference(),
            objects: request.objects.iter().map(Held::reference).collect(),
            one_way: request.one_way,
            wait: request.wait,
            answer: request.script.answer,
            inside,
        };
        let facts = request.objects.iter();
        request.script.objects = facts.map(|held| (held.of, held.registration)).collect();
        let parcel = request.parcel(call);
        let parcel = parcel.expect("the parcel is within what a parcel takes");
        shared.scripts().insert(call, request.script.clone());
        node.record(Event::Begun(call, begun));
        let mut open = Open {
            node,
            call,
            ended: false,
        };
        let option = request.option();
        let result = target.object.send_request(WORK, &parcel, option).await;
        open.ended = true;
        let ended = result.as_ref().map(drop).map_err(Clone::clone);
        node.record(Event::Ended(call, ended));
        if let Ok(mut reply) = result {
            self.take_reply(call, &mut reply);
        }
    }

    /// What a handler makes of an object that it was given.
    pub(super) async fn call_back(&self, target: &Held, inner: Inner, inside: u32) {
        let stub = if inner.stub {
            self.state().stubs.last().cloned()
        } else {
            None
        };
        let request = Request {
            one_way: false,
            wait: inner.wait,
            objects: stub.into_iter().collect(),
            script: *inner.script,
        };
        self.make_call(target, request, Some(inside)).await;
    }

    fn take_reply(&self, call: u32, reply: &mut Parcel) {
        let returned = self.node.shared().returned().remove(&call);
        let Some((of, registration)) = returned else {
            return;
        };
        if let Ok(object) = reply.read_remote_object() {
            let held = self.hold(object, of, registration);
            self.keep([held]);
        }
    }
}

/// The raw data of a call.
pub(super) fn raw(call: u32, len: usize) -> Bytes {
    let mut bytes = call.to_le_bytes().repeat(len.div_ceil(4));
    bytes.truncate(len);
    bytes.into()
}
