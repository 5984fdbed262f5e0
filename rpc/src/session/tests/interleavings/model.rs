//! What the two applications believe, and how it is compared with what the sessions say.

mod checks;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use proto::{CallId, Handle, frame::Status, message::DeathReason};

use super::{
    super::pair::{A, B, FLOOR, Pair, TestCall, interface, named, same, stub},
    How, Object, Op, Parcel,
};
use crate::{
    interface::Interface,
    remote::LocalObject,
    session::{
        Answer, Arrived, Body, Delivered, Event, ImportKey, Incoming, LinkId, Outcome, Outgoing,
        Scope, ServingId, StartCallError, Usage,
    },
};

struct Stub {
    object: LocalObject,
    dead: bool,
}

struct Running {
    serving: ServingId,
    one_way: Option<Handle>,
    cancelled: bool,
}

/// What stands in a parcel, as its sender knows it.
#[derive(Clone, Debug)]
enum Sent {
    Null,
    Own(LocalObject),
    Home(LocalObject),
}

struct Message {
    objects: Vec<Sent>,
    arrived: bool,
    raw: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Waiting,
    Ended,
}

#[derive(Default)]
struct App {
    stubs: Vec<Stub>,
    /// One for each hold.
    holds: Vec<ImportKey>,
    /// Whose each import is.
    owners: HashMap<ImportKey, LocalObject>,
    links: Vec<(ImportKey, LinkId)>,
    calls: HashMap<CallId, Told>,
    running: Vec<Running>,
    /// The last one-way call that ran, by object.
    order: HashMap<Handle, u32>,
    one_way_sent: u64,
    one_way_ran: u64,
    one_way_refused: u64,
}

thread_local! {
    static INTERFACES: Vec<&'static Interface> =
        (0..20).map(|_| interface("test.Stub", Vec::new())).collect();
}

pub(super) struct World {
    pair: Pair,
    scope: Scope,
    lanes: u16,
    apps: [App; 2],
    /// More than can be bound on one object at a time.
    interfaces: Vec<&'static Interface>,
    messages: Vec<Message>,
    closed: bool,
}

fn pick<T>(among: &[T], number: u8) -> Option<usize> {
    (!among.is_empty()).then(|| usize::from(number) % among.len())
}

impl World {
    pub(super) fn new(scope: Scope, lanes: u16) -> Self {
        let app = |end: u64| {
            let objects = [
                stub(),
                stub(),
                stub(),
                named(1, end * 10 + 1),
                named(2, end * 10 + 2),
            ];
            let stubs = objects
                .into_iter()
                .map(|object| Stub {
                    object,
                    dead: false,
                })
                .collect();
            App {
                stubs,
                ..App::default()
            }
        };
        let pair = Pair::with(scope, lanes, super::super::pair::small_limits());
        Self {
            pair,
            scope,
            lanes,
            apps: [app(0), app(1)],
            interfaces: INTERFACES.with(Clone::clone),
            messages: Vec::new(),
            closed: false,
        }
    }

    pub(super) fn step(&mut self, op: &Op) {
        match *op {
            Op::Call {
                end,
                target,
                ref how,
                ref parcel,
            } => self.call(end, target, how, parcel),
            Op::Deliver { to, lane, bytes } => {
                let lane = usize::from(lane) % (usize::from(self.lanes) + 1);
                self.pair.deliver(to, lane, bytes.into());
            }
            Op::DeliverLanes => self.pair.drive_lanes(),
            Op::Bulk { to, index } => {
                if let Some(index) = pick(&self.pair.ends[to].bulk, index) {
                    self.pair.deliver_bulk(to, index);
                }
            }
            Op::ResetBulk { to, index } => {
                if let Some(index) = pick(&self.pair.ends[to].bulk, index) {
                    self.pair.reset_bulk(to, index);
                }
            }
            Op::Finish {
                end,
                index,
                fails,
                ref parcel,
            } => self.finish(end, index, fails, parcel),
            Op::Take { end, index } => self.take(end, index),
            Op::Abandon { end, index } => {
                if let Some(id) = self.call_of(end, index) {
                    self.pair.run(end, |session, _| session.abandon(id));
                    self.apps[end].calls.remove(&id);
                }
            }
            Op::Drop { end, index } => {
                if let Some(index) = pick(&self.apps[end].holds, index) {
                    self.drop_hold(end, index);
                }
            }
            Op::Link { end, index } => {
                if let Some(index) = pick(&self.apps[end].holds, index) {
                    let key = self.apps[end].holds[index];
                    let link = self.pair.run(end, |session, _| session.link_to_death(key));
                    self.apps[end].links.extend(link.map(|link| (key, link)));
                }
            }
            Op::Unlink { end, index } => {
                if let Some(index) = pick(&self.apps[end].links, index) {
                    self.unlink(end, index);
                }
            }
            Op::Kill { end, index } => {
                let index = usize::from(index) % self.apps[end].stubs.len();
                let stub = &mut self.apps[end].stubs[index];
                stub.dead = true;
                let object = stub.object.clone();
                self.pair.ends[end].killed.push(object.clone());
                self.pair.run(end, |session, _| {
                    session.kill(DeathReason::Revoked, |other| same(other, &object));
                });
            }
            Op::Pass { ms } => self.pair.pass(Duration::from_millis(ms.into())),
            Op::GoAway { end } => self
                .pair
                .run(end, |session, _| session.go_away(1, "leaving")),
            Op::Disconnect => {
                self.closed = true;
                self.pair.disconnect();
            }
        }
        self.absorb();
        self.check();
    }

    fn call(&mut self, end: usize, target: u8, how: &How, parcel: &Parcel) {
        let one_way = how.one_way;
        let root = self.pair.ends[end].root;
        let index = usize::from(target) % (self.apps[end].holds.len() + 1);
        let target = self.apps[end].holds.get(index).copied().unwrap_or(root);
        let (objects, sent) = self.objects(end, parcel);
        let (body, raw) = self.message(sent, parcel.raw);
        let result = self.pair.call(
            end,
            &TestCall {
                one_way,
                depth: how.nested.into(),
                wait: how.wait_ms.map(|ms| Duration::from_millis(ms.into())),
                interface: how
                    .interface
                    .map(|n| self.interfaces[usize::from(n) % self.interfaces.len()]),
                body: &body,
                raw,
                objects: &objects,
                ..TestCall::new(target)
            },
        );
        match result {
            Ok(Some(id)) => {
                assert!(!one_way);
                let before = self.apps[end].calls.insert(id, Told::Waiting);
                assert_eq!(before, None, "{id:?} names a call that has not ended");
            }
            Ok(None) => {
                assert!(one_way);
                self.apps[end].one_way_sent += 1;
            }
            Err(StartCallError::Dead(_)) => {
                let dead = self.pair.ends[end].session.import_death(target);
                assert!(dead.is_some() || self.closed);
            }
            Err(_) => {}
        }
    }

    /// The objects of a parcel, as far as the rules let them pass.
    fn objects(&self, end: usize, parcel: &Parcel) -> (Vec<Outgoing>, Vec<Sent>) {
        let app = &self.apps[end];
        let own = |number: u8| {
            let stub = &app.stubs[usize::from(number) % app.stubs.len()];
            let own = || {
                (
                    Outgoing::Own(stub.object.clone()),
                    Sent::Own(stub.object.clone()),
                )
            };
            if stub.dead {
                (Outgoing::Null, Sent::Null)
            } else {
                own()
            }
        };
        let one = |object: &Object| match *object {
            Object::Null => (Outgoing::Null, Sent::Null),
            Object::Own(number) => own(number),
            Object::Home(number) => {
                let alive =
                    |key: &ImportKey| self.pair.ends[end].session.import_death(*key).is_none();
                match pick(&app.holds, number)
                    .map(|index| app.holds[index])
                    .filter(alive)
                {
                    Some(key) if self.scope == Scope::SameDevice => {
                        (Outgoing::Home(key), Sent::Home(app.owners[&key].clone()))
                    }
                    _ => own(number),
                }
            }
        };
        parcel.objects.iter().map(one).unzip()
    }

    fn message(&mut self, objects: Vec<Sent>, raw: bool) -> (Vec<u8>, Option<Bytes>) {
        let number = self.messages.len() as u32;
        let raw = raw.then(|| Bytes::copy_from_slice(&number.to_be_bytes()));
        self.messages.push(Message {
            objects,
            arrived: false,
            raw: raw.clone(),
        });
        (number.to_le_bytes().to_vec(), raw)
    }

    fn finish(&mut self, end: usize, index: u8, fails: bool, parcel: &Parcel) {
        let Some(index) = pick(&self.apps[end].running, index) else {
            return;
        };
        let serving = self.apps[end].running.remove(index).serving;
        if fails {
            self.pair.fail(end, serving, Status::App(7));
            return;
        }
        let (objects, sent) = self.objects(end, parcel);
        let (body, raw) = self.message(sent, parcel.raw);
        let body = Body {
            parts: [&body, &[]],
            raw: raw.as_ref(),
        };
        let answer = Answer::Parcel {
            body,
            objects: &objects,
        };
        self.pair
            .run(end, |session, _| session.finish(serving, &answer));
    }

    fn call_of(&self, end: usize, index: u8) -> Option<CallId> {
        let mut ids: Vec<_> = self.apps[end].calls.keys().copied().collect();
        ids.sort_unstable_by_key(|id| (id.slot, id.generation));
        pick(&ids, index).map(|index| ids[index])
    }

    fn take(&mut self, end: usize, index: u8) {
        if let Some(id) = self.call_of(end, index) {
            self.take_call(end, id);
        }
    }

    fn take_call(&mut self, end: usize, id: CallId) {
        let outcome = self.pair.outcome(end, id);
        let told = self.apps[end].calls[&id];
        assert_eq!(
            outcome.is_some(),
            told == Told::Ended,
            "the outcome of {id:?}, {told:?}"
        );
        match outcome {
            None => return,
            Some(Outcome::Replied(arrived)) => {
                self.arrive(end, arrived);
            }
            Some(Outcome::Indeterminate) => assert!(self.closed),
            Some(Outcome::Failed { .. } | Outcome::TimedOut) => {}
        }
        self.apps[end].calls.remove(&id);
        assert!(
            self.pair.outcome(end, id).is_none(),
            "an outcome can be taken once"
        );
    }

    fn drop_hold(&mut self, end: usize, index: usize) {
        let key = self.apps[end].holds.swap_remove(index);
        if !self.apps[end].holds.contains(&key) {
            // A link keeps what it watches, so it is taken back first.
            while let Some(at) = self.apps[end]
                .links
                .iter()
                .position(|(linked, _)| *linked == key)
            {
                self.unlink(end, at);
            }
        }
        self.pair.drop_hold(end, key);
        // An outcome that nobody has taken yet may hold it too.
        let there = self.pair.ends[end].session.has_import(key);
        assert!(
            there || !self.apps[end].holds.contains(&key),
            "what is held stays"
        );
        if !there {
            self.apps[end].owners.remove(&key);
        }
    }

    fn unlink(&mut self, end: usize, index: usize) {
        let (key, link) = self.apps[end].links.remove(index);
        let was = self
            .pair
            .run(end, |session, _| session.unlink_to_death(key, link));
        assert!(was, "a link that was not told is still there");
    }

    /// What the sessions have said since the last step.
    fn absorb(&mut self) {
        for end in [A, B] {
            while let Some(event) = self.pair.ends[end].events.pop_front() {
                self.event(end, event);
            }
        }
    }

    fn event(&mut self, end: usize, event: Event) {
        let app = &mut self.apps[end];
        match event {
            Event::Request(incoming) => self.request(end, incoming),
            Event::Cancel(serving) => {
                let running = app
                    .running
                    .iter_mut()
                    .find(|running| running.serving == serving);
                let running = running.expect("only what runs is cancelled");
                assert!(
                    !std::mem::replace(&mut running.cancelled, true),
                    "cancelled once"
                );
            }
            Event::CallEnded(id) => {
                let told = app
                    .calls
                    .get_mut(&id)
                    .expect("only what somebody waits for ends");
                assert_eq!(*told, Told::Waiting, "each call ends once");
                *told = Told::Ended;
            }
            Event::Died { key, links, .. } => {
                for link in links {
                    let index = app.links.iter().position(|known| *known == (key, link));
                    app.links.remove(index.expect("each link is told once"));
                }
            }
            Event::OneWayRefused { count } => app.one_way_refused += count,
            Event::OneWay { .. } => unreachable!("handed out one by one"),
            Event::Held(_) | Event::Unheld(_) => {}
            Event::Redeem { .. } | Event::Unredeemed(_) => unreachable!("nothing is introduced"),
            Event::Released(_)
            | Event::Credit { .. }
            | Event::PeerGoingAway
            | Event::Refused { .. }
            | Event::Slow(_)
            | Event::Close(_) => {}
        }
    }

    fn request(&mut self, end: usize, incoming: Incoming) {
        let Incoming {
            serving,
            target,
            one_way,
            parcel,
            ..
        } = incoming;
        let dead = |stub: &&Stub| same(&stub.object, &target) && stub.dead;
        assert!(
            self.apps[end].stubs.iter().find(dead).is_none(),
            "nothing runs on a dead stub"
        );
        let number = self.arrive(end, parcel);
        let served = self.pair.ends[end].session.serving.get_mut(serving);
        let handle = served.expect("a request is being served").export;
        let app = &mut self.apps[end];
        if one_way {
            app.one_way_ran += 1;
            let busy = app
                .running
                .iter()
                .any(|running| running.one_way == Some(handle));
            assert!(!busy, "one-way calls of an object run one at a time");
            let last = app.order.insert(handle, number);
            assert!(
                last.is_none_or(|last| last < number),
                "one-way calls keep their order"
            );
        }
        let one_way = one_way.then_some(handle);
        app.running.push(Running {
            serving,
            one_way,
            cancelled: false,
        });
    }

    /// Compares a parcel with what was sent, and takes its objects.
    fn arrive(&mut self, end: usize, parcel: Arrived) -> u32 {
        let number = u32::from_le_bytes(parcel.body[..].try_into().unwrap());
        let message = &mut self.messages[number as usize];
        assert!(
            !std::mem::replace(&mut message.arrived, true),
            "message {number} came twice"
        );
        assert_eq!(message.raw, parcel.raw);
        assert_eq!(message.objects.len(), parcel.objects.len());
        let sent = std::mem::take(&mut message.objects);
        let closed = self.closed;
        let [a, b] = &mut self.apps;
        let (app, other) = if end == A { (a, b) } else { (b, a) };
        let dead = |of: &App, object: &LocalObject| {
            of.stubs
                .iter()
                .any(|stub| same(&stub.object, object) && stub.dead)
        };
        for (sent, delivered) in sent.into_iter().zip(parcel.objects) {
            match (sent, delivered) {
                (Sent::Null, Delivered::Null) => {}
                (Sent::Home(object), Delivered::Home(home)) => assert!(same(&object, &home)),
                (
                    Sent::Own(own),
                    Delivered::Import {
                        key,
                        about,
                        dead: death,
                        ..
                    },
                ) => {
                    assert_eq!(about.object.number, own.stub.number());
                    assert!(death.is_none() || dead(other, &own) || closed);
                    app.holds.push(key);
                    app.owners.insert(key, own);
                }
                (sent, delivered) => panic!("{sent:?} arrived as {delivered:?}"),
            }
        }
        number
    }
}
