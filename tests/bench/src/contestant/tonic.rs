//! tonic over TLS of ours.

mod generated {
    #![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::use_self)]
    tonic::include_proto!("bench");
}

use std::{io::ErrorKind, sync::Mutex};

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Endpoint, Server},
};

use super::{Client, Contestant, End, tcp};
use crate::process::{self, Spec};
use generated::{
    Done, Payload,
    echo_client::EchoClient,
    echo_server::{Echo, EchoServer},
};

const ALPN: &str = "h2";
const LARGEST: usize = 64 << 20;
const PIECE: usize = 256 * 1024;
/// Messages that wait for a stream.
const QUEUE: usize = 1024;

struct Service;

#[tonic::async_trait]
impl Echo for Service {
    async fn echo(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn put(&self, _request: Request<Payload>) -> Result<Response<Done>, Status> {
        Ok(Response::new(Done {}))
    }

    async fn notify(&self, request: Request<Streaming<Payload>>) -> Result<Response<Done>, Status> {
        let mut messages = request.into_inner();
        while messages.message().await?.is_some() {
            process::received().await;
        }
        Ok(Response::new(Done {}))
    }
}

pub(super) struct Tonic;

impl Contestant for Tonic {
    type Client = TonicClient;

    const RAISED: &'static [&'static str] = &["largest message: 64 MiB"];

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let listener = tcp::Listener::bind(spec, ALPN).await?;
        let (connected, connections) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok(handshake) = listener.accept().await {
                let connected = connected.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = handshake.await {
                        let _ = connected.send(std::io::Result::Ok(stream)).await;
                    }
                });
            }
        });
        let service = EchoServer::new(Service)
            .max_decoding_message_size(LARGEST)
            .max_encoding_message_size(LARGEST);
        Server::builder()
            .add_service(service)
            .serve_with_incoming(ReceiverStream::new(connections))
            .await?;
        Ok(())
    }

    async fn connect(&self, end: &End<'_>) -> Result<TonicClient> {
        let stream = Mutex::new(Some(TokioIo::new(tcp::connect(end, ALPN).await?)));
        let connector = tower::service_fn(move |_| {
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            std::future::ready(stream.ok_or(std::io::Error::from(ErrorKind::NotConnected)))
        });
        let channel = Endpoint::from_shared(format!("http://{}", end.address))?
            .connect_with_connector(connector)
            .await?;
        let client = EchoClient::new(channel)
            .max_decoding_message_size(LARGEST)
            .max_encoding_message_size(LARGEST);
        let (notify, messages) = mpsc::channel(QUEUE);
        let mut notified = client.clone();
        let stream = ReceiverStream::new(messages);
        // Only with the first message is the call made.
        tokio::spawn(async move {
            let mut stream = stream;
            if let Some(first) = stream.as_mut().recv().await {
                let first = tokio_stream::once(first);
                let messages = tokio_stream::StreamExt::chain(first, stream);
                if let Err(status) = notified.notify(messages).await {
                    eprintln!("tonic: {status}");
                }
            }
        });
        Ok(TonicClient { client, notify })
    }
}

#[derive(Clone)]
pub(super) struct TonicClient {
    client: EchoClient<Channel>,
    notify: mpsc::Sender<Payload>,
}

impl Client for TonicClient {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        let data = payload.clone();
        let reply = self.client.clone().echo(Payload { data }).await?;
        Ok(reply.into_inner().data.len())
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        let data = payload.clone();
        self.client.clone().put(Payload { data }).await?;
        Ok(())
    }

    async fn notify(&self, payload: &Bytes) -> Result<()> {
        let data = payload.clone();
        let sent = self.notify.send(Payload { data }).await;
        sent.ok().context("the stream ended")
    }

    async fn transfer(&self, bytes: usize) -> Result<()> {
        let data = super::piece(PIECE);
        let pieces = (0..bytes / PIECE).map(move |_| Payload { data: data.clone() });
        let pieces = tokio_stream::iter(pieces);
        self.client.clone().notify(pieces).await?;
        Ok(())
    }
}
