//! Who the two ends are, and TLS for those who do not bring it: the same keys, certificates and cipher suites for all.
//!
//! A directory is shared by the processes of a cell: the server's identity is in it, and whom it trusts.

use std::{cell::RefCell, fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use rustls::{ClientConfig, ServerConfig};
use softbus::{DeviceId, Identity, certs::tls};

const SERVER: &str = "server";
const TRUSTED: &str = "trusted";

/// Makes the server's identity and those of `clients`, and writes down whom the server trusts.
pub(crate) fn make(directory: &Path, clients: usize) -> Result<Identities> {
    let server = Identity::open(directory.join(SERVER))?;
    let clients: Vec<_> = (0..clients)
        .map(|_| Identity::generate())
        .collect::<Result<_, _>>()?;
    let trusted: Vec<_> = clients
        .iter()
        .map(|client| client.device_id().to_string())
        .collect();
    fs::write(directory.join(TRUSTED), trusted.join("\n"))?;
    Ok(Identities {
        server: *server.device_id(),
        clients: clients.into_iter().map(Some).map(RefCell::new).collect(),
    })
}

/// What a client process has.
pub(crate) struct Identities {
    pub(crate) server: DeviceId,
    clients: Vec<RefCell<Option<Identity>>>,
}

impl Identities {
    /// The identity of the client of this number, which can be had once.
    pub(crate) fn take(&self, nth: usize) -> Result<Identity> {
        self.clients[nth].take().context("taken before")
    }

    /// TLS for the client of this number.
    pub(crate) fn tls(&self, nth: usize, alpn: &str) -> Result<ClientConfig> {
        let client = self.clients[nth].borrow();
        let client = client.as_ref().context("taken before")?;
        let (mut config, _) = tls::client_config(client, self.server)?;
        config.alpn_protocols = vec![alpn.into()];
        Ok(config)
    }
}

/// The server's identity and whom it trusts, in the server process.
pub(crate) fn of_server(directory: &Path) -> Result<(Identity, Vec<DeviceId>)> {
    let identity = Identity::open(directory.join(SERVER))?;
    let trusted = fs::read_to_string(directory.join(TRUSTED))?;
    let trusted = trusted.lines().map(str::parse).collect::<Result<_, _>>();
    Ok((identity, trusted.context("whom the server trusts")?))
}

/// TLS for the server.
pub(crate) fn server_tls(directory: &Path, alpn: &str) -> Result<Arc<ServerConfig>> {
    let (identity, _) = of_server(directory)?;
    let mut config = tls::server_config(&identity)?;
    config.alpn_protocols = vec![alpn.into()];
    Ok(Arc::new(config))
}
