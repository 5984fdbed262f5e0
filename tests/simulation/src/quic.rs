//! The same devices over QUIC: endpoints of quinn-proto with seeded random numbers, and datagrams that are late, lost, overtaken
//! and cut off as a seed says. Retransmission, idle timeouts and resets are QUIC's own here.

mod carrier;
mod link;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::Waker,
    time::Duration,
};

use bytes::BytesMut;
use certs::{Identity, tls};
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Endpoint,
    Event as QuicEvent, IdleTimeout, ServerConfig, StreamEvent, StreamId, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rpc::link::LinkClosed;
use tokio::sync::Notify;

use crate::{
    carrier::Numbered,
    journal::Journal,
    log::Place,
    network::{Transfer, Weather},
    random::Random,
    simulation::{Calendar, Due},
};
use link::QuicLink;

/// What nodes use by default (`softbus::presence::Profile`).
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);
const PORT: u16 = 4433;
/// The most devices there are.
const DEVICES: usize = 8;

/// Endpoints, and what is between them.
#[derive(Debug)]
pub(crate) struct QuicNetwork {
    state: Mutex<State>,
    calendar: Arc<Calendar>,
    journal: Arc<Journal>,
    me: Weak<Self>,
}

#[derive(Debug)]
struct State {
    random: Random,
    weather: Weather,
    cuts: BTreeSet<(u8, u8)>,
    /// Devices that stand still, and what has left them or come to them since.
    still: BTreeSet<u8>,
    waiting: Vec<(SocketAddr, SocketAddr, BytesMut)>,
    refusing: BTreeSet<u8>,
    addresses: BTreeMap<u8, u32>,
    looking: BTreeSet<u8>,
    hosts: BTreeMap<u8, Host>,
    /// Ends of connections, by a number of their own.
    ends: Vec<End>,
    /// Those that others have dialled and nobody has answered.
    knocks: Vec<u32>,
}

#[derive(Debug)]
struct Host {
    place: Place,
    endpoint: Endpoint,
    ends: BTreeMap<ConnectionHandle, u32>,
}

/// One end of a connection.
struct End {
    place: Place,
    peer: u8,
    dialled: bool,
    handle: ConnectionHandle,
    connection: Connection,
    connected: bool,
    closed: Option<LinkClosed>,
    /// When its timer is to run, as it was last put on the agenda.
    timer: Option<u64>,
    readers: BTreeMap<StreamId, Waker>,
    writers: BTreeMap<StreamId, Waker>,
    finished: BTreeSet<StreamId>,
    /// It is connected, over, or has room for a stream, or one was opened.
    changed: Arc<Notify>,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl End {
    fn close(&mut self, how: LinkClosed) {
        self.closed.get_or_insert(how);
        self.changed.notify_waiters();
        let wakers = [&mut self.readers, &mut self.writers].map(std::mem::take);
        wakers
            .into_iter()
            .flat_map(BTreeMap::into_values)
            .for_each(Waker::wake);
    }

    fn see(&mut self, event: QuicEvent) {
        match event {
            QuicEvent::Connected => {
                self.connected = true;
                self.changed.notify_waiters();
            }
            QuicEvent::ConnectionLost { reason } => self.close(how(reason)),
            QuicEvent::Stream(StreamEvent::Opened { .. } | StreamEvent::Available { .. }) => {
                self.changed.notify_waiters();
            }
            QuicEvent::Stream(StreamEvent::Readable { id }) => {
                self.readers.remove(&id).into_iter().for_each(Waker::wake);
            }
            QuicEvent::Stream(event) => {
                let id = match event {
                    StreamEvent::Finished { id } => {
                        self.finished.insert(id);
                        id
                    }
                    StreamEvent::Writable { id } | StreamEvent::Stopped { id, .. } => id,
                    _ => return,
                };
                self.writers.remove(&id).into_iter().for_each(Waker::wake);
            }
            _ => {}
        }
    }
}

/// What the end of a connection is to a session.
fn how(error: ConnectionError) -> LinkClosed {
    match error {
        ConnectionError::ApplicationClosed(close) => LinkClosed::ByPeer {
            code: close.error_code.into_inner() as u32,
            text: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        ConnectionError::LocallyClosed => LinkClosed::ByUs,
        ConnectionError::TimedOut => LinkClosed::TimedOut,
        ConnectionError::Reset => LinkClosed::Reset,
        other => LinkClosed::Failed(other.to_string()),
    }
}

/// Where a device is, the so-manieth time.
fn address(device: u8, moves: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, moves as u8, device)), PORT)
}

fn device(address: SocketAddr) -> u8 {
    match address.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(_) => u8::MAX,
    }
}

/// The keys of the devices. They are not of the seed; nothing that is written down depends on them.
fn identity(device: u8) -> &'static Identity {
    static IDENTITIES: OnceLock<Vec<Identity>> = OnceLock::new();
    let make = || Identity::generate().expect("the system has random numbers");
    let all = IDENTITIES.get_or_init(|| (0..DEVICES).map(|_| make()).collect());
    &all[usize::from(device)]
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .keep_alive_interval(Some(KEEP_ALIVE));
    Arc::new(transport)
}

fn client(from: u8, to: u8) -> ClientConfig {
    let (tls, _) = tls::client_config(identity(from), *identity(to).device_id())
        .expect("rustls was built with TLS 1.3");
    let tls = QuicClientConfig::try_from(tls).expect("TLS 1.3 is what QUIC wants");
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(transport());
    config
}

fn server(device: u8) -> ServerConfig {
    let tls = tls::server_config(identity(device)).expect("rustls was built with TLS 1.3");
    let tls = QuicServerConfig::try_from(tls).expect("TLS 1.3 is what QUIC wants");
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(transport());
    config
}

impl State {
    fn address(&self, device: u8) -> SocketAddr {
        address(
            device,
            self.addresses.get(&device).copied().unwrap_or_default(),
        )
    }
}

impl QuicNetwork {
    pub(crate) fn new(
        random: Random,
        weather: Weather,
        calendar: Arc<Calendar>,
        journal: Arc<Journal>,
    ) -> Arc<Self> {
        let state = State {
            random,
            weather,
            cuts: BTreeSet::new(),
            still: BTreeSet::new(),
            waiting: Vec::new(),
            refusing: BTreeSet::new(),
            addresses: BTreeMap::new(),
            looking: BTreeSet::new(),
            hosts: BTreeMap::new(),
            ends: Vec::new(),
            knocks: Vec::new(),
        };
        Arc::new_cyclic(|me| Self {
            state: Mutex::new(state),
            calendar,
            journal,
            me: me.clone(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, number: u32) -> Option<Numbered> {
        let network = self.me.upgrade()?;
        let link = Arc::new(QuicLink::new(network, number));
        Some(Numbered { number, link })
    }

    /// A datagram leaves a device; it may not arrive.
    fn send(&self, state: &mut State, from: u8, to: SocketAddr, bytes: &[u8]) {
        let sender = state.address(from);
        if state.still.contains(&from) {
            let datagram = (sender, to, BytesMut::from(bytes));
            return state.waiting.push(datagram);
        }
        let lost = state.random.percent(state.weather.loss);
        let at = self.calendar.now() + state.random.within(&state.weather.latency.clone());
        let tie = state.random.next();
        if !lost && !state.cuts.contains(&(from, device(to))) {
            let bytes = BytesMut::from(bytes);
            let datagram = Transfer::Datagram {
                from: sender,
                to,
                bytes,
            };
            self.calendar.add(at, tie, Due::Network(datagram));
        }
    }

    fn arrives(&self, sender: SocketAddr, at: SocketAddr, bytes: BytesMut) {
        let state = &mut *self.state();
        let now = self.calendar.time();
        let (from, to) = (device(sender), device(at));
        if state.address(to) != at {
            return;
        }
        if state.still.contains(&to) {
            return state.waiting.push((sender, at, bytes));
        }
        let Some(host) = state.hosts.get_mut(&to) else {
            return;
        };
        let mut answer = Vec::new();
        let event = host
            .endpoint
            .handle(now, sender, None, None, bytes, &mut answer);
        match event {
            None => {}
            Some(DatagramEvent::Response(transmit)) => {
                self.send(state, to, transmit.destination, &answer[..transmit.size]);
            }
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let Some(number) = host.ends.get(&handle).copied() else {
                    return;
                };
                state.ends[number as usize].connection.handle_event(event);
                self.flush(state, number);
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = host.endpoint.accept(incoming, now, &mut answer, None);
                match accepted {
                    Ok((handle, connection)) => {
                        let place = host.place;
                        let number = self.add(state, place, from, false, handle, connection);
                        self.flush(state, number);
                    }
                    Err(error) => {
                        if let Some(transmit) = error.response {
                            let bytes = &answer[..transmit.size];
                            self.send(state, to, transmit.destination, bytes);
                        }
                    }
                }
            }
        }
    }

    fn add(
        &self,
        state: &mut State,
        place: Place,
        peer: u8,
        dialled: bool,
        handle: ConnectionHandle,
        connection: Connection,
    ) -> u32 {
        let number = state.ends.len() as u32;
        if let Some(host) = state.hosts.get_mut(&place.device) {
            host.ends.insert(handle, number);
        }
        state.ends.push(End {
            place,
            peer,
            dialled,
            handle,
            connection,
            connected: false,
            closed: None,
            timer: None,
            readers: BTreeMap::new(),
            writers: BTreeMap::new(),
            finished: BTreeSet::new(),
            changed: Arc::default(),
        });
        number
    }

    /// Does what a connection wants done.
    fn flush(&self, state: &mut State, number: u32) {
        let now = self.calendar.time();
        let device = state.ends[number as usize].place.device;
        let mut buffer = Vec::new();
        loop {
            let end = &mut state.ends[number as usize];
            if let Some(host) = state.hosts.get_mut(&device)
                && host.place == end.place
            {
                while let Some(event) = end.connection.poll_endpoint_events() {
                    if let Some(event) = host.endpoint.handle_event(end.handle, event) {
                        end.connection.handle_event(event);
                    }
                }
            }
            let was_connected = end.connected;
            while let Some(event) = end.connection.poll() {
                end.see(event);
            }
            if end.connected && !was_connected && !end.dialled {
                state.knocks.push(number);
            }
            buffer.clear();
            let end = &mut state.ends[number as usize];
            let Some(transmit) = end.connection.poll_transmit(now, 1, &mut buffer) else {
                break;
            };
            self.send(
                state,
                device,
                transmit.destination,
                &buffer[..transmit.size],
            );
        }
        let end = &mut state.ends[number as usize];
        let due = end.connection.poll_timeout();
        // The pacer may ask to be called again at once, and counts on a clock that has moved by then.
        let soonest = self.calendar.now() + 1;
        let due = due.map(|due| self.calendar.milliseconds(due).max(soonest));
        if due.is_some() && due != end.timer {
            end.timer = due;
            let at = due.unwrap_or_default();
            let timer = Transfer::Timer { link: number, at };
            let tie = state.random.next();
            self.calendar.add(at, tie, Due::Network(timer));
        }
    }
}
