//! Services of other processes of this device: how a process registers with the one that hosts the bus, and what the host
//! keeps of that.
//!
//! | who | keeps |
//! |---|---|
//! | the process | the registration: named identity, access rule, queue and budget of the stub |
//! | the host | the id, the rule, and a proxy of that named identity |
//!
//! There is no request that removes: the process ends its registration, and the host hears of that as of any death. The other
//! way round, a registration that the host gives up because another took its id, the host says so.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use proto::{ServiceId, openharmony::samgr as code};

use super::{LocalAbilityManager, wire};
use crate::{
    Parcel,
    bus::Bus,
    call::{CallOption, Caller},
    error::{AddServiceError, GetServiceError, HandlerError, LinkToDeathError, SendRequestError},
    limits,
    peer::Peer,
    registry::{ServiceOptions, Standing},
    remote::{RemoteObject, RemoteProxy},
    session::passing_rules::Party,
};

impl LocalAbilityManager {
    /// Registers with the host what stands under an id here at this moment; nothing if that is nothing.
    ///
    /// # Errors
    /// [`AddServiceError`] of the host; here the service stays.
    pub async fn register_with(
        &self,
        host: &Peer,
        service: ServiceId,
    ) -> Result<(), AddServiceError> {
        let Some((object, options)) = self.registered(service) else {
            return Ok(());
        };
        let unreachable = |text: &str| AddServiceError::HostUnreachable(text.to_owned());
        let written = wire::write_add(service, &options, &object);
        let data = written.map_err(|error| unreachable(&error.to_string()))?;
        let option = CallOption::two_way().wait(limits::DEFAULT_WAIT);
        let root = host.root();
        let reply = root.send_request(code::ADD_SYSTEM_ABILITY, &data, option);
        let mut reply = match reply.await {
            Ok(reply) => reply,
            // It died before the host looked: whoever ended it knows.
            Err(SendRequestError::Pass { .. }) => return Err(AddServiceError::DeadObject),
            Err(error) => return Err(unreachable(&error.to_string())),
        };
        wire::read_added(&mut reply).unwrap_or_else(|_| Err(unreachable("malformed answer")))
    }

    /// Whether this process has a service of this id, or starts one when it is wanted.
    pub fn has(&self, service: ServiceId) -> bool {
        self.bus().registry().get(service).is_ok()
    }

    /// What this process has registered itself.
    pub fn own(&self) -> Vec<ServiceId> {
        self.bus().registry().own()
    }
}

impl Peer {
    /// What the process that hosts the bus offers to those that attached to it.
    ///
    /// # Errors
    /// [`SendRequestError`]; [`Refused`](SendRequestError::Refused) if the peer hosts nothing.
    pub async fn desk(&self, wait: Duration) -> Result<RemoteObject, SendRequestError> {
        let option = CallOption::two_way().wait(wait);
        let (root, nothing) = (self.root(), Parcel::new());
        let asked = root.send_request(code::HOST_DESK, &nothing, option);
        let mut reply = asked.await?;
        let malformed = |_| SendRequestError::MalformedReply;
        reply.read_remote_object().map_err(malformed)
    }
}

/// Takes the registration of another process. Whatever stood there before is ended.
pub(super) fn add(
    bus: &Arc<Bus>,
    caller: &Caller,
    service: ServiceId,
    options: ServiceOptions,
    object: &RemoteObject,
) -> Result<(), AddServiceError> {
    // Its own, and registered there: a proxy of anybody else's, or of a stub that nobody registered, cannot stand here.
    let registered =
        |proxy: &&RemoteProxy| proxy.home() == caller.party() && proxy.service() == Some(service);
    let proxy = object.as_proxy().filter(registered);
    let proxy = proxy.ok_or(AddServiceError::NotOurs)?;
    let owner = caller.uid().ok_or(AddServiceError::NotOurs)?;
    bus.access.may_register(service, owner, &options)?;
    let known = bus.registry().guest(service).cloned();
    if known.is_some_and(|known| known.is_proxy(proxy)) {
        // Said twice: while the host came and went, or by two who add at a time.
        return Ok(());
    }
    let link = {
        let (bus, proxy) = (Arc::downgrade(bus), proxy.0.key);
        object.link_to_death(move |_| died(&bus, service, proxy))
    };
    let link = link.map_err(|error| match error {
        LinkToDeathError::LimitReached { limit, value } => {
            AddServiceError::LimitReached { limit, value }
        }
        _ => AddServiceError::DeadObject,
    })?;
    let (before, change) = {
        let mut registry = bus.registry();
        let added = registry.add_guest(service, owner, options, (proxy.clone(), link));
        let change = registry.change(service);
        (added, change)
    };
    let before = before.map_err(|(error, _link)| error)?;
    bus.watches.changed(change);
    before.end(bus, &Ok(()));
    if proxy.death().is_some() {
        // Before it stood there, so that nobody removed it.
        died(&Arc::downgrade(bus), service, proxy.0.key);
    }
    tracing::info!(%service, process = caller.party().process, pid = caller.pid(), "service added");
    Ok(())
}

/// A registration of another process is dead: it was removed there, or its process is.
fn died(bus: &Weak<Bus>, service: ServiceId, proxy: crate::session::ImportKey) {
    let Some(bus) = bus.upgrade() else { return };
    let (removed, change) = {
        let mut registry = bus.registry();
        let standing = registry.guest(service);
        let same = |standing: &&Standing| {
            let held = standing.guest_proxy();
            held.is_some_and(|held| held.0.key == proxy && held.death().is_some())
        };
        let Some(number) = standing.filter(same).map(|known| known.registration.number) else {
            return;
        };
        let removed = registry.remove_registration(service, number);
        (removed, registry.change(service))
    };
    bus.watches.changed(change);
    tracing::info!(%service, "service gone with its process");
    drop(removed);
}

/// The host has given up a registration of another process: that process is told, and ends it.
pub(crate) fn tell_of_end(removed: &Standing) {
    let Some(proxy) = removed.guest_proxy().cloned() else {
        return;
    };
    if proxy.death().is_some() {
        return;
    }
    let peer = Arc::clone(&proxy.0.peer);
    let runtime = peer.runtime().clone();
    runtime.spawn(async move {
        let Some(root) = peer.root() else { return };
        let mut data = Parcel::new();
        if data.write_remote_object(&proxy.into()).is_err() {
            return;
        }
        let option = CallOption::one_way().wait(limits::DEFAULT_WAIT);
        let told = root.send_request(code::REGISTRATION_ENDED, &data, option);
        if let Err(error) = told.await {
            tracing::debug!(%error, "end of a registration not told");
        }
    });
}

/// The host says that it has given up a registration of ours: it ends here too.
pub(super) fn ended(bus: &Bus, caller: &Caller, data: &mut Parcel) -> Result<(), HandlerError> {
    if !caller.is_local() || caller.party().process != Party::HOST {
        return Err(HandlerError::Refused);
    }
    let object = data.read_remote_object()?;
    let registration = object.local().and_then(|local| local.registration.as_ref());
    let Some(registration) = registration else {
        return Err(HandlerError::Refused);
    };
    let service = registration.service;
    let (removed, change) = {
        let mut registry = bus.registry();
        let removed = registry.remove_registration(service, registration.number);
        (removed, registry.change(service))
    };
    bus.watches.changed(change);
    if let Some(removed) = &removed {
        bus.kill_registration(removed);
        tracing::info!(%service, "service replaced by another process");
    }
    Ok(())
}

/// Whether this process takes registrations of others.
pub(super) fn hosts(bus: &Bus, caller: &Caller) -> Result<(), HandlerError> {
    let hosts = caller.is_local() && bus.party().process == Party::HOST;
    hosts.then_some(()).ok_or(HandlerError::Refused)
}

/// What the error of a look says to who looked: an object that did not come was on its way from a process that is gone.
pub(super) fn not_introduced(reason: &dyn std::fmt::Display) -> GetServiceError {
    GetServiceError::Unreachable(reason.to_string())
}
