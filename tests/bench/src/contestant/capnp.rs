//! capnp-rpc over TLS of ours. One thread by design.

mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::use_self,
        clippy::all
    )]
    capnp::generated_code!(pub mod echo_capnp);
}

use std::{rc::Rc, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use capnp::message::ReaderOptions;
use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty::VatNetwork};
use futures::io::{AsyncReadExt, BufReader, BufWriter};
use send_wrapper::SendWrapper;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
};
use tokio_util::compat::TokioAsyncReadCompatExt;

use super::{Client, Contestant, End, tcp};
use crate::process::{self, Spec};
use generated::echo_capnp::echo;

const ALPN: &str = "bench-capnp";
const BUFFER: usize = 64 * 1024;
const TRAVERSAL: usize = 64 << 20;

struct Service;

impl echo::Server for Service {
    async fn echo(
        self: Rc<Self>,
        request: echo::EchoParams,
        mut reply: echo::EchoResults,
    ) -> Result<(), capnp::Error> {
        let payload = request.get()?.get_payload()?;
        reply.get().set_payload(payload);
        Ok(())
    }

    async fn put(
        self: Rc<Self>,
        _request: echo::PutParams,
        _reply: echo::PutResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn notify(self: Rc<Self>, _request: echo::NotifyParams) -> Result<(), capnp::Error> {
        process::received().await;
        Ok(())
    }
}

fn system<S>(stream: S, side: Side, service: Option<capnp::capability::Client>) -> RpcSystem<Side>
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let (read, write) = stream.compat().split();
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(TRAVERSAL));
    let network = VatNetwork::new(
        BufReader::with_capacity(BUFFER, read),
        BufWriter::with_capacity(BUFFER, write),
        side,
        options,
    );
    let service = service.map(|client| client.hook);
    let service = service.map(capnp::capability::Client::new);
    RpcSystem::new(Box::new(network), service)
}

pub(super) struct Capnp;

impl Contestant for Capnp {
    type Client = CapnpClient;

    const RAISED: &'static [&'static str] = &["words of a message that may be read: 64 Mi"];

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let listener = tcp::Listener::bind(spec, ALPN).await?;
        let service: echo::Client = capnp_rpc::new_client(Service);
        loop {
            let handshake = listener.accept().await?;
            let service = service.clone();
            spawn_local(async move {
                if let Ok(stream) = handshake.await {
                    let _ = system(stream, Side::Server, Some(service.client)).await;
                }
            });
        }
    }

    async fn connect(&self, end: &End<'_>) -> Result<CapnpClient> {
        let stream = tcp::connect(end, ALPN).await?;
        let mut system = system(stream, Side::Client, None);
        let client = system.bootstrap(Side::Server);
        spawn_local(system);
        Ok(CapnpClient(Arc::new(SendWrapper::new(client))))
    }
}

/// Never leaves its thread, and panics if it did.
#[derive(Clone)]
pub(super) struct CapnpClient(Arc<SendWrapper<echo::Client>>);

impl Client for CapnpClient {
    fn echo(&self, payload: &Bytes) -> impl Future<Output = Result<usize>> + Send {
        SendWrapper::new(async move {
            let mut request = self.0.echo_request();
            request.get().set_payload(payload);
            let reply = request.send().promise.await?;
            Ok(reply.get()?.get_payload()?.len())
        })
    }

    fn put(&self, payload: &Bytes) -> impl Future<Output = Result<()>> + Send {
        SendWrapper::new(async move {
            let mut request = self.0.put_request();
            request.get().set_payload(payload);
            request.send().promise.await?;
            Ok(())
        })
    }

    fn notify(&self, payload: &Bytes) -> impl Future<Output = Result<()>> + Send {
        SendWrapper::new(async move {
            let mut request = self.0.notify_request();
            request.get().set_payload(payload);
            request.send().await?;
            Ok(())
        })
    }
}
