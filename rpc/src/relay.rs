//! Between the processes of a device and other devices: the process that hosts the bus calls on behalf of both.
//!
//! | where | what | file |
//! |---|---|---|
//! | host | an object of its own for each object that it relays, which forwards | `relay.rs` |
//! | host | the objects of a parcel, in the form they have on the other session | `relay/carrying.rs` |
//! | host | by which number other devices know a stub of a process | `relay/numbers.rs` |
//! | host | how much of a session one caller may take | `relay/traffic.rs`, `relay/shares.rs` |
//! | process | who calls through the host | `relay/callers.rs` |
//! | process | how much of its session with the host calls to one device may take | `relay/traffic.rs` |
//!
//! A relay is transport and holds nothing: the passing rules look at the two ends. What the host's own code holds of another
//! device it may not hand to a process. A stub of a process goes to another device from the process itself, and from who was
//! given it if its owner lets others hand it out ([`hand_out`]).

mod callers;
mod carrying;
mod failure;
mod numbers;
mod shares;
mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use proto::{
    DeviceId, ObjectId, ServiceId,
    frame::{ObjectKind, Status},
};

use crate::{
    Parcel,
    bus::Bus,
    call::{CallOption, Caller},
    death::DeathReason,
    dispatch::Failure,
    error::GetServiceError,
    interface::Spoken,
    limits,
    peer::{Making, PeerShared, Relayed},
    remote::{Execution, LocalObject, RemoteObject, RemoteProxy, StubCell, StubOptions},
    session::{Context, Scope},
};
pub(crate) use carrying::hand_out;
use numbers::Number;
pub(crate) use numbers::Numbers;
pub(crate) use shares::Place;
pub(crate) use traffic::Traffic;
use traffic::Wanted;

/// What a bus that hosts others lets its processes do on other devices. Without it nothing is relayed.
pub trait RelayRules: Send + Sync + 'static {
    /// Whether a local process may call an object of another device: a service, or one that was handed to it. Asked at
    /// every call.
    fn may_leave(&self, caller: &Caller, device: DeviceId, service: Option<ServiceId>) -> bool;
}

impl<F> RelayRules for F
where
    F: Fn(&Caller, DeviceId, Option<ServiceId>) -> bool + Send + Sync + 'static,
{
    fn may_leave(&self, caller: &Caller, device: DeviceId, service: Option<ServiceId>) -> bool {
        self(caller, device, service)
    }
}

/// What forwards to an object of somebody else.
pub(crate) struct Relay {
    proxy: RemoteProxy,
    known: Known,
}

/// As what those who get a relay know the object behind it.
enum Known {
    /// A process: as the other device does.
    Origin(Origin),
    /// Another device: as an object of this one.
    Number(Arc<Number>),
}

/// An object of another device, as that device knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) home: DeviceId,
    pub(crate) kind: ObjectKind,
    pub(crate) object: ObjectId,
}

/// Where a proxy has what forwards to it: one at a time, so that it is one identity for who gets it.
#[derive(Default)]
pub(crate) struct RelayPlace(Mutex<Weak<StubCell>>);

impl RelayPlace {
    fn lock(&self) -> MutexGuard<'_, Weak<StubCell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is to be passed on.
pub(crate) struct Passage<'a> {
    /// Where it came from.
    pub(crate) from: &'a Arc<PeerShared>,
    pub(crate) caller: &'a Caller,
    pub(crate) code: u32,
    pub(crate) spoken: &'a Option<Spoken>,
    pub(crate) one_way: bool,
    pub(crate) idempotent: bool,
    pub(crate) context: Context,
    pub(crate) data: &'a mut Parcel,
}

impl Relay {
    /// It takes what comes: how much that may be is bounded per session and caller.
    pub(crate) fn options(&self) -> StubOptions {
        let options = StubOptions::execution(Execution::Inline).queue(limits::MAX_QUEUE);
        // What is slow is told at the two ends of a call.
        let options = options.long_poll();
        match self.proxy.0.re_exportable {
            true => options.re_exportable(),
            false => options,
        }
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        match &self.known {
            Known::Origin(origin) => Some(origin),
            Known::Number(_) => None,
        }
    }

    /// The number by which other devices know a stub of a process.
    pub(crate) fn number(&self) -> Option<u64> {
        match &self.known {
            Known::Origin(_) => None,
            Known::Number(number) => Some(number.get()),
        }
    }

    /// What it forwards to.
    pub(crate) fn object(&self) -> RemoteObject {
        self.proxy.clone().into()
    }

    /// Passes a call on, and its reply back.
    pub(crate) async fn pass_on(&self, passage: Passage<'_>) -> Result<Parcel, Failure> {
        let Passage {
            from,
            caller,
            code,
            spoken,
            one_way,
            idempotent,
            context,
            data,
        } = passage;
        let to = &self.proxy.0.peer;
        if from.scope() == Scope::SameDevice {
            self.check_egress(to, caller)?;
        }
        let (traffic, target) = (to.traffic(), self.proxy.0.key);
        let wanted = Wanted {
            caller: caller.party(),
            one_way,
            nested: context.depth > 0,
            bytes: data.total_size(),
        };
        let room = traffic.enter(to, target, wanted).await?;
        data.carry(|item| carrying::carry(item, from.remote(), to))
            .map_err(|(index, reason)| Failure::pass_refused(index, &reason))?;
        let relayed = Relayed {
            context,
            behalf: (!caller.is_local()).then(|| caller.device()),
            spoken: spoken.clone(),
        };
        let making = Making {
            target,
            beyond: None,
            code,
            interface: None,
            option: option_of(one_way, idempotent),
            relayed: Some(&relayed),
        };
        let mut reply = to.pass_on(making, data).await?;
        traffic.sent(to, room);
        reply
            .carry(|item| carrying::carry(item, to.remote(), from))
            .map_err(|_| Failure::from(Status::PassRefused))?;
        Ok(reply)
    }

    fn check_egress(&self, to: &PeerShared, caller: &Caller) -> Result<(), Failure> {
        let bus = to.bus().ok_or(Status::ShuttingDown)?;
        match bus.lets_out(caller, self.proxy.device(), self.proxy.service()) {
            true => Ok(()),
            false => Err(Status::Refused.into()),
        }
    }
}

fn option_of(one_way: bool, idempotent: bool) -> CallOption {
    let option = match one_way {
        true => CallOption::one_way(),
        false => CallOption::two_way(),
    };
    match idempotent {
        true => option.idempotent(),
        false => option,
    }
}

/// What forwards to a proxy: the one there is, or a new one.
pub(crate) fn of(proxy: &RemoteProxy) -> LocalObject {
    let cell = {
        let mut place = proxy.0.relay.lock();
        place.upgrade().unwrap_or_else(|| {
            let known = match proxy.0.peer.scope() {
                Scope::OtherDevice => Known::Origin(Origin {
                    home: proxy.device(),
                    kind: proxy.0.kind,
                    object: proxy.0.id,
                }),
                Scope::SameDevice => Known::Number(proxy.0.peer.numbers().of(proxy.0.id)),
            };
            let relay = Relay {
                proxy: proxy.clone(),
                known,
            };
            let cell = Arc::new(StubCell::relay(relay));
            *place = Arc::downgrade(&cell);
            cell
        })
    };
    // Either this sees that the proxy is dead, or who tells its death sees this.
    if let Some(reason) = proxy.death() {
        cell.die(reason);
    }
    LocalObject::anonymous(cell)
}

/// A proxy is dead, and with it what forwards to it.
pub(crate) fn died(proxy: &RemoteProxy, reason: DeathReason) {
    let cell = proxy.0.relay.lock().upgrade();
    if let (Some(cell), Some(bus)) = (cell, proxy.0.peer.bus()) {
        bus.end(&LocalObject::anonymous(cell), reason);
    }
}

impl Bus {
    /// Lets processes of this device that have a session with this bus call objects of other devices, and be called by them,
    /// as `rules` say. Once and before the first session; whether nobody had said it before.
    pub fn set_relay(&self, rules: Arc<dyn RelayRules>) -> bool {
        self.relay.set(rules).is_ok()
    }

    /// An object of another device for a local process: what the host's system ability manager answers it. A stub of a
    /// process, registered with the host, is offered to other devices in the same form.
    ///
    /// # Errors
    /// [`GetServiceError::Refused`]: the egress rule does not let this process call it.
    pub fn relay_to(
        &self,
        caller: &Caller,
        proxy: &RemoteProxy,
    ) -> Result<RemoteObject, GetServiceError> {
        match self.lets_out(caller, proxy.device(), proxy.service()) {
            true => Ok(RemoteObject::from_local(of(proxy))),
            false => Err(GetServiceError::Refused),
        }
    }

    /// Whether a local process may call an object of another device.
    pub fn lets_out(&self, caller: &Caller, device: DeviceId, service: Option<ServiceId>) -> bool {
        let rules = self.relay.get();
        rules.is_some_and(|rules| rules.may_leave(caller, device, service))
    }
}
