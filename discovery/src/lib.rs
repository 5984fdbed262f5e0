//! Which devices of the soft-bus are near: mDNS, static peers, one merged view.
//!
//! A [`Discovery`] backend reports *candidates*: "device `id` may be reached at these addresses". Every backend speaks
//! the same [`Event`]s, keyed by (device, [`Source`]); a [`DeviceTable`] merges any number of them and says found,
//! changed and lost. There are two backends here:
//!
//! - [`Mdns`] finds devices on the local network and announces this one;
//! - [`StaticPeers`] is a list, from a configuration or told by other peers, that can change at run time.
//!
//! **Nothing this crate says is proof.** Anybody on the network can announce any id, and can say that a device left.
//! A candidate is something to dial; who answers is proved by TLS, and only that connection says whether a device is
//! online.
//!
//! ```
//! # extern crate softbus_discovery as discovery;
//! use std::time::Instant;
//! use discovery::{DeviceTable, Discovery, Source, StaticPeers, TableEvent};
//! use proto::DeviceId;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let id = DeviceId::from_bytes([7; 32]);
//! let peers = StaticPeers::new(Source::STATIC, [(id, "192.0.2.7:4433".parse()?)])?;
//!
//! let mut table = DeviceTable::new();
//! let mut watch = peers.watch();
//! while let Some(event) = watch.next().await {
//!     table.observe(Instant::now(), event);
//!     if let Some(TableEvent::Found(device)) = table.poll_event() {
//!         assert_eq!(device.addrs, ["192.0.2.7:4433".parse()?]);
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod backend;
mod device_table;
mod event;
mod fanout;
mod mdns;
mod networks;
mod record;
mod static_peers;

pub use backend::{
    Advertisement, CloseDiscoveryError, Discovery, Hint, Publication, PublishDeviceError,
    RefreshDiscoveryError, UpdatePublicationError,
};
pub use device_table::{Device, DeviceTable, LostReason, TableEvent};
pub use event::{Candidate, Event, Snapshot, Source, Status};
pub use fanout::{Fanout, Watch};
#[doc(hidden)]
pub use mdns::fuzzing;
pub use mdns::{
    Interface, InterfacePredicate, Interfaces, Mdns, MdnsOptions, SERVICE_TYPE, StartMdnsError,
};
pub use networks::{
    InterfaceAddress, ListNetworksError, LocalNetwork, OwnAddresses, interface_addresses,
    local_addresses, local_networks,
};
pub use record::{
    Announcement, InstanceName, MAX_NAME_LEN, MAX_TXT_LEN, ParseAnnouncementError, ProtocolVersions,
};
pub use static_peers::{StaticPeers, UpdatePeersError};

/// How many devices one backend and the [`DeviceTable`] keep of those nobody vouched for. Anybody on the network can
/// announce any number, so beyond this the one not heard of for the longest time is forgotten.
pub const MAX_DEVICES: usize = 512;

/// How many addresses are kept of one device; the best are kept.
pub const MAX_ADDRS: usize = 16;
