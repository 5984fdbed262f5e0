//! How a call on a remote object of the soft-bus works.

pub mod bus;
mod call;
mod context;
mod death;
mod dispatch;
mod driver;
pub mod error;
pub mod interface;
pub mod limits;
pub mod link;
pub mod opening;
pub mod parcel;
pub mod peer;
mod registry;
mod remote;
mod samgr;
pub mod session;

pub use async_trait::async_trait;
pub use bus::{Bus, BusConfig};
pub use call::{CallOption, Caller};
pub use death::{DeathLink, DeathReason, DeathRecipient};
pub use error::{
    AddServiceError, GetServiceError, HandlerError, LinkToDeathError, RemoveServiceError,
    SendRequestError,
};
pub use link::{Link, MemoryLink};
pub use parcel::Parcel;
pub use peer::Peer;
pub use registry::{Allow, ServiceOptions};
pub use remote::{Execution, LocalObject, RemoteObject, RemoteProxy, RemoteStub, StubOptions};
pub use samgr::{LocalAbilityManager, ServiceEvent, ServiceWatch};
