//! TLS over TCP, for the peers that let us bring it.

use std::sync::Arc;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{
    Contestant, End,
    mux::{self, MuxClient},
};
use crate::{
    identities,
    process::{Spec, announce},
};

/// The listening end, announced.
pub(super) struct Listener {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    pub(super) async fn bind(spec: &Spec, alpn: &str) -> Result<Self> {
        let tls = TlsAcceptor::from(identities::server_tls(&spec.directory, alpn)?);
        let listener = TcpListener::bind((spec.host.as_str(), 0)).await?;
        announce(&listener.local_addr()?.to_string());
        Ok(Self { listener, tls })
    }

    /// The next connection; its handshake is the caller's to wait for.
    pub(super) async fn accept(
        &self,
    ) -> Result<impl Future<Output = std::io::Result<server::TlsStream<TcpStream>>> + use<>> {
        let (stream, _) = self.listener.accept().await?;
        // Without it a small reply waits for an acknowledgement, 40 ms.
        stream.set_nodelay(true)?;
        Ok(self.tls.accept(stream))
    }
}

/// A connection to what [`Listener`] announced.
pub(super) async fn connect(end: &End<'_>, alpn: &str) -> Result<client::TlsStream<TcpStream>> {
    let tls = TlsConnector::from(Arc::new(end.identities.tls(end.nth, alpn)?));
    let stream = TcpStream::connect(end.address).await?;
    stream.set_nodelay(true)?;
    Ok(tls.connect("bench".try_into()?, stream).await?)
}

/// Everything on one connection, as in `quinn-mux`: what a byte stream with TLS can be at best.
pub(super) struct Mux;

const ALPN: &str = "bench-mux";

impl Contestant for Mux {
    type Client = MuxClient;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let listener = Listener::bind(spec, ALPN).await?;
        loop {
            let handshake = listener.accept().await?;
            tokio::spawn(async move {
                let (read, write) = tokio::io::split(handshake.await?);
                mux::serve(read, write).await
            });
        }
    }

    async fn connect(&self, end: &End<'_>) -> Result<MuxClient> {
        let (read, write) = tokio::io::split(connect(end, ALPN).await?);
        Ok(MuxClient::new(read, write))
    }
}
