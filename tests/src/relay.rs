//! A network of our own between devices on 127.0.0.1, for QUIC and for TCP: it can be cut, deaf in one direction, lossy, slow and
//! narrow.
//!
//! ```text
//!   A  <--->  ( B's address for A | A's address for B )  <--->  B
//! ```
//!
//! There is a relay for each two devices. Each of them finds the other at an address here, dials it there and hears of it from there
//! only, so that to each the other is a device with one address. With a second network there is another relay for each two, and the
//! other has an address on each.

mod datagrams;
mod road;
mod side;
mod streams;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use softbus::DeviceId;
use tokio::{
    net::TcpListener,
    runtime::{self, Handle},
    sync::{oneshot, watch},
    task::AbortHandle,
};

use crate::network::Network;
pub use road::Road;
use side::Side;

/// All relays of a world, on a thread of their own: a device that is suspended does not hold them up.
#[derive(Debug)]
pub struct Relays {
    runtime: Handle,
    /// Ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// All devices, and where each of them is, as far as that is known.
    devices: BTreeMap<DeviceId, Option<SocketAddr>>,
    networks: &'static [Network],
    relays: HashMap<(Network, [DeviceId; 2]), Relay>,
    cut: BTreeSet<(Network, DeviceId)>,
    muted: BTreeSet<DeviceId>,
    weather: Road,
    seed: u64,
}

/// What is between two devices.
#[derive(Debug)]
struct Relay {
    sides: [Arc<Side>; 2],
    /// Takes what each of them dials.
    listening: [AbortHandle; 2],
    moves: watch::Sender<u64>,
}

impl Relays {
    /// No relays yet. What is lost is decided by the seed, and by when it is sent.
    ///
    /// # Errors
    /// There is no thread for them.
    pub fn new(seed: u64) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
        let work = move || {
            // Who stops them drops the sender.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("relays".to_owned());
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread.spawn(work)?),
            devices: BTreeMap::new(),
            networks: &[Network::First],
            relays: HashMap::new(),
            cut: BTreeSet::new(),
            muted: BTreeSet::new(),
            weather: Road::default(),
            seed,
        })
    }

    /// There is a second network too, for those that there are and for those that come. Once.
    ///
    /// # Errors
    /// There are no sockets for that.
    pub fn add_second_network(&mut self) -> io::Result<()> {
        self.networks = &[Network::First, Network::Second];
        let mut pairs: Vec<_> = self.relays.keys().map(|(_, pair)| *pair).collect();
        pairs.sort();
        for pair in pairs {
            self.connect(Network::Second, pair)?;
        }
        self.apply();
        Ok(())
    }

    fn connect(&mut self, network: Network, pair: [DeviceId; 2]) -> io::Result<()> {
        self.seed = self.seed.wrapping_add(1);
        let relay = Relay::start(&self.runtime, self.seed)?;
        for (id, side) in pair.iter().zip(&relay.sides) {
            let address = self.devices.get(id).copied().flatten();
            side.address.send_replace(address);
        }
        self.relays.insert((network, pair), relay);
        Ok(())
    }

    /// Makes relays between a device and all others, where there are none.
    ///
    /// # Errors
    /// There are no sockets for them.
    pub fn add(&mut self, device: DeviceId) -> io::Result<()> {
        if self.devices.contains_key(&device) {
            return Ok(());
        }
        let others: Vec<_> = self.devices.keys().copied().collect();
        for other in others {
            for network in self.networks {
                self.connect(*network, [other, device])?;
            }
        }
        self.devices.insert(device, None);
        self.apply();
        Ok(())
    }

    /// Where a device is now.
    pub fn set_address(&mut self, device: DeviceId, address: SocketAddr) {
        self.devices.insert(device, Some(address));
        for (relay, side) in self.of(&device) {
            relay.sides[side].address.send_replace(Some(address));
        }
    }

    /// Where a device finds the others.
    ///
    /// # Panics
    /// When a socket does not know its address.
    pub fn found_by(&self, device: &DeviceId) -> Vec<(DeviceId, SocketAddr)> {
        let mut found = Vec::new();
        for ((_, pair), relay) in &self.relays {
            if let Some(side) = pair.iter().position(|id| id == device) {
                let address = relay.sides[side].found_at();
                found.push((pair[1 - side], address.expect("it is bound")));
            }
        }
        found
    }

    /// Nothing gets to a device or from it any more; `false` ends that.
    pub fn cut(&mut self, device: &DeviceId, cut: bool) {
        for network in self.networks {
            change(&mut self.cut, (*network, *device), cut);
        }
        self.apply();
    }

    /// The same on one network.
    pub fn cut_on(&mut self, network: Network, device: &DeviceId, cut: bool) {
        change(&mut self.cut, (network, *device), cut);
        self.apply();
    }

    /// Nothing that a device sends arrives any more; `false` ends that.
    pub fn mute(&mut self, device: &DeviceId, muted: bool) {
        change(&mut self.muted, *device, muted);
        self.apply();
    }

    /// Loses so much of everything.
    pub fn lose(&mut self, percent: u8) {
        self.weather.lost_percent = percent;
        self.apply();
    }

    /// Delays everything by so much.
    pub fn delay(&mut self, by: Duration) {
        self.weather.delay = by;
        self.apply();
    }

    /// Lets so much pass in a second, from each to each.
    pub fn narrow(&mut self, bytes_per_second: Option<u32>) {
        self.weather.bytes_per_second = bytes_per_second;
        self.apply();
    }

    /// The others hear a device from somewhere else, and find it there. Connections by TCP are of no use any more, without anybody's
    /// being told.
    ///
    /// # Errors
    /// There are no sockets for that.
    pub fn change_address(&mut self, device: &DeviceId) -> io::Result<()> {
        for ((_, pair), relay) in &mut self.relays {
            if let Some(side) = pair.iter().position(|id| id == device) {
                relay.change_address(&self.runtime, 1 - side)?;
            }
        }
        Ok(())
    }

    /// The relays of a device, and which of their sides it is.
    fn of(&self, device: &DeviceId) -> impl Iterator<Item = (&Relay, usize)> {
        self.relays.iter().filter_map(move |((_, pair), relay)| {
            let side = pair.iter().position(|id| id == device)?;
            Some((relay, side))
        })
    }

    fn apply(&self) {
        for ((network, pair), relay) in &self.relays {
            let cut = pair.iter().any(|id| self.cut.contains(&(*network, *id)));
            for (id, side) in pair.iter().zip(&relay.sides) {
                side.road.send_replace(Road {
                    blocked: cut || self.muted.contains(id),
                    ..self.weather
                });
            }
        }
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Relay {
    fn start(runtime: &Handle, seed: u64) -> io::Result<Self> {
        let _entered = runtime.enter();
        let ((first, first_tcp), (second, second_tcp)) = (side::sockets()?, side::sockets()?);
        let seed = seed.wrapping_mul(2);
        let sides = [
            Arc::new(Side::new(first, seed)),
            Arc::new(Side::new(second, seed.wrapping_add(1))),
        ];
        let [a, b] = &sides;
        let moves = watch::Sender::default();
        runtime.spawn(datagrams::carry(Arc::clone(a), Arc::clone(b)));
        runtime.spawn(datagrams::carry(Arc::clone(b), Arc::clone(a)));
        let listening = [
            listen(runtime, first_tcp, [a, b], &moves),
            listen(runtime, second_tcp, [b, a], &moves),
        ];
        Ok(Self {
            sides,
            listening,
            moves,
        })
    }

    /// One of the two finds the other one somewhere else.
    fn change_address(&mut self, runtime: &Handle, finder: usize) -> io::Result<()> {
        let _entered = runtime.enter();
        let (datagrams, streams) = side::sockets()?;
        let [here, there] = [finder, 1 - finder].map(|side| &self.sides[side]);
        here.socket.send_replace(Arc::new(datagrams));
        self.moves.send_modify(|moves| *moves += 1);
        self.listening[finder].abort();
        self.listening[finder] = listen(runtime, streams, [here, there], &self.moves);
        Ok(())
    }
}

/// Takes what one of two dials.
fn listen(
    runtime: &Handle,
    listener: TcpListener,
    [from, to]: [&Arc<Side>; 2],
    moves: &watch::Sender<u64>,
) -> AbortHandle {
    let (from, to) = (Arc::clone(from), Arc::clone(to));
    let listening = streams::listen(listener, from, to, moves.subscribe());
    runtime.spawn(listening).abort_handle()
}

fn change<T: Ord>(set: &mut BTreeSet<T>, element: T, wanted: bool) {
    match wanted {
        true => set.insert(element),
        false => set.remove(&element),
    };
}
