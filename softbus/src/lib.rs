//! Devices near each other call each other's services as if they were local objects.

#![warn(clippy::exhaustive_enums)]

mod ability_manager;
mod device;
pub mod error;
mod link;
mod node;
mod peers;
mod presence;

pub use certs::{self, Identity, TrustStore};
pub use discovery::{self, Interfaces};
pub use proto::{DeviceId, ServiceId};
pub use rpc::{
    self, Allow, CallError, CallOption, Caller, DeathLink, DeathReason, DeathRecipient, Execution,
    GetServiceError, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    ServiceOptions, async_trait, remote_interface,
};
#[doc(hidden)]
pub use rpc::__private;

pub use ability_manager::SystemAbilityManager;
pub use device::{Device, DeviceEvents};
pub use node::{Node, NodeBuilder};
pub use presence::{DeviceEvent, OfflineReason, Presence, Profile};
