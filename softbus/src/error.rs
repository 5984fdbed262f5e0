//! What can go wrong with a node.

use std::net::SocketAddr;

use proto::ServiceId;
use rpc::AddServiceError;

/// Why a node did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartNodeError {
    /// No identity was given. Call [`NodeBuilder::identity`](crate::NodeBuilder::identity) or
    /// [`identity_dir`](crate::NodeBuilder::identity_dir).
    #[error("no identity given")]
    NoIdentity,
    /// The identity could not be opened; the text says which file and what to do.
    #[error("identity: {0}")]
    Identity(String),
    /// The trust store could not be opened; the text says which file and what to do.
    #[error("trust store: {0}")]
    Trust(String),
    /// The file of the fleet is not right; the text says why.
    #[error("fleet: {0}")]
    Fleet(String),
    /// The policy's file is not right, and nobody is let in by guessing what it means; the text says which line.
    #[error("policy: {0}")]
    Policy(String),
    /// The port could not be bound. Another program may have it: choose another, or port 0.
    #[error("cannot bind {address}: {reason}")]
    Bind {
        /// What was tried.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// A service that was to be there from the start could not be registered.
    #[error("service {service}: {error}")]
    Service {
        /// Its id.
        service: ServiceId,
        /// Why not.
        error: AddServiceError,
    },
    /// The bus of this device could not be hosted, or attached to.
    #[cfg(target_os = "linux")]
    #[error("local bus: {0}")]
    Local(#[from] crate::local::LocalError),
    /// Discovery could not start.
    #[error("discovery: {0}")]
    Discovery(String),
    /// TLS could not be set up: a fault of the build.
    #[error("cryptography: {0}")]
    Crypto(String),
    /// Not on a tokio runtime with time and I/O. Start the node inside one, or give it a thread of its own with
    /// [`NodeBuilder::own_thread`](crate::NodeBuilder::own_thread).
    #[error("no tokio runtime")]
    NoRuntime,
}
