//! TLS 1.3 on TCP: what carries a session where UDP does not get through. The configurations and certificates are those of
//! QUIC; only sessions go this way, pairing does not.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use certs::{Identity, tls};
use proto::DeviceId;
use rpc::link::Link;
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, ServerName},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::{
    moving::MovingLink,
    stream::{self, StreamLink, Timing},
};
use crate::{error::StartNodeError, presence::Profile};

/// What the system may hold of what we send: a call waits for at most that much of a transfer.
const SEND_BUFFER: usize = 256 * 1024;
/// Connections that wait for us.
const BACKLOG: i32 = 128;

/// A port that is open, and what those who come are shown.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) config: Arc<ServerConfig>,
}

/// Listens at an address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Elsewhere it would let another program listen here too.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// For accepting: sessions only.
pub(crate) fn server(identity: &Identity) -> Result<ServerConfig, StartNodeError> {
    let config = tls::server_config(identity);
    let mut config = config.map_err(|error| StartNodeError::Crypto(error.to_string()))?;
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    Ok(config)
}

/// A connection whose handshake is over.
pub(crate) struct Stranger {
    stream: TlsStream<TcpStream>,
    address: SocketAddr,
    /// Where its end here is.
    bound_to: Option<IpAddr>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Stranger {
    /// Lets somebody in who has connected.
    ///
    /// # Errors
    /// It broke off, or is no device.
    pub(crate) async fn accept(
        socket: TcpStream,
        address: SocketAddr,
        config: &Arc<ServerConfig>,
    ) -> io::Result<Self> {
        set_up(&socket)?;
        let stream = TlsAcceptor::from(Arc::clone(config)).accept(socket);
        let stream = TlsStream::Server(stream.await?);
        Self::new(stream, address)
    }

    /// Dials an address, from `from` where that is one address.
    ///
    /// # Errors
    /// Nobody answers, or somebody else.
    pub(crate) async fn dial(
        config: ClientConfig,
        address: SocketAddr,
        from: SocketAddr,
    ) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if !from.ip().is_unspecified() {
            socket.bind((from.ip(), 0).into())?;
        }
        let socket = socket.connect(address).await?;
        set_up(&socket)?;
        let name = ServerName::try_from(tls::SERVER_NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket);
        let stream = TlsStream::Client(stream.await?);
        Self::new(stream, address)
    }

    fn new(stream: TlsStream<TcpStream>, address: SocketAddr) -> io::Result<Self> {
        let (socket, session) = stream.get_ref();
        let bound_to = socket.local_addr().ok().map(|local| local.ip());
        // What speaks another protocol, or none, has no session.
        if session.alpn_protocol() != Some(tls::ALPN) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let certificates = session.peer_certificates().unwrap_or_default();
        let certificates = certificates.to_vec();
        Ok(Self {
            stream,
            address,
            bound_to,
            certificates,
        })
    }

    /// What it has shown.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Turns it away.
    pub(crate) async fn refuse(self, profile: Profile, code: u32, text: &'static str) {
        stream::refuse(self.stream, profile.into(), code, text).await;
    }

    /// It was admitted.
    pub(crate) fn into_connection(self, profile: Profile, dialled: bool) -> TcpConnection {
        TcpConnection {
            link: MovingLink::new(StreamLink::new(self.stream, Timing::from(profile), "tcp")),
            address: self.address,
            bound_to: self.bound_to,
            certificates: self.certificates,
            dialled,
        }
    }
}

fn set_up(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    // A system that has its own idea keeps it.
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    // With few packets under way, what is lost is sent again after the same time for some times, and not after twice the time
    // before: five losses in a row would be a silence in which the session ends.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket.set_tcp_thin_linear_timeouts(true);
    Ok(())
}

/// For one dial: whom it expects is part of it.
pub(crate) fn client(
    identity: &Identity,
    expected: DeviceId,
) -> Result<(ClientConfig, tls::PeerCheck), StartNodeError> {
    tls::client_config(identity, expected)
        .map_err(|error| StartNodeError::Crypto(error.to_string()))
}

/// One TLS connection, admitted.
#[derive(Debug)]
pub(crate) struct TcpConnection {
    link: Arc<MovingLink>,
    address: SocketAddr,
    bound_to: Option<IpAddr>,
    certificates: Vec<CertificateDer<'static>>,
    dialled: bool,
}

impl TcpConnection {
    pub(crate) fn link(&self) -> Arc<MovingLink> {
        Arc::clone(&self.link)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of its end here.
    pub(crate) const fn bound_to(&self) -> Option<IpAddr> {
        self.bound_to
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whether we dialled it: what it leads to is where others would dial too.
    pub(crate) const fn was_dialled(&self) -> bool {
        self.dialled
    }

    pub(crate) fn close(&self, code: u32, text: &str) {
        self.link.close(code, text);
    }
}
