//! The product between two processes of one device: the same typed interface, with everything on that users get.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use softbus::{
    Allow, DeviceId, ServiceOptions,
    local::{self, LocalListener},
    rpc::{Bus, Execution, Peer, StubOptions},
};

use super::{
    Client, Contestant, End,
    ours::{EchoProxy, EchoStub, SERVICE, Service, WAIT},
};
use crate::process::{Spec, announce};

pub(super) struct Local;

impl Contestant for Local {
    type Client = LocalClient;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let bus = local::bus(DeviceId::from_bytes([7; 32]));
        let options = StubOptions::execution(Execution::Inline);
        let stub = EchoStub::with_options(Service, options).into_object();
        let options = ServiceOptions::distributed(Allow::trusted());
        bus.samgr().add(SERVICE, &stub, options)?;
        // It makes a directory of its own, which nobody else may look into.
        let path = spec.directory.join("bus").join("socket");
        let listener = LocalListener::bind(&path, bus)?;
        announce(&path.to_string_lossy());
        let mut peers = Vec::new();
        loop {
            peers.push(listener.accept().await?);
        }
    }

    async fn connect(&self, end: &End<'_>) -> Result<LocalClient> {
        let (bus, peer) = local::attach(end.address).await?;
        let echo = EchoProxy::new(peer.get_service(SERVICE, WAIT).await?);
        Ok(LocalClient {
            echo,
            _session: (bus, peer),
        })
    }
}

#[derive(Clone)]
pub(super) struct LocalClient {
    echo: EchoProxy,
    _session: (Arc<Bus>, Peer),
}

impl Client for LocalClient {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        Ok(self.echo.echo(payload.clone()).await?.len())
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        Ok(self.echo.put(payload.clone()).await?)
    }

    async fn notify(&self, payload: &Bytes) -> Result<()> {
        Ok(self.echo.notify(payload.clone()).await?)
    }

    async fn transfer(&self, bytes: usize) -> Result<()> {
        super::ours::transfer(self, bytes).await
    }
}
