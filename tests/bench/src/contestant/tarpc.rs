//! tarpc with bincode over TLS of ours.

use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt;
use tarpc::{
    client::Config,
    context,
    server::{BaseChannel, Channel},
};
use tokio_serde::formats::Bincode;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{Client, Contestant, End, tcp};
use crate::process::Spec;

const ALPN: &str = "bench-tarpc";
const LARGEST: usize = 64 << 20;

#[tarpc::service]
trait Echo {
    async fn echo(payload: Bytes) -> Bytes;
    async fn put(payload: Bytes);
}

#[derive(Clone)]
struct Service;

impl Echo for Service {
    async fn echo(self, _: context::Context, payload: Bytes) -> Bytes {
        payload
    }

    async fn put(self, _: context::Context, _payload: Bytes) {}
}

fn framed<S>(stream: S) -> Framed<S, LengthDelimitedCodec>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite,
{
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(LARGEST)
        .new_codec();
    Framed::new(stream, codec)
}

pub(super) struct Tarpc;

impl Contestant for Tarpc {
    type Client = TarpcClient;

    const RAISED: &'static [&'static str] = &[
        "requests in flight: 4,096",
        "requests that wait: 1,024",
        "largest frame: 64 MiB",
    ];

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let listener = tcp::Listener::bind(spec, ALPN).await?;
        loop {
            let handshake = listener.accept().await?;
            tokio::spawn(async move {
                let Ok(stream) = handshake.await else { return };
                let transport = tarpc::serde_transport::new(framed(stream), Bincode::default());
                BaseChannel::with_defaults(transport)
                    .execute(Service.serve())
                    .for_each(|answer| async {
                        tokio::spawn(answer);
                    })
                    .await;
            });
        }
    }

    async fn connect(&self, end: &End<'_>) -> Result<TarpcClient> {
        let stream = tcp::connect(end, ALPN).await?;
        let transport = tarpc::serde_transport::new(framed(stream), Bincode::default());
        let mut config = Config::default();
        config.max_in_flight_requests = 4096;
        config.pending_request_buffer = 1024;
        Ok(TarpcClient(EchoClient::new(config, transport).spawn()))
    }
}

#[derive(Clone)]
pub(super) struct TarpcClient(EchoClient);

impl Client for TarpcClient {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        let reply = self.0.echo(context::current(), payload.clone()).await?;
        Ok(reply.len())
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        Ok(self.0.put(context::current(), payload.clone()).await?)
    }
}
