//! Devices that trust each other, on whatever carries them: what a scenario is written against.
//!
//! - [`memory::MemoryWorld`]: a bus each, joined by memory links; its clock may stand still.
//! - [`loopback::LoopbackWorld`]: a node each on 127.0.0.1, told of each other.
//! - [`relayed::RelayedWorld`]: the same through relays of our own, which are a network that can be cut.
//! - `local::LocalWorld`: processes of one device, attached to a host of its bus.
//! - [`lab::LabWorld`]: a node each in a network namespace of its own; they find each other by mDNS.
//! - `clocks::ClockWorld`: a program each in such a namespace, one of which has a wall clock that can be set.
//!
//! What can be done to them and to the network between them is in [`faults`].

#[cfg(target_os = "linux")]
pub mod clocks;
pub mod faults;
#[cfg(target_os = "linux")]
pub mod lab;
#[cfg(target_os = "linux")]
pub mod local;
pub mod loopback;
pub mod memory;
pub mod node;
pub mod raw;
pub mod relayed;

use std::{fmt::Debug, sync::Arc, time::Duration};

use softbus::{
    DeviceId, GetServiceError, RemoteObject, ServiceId, ServiceOptions, async_trait,
    rpc::{
        AddServiceError, LocalAbilityManager, RemoveServiceError, ServiceWatch, limits,
        session::{Usage, passing_rules::Party},
    },
};
use softbus::{presence::DeviceEvents, service_watch::RemoteServiceWatch};

/// Where devices come from.
#[async_trait(?Send)]
pub trait World {
    /// Starts one more device. All devices of a world trust each other.
    async fn device(&mut self) -> Arc<dyn Device>;

    /// Starts a device again that has left or vanished: the same identity, and nothing else of it.
    async fn restart(&mut self, device: &Arc<dyn Device>) -> Arc<dyn Device>;

    /// One device withdraws its trust from another, which keeps its own.
    fn distrust(&self, device: &DeviceId, other: &DeviceId);

    /// Whether time passes only while everybody waits for it: then eight seconds cost nothing.
    fn time_is_virtual(&self) -> bool {
        false
    }

    /// Whether its devices are processes of one device: who calls is local.
    fn is_one_device(&self) -> bool {
        false
    }

    /// What is said of a service that is not there to whom no rule for its id names: processes of its own device hear just that.
    fn said_of_unknown(&self) -> GetServiceError {
        match self.is_one_device() {
            true => GetServiceError::Absent,
            false => GetServiceError::Refused,
        }
    }

    /// How many sessions a call goes over: each takes one-way calls until its credit is used up.
    fn sessions_of_a_call(&self) -> usize {
        1
    }

    /// What a message carries at most, body and object table together.
    fn largest_parcel(&self) -> usize {
        match self.is_one_device() {
            true => limits::MAX_LOCAL_PARCEL,
            false => limits::MAX_REMOTE_PARCEL,
        }
    }
}

/// One device as its own user sees it.
#[async_trait]
pub trait Device: Debug + Send + Sync {
    /// Who it is.
    fn id(&self) -> DeviceId;

    /// The same, and which process of it: where devices are processes of one, they differ in that.
    fn party(&self) -> Party;

    /// The process that its services are in, as it sees itself: to other devices it may be just a device.
    fn process(&self) -> Party {
        self.party()
    }

    /// Registers a service with its system ability manager.
    fn add(
        &self,
        service: ServiceId,
        object: &RemoteObject,
        options: ServiceOptions,
    ) -> Result<(), AddServiceError>;

    /// Removes a service.
    fn remove(&self, service: ServiceId) -> Result<(), RemoveServiceError>;

    /// One look at its own services.
    fn check(&self, service: ServiceId) -> Option<RemoteObject>;

    /// Its own services.
    fn list(&self) -> Vec<ServiceId>;

    /// Its own services, with all that can be done with them.
    fn samgr(&self) -> LocalAbilityManager;

    /// Watches a service of its own.
    fn watch(&self, service: ServiceId) -> ServiceWatch {
        let watch = self.samgr().watch(service);
        watch.expect("a scenario has few watches")
    }

    /// Declares a stub of its own dead.
    fn revoke(&self, object: &RemoteObject) -> bool;

    /// Gets a service of a device.
    async fn get(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError>;

    /// One look at a service of another device.
    async fn check_of(
        &self,
        service: ServiceId,
        device: &DeviceId,
    ) -> Result<RemoteObject, GetServiceError>;

    /// Loads a service of another device.
    async fn load_within(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError>;

    /// Waits for a service of another device.
    async fn wait_for(
        &self,
        service: ServiceId,
        device: &DeviceId,
        wait: Duration,
    ) -> Result<RemoteObject, GetServiceError>;

    /// Follows a service of another device, where there is more than links.
    fn watch_of(&self, service: ServiceId, device: &DeviceId) -> Option<RemoteServiceWatch>;

    /// The services of a device that this one may call.
    async fn list_of(&self, device: &DeviceId) -> Result<Vec<ServiceId>, GetServiceError>;

    /// What its sessions hold, and of whom.
    fn usage(&self) -> Vec<(Party, Usage)>;

    /// Other devices as they come and go, where there is more than links.
    fn events(&self) -> Option<DeviceEvents>;

    /// Takes leave of everybody.
    async fn leave(&self);

    /// Goes without a goodbye, as a crash or a cut cable makes it.
    async fn vanish(&self);
}
