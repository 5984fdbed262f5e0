//! Devices near each other call each other's services as if they were local objects.
//!
//! A [`Node`] is this process on the bus. It finds devices, proves who they are, and talks to those it trusts over QUIC, or TCP where that does not get through. A
//! service is a trait with [`#[remote_interface]`](macro@remote_interface), offered by one device and called by others:
//!
//! ```no_run
//! use softbus::{Allow, Interfaces, Node, ServiceId, ServiceOptions, remote_interface};
//!
//! #[remote_interface(descriptor = "org.example.Hello")]
//! trait Hello {
//!     async fn hello(&self, name: &str) -> String;
//! }
//!
//! struct Greeter;
//!
//! impl Hello for Greeter {
//!     async fn hello(&self, name: &str) -> String {
//!         format!("hello, {name}")
//!     }
//! }
//!
//! const HELLO: ServiceId = ServiceId::new(1401).unwrap();
//!
//! # async fn service() -> Result<(), Box<dyn std::error::Error>> {
//! // On one device:
//! let node = Node::builder().identity_dir("hello-service").mdns(Interfaces::All).start().await?;
//! let options = ServiceOptions::distributed(Allow::trusted());
//! node.samgr().add(HELLO, &HelloStub::new(Greeter).into(), options)?;
//! # Ok(()) }
//!
//! # async fn client(service: softbus::DeviceId) -> Result<(), Box<dyn std::error::Error>> {
//! // On another:
//! let node = Node::builder().identity_dir("hello-client").mdns(Interfaces::All).start().await?;
//! let hello = HelloProxy::new(node.samgr().get(HELLO, &service).await?);
//! println!("{}", hello.hello("kitchen").await?);
//! # Ok(()) }
//! ```
//!
//! Both devices must trust each other first: each one's [`DeviceId`] is in the other's [`TrustStore`], by [`pairing`] or because
//! somebody put it there. There is no mode without.
//!
//! # What is where
//!
//! - [`Node`], [`NodeBuilder`]: start, stop, who this is, which devices are there ([`Device`], [`DeviceEvents`](presence::DeviceEvents), [`DeviceWatch`](presence::DeviceWatch)).
//! - [`SystemAbilityManager`]: register a service; get one by (service id, device id).
//! - [`pairing`]: how strangers come to trust each other ([`Node::open_pairing`], [`Node::pair`]).
//! - [`local`]: other processes of this device ([`NodeBuilder::host_local`], [`Node::attach`]); on Linux.
//! - [`transport`]: QUIC between devices, and TCP where that does not get through.
//! - [`service_watch`]: follow a service of another device ([`SystemAbilityManager::watch_of`]), or call it whichever proxy of it is alive
//!   ([`SystemAbilityManager::get_rebinding`]).
//! - [`RemoteObject`]: what is called, passed in a [`Parcel`], and watched ([`RemoteObject::link_to_death`]).
//! - [`Parcelable`](macro@Parcelable): derived, makes a type of your own an argument or result.
//! - [`RemoteStub`]: a service written by hand, without the macro.
//! - [`Policy`]: what this device allows others, service by service and method by method, in a file or in code; [`audit`] tells
//!   what it refused.
//! - [`Caller`]: who calls; given to every handler, proven by the connection.
//! - [`CallOption`]: two-way or one-way, and how long to wait.
//! - [`SendRequestError`], [`GetServiceError`] and the rest of [`error`] and [`rpc::error`]: absent, refused, unreachable, timed out, dead,
//!   busy and too large are told apart.
//! - [`rpc`], [`discovery`], [`certs`]: the parts, for those who need one alone.
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | service ids, method codes | 1..=0x00ff_ffff |
//! | a parcel to another device | 1 MiB, and beside it up to 128 MiB of raw data |
//! | a call to another device waits | 8 s unless told otherwise, at most 3,000 s |
//! | services of a node | 1,000, and as many that are started on demand |
//! | a load waits | 4 s unless told otherwise |
//! | gets, loads and waits of one caller that wait for a service | 256 |
//! | watches of services | 256 |
//! | calls in flight to one device | 1,024 |
//! | objects held of one device | 16,384, and 64 in one parcel |
//! | one-way calls under way | 1,000 or 1 MiB per lane; then the sender waits |
//! | a device is gone after | 5 s without a packet, sooner when its host says so |

mod ability_manager;
mod access;
pub mod audit;
mod device;
pub mod error;
mod fleet;
#[doc(hidden)]
pub mod fuzzing;
mod link;
#[cfg(target_os = "linux")]
pub mod local;
mod node;
pub mod pairing;
mod peers;
/// Pure: what a node decides about connections with a device, for the simulation, which runs the same.
#[doc(hidden)]
pub use peers::decisions as __decisions;
pub mod presence;
pub mod service_watch;
mod side;
pub mod transport;

pub use certs::{self, Identity, Policy, TrustStore};
pub use discovery::{self, Interfaces};
pub use proto::{DeviceId, ServiceId};
#[doc(hidden)]
pub use rpc::__private;
pub use rpc::{
    self, Allow, CallError, CallOption, Caller, DeathLink, DeathReason, GetServiceError,
    HandlerError, Parcel, Parcelable, RemoteObject, RemoteStub, SendRequestError, ServiceOptions,
    Streaming, async_trait, remote_interface,
};

pub use ability_manager::SystemAbilityManager;
pub use device::Device;
pub use node::{Node, NodeBuilder};
pub use presence::DeviceEvent;
