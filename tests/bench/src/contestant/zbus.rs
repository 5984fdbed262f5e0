//! zbus between two processes of one device, without a broker: plain D-Bus on a Unix socket.

use std::os::unix::net::UnixStream;

use anyhow::Result;
use bytes::Bytes;
use tokio::net::UnixListener;
use zbus::{Connection, Guid, Message, connection::Builder, message::Flags};

use super::{Client, Contestant, End};
use crate::process::{self, Spec, announce};

const PATH: &str = "/bench";
const INTERFACE: &str = "org.example.bench.Echo";

struct Service;

#[zbus::interface(name = "org.example.bench.Echo")]
impl Service {
    fn echo(&self, payload: Vec<u8>) -> Vec<u8> {
        payload
    }

    fn put(&self, _payload: Vec<u8>) {}

    async fn notify(&self, _payload: Vec<u8>) {
        process::received().await;
    }
}

pub(super) struct Zbus;

impl Contestant for Zbus {
    type Client = ZbusClient;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let path = super::socket(spec);
        let listener = UnixListener::bind(&path)?;
        announce(&path.to_string_lossy());
        let guid = Guid::generate();
        loop {
            let (stream, _) = listener.accept().await?;
            let stream = Builder::unix_stream(stream.into_std()?);
            let stream = stream.server(guid.clone()).p2p();
            let connection = stream.serve_at(PATH, Service);
            tokio::spawn(async move {
                if let Ok(connection) = connection.build().await {
                    connection.closed().await;
                }
            });
        }
    }

    async fn connect(&self, end: &End<'_>) -> Result<ZbusClient> {
        let stream = UnixStream::connect(end.address)?;
        let connection = Builder::unix_stream(stream).p2p().build().await?;
        Ok(ZbusClient(connection))
    }
}

#[derive(Clone)]
pub(super) struct ZbusClient(Connection);

impl ZbusClient {
    async fn call(&self, method: &str, payload: &[u8]) -> Result<Message> {
        let nobody = None::<()>;
        let body = (payload,);
        let reply = self
            .0
            .call_method(nobody, PATH, Some(INTERFACE), method, &body);
        Ok(reply.await?)
    }
}

impl Client for ZbusClient {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        let reply = self.call("Echo", payload).await?;
        let body = reply.body();
        let payload: &[u8] = body.deserialize()?;
        Ok(payload.len())
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        self.call("Put", payload).await.map(drop)
    }

    async fn notify(&self, payload: &Bytes) -> Result<()> {
        let message = Message::method_call(PATH, "Notify")
            .interface(INTERFACE)
            .with_flags(Flags::NO_REPLY_EXPECTED)
            .build(&(&payload[..],))?;
        Ok(self.0.send(&message).await?)
    }
}
