//! Which services a bus offers and to whom: the pure core of its system ability manager.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proto::{DeviceId, ServiceId};

use crate::{
    access::{Hidden, Permission},
    bus::Bus,
    death::DeathLink,
    error::{AddServiceError, GetServiceError, RemoveServiceError},
    limits, relay,
    remote::{LocalObject, Registration, RemoteObject, RemoteProxy, StubCell},
    samgr::{Change, Offer, OnDemandEntry, OnDemandTable, ServiceState},
};

/// Which other devices may get and call a service. Every device that a session exists with is trusted; without a rule
/// none of them may. Where the device's owner has a policy ([`AccessPolicy`](crate::AccessPolicy)), it has to admit them too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Trusted,
    Devices(Arc<BTreeSet<DeviceId>>),
    Policy,
}

impl Allow {
    /// Every device this one trusts.
    pub const fn trusted() -> Self {
        Self(Rule::Trusted)
    }

    /// These devices.
    pub fn devices(devices: impl IntoIterator<Item = DeviceId>) -> Self {
        Self(Rule::Devices(Arc::new(devices.into_iter().collect())))
    }

    /// Those that the policy of the device's owner admits; nobody while there is none.
    pub const fn by_policy() -> Self {
        Self(Rule::Policy)
    }

    /// Whether a device may call some method. `ruled` is what the policy says, if there is one.
    pub(crate) fn admits(&self, device: DeviceId, ruled: Option<&Permission>) -> bool {
        match ruled {
            None => self.0 != Rule::Policy && self.names(device),
            Some(permission) => permission.is_some() && self.names(device),
        }
    }

    /// The devices, where it lists them.
    pub(crate) fn listed(&self) -> Option<&BTreeSet<DeviceId>> {
        match &self.0 {
            Rule::Trusted | Rule::Policy => None,
            Rule::Devices(devices) => Some(devices),
        }
    }

    /// Whether it is the policy's to say.
    pub(crate) fn is_by_policy(&self) -> bool {
        self.0 == Rule::Policy
    }

    /// Whether it speaks of a device.
    fn names(&self, device: DeviceId) -> bool {
        match &self.0 {
            Rule::Trusted | Rule::Policy => true,
            Rule::Devices(devices) => devices.contains(&device),
        }
    }
}

/// Which of the devices that may call a service may ask what it looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Describe {
    #[default]
    ToCallers,
    To(Allow),
    ToNobody,
}

impl Describe {
    pub(crate) fn admits(&self, device: DeviceId) -> bool {
        match self {
            Self::ToCallers => true,
            Self::To(allow) => allow.names(device),
            Self::ToNobody => false,
        }
    }
}

/// How a service is registered: for this device only, unless it is distributed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceOptions {
    pub(crate) allow: Option<Allow>,
    pub(crate) describe: Describe,
}

impl ServiceOptions {
    /// For this device only.
    pub const fn local() -> Self {
        Self::rule(None)
    }

    /// For other devices too: those that `allow` names.
    pub const fn distributed(allow: Allow) -> Self {
        Self::rule(Some(allow))
    }

    /// Of the devices that may call, only these may ask what the interface looks like, instead of all of them. On this
    /// device everybody may.
    #[must_use]
    pub fn described_to(mut self, allow: Allow) -> Self {
        self.describe = Describe::To(allow);
        self
    }

    /// No other device may ask what the interface looks like.
    #[must_use]
    pub fn undescribed(mut self) -> Self {
        self.describe = Describe::ToNobody;
        self
    }

    const fn rule(allow: Option<Allow>) -> Self {
        Self {
            allow,
            describe: Describe::ToCallers,
        }
    }
}

/// What stands under an id: a stub, and how it is registered.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    what: What,
    pub(crate) registration: Arc<Registration>,
    /// Whose it is: the user of the process that registered it.
    pub(crate) owner: u32,
}

#[derive(Clone, Debug)]
enum What {
    /// A stub of this process.
    Own(Arc<StubCell>),
    /// A stub of another process of this device, and what tells of its death.
    Guest {
        proxy: RemoteProxy,
        /// Kept as long as it stands.
        _link: Arc<DeathLink>,
    },
}

impl Standing {
    /// A stub of another process of this device, which registered it here.
    pub(crate) fn guest(
        (proxy, link): (RemoteProxy, DeathLink),
        registration: Arc<Registration>,
        owner: u32,
    ) -> Self {
        Self {
            what: What::Guest {
                proxy,
                _link: Arc::new(link),
            },
            registration,
            owner,
        }
    }

    fn own(object: LocalObject, registration: Arc<Registration>) -> Self {
        Self {
            what: What::Own(object.stub),
            registration,
            owner: own_user(),
        }
    }

    /// The stub, if it is of this process.
    pub(crate) fn stub(&self) -> Option<&Arc<StubCell>> {
        match &self.what {
            What::Own(stub) => Some(stub),
            What::Guest { .. } => None,
        }
    }

    /// The stub as it is registered, if it is of this process.
    pub(crate) fn own_object(&self) -> Option<LocalObject> {
        Some(LocalObject {
            stub: Arc::clone(self.stub()?),
            registration: Some(Arc::clone(&self.registration)),
        })
    }

    /// The proxy, if it is a stub of another process.
    pub(crate) fn guest_proxy(&self) -> Option<&RemoteProxy> {
        match &self.what {
            What::Own(_) => None,
            What::Guest { proxy, .. } => Some(proxy),
        }
    }

    /// Whether it is this registration of another process.
    pub(crate) fn is_proxy(&self, proxy: &RemoteProxy) -> bool {
        self.guest_proxy()
            .is_some_and(|known| Arc::ptr_eq(&known.0, &proxy.0))
    }

    /// What is passed on to other processes and devices.
    pub(crate) fn object(&self) -> RemoteObject {
        match &self.what {
            What::Own(stub) => RemoteObject::from_local(LocalObject {
                stub: Arc::clone(stub),
                registration: Some(Arc::clone(&self.registration)),
            }),
            What::Guest { proxy, .. } => proxy.clone().into(),
        }
    }

    /// What other devices are given: for a stub of another process an object of this one that forwards.
    pub(crate) fn object_for_devices(&self) -> RemoteObject {
        match &self.what {
            What::Own(_) => self.object(),
            What::Guest { proxy, .. } => RemoteObject::from_local(LocalObject {
                stub: relay::of(proxy).stub,
                registration: Some(Arc::clone(&self.registration)),
            }),
        }
    }

    /// What this process calls: of its own stub the stub itself, which needs no registration.
    pub(crate) fn object_for_us(&self) -> RemoteObject {
        match &self.what {
            What::Own(stub) => RemoteObject::from_local(LocalObject::anonymous(Arc::clone(stub))),
            What::Guest { proxy, .. } => proxy.clone().into(),
        }
    }
}

/// The user of this process.
pub(crate) fn own_user() -> u32 {
    #[cfg(target_os = "linux")]
    return rustix::process::getuid().as_raw();
    #[cfg(not(target_os = "linux"))]
    0
}

/// Service id to stub.
#[derive(Debug, Default)]
pub(crate) struct ServiceRegistry {
    services: BTreeMap<ServiceId, Standing>,
    /// The last rule for an id: whom it names is told *absent* or *not distributed*, and nobody else is.
    rules: BTreeMap<ServiceId, Allow>,
    pub(crate) on_demand: OnDemandTable,
    changes: u64,
}

/// What stood under an id. Nothing of it may be dropped under a lock: it is somebody's code.
#[derive(Default)]
pub(crate) struct Removed {
    pub(crate) standing: Option<Standing>,
    pub(crate) on_demand: Option<OnDemandEntry>,
}

impl Removed {
    /// It is gone, for whoever has it; those who wait for it have this.
    pub(crate) fn end(&self, bus: &Bus, instead: &Result<(), GetServiceError>) {
        if let Some(standing) = &self.standing {
            bus.kill_registration(standing);
        }
        if let Some(on_demand) = &self.on_demand {
            on_demand.settle(instead.clone());
        }
    }
}

/// What a look finds.
#[derive(Debug)]
pub(crate) enum Look {
    /// It is there.
    There(Standing),
    /// It can be started.
    OnDemand,
}

impl ServiceRegistry {
    /// Registers a stub; what stood under the id before is returned.
    pub(crate) fn add(
        &mut self,
        service: ServiceId,
        stub: Arc<StubCell>,
        options: ServiceOptions,
    ) -> Result<Removed, AddServiceError> {
        let standing = self.register(service, stub, options)?;
        let on_demand = self.on_demand.remove(service);
        Ok(Removed {
            standing,
            on_demand,
        })
    }

    /// Registers a stub of another process of this device; what stood under the id before is returned. A process of one
    /// user cannot take an id from a process of another.
    pub(crate) fn add_guest(
        &mut self,
        service: ServiceId,
        owner: u32,
        options: ServiceOptions,
        guest: (RemoteProxy, DeathLink),
    ) -> Result<Removed, (AddServiceError, DeathLink)> {
        if let Err(error) = self.may_stand(service, owner) {
            return Err((error, guest.1));
        }
        let registration = self.new_registration(service, options);
        let standing = Standing::guest(guest, registration, owner);
        let standing = self.services.insert(service, standing);
        let on_demand = self.on_demand.remove(service);
        Ok(Removed {
            standing,
            on_demand,
        })
    }

    /// The guest that stands under an id.
    pub(crate) fn guest(&self, service: ServiceId) -> Option<&Standing> {
        let standing = self.services.get(&service)?;
        standing.guest_proxy().is_some().then_some(standing)
    }

    /// Removes what stands under an id if it is this registration.
    pub(crate) fn remove_registration(
        &mut self,
        service: ServiceId,
        registration: u64,
    ) -> Option<Standing> {
        if self.registration_number(service) != Some(registration) {
            return None;
        }
        self.services.remove(&service)
    }

    /// Offers a service that is started on demand; what stood under the id before is returned.
    pub(crate) fn add_on_demand(
        &mut self,
        service: ServiceId,
        offer: Arc<Offer>,
    ) -> Result<Removed, AddServiceError> {
        let options = offer.service_options().clone();
        let on_demand = self.on_demand.add(service, offer)?;
        self.remember_rule(service, &options);
        let standing = self.services.remove(&service);
        Ok(Removed {
            standing,
            on_demand,
        })
    }

    /// Registers a stub, leaving alone how it is started.
    pub(crate) fn register(
        &mut self,
        service: ServiceId,
        stub: Arc<StubCell>,
        options: ServiceOptions,
    ) -> Result<Option<Standing>, AddServiceError> {
        if stub.death().is_some() {
            return Err(AddServiceError::DeadObject);
        }
        self.may_stand(service, own_user())?;
        let registration = self.new_registration(service, options);
        let standing = Standing::own(LocalObject::anonymous(stub), registration);
        Ok(self.services.insert(service, standing))
    }

    /// Whether processes of a user may register under an id.
    fn may_stand(&self, service: ServiceId, owner: u32) -> Result<(), AddServiceError> {
        let holder = match self.services.get(&service) {
            Some(standing) => Some(standing.owner),
            None => self.on_demand.offer(service).map(|_| own_user()),
        };
        if holder.is_some_and(|holder| holder != owner) {
            return Err(AddServiceError::HeldByAnother);
        }
        if self.services.contains_key(&service) {
            return Ok(());
        }
        let mut limit = limits::MAX_SERVICES;
        let mut services = self.services.len();
        if owner != own_user() && services < limit {
            let of_owner = |standing: &&Standing| standing.owner == owner;
            limit = limits::MAX_SERVICES_OF_ANOTHER_USER;
            services = self.services.values().filter(of_owner).count();
        }
        if services >= limit {
            let value = services + 1;
            return Err(AddServiceError::LimitReached { limit, value });
        }
        Ok(())
    }

    fn new_registration(
        &mut self,
        service: ServiceId,
        options: ServiceOptions,
    ) -> Arc<Registration> {
        self.remember_rule(service, &options);
        static REGISTRATIONS: AtomicU64 = AtomicU64::new(1);
        let number = REGISTRATIONS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Registration::new(
            service,
            number,
            options.allow,
            options.describe,
        ))
    }

    fn remember_rule(&mut self, service: ServiceId, options: &ServiceOptions) {
        let limit = 2 * limits::MAX_SERVICES;
        if let Some(allow) = &options.allow
            && (self.rules.len() < limit || self.rules.contains_key(&service))
        {
            self.rules.insert(service, allow.clone());
        }
    }

    pub(crate) fn remove(&mut self, service: ServiceId) -> Result<Removed, RemoveServiceError> {
        let standing = self.services.remove(&service);
        let on_demand = self.on_demand.remove(service);
        if standing.is_none() && on_demand.is_none() {
            return Err(RemoveServiceError::Absent);
        }
        Ok(Removed {
            standing,
            on_demand,
        })
    }

    /// Removes what was registered, and leaves alone how it is started.
    pub(crate) fn unregister(&mut self, service: ServiceId) -> Option<Standing> {
        self.services.remove(&service)
    }

    /// Removes every registration of a stub that has died.
    pub(crate) fn remove_stub(&mut self, number: u64) -> Vec<Standing> {
        let services = std::mem::take(&mut self.services);
        let (removed, kept) = services
            .into_iter()
            .partition(|(_, standing)| standing.stub().is_some_and(|stub| stub.number() == number));
        self.services = kept;
        for service in removed.keys() {
            self.on_demand.died(*service);
        }
        BTreeMap::into_values(removed).collect()
    }

    /// What everybody who wants the service finds: one that is being unloaded has to be started again.
    fn look(&self, service: ServiceId) -> Option<Look> {
        match self.on_demand.state(service) {
            Some(ServiceState::Unloading) => Some(Look::OnDemand),
            on_demand => match self.services.get(&service) {
                Some(standing) => Some(Look::There(standing.clone())),
                None => on_demand.map(|_| Look::OnDemand),
            },
        }
    }

    /// For a caller of this device.
    pub(crate) fn get(&self, service: ServiceId) -> Result<Look, GetServiceError> {
        self.look(service).ok_or(GetServiceError::Absent)
    }

    /// For a caller of another device, of whom the policy says `ruled`. Who no rule names hears one answer, whatever the
    /// reason.
    pub(crate) fn get_remote(
        &self,
        service: ServiceId,
        caller: DeviceId,
        ruled: Option<&Permission>,
    ) -> Result<Look, GetServiceError> {
        let named = match self.rules.get(&service) {
            Some(rule) => rule.admits(caller, ruled),
            None => ruled.is_some_and(Permission::is_some),
        };
        let error = match self.look(service) {
            Some(look) if self.admits(&look, service, caller, ruled) => return Ok(look),
            Some(_) => GetServiceError::NotDistributed,
            None => GetServiceError::Absent,
        };
        Err(if named {
            error
        } else {
            GetServiceError::Refused
        })
    }

    /// Why a device that may not know of a service may not.
    pub(crate) fn hidden(&self, service: ServiceId) -> Hidden {
        let distributed = match self.look(service) {
            None => return Hidden::Absent,
            Some(Look::There(standing)) => standing.registration.is_distributed(),
            Some(Look::OnDemand) => self
                .on_demand
                .offer(service)
                .is_some_and(|offer| offer.service_options().allow.is_some()),
        };
        match distributed {
            true => Hidden::NotAdmitted,
            false => Hidden::NotDistributed,
        }
    }

    fn admits(
        &self,
        look: &Look,
        service: ServiceId,
        caller: DeviceId,
        ruled: Option<&Permission>,
    ) -> bool {
        match look {
            Look::There(standing) => standing.registration.admits(caller, ruled),
            Look::OnDemand => {
                let offer = self.on_demand.offer(service);
                let allow = offer.and_then(|offer| offer.service_options().allow.as_ref());
                allow.is_some_and(|allow| allow.admits(caller, ruled))
            }
        }
    }

    /// Numbers a change of what stands under an id, for those who watch it.
    pub(crate) fn change(&mut self, service: ServiceId) -> Change {
        self.changes += 1;
        self.last_change(service)
    }

    /// What stands under an id since the last change.
    pub(crate) fn last_change(&self, service: ServiceId) -> Change {
        Change {
            service,
            number: self.changes,
            registration: self.registration_number(service),
        }
    }

    /// The number of the registration that stands under an id.
    pub(crate) fn registration_number(&self, service: ServiceId) -> Option<u64> {
        Some(self.services.get(&service)?.registration.number)
    }

    pub(crate) fn queue_depths(&self) -> Vec<(ServiceId, u64)> {
        let services = self.services.iter();
        services
            .filter_map(|(service, standing)| {
                let stats = standing.stub()?.gate.stats();
                Some((*service, stats.running + stats.waiting))
            })
            .collect()
    }

    /// What this process itself has registered.
    pub(crate) fn own(&self) -> Vec<ServiceId> {
        let services = self.services.iter();
        services
            .filter(|(_, standing)| standing.stub().is_some())
            .map(|(service, _)| *service)
            .collect()
    }

    /// All ids: what is there and what can be started.
    pub(crate) fn list(&self) -> Vec<ServiceId> {
        let registered = self.services.keys().copied();
        let ids: BTreeSet<_> = registered.chain(self.on_demand.ids()).collect();
        ids.into_iter().collect()
    }
}
