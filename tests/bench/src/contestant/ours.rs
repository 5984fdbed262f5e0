//! The product, through the API that applications have and with everything on that they get: caller identity,
//! deadlines, tables, limits, presence.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use softbus::{
    Allow, CallOption, Caller, HandlerError, Node, Parcel, RemoteObject, RemoteStub, ServiceId,
    ServiceOptions, TrustStore, async_trait,
    certs::DoorLimits,
    remote_interface,
    rpc::{Execution, StubOptions, limits},
};

use tokio::task::JoinSet;

use super::{Client, Contestant, End};
use crate::{
    identities,
    process::{self, Spec, announce},
};

pub(super) const SERVICE: ServiceId = match ServiceId::new(1500) {
    Some(service) => service,
    None => unreachable!(),
};
/// How long a service may take to be found.
pub(super) const WAIT: Duration = Duration::from_secs(8);
/// What a call of a large transfer carries, and how many of them are in flight.
const PIECE: usize = 1 << 20;
const AT_ONCE: usize = 8;

/// What is raised: all devices of a cell are at one address.
const HANDSHAKES: u32 = 2000;
const RAISED: &[&str] = &["handshakes of one address: 2,000 at once and in a second"];

/// Presents a stub to the clients of the cell.
async fn serve(spec: &Spec, object: RemoteObject, busy_poll: Duration) -> Result<()> {
    let (identity, clients) = identities::of_server(&spec.directory)?;
    let trust = TrustStore::in_memory();
    for client in clients {
        trust.trust(client, "client")?;
    }
    let mut strangers = DoorLimits::DEFAULT;
    (strangers.burst, strangers.per_second) = (HANDSHAKES, HANDSHAKES);
    let node = Node::builder()
        .identity(identity)
        .trust(trust)
        .strangers(strangers)
        .busy_poll(busy_poll)
        .listen(format!("{}:0", spec.host).parse()?)
        .start()
        .await?;
    let options = ServiceOptions::distributed(Allow::trusted());
    node.samgr().add(SERVICE, &object, options)?;
    announce(
        &node
            .local_addr()
            .map_or_else(String::new, |address| address.to_string()),
    );
    std::future::pending().await
}

/// A node of its own, and the service as it sees it.
async fn connect(end: &End<'_>, busy_poll: Duration) -> Result<(Node, RemoteObject)> {
    let server = end.identities.server;
    let trust = TrustStore::in_memory();
    trust.trust(server, "server")?;
    let address: std::net::SocketAddr = end.address.parse()?;
    let here = if address.ip().is_loopback() {
        "127.0.0.1:0"
    } else {
        "0.0.0.0:0"
    };
    let node = Node::builder()
        .identity(end.identities.take(end.nth)?)
        .trust(trust)
        .listen(here.parse()?)
        .static_peer(server, address)
        .busy_poll(busy_poll)
        .start()
        .await?;
    let object = node.samgr().get(SERVICE, &server).await?;
    Ok((node, object))
}

/// The typed interface.
#[remote_interface(descriptor = "org.example.bench.Echo")]
pub(super) trait Echo {
    async fn echo(&self, payload: Bytes) -> Bytes;
    async fn put(&self, payload: Bytes);
    #[oneway]
    async fn notify(&self, payload: Bytes);
}

pub(super) struct Service;

impl Echo for Service {
    async fn echo(&self, payload: Bytes) -> Bytes {
        payload
    }

    async fn put(&self, _payload: Bytes) {}

    async fn notify(&self, _payload: Bytes) {
        process::received().await;
    }
}

/// What `#[remote_interface]` makes.
pub(super) struct Typed {
    execution: Execution,
    busy_poll: Duration,
}

impl Typed {
    /// As a user declares who has short handlers.
    pub(super) const INLINE: Self = Self {
        execution: Execution::Inline,
        busy_poll: limits::BUSY_POLL,
    };
    /// As a user gets who declares nothing.
    pub(super) const DEFAULT: Self = Self {
        execution: Execution::Concurrent,
        ..Self::INLINE
    };
    /// As one who never wants to look for what comes.
    pub(super) const SLEEPING: Self = Self {
        busy_poll: Duration::ZERO,
        ..Self::INLINE
    };
}

impl Contestant for Typed {
    type Client = TypedClient;

    const RAISED: &'static [&'static str] = RAISED;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let options = StubOptions::execution(self.execution);
        let object = EchoStub::with_options(Service, options).into_object();
        serve(spec, object, self.busy_poll).await
    }

    async fn connect(&self, end: &End<'_>) -> Result<TypedClient> {
        let (node, object) = connect(end, self.busy_poll).await?;
        Ok(TypedClient {
            echo: EchoProxy::new(object),
            _node: node,
        })
    }
}

#[derive(Clone)]
pub(super) struct TypedClient {
    echo: EchoProxy,
    _node: Node,
}

impl Client for TypedClient {
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
        transfer(self, bytes).await
    }
}

/// In pieces, each a call, and some of them in flight: the receiver takes one while the next ones come.
pub(super) async fn transfer(client: &impl Client, bytes: usize) -> Result<()> {
    let piece = super::piece(PIECE);
    let mut sending = JoinSet::new();
    for _ in 0..bytes / PIECE {
        if sending.len() == AT_ONCE
            && let Some(sent) = sending.join_next().await
        {
            sent??;
        }
        let (client, piece) = (client.clone(), piece.clone());
        sending.spawn(async move { client.put(&piece).await });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

/// The same without an interface: parcels to a stub by hand.
pub(super) struct Raw;

const ECHO: u32 = 1;
const PUT: u32 = 2;
const NOTIFY: u32 = 3;

struct RawService;

#[async_trait]
impl RemoteStub for RawService {
    fn descriptor(&self) -> &str {
        "org.example.bench.Raw"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Inline)
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let payload: Bytes = data.read()?;
        match code {
            ECHO => reply.write(&payload)?,
            PUT => {}
            NOTIFY => process::received().await,
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

impl Contestant for Raw {
    type Client = RawClient;

    const RAISED: &'static [&'static str] = RAISED;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        serve(spec, RemoteObject::new(RawService), limits::BUSY_POLL).await
    }

    async fn connect(&self, end: &End<'_>) -> Result<RawClient> {
        let (node, object) = connect(end, limits::BUSY_POLL).await?;
        Ok(RawClient {
            object,
            _node: node,
        })
    }
}

#[derive(Clone)]
pub(super) struct RawClient {
    object: RemoteObject,
    _node: Node,
}

impl RawClient {
    async fn call(&self, code: u32, payload: &Bytes, option: CallOption) -> Result<Parcel> {
        let mut data = Parcel::new();
        data.write(payload)?;
        Ok(self.object.send_request(code, &data, option).await?)
    }
}

impl Client for RawClient {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        let mut reply = self.call(ECHO, payload, CallOption::two_way()).await?;
        let payload: Bytes = reply.read()?;
        Ok(payload.len())
    }

    async fn put(&self, payload: &Bytes) -> Result<()> {
        self.call(PUT, payload, CallOption::two_way()).await?;
        Ok(())
    }

    async fn notify(&self, payload: &Bytes) -> Result<()> {
        self.call(NOTIFY, payload, CallOption::one_way()).await?;
        Ok(())
    }

    async fn transfer(&self, bytes: usize) -> Result<()> {
        transfer(self, bytes).await
    }
}
