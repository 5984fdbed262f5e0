//! What runs on a device: stubs, objects that it was given, calls of these, and watches.

mod calling;
mod stub;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use proto::ServiceId;
use rpc::{Allow, DeathLink, Execution, Peer, RemoteObject, ServiceOptions, StubOptions, limits};
use tokio::task::AbortHandle;

use crate::{
    log::{Event, Reference},
    node::{Node, party},
    random::Random,
    simulation::Standing,
};
pub(crate) use calling::Script;
use stub::Probe;

/// An object as an application holds it, and what it is in truth.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// What it has.
    pub(crate) object: RemoteObject,
    /// Which object it is of.
    pub(crate) of: u32,
    /// Which registration.
    pub(crate) registration: Option<u32>,
    /// Which proxy: a new one, when all that was held of the last one has been dropped. `None` for a stub of its own.
    proxy: Option<Arc<u32>>,
}

impl Held {
    /// As it is written down.
    pub(crate) fn reference(&self) -> Reference {
        Reference {
            object: self.of,
            registration: self.registration,
            proxy: self.proxy.as_deref().copied(),
            dead: self.object.death(),
        }
    }
}

/// The applications of a device.
#[derive(Debug)]
pub(crate) struct Application {
    /// Where they run.
    pub node: Arc<Node>,
    state: Mutex<State>,
    me: Weak<Self>,
}

#[derive(Debug, Default)]
struct State {
    /// What others gave.
    held: Vec<Held>,
    /// Stubs of its own.
    stubs: Vec<Held>,
    watches: BTreeMap<u32, (DeathLink, Held)>,
    calls: Vec<AbortHandle>,
    proxies: BTreeMap<(u32, Option<u32>), Weak<u32>>,
    /// It holds nothing any more.
    stopping: bool,
}

impl Application {
    /// Those of a device that has just started: a stub or two, and services.
    pub(crate) fn start(node: Arc<Node>, random: &mut Random) -> Arc<Self> {
        let application = Arc::new_cyclic(|me| Self {
            node,
            state: Mutex::default(),
            me: me.clone(),
        });
        for service in 1..=3 {
            application.register(service, random);
        }
        application.make_stub(random);
        application
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something, as a seed decides.
    pub(crate) fn act(self: &Arc<Self>, random: &mut Random, devices: u8) {
        match random.below(100) {
            0..14 => self.get(random, devices),
            14..52 => self.call(random, false),
            52..70 => self.call(random, true),
            70..75 => self.give_up(random),
            75..82 => self.watch(random),
            82..85 => self.unwatch(random),
            85..90 => self.drop_held(random),
            90..95 => drop(self.make_stub(random)),
            95..97 => self.revoke(random),
            97..98 => self.remove(random),
            _ => self.register(1 + random.below(3) as u32, random),
        }
    }

    /// A new stub.
    fn make_stub(&self, random: &mut Random) -> Held {
        let shared = self.node.shared();
        let number = shared.number();
        let re_exportable = random.percent(60);
        let execution = match random.below(4) {
            0 => Execution::Serial,
            1 => Execution::Inline,
            _ => Execution::Concurrent,
        };
        let mut options = StubOptions::execution(execution);
        options.re_exportable = re_exportable;
        self.node.record(Event::Born {
            object: number,
            owner: self.node.place,
            re_exportable,
        });
        let probe = Probe::new(number, self.me.clone(), Arc::clone(shared), options);
        let stub = Held {
            object: RemoteObject::new(probe),
            of: number,
            registration: None,
            proxy: None,
        };
        self.state().stubs.push(stub.clone());
        stub
    }

    /// Registers a stub under an id, instead of what stands there.
    fn register(&self, service: u32, random: &mut Random) {
        self.end_registration(service);
        let shared = self.node.shared();
        let stub = self.make_stub(random);
        let (registration, me) = (shared.number(), self.node.place.device);
        let allowed = match service {
            3 => None,
            _ if random.percent(80) => Some((0..shared.devices).collect()),
            _ => Some((0..shared.devices).filter(|_| random.percent(50)).collect()),
        };
        let allowed: Option<Vec<u8>> = allowed;
        let options = match &allowed {
            None => ServiceOptions::local(),
            Some(devices) => {
                let devices = devices.iter().map(|device| party(*device).device);
                ServiceOptions::distributed(Allow::devices(devices))
            }
        };
        self.node.record(Event::Registered {
            registration,
            object: stub.of,
            service,
            allowed,
        });
        let standing = Standing {
            registration,
            object: stub.of,
            until: None,
        };
        shared
            .services()
            .entry((me, service))
            .or_default()
            .push(standing);
        if let Some(id) = ServiceId::new(service) {
            let added = self.node.bus.samgr().add(id, &stub.object, options);
            added.expect("there are few services, and the stub is alive");
        }
    }

    /// A service is removed, if there is one of this id.
    fn end_registration(&self, service: u32) -> bool {
        let Some(id) = ServiceId::new(service) else {
            return false;
        };
        if self.node.bus.samgr().check(id).is_none() {
            return false;
        }
        let (now, me) = (self.node.shared().now(), self.node.place.device);
        let ended = {
            let mut services = self.node.shared().services();
            let standing = services.get_mut(&(me, service));
            standing.and_then(|standing| standing.last_mut()?.end(now))
        };
        if let Some(registration) = ended {
            self.node.record(Event::Removed(registration));
        }
        self.node.bus.samgr().remove(id).is_ok()
    }

    fn remove(&self, random: &mut Random) {
        self.end_registration(1 + random.below(3) as u32);
    }

    fn revoke(&self, random: &mut Random) {
        let stub = {
            let mut state = self.state();
            let count = state.stubs.len() as u64;
            if count == 0 {
                return;
            }
            state.stubs.swap_remove(random.below(count) as usize)
        };
        let now = self.node.shared().now();
        self.node.record(Event::Revoked(stub.of));
        for standing in self.node.shared().services().values_mut().flatten() {
            if standing.object == stub.of {
                standing.end(now);
            }
        }
        self.node.bus.revoke(&stub.object);
    }

    /// Asks a device for a service.
    fn get(self: &Arc<Self>, random: &mut Random, devices: u8) {
        let me = self.node.place.device;
        let of = (me + 1 + random.below(u64::from(devices) - 1) as u8) % devices;
        let service = 1 + random.below(3) as u32;
        let Some(id) = ServiceId::new(service) else {
            return;
        };
        let application = Arc::clone(self);
        self.node.spawn(async move {
            let node = &application.node;
            let shared = node.shared();
            let get = shared.number();
            let at = node.place;
            node.record(Event::Asked {
                get,
                at,
                of,
                service,
            });
            let since = shared.now();
            let got = async {
                let peer: Peer = node.session(of).await?;
                peer.get_service(id, limits::DEFAULT_WAIT).await
            };
            let got = got.await;
            let standing = shared.standing(of, service, since);
            // Which of several it is that stood there meanwhile is not known, and then nobody keeps it.
            let result = match (got, &standing[..]) {
                (Ok(object), [(registration, of)]) => {
                    let held = application.hold(object, *of, Some(*registration));
                    application.keep([held]);
                    Ok(Some(*registration))
                }
                (Ok(_), _) => Ok(None),
                (Err(error), _) => Err(error),
            };
            node.record(Event::Answered(get, result));
        });
    }

    /// Holds something from here on, unless it has let go of everything.
    fn keep(&self, given: impl IntoIterator<Item = Held>) {
        let mut state = self.state();
        if !state.stopping {
            state.held.extend(given);
        }
    }

    /// Something that has come: of which object it is, and of which registration, if it says that it is of one.
    fn hold(&self, object: RemoteObject, of: u32, registration: Option<u32>) -> Held {
        let service = object.as_proxy().and_then(|proxy| proxy.service());
        let registration = registration.filter(|_| service.is_some());
        let proxy = object.as_proxy().map(|_| {
            let mut state = self.state();
            let known = state.proxies.entry((of, registration)).or_default();
            known.upgrade().unwrap_or_else(|| {
                let new = Arc::new(self.node.shared().number());
                *known = Arc::downgrade(&new);
                new
            })
        });
        Held {
            object,
            of,
            registration,
            proxy,
        }
    }

    /// Something of what it was given; seldom something dead.
    fn pick_held(&self, random: &mut Random) -> Option<Held> {
        let dead = random.percent(5);
        let state = self.state();
        let held = state.held.iter();
        let held: Vec<_> = held.filter(|held| dead || !held.object.is_dead()).collect();
        random.pick(&held).map(|held| (*held).clone())
    }

    fn call(self: &Arc<Self>, random: &mut Random, one_way: bool) {
        let Some(target) = self.pick_held(random) else {
            return;
        };
        let times = if one_way { 1 + random.below(6) } else { 1 };
        let requests: Vec<_> = (0..times)
            .map(|_| self.request(random, &target, one_way))
            .collect();
        let application = Arc::clone(self);
        let task = self.node.spawn(async move {
            for request in requests {
                application.make_call(&target, request, None).await;
            }
        });
        let mut state = self.state();
        state.calls.retain(|task| !task.is_finished());
        state.calls.push(task);
    }

    /// Waits for one of its calls no longer.
    fn give_up(&self, random: &mut Random) {
        if let Some(call) = random.pick(&self.state().calls) {
            call.abort();
        }
    }

    fn watch(&self, random: &mut Random) {
        let Some(held) = self.pick_held(random) else {
            return;
        };
        let watch = self.node.shared().number();
        let (at, of) = (self.node.place, held.reference());
        let node = Arc::clone(&self.node);
        let linked = held
            .object
            .link_to_death(move |reason| node.record(Event::Told(watch, reason)));
        let result = linked.as_ref().map(drop).map_err(Clone::clone);
        self.node.record(Event::Watched {
            watch,
            at,
            of,
            result,
        });
        if let Ok(link) = linked {
            self.state().watches.insert(watch, (link, held));
        }
    }

    fn unwatch(&self, random: &mut Random) {
        let chosen = {
            let mut state = self.state();
            let numbers: Vec<_> = state.watches.keys().copied().collect();
            let number = random.pick(&numbers);
            number.and_then(|number| Some((*number, state.watches.remove(number)?)))
        };
        if let Some((watch, (link, _))) = chosen {
            let in_time = link.unlink();
            self.node.record(Event::Unwatched(watch, in_time));
        }
    }

    fn drop_held(&self, random: &mut Random) {
        let dropped = {
            let mut state = self.state();
            let count = state.held.len() as u64;
            (count > 0).then(|| state.held.swap_remove(random.below(count) as usize))
        };
        drop(dropped);
    }

    /// Writes down what those who still watch see.
    pub(crate) fn tell_what_remains(&self) {
        let state = self.state();
        for (watch, (_, held)) in &state.watches {
            let (watch, dead) = (*watch, held.object.death());
            self.node.record(Event::Remains { watch, dead });
        }
    }

    /// Lets go of everything that others gave.
    pub(crate) fn let_go(&self) {
        let state = {
            let mut state = self.state();
            let stubs = std::mem::take(&mut state.stubs);
            std::mem::replace(
                &mut *state,
                State {
                    stubs,
                    stopping: true,
                    ..State::default()
                },
            )
        };
        drop(state);
    }

    /// Lets go of its own stubs too.
    pub(crate) fn stop(&self) {
        for service in 1..=3 {
            self.end_registration(service);
        }
        let state = std::mem::take(&mut *self.state());
        drop(state);
    }

    /// Waits, in virtual time.
    async fn pause(ms: u64) {
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}
