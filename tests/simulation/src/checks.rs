//! What has to hold, said once more and as simply as it can be, and asked of every entry of the log as it is written.
//!
//! Nothing here looks into the code under test. So a log that was made by hand, or changed by hand, can be judged too:
//! that is how the checks themselves are tested.

mod calls;
mod credit;
mod deaths;
mod order;
mod presence;
mod services;
mod tables;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use rpc::{peer::SessionEnd, session::Usage};

use crate::log::{Entry, Event, Place, Reference};
use calls::Calls;
use credit::Credit;
use deaths::Deaths;
use order::Order;
use presence::Presence;
use services::Services;
use tables::Tables;
use wire::Wire;

/// What a session holds when nothing is under way: each end's system ability manager.
const FLOOR: Usage = Usage {
    exports: 1,
    imports: 1,
    calls: 0,
    serving: 0,
    links: 0,
    bulk: 0,
    obituaries: 0,
};

/// How long a connection that one end has lost may seem alive to the other, in milliseconds: an opening, and silence.
const BELIEVED: u64 = 12_000;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A call ends exactly once.
    EndsOnce,
    /// A handler runs at most once, on the object that was called, and not for a call that was refused.
    RunsOnce,
    /// How a call ends has a reason.
    Outcome,
    /// Which objects may be passed to whom.
    Passing,
    /// One-way calls of a proxy run in their order, one at a time, and none is lost while the session lives.
    OneWay,
    /// Credit for one-way calls comes back when they have ended, once each, and all of it.
    Credit,
    /// Who may watch what.
    Watching,
    /// Who watches is told of a death exactly once, and for a reason that is true.
    DeathNotice,
    /// Who gets which service.
    Services,
    /// Who is there is online, and goes offline for a reason.
    Presence,
    /// Who is not trusted has no session, and nothing of it runs.
    Trust,
    /// A two-way call has one terminal frame.
    TerminalFrame,
    /// Nobody breaks the protocol.
    Protocol,
    /// What a session holds is what the frames say that have passed.
    Tables,
    /// Nothing is left behind: entries of tables, tasks, memory.
    Leftover,
    /// Nothing panics but what was told to.
    Panic,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, in milliseconds since the beginning.
    pub at: u64,
    /// Which.
    pub rule: Rule,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, rule, text } = self;
        write!(f, "{rule:?} at {}.{:03}: {text}", at / 1000, at % 1000)
    }
}

/// What one check says.
type Verdict = Result<(), (Rule, String)>;

fn require(holds: bool, rule: Rule, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err((rule, text())) }
}

/// All checks, with what they remember.
#[derive(Debug, Default)]
pub struct Checks {
    world: World,
    calls: Calls,
    order: Order,
    credit: Credit,
    deaths: Deaths,
    presence: Presence,
    services: Services,
    tables: Tables,
    wire: Wire,
}

/// What is true of the simulated world, whatever the devices know of it yet.
#[derive(Debug, Default)]
struct World {
    now: u64,
    /// How many entries there have been.
    count: u64,
    objects: BTreeMap<u32, Object>,
    registrations: BTreeMap<u32, Registration>,
    /// When sessions ended, by who noticed and with whom.
    lost: BTreeMap<(Place, u8), u64>,
    /// When a device last began to leave, or was gone.
    gone: BTreeMap<u8, u64>,
    /// Devices that are not there, and since when the others are.
    down: BTreeSet<u8>,
    up: BTreeMap<u8, u64>,
    /// Directions in which nothing passes, and until when nothing did.
    cuts: BTreeSet<(u8, u8)>,
    healed: BTreeMap<(u8, u8), u64>,
    /// When a connection was last broken on purpose.
    broke: Option<u64>,
    /// When a device was last at another address.
    moved: BTreeMap<u8, u64>,
    /// Devices that stand still, and since when others go on.
    still: BTreeSet<u8>,
    went_on: BTreeMap<u8, u64>,
    /// Who does not trust whom, and since when; and until when others did not.
    distrusts: BTreeMap<(u8, u8), u64>,
    trusts: BTreeMap<(u8, u8), u64>,
    /// Which start of a device is the last.
    starts: BTreeMap<u8, Place>,
}

#[derive(Debug)]
struct Object {
    owner: Place,
    re_exportable: bool,
    revoked: bool,
    freed: bool,
}

#[derive(Debug)]
struct Registration {
    object: u32,
    service: u32,
    allowed: Option<Vec<u8>>,
    since: u64,
    until: Option<u64>,
}

impl World {
    fn see(&mut self, event: &Event) -> Verdict {
        match event {
            Event::Started(place) => {
                self.down.remove(&place.device);
                self.up.insert(place.device, self.now);
                self.starts.insert(place.device, *place);
            }
            Event::Moved(device) => {
                self.moved.insert(*device, self.now);
            }
            Event::StandsStill(device) => {
                self.still.insert(*device);
            }
            Event::GoesOn(device) => {
                self.still.remove(device);
                self.went_on.insert(*device, self.now);
            }
            Event::Distrusts(by, of) => {
                self.distrusts.insert((*by, *of), self.now);
            }
            Event::Trusts(by, of) => {
                self.distrusts.remove(&(*by, *of));
                self.trusts.insert((*by, *of), self.now);
            }
            Event::Crashed(place) | Event::Leaves(place) | Event::Gone(place) => {
                self.down.insert(place.device);
                self.gone.insert(place.device, self.now);
            }
            Event::Cut(from, to) => {
                self.cuts.insert((*from, *to));
            }
            Event::Healed(from, to) => {
                self.cuts.remove(&(*from, *to));
                self.healed.insert((*from, *to), self.now);
            }
            Event::Broke(_) => self.broke = Some(self.now),
            Event::Born {
                object,
                owner,
                re_exportable,
            } => {
                let born = Object {
                    owner: *owner,
                    re_exportable: *re_exportable,
                    revoked: false,
                    freed: false,
                };
                self.objects.insert(*object, born);
            }
            Event::Registered {
                registration,
                object,
                service,
                allowed,
            } => {
                let registered = Registration {
                    object: *object,
                    service: *service,
                    allowed: allowed.clone(),
                    since: self.now,
                    until: None,
                };
                self.registrations.insert(*registration, registered);
            }
            Event::Removed(registration) => {
                if let Some(registration) = self.registrations.get_mut(registration) {
                    registration.until = Some(self.now);
                }
            }
            Event::Revoked(number) => {
                if let Some(object) = self.objects.get_mut(number) {
                    object.revoked = true;
                }
                let registrations = self.registrations.values_mut();
                for registration in registrations.filter(|one| one.object == *number) {
                    registration.until.get_or_insert(self.now);
                }
            }
            Event::Freed(object) => {
                if let Some(object) = self.objects.get_mut(object) {
                    object.freed = true;
                }
            }
            Event::SessionEnded { at, with, end, .. } => {
                self.lost.insert((*at, *with), self.now);
                let fault = matches!(end, SessionEnd::Fault(_));
                return require(!fault, Rule::Protocol, || {
                    format!("{at} says of d{with}: {end:?}")
                });
            }
            Event::Holds { at, with, usage } => {
                return require(*usage == FLOOR, Rule::Leftover, || {
                    format!("{at} holds of d{with}: {usage:?}")
                });
            }
            Event::Over { tasks, panics } => return self.over(*tasks, panics),
            _ => {}
        }
        Ok(())
    }

    fn over(&self, tasks: usize, panics: &[String]) -> Verdict {
        require(panics.is_empty(), Rule::Panic, || format!("{panics:?}"))?;
        require(tasks == 0, Rule::Leftover, || {
            format!("{tasks} tasks have not ended")
        })?;
        for (number, object) in &self.objects {
            require(object.freed, Rule::Leftover, || {
                format!("somebody keeps o{number}")
            })?;
        }
        Ok(())
    }

    /// Whether a session between two devices was lost since then, at either end, or one of them has gone.
    fn lost_since(&self, since: u64, one: u8, other: u8) -> bool {
        let between = |place: &Place, with: &u8| {
            (place.device, *with) == (one, other) || (place.device, *with) == (other, one)
        };
        let mut lost = self.lost.iter();
        lost.any(|((place, with), at)| between(place, with) && *at >= since)
            || [one, other]
                .iter()
                .any(|device| self.gone.get(device).is_some_and(|at| *at >= since))
    }

    /// Whether a device has noticed since then that a session with another one ended.
    fn lost_by(&self, since: u64, device: u8, with: u8) -> bool {
        let of = |place: &Place, other: &u8| (place.device, *other) == (device, with);
        let mut lost = self.lost.iter();
        lost.any(|((place, other), at)| of(place, other) && *at >= since)
    }

    /// Whether something was in the way of two devices since then, or a session of theirs was lost.
    fn hindered_since(&self, since: u64, one: u8, other: u8) -> bool {
        self.in_the_way_since(since, one, other) || self.lost_since(since, one, other)
    }

    /// Whether something was in the way of two devices since then.
    fn in_the_way_since(&self, since: u64, one: u8, other: u8) -> bool {
        let later = |at: Option<&u64>| at.is_some_and(|at| *at >= since);
        let cut = [(one, other), (other, one)]
            .iter()
            .any(|way| self.cuts.contains(way) || later(self.healed.get(way)));
        let down = [one, other]
            .iter()
            .any(|device| self.down.contains(device) || (since > 0 && later(self.up.get(device))));
        let hindered = [one, other]
            .iter()
            .any(|device| self.stood_still_since(since, *device) || later(self.moved.get(device)));
        let distrust =
            self.distrusted_since(since, one, other) || self.distrusted_since(since, other, one);
        cut || down || hindered || distrust || later(self.broke.as_ref())
    }

    /// Whether a device stood still at some time since then.
    fn stood_still_since(&self, since: u64, device: u8) -> bool {
        let goes_on = self.went_on.get(&device).is_some_and(|at| *at >= since);
        self.still.contains(&device) || goes_on
    }

    /// Whether one device did not trust another at some time since then.
    fn distrusted_since(&self, since: u64, by: u8, of: u8) -> bool {
        let way = (by, of);
        let given = self.trusts.get(&way).is_some_and(|at| *at >= since);
        self.distrusts.contains_key(&way) || given
    }

    /// Whether a device was not there at some time since then.
    fn is_or_was_down(&self, since: u64, device: u8) -> bool {
        self.down.contains(&device) || self.gone.get(&device).is_some_and(|at| *at >= since)
    }

    /// Whether an object, as somebody holds it, has died at its owner.
    fn is_dead(&self, of: &Reference) -> bool {
        let object = self.objects.get(&of.object);
        let registration = of
            .registration
            .and_then(|number| self.registrations.get(&number));
        object.is_none_or(|object| object.revoked)
            || registration.is_some_and(|registration| registration.until.is_some())
    }

    fn owner(&self, of: &Reference) -> Place {
        let nobody = Place {
            device: u8::MAX,
            start: 0,
        };
        self.objects
            .get(&of.object)
            .map_or(nobody, |object| object.owner)
    }
}

impl Checks {
    /// Looks at the next entry.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn see(&mut self, entry: &Entry) -> Result<(), Violation> {
        if let Err((rule, text)) = self.judge(entry) {
            let at = entry.at;
            return Err(Violation { at, rule, text });
        }
        Ok(())
    }

    fn judge(&mut self, entry: &Entry) -> Verdict {
        let over = matches!(entry.event, Event::Over { .. });
        if entry.at > self.world.now || over {
            // All that happened at one time is known now.
            self.calls.explain(&self.world)?;
            self.deaths.explain(&self.world)?;
            self.presence.explain(&self.world)?;
        }
        self.world.now = entry.at;
        self.world.count += 1;
        self.calls.see(&self.world, &entry.event)?;
        self.order.see(&self.world, &entry.event)?;
        self.credit.see(&entry.event)?;
        self.deaths.see(&self.world, &entry.event)?;
        self.presence.see(&self.world, &entry.event)?;
        self.services.see(&self.world, &entry.event)?;
        self.tables.see(&entry.event)?;
        self.wire.see(&entry.event)?;
        self.world.see(&entry.event)
    }
}
