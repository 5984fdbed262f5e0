//! Who is compared. Each has a file of its own behind [`Contestant`] and [`Client`].

mod capnp;
mod local;
mod mux;
mod ours;
mod quic;
mod tarpc;
mod tcp;
mod tonic;
mod uds;
mod zbus;

use std::{future::Future, path::PathBuf};

use anyhow::{Result, bail};
use bytes::Bytes;

use crate::{identities::Identities, process::Spec};

/// An RPC system, or what one could be built on.
pub(crate) trait Contestant {
    /// A connection.
    type Client: Client;

    /// The limits of its own that it needs raised to take part; a figure is worth what its settings are.
    const RAISED: &'static [&'static str] = &[];

    /// Serves until the process ends. Says with [`announce`](crate::process::announce) when it is ready, and where.
    fn serve(&self, spec: &Spec) -> impl Future<Output = Result<()>>;

    /// A new connection, with nothing shared with another one that a process of its own would not share.
    fn connect(&self, end: &End) -> impl Future<Output = Result<Self::Client>>;
}

/// What a connection is made with.
pub(crate) struct End<'a> {
    pub(crate) spec: &'a Spec,
    /// What the server announced.
    pub(crate) address: &'a str,
    pub(crate) identities: &'a Identities,
    /// Which of the clients this is.
    pub(crate) nth: usize,
}

/// What every workload is made of. A clone is the same connection.
pub(crate) trait Client: Clone + Send + Sync + 'static {
    /// Sends the payload and gets it back; how long it then is.
    fn echo(&self, payload: &Bytes) -> impl Future<Output = Result<usize>> + Send;

    /// Sends the payload and hears that it came.
    fn put(&self, payload: &Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Sends the payload and hears nothing.
    fn notify(&self, _payload: &Bytes) -> impl Future<Output = Result<()>> + Send {
        async { bail!("has no one-way calls") }
    }

    /// Sends `bytes` in the way that suits it best for one large transfer, and hears that all came.
    fn transfer(&self, _bytes: usize) -> impl Future<Output = Result<()>> + Send {
        async { bail!("has no way for one large transfer") }
    }
}

/// A piece of a transfer.
fn piece(size: usize) -> Bytes {
    Bytes::from(vec![0x5a; size])
}

/// What is done with a contestant whose type the caller does not know.
pub(crate) trait Visit {
    type Output;
    fn visit<C: Contestant + 'static>(self, contestant: C) -> Self::Output;
}

/// Contestants between devices, then on one device.
pub(crate) const NAMES: [&str; 18] = [
    "ours-raw",
    "ours-typed",
    "ours-typed-default",
    "ours-typed-sleeping",
    "quinn-mux",
    "quinn-stream",
    "tls-mux",
    "tonic",
    "tarpc",
    "capnp",
    "ours-typed-mt",
    "quinn-mux-mt",
    "tonic-mt",
    "tarpc-mt",
    "ours-local",
    "uds-mux",
    "uds",
    "zbus",
];

/// The name of a row without the runtime, and whether that is the multi-thread one.
pub(crate) fn runtime_of(name: &str) -> (&str, bool) {
    match name.strip_suffix("-mt") {
        Some(base) => (base, true),
        None => (name, false),
    }
}

/// Finds the contestant by its name.
pub(crate) fn with<V: Visit>(name: &str, visit: V) -> Result<V::Output> {
    Ok(match name {
        "ours-raw" => visit.visit(ours::Raw),
        "ours-typed" => visit.visit(ours::Typed::INLINE),
        "ours-typed-default" => visit.visit(ours::Typed::DEFAULT),
        "ours-typed-sleeping" => visit.visit(ours::Typed::SLEEPING),
        "quinn-mux" => visit.visit(quic::Mux),
        "quinn-stream" => visit.visit(quic::StreamPerCall),
        "tls-mux" => visit.visit(tcp::Mux),
        "tonic" => visit.visit(tonic::Tonic),
        "tarpc" => visit.visit(tarpc::Tarpc),
        "capnp" => visit.visit(capnp::Capnp),
        "ours-local" => visit.visit(local::Local),
        "uds-mux" => visit.visit(uds::Mux),
        "uds" => visit.visit(uds::PingPong),
        "zbus" => visit.visit(zbus::Zbus),
        _ => bail!("no such contestant; there are {}", NAMES.join(", ")),
    })
}

fn socket(spec: &Spec) -> PathBuf {
    crate::process::socket_path(&spec.directory)
}
