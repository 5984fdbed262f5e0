//! Raw quinn with our certificates and settings: one multiplexed stream, and a stream per call.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use quinn::{
    AckFrequencyConfig, ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout,
    MtuDiscoveryConfig, RecvStream, SendStream, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Client, Contestant, End,
    mux::{self, MuxClient},
};
use crate::{
    identities,
    process::{self, Spec, announce},
};

const ALPN: &str = "bench-quinn";
/// What ours allows.
const BIDI: u32 = 65;
const UNI: u32 = 16;
/// The largest datagram that is looked for: what ours looks for.
const DATAGRAM: u16 = 6400;
const PIECE: usize = 256 * 1024;

/// One long-lived stream for everything.
pub(super) struct Mux;

/// A stream of its own for each call, as an application does that uses quinn by the book.
pub(super) struct StreamPerCall;

impl Contestant for Mux {
    type Client = MuxOnQuic;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        accept(spec, |connection| async move {
            let (send, receive) = connection.accept_bi().await?;
            mux::serve(receive, send).await
        })
        .await
    }

    async fn connect(&self, end: &End<'_>) -> Result<MuxOnQuic> {
        let (endpoint, connection) = dial(end).await?;
        let (send, receive) = connection.open_bi().await?;
        Ok(MuxOnQuic {
            mux: MuxClient::new(receive, send),
            _connection: connection,
            _endpoint: endpoint,
        })
    }
}

#[derive(Clone)]
pub(super) struct MuxOnQuic {
    mux: MuxClient,
    _connection: Connection,
    _endpoint: Endpoint,
}

impl Client for MuxOnQuic {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        self.mux.echo(payload).await
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        self.mux.put(payload).await
    }

    async fn notify(&self, payload: &Bytes) -> Result<()> {
        self.mux.notify(payload).await
    }

    async fn transfer(&self, bytes: usize) -> Result<()> {
        self.mux.transfer(bytes).await
    }
}

const ECHO: u8 = 0;
const PUT: u8 = 1;

impl Contestant for StreamPerCall {
    type Client = Streams;

    const RAISED: &'static [&'static str] = &["streams: one for each call in flight"];

    async fn serve(&self, spec: &Spec) -> Result<()> {
        accept(spec, |connection| async move {
            tokio::spawn(notifications(connection.clone()));
            loop {
                let (send, receive) = connection.accept_bi().await?;
                tokio::spawn(answer(send, receive));
            }
        })
        .await
    }

    async fn connect(&self, end: &End<'_>) -> Result<Streams> {
        let (endpoint, connection) = dial(end).await?;
        Ok(Streams {
            connection,
            _endpoint: endpoint,
        })
    }
}

async fn notifications(connection: Connection) -> Result<()> {
    loop {
        let mut stream = connection.accept_uni().await?;
        tokio::spawn(async move {
            while let Ok(Some(_)) = stream.read_chunk(usize::MAX, true).await {}
            process::received().await;
        });
    }
}

async fn answer(mut send: SendStream, mut receive: RecvStream) -> Result<()> {
    let mut pieces = [const { Bytes::new() }; 32];
    let first = receive.read_chunk(usize::MAX, true).await?;
    let mut first = first.context("an empty request")?.bytes;
    let kind = first.split_to(1)[0];
    if kind == ECHO {
        send.write_chunk(first).await?;
        while let Some(piece) = receive.read_chunk(usize::MAX, true).await? {
            send.write_chunk(piece.bytes).await?;
        }
    } else {
        while receive.read_chunks(&mut pieces).await?.is_some() {}
    }
    send.finish()?;
    Ok(())
}

#[derive(Clone)]
pub(super) struct Streams {
    connection: Connection,
    _endpoint: Endpoint,
}

impl Streams {
    /// Sends a request in pieces; how long the answer is.
    async fn request(&self, pieces: impl Iterator<Item = Bytes> + Send) -> Result<usize> {
        let (mut send, mut receive) = self.connection.open_bi().await?;
        for piece in pieces {
            send.write_chunk(piece).await?;
        }
        send.finish()?;
        let mut length = 0;
        while let Some(piece) = receive.read_chunk(usize::MAX, true).await? {
            length += piece.bytes.len();
        }
        Ok(length)
    }
}

impl Client for Streams {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        let mut request = BytesMut::with_capacity(1 + payload.len());
        request.put_u8(ECHO);
        request.extend_from_slice(payload);
        self.request(std::iter::once(request.freeze())).await
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        let kind = Bytes::from_static(&[PUT]);
        self.request([kind, payload.clone()].into_iter()).await?;
        Ok(())
    }

    async fn notify(&self, payload: &Bytes) -> Result<()> {
        let mut stream = self.connection.open_uni().await?;
        stream.write_chunk(payload.clone()).await?;
        stream.finish()?;
        Ok(())
    }

    async fn transfer(&self, bytes: usize) -> Result<()> {
        let piece = super::piece(PIECE);
        let kind = std::iter::once(Bytes::from_static(&[PUT]));
        let pieces = (0..bytes / PIECE).map(|_| piece.clone());
        self.request(kind.chain(pieces)).await?;
        Ok(())
    }
}

/// The settings that ours has, so that what differs is what is built on them.
fn transport(spec: &Spec) -> Result<Arc<TransportConfig>> {
    let mut acks = AckFrequencyConfig::default();
    acks.max_ack_delay(Some(Duration::from_millis(1)))
        .ack_eliciting_threshold(VarInt::from_u32(2));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(DATAGRAM);
    let mut transport = TransportConfig::default();
    // A stream per call needs one for each that is in flight.
    let bidi = BIDI.max(spec.workload.in_flight() as u32);
    transport
        .max_idle_timeout(Some(IdleTimeout::try_from(Duration::from_secs(5))?))
        .keep_alive_interval(Some(Duration::from_secs(1)))
        .stream_receive_window(VarInt::from_u32(1 << 20))
        .receive_window(VarInt::from_u32(16 << 20))
        .send_window(8 << 20)
        .ack_frequency_config(Some(acks))
        .mtu_discovery_config(Some(mtu))
        .datagram_receive_buffer_size(None)
        .max_concurrent_bidi_streams(VarInt::from_u32(bidi))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI));
    Ok(Arc::new(transport))
}

fn endpoint(address: SocketAddr, server: Option<ServerConfig>) -> Result<Endpoint> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.bind(&address.into())?;
    let runtime = quinn::default_runtime().context("no runtime")?;
    let mut config = EndpointConfig::default();
    // What it takes; what it sends is found out. quinn's own is a little more than 1452.
    let taken = EndpointConfig::default().get_max_udp_payload_size();
    config.max_udp_payload_size(taken.max(DATAGRAM.into()).try_into()?)?;
    Ok(Endpoint::new(config, server, socket.into(), runtime)?)
}

async fn accept<F>(spec: &Spec, serve: impl Fn(Connection) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let tls = identities::server_tls(&spec.directory, ALPN)?;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport(spec)?);
    let endpoint = endpoint(format!("{}:0", spec.host).parse()?, Some(config))?;
    announce(&endpoint.local_addr()?.to_string());
    while let Some(incoming) = endpoint.accept().await {
        if let Ok(connection) = incoming.await {
            tokio::spawn(serve(connection));
        }
    }
    Ok(())
}

async fn dial(end: &End<'_>) -> Result<(Endpoint, Connection)> {
    let address: SocketAddr = end.address.parse()?;
    ensure!(address.is_ipv4(), "the bench is IPv4 throughout");
    let endpoint = endpoint("0.0.0.0:0".parse()?, None)?;
    let tls = end.identities.tls(end.nth, ALPN)?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(transport(end.spec)?);
    let connection = endpoint.connect_with(config, address, "bench")?.await?;
    Ok((endpoint, connection))
}
