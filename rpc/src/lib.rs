//! How a call on a remote object of the soft-bus works.

// So that generated code finds us from inside too.
extern crate self as softbus_rpc;

mod access;
#[cfg(target_os = "linux")]
pub mod ashmem;
mod bus;
mod call;
mod context;
mod death;
pub mod describe;
mod dispatch;
mod driver;
#[cfg(unix)]
pub mod dump;
pub mod dynamic;
pub mod error;
#[cfg(unix)]
mod forked;
#[doc(hidden)]
pub mod fuzzing;
pub mod interface;
pub mod introduction;
mod latch;
pub mod limits;
pub mod link;
pub mod opening;
pub mod parcel;
pub mod peer;
mod quotas;
mod registry;
mod relay;
mod remote;
mod samgr;
pub mod session;
pub mod stream;
pub mod telemetry;
pub mod typed;

pub use access::{AccessPolicy, Denied, Hidden, Permission};
pub use async_trait::async_trait;
pub use bus::{Bus, BusConfig};
pub use call::{CallOption, Caller};
pub use death::{DeathLink, DeathReason, DeathRecipient};
pub use dispatch::{lend_thread, raise_blocking_threads, take_back_thread};
pub use error::{
    AddServiceError, GetServiceError, HandlerError, LinkToDeathError, RemoveServiceError,
    SendRequestError, UnloadServiceError, WatchServiceError,
};
pub use introduction::{IntroductionError, Neighbours};
pub use link::{Link, MemoryLink};
pub use parcel::{Parcel, Parcelable};
pub use peer::Peer;
pub use quotas::Quotas;
pub use registry::{Allow, ServiceOptions};
pub use relay::RelayRules;
pub use remote::{
    Binder, Binding, Bound, Execution, Holder, HolderWatch, LocalObject, RateLimit, Refused,
    RemoteObject, RemoteProxy, RemoteStub, StubOptions, StubStats,
};
pub use rpc_macros::remote_interface;
pub use samgr::{
    LocalAbilityManager, OnDemandOptions, ServiceEvent, ServiceStarter, ServiceState, ServiceWatch,
    WatchPlace, look_up_failure,
};
pub use stream::Streaming;
pub use typed::{CallError, Never};

#[doc(hidden)]
pub use typed::support as __private;
