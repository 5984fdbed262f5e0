//! One of the two devices of a relay: where it finds the other, where it is itself, and what it sends.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    net::{TcpListener, TcpSocket, UdpSocket},
    sync::watch,
    time::Instant,
};

use super::road::{Pace, Road};

/// Any free port.
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What the system may hold of a stream that comes in: more would be a queue of its own before a narrow road.
const RECEIVE_BUFFER: u32 = 64 * 1024;
/// Connections that wait.
const BACKLOG: u32 = 128;
/// How often a port is looked for that is free for both.
const ATTEMPTS: usize = 16;

#[derive(Debug)]
pub(super) struct Side {
    /// Here it finds the other one.
    pub(super) socket: watch::Sender<Arc<UdpSocket>>,
    /// Here it is, while it is.
    pub(super) address: watch::Sender<Option<SocketAddr>>,
    /// How what it sends gets to the other one.
    pub(super) road: watch::Sender<Road>,
    pace: Mutex<Pace>,
}

impl Side {
    pub(super) fn new(socket: UdpSocket, seed: u64) -> Self {
        Self {
            socket: watch::Sender::new(Arc::new(socket)),
            address: watch::Sender::default(),
            road: watch::Sender::default(),
            pace: Mutex::new(Pace::new(seed)),
        }
    }

    /// Where it finds the other one.
    pub(super) fn found_at(&self) -> io::Result<SocketAddr> {
        self.socket.borrow().local_addr()
    }

    /// When a packet that it sends now arrives, if it does.
    pub(super) fn packet(&self, len: usize) -> Option<Instant> {
        let road = *self.road.borrow();
        self.pace().packet(&road, len, Instant::now())
    }

    /// When a piece of a stream that it sends now arrives.
    pub(super) fn piece(&self, len: usize) -> Instant {
        let road = *self.road.borrow();
        self.pace().piece(&road, len, Instant::now())
    }

    /// From when on there is room for more of its streams.
    pub(super) fn ready(&self) -> Instant {
        self.pace().ready(Instant::now())
    }

    /// Waits until what it sends arrives; says whether that will ever be.
    pub(super) async fn open(&self) -> bool {
        let mut road = self.road.subscribe();
        road.wait_for(|road| !road.blocked).await.is_ok()
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port for datagrams and for connections. On a runtime.
pub(super) fn sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let mut failed = io::ErrorKind::AddrInUse.into();
    for _ in 0..ATTEMPTS {
        let datagrams = std::net::UdpSocket::bind(LOCAL)?;
        datagrams.set_nonblocking(true)?;
        let streams = TcpSocket::new_v4()?;
        streams.set_recv_buffer_size(RECEIVE_BUFFER)?;
        match streams.bind(datagrams.local_addr()?) {
            Ok(()) => return Ok((UdpSocket::from_std(datagrams)?, streams.listen(BACKLOG)?)),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
