//! Links that are narrow or long.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Lab, LabError, Network, lock,
    packets::{LARGEST, Packets},
};

/// How many frames may be on their way in one direction; further ones are lost.
const ON_THEIR_WAY: usize = 4096;

impl Lab {
    /// Lets only so many bytes a second through to a device, and as many from it; `None` ends that. What comes faster waits
    /// for up to a fifth of a second, and is lost when it would have to wait longer.
    pub fn bandwidth(&self, device: usize, bytes_a_second: Option<u32>) -> Result<(), LabError> {
        let (port, interface) = (Network::First.port(device), Network::First.interface());
        let queue = match bytes_a_second {
            Some(rate) => format!("tbf rate {rate}bps burst 16kb latency 200ms"),
            None => "pfifo limit 1000".to_owned(),
        };
        let own = self.device(device);
        self.switch
            .tc(&format!("qdisc replace dev {port} root {queue}"))?;
        own.tc(&format!("qdisc replace dev {interface} root {queue}"))
    }

    /// Holds back for so long all that a device sends, and all that is sent to it, whatever it is; zero ends that. Order is kept.
    pub fn delay(&self, device: usize, delay: Duration) -> Result<(), LabError> {
        self.device(device);
        let (port, inner, outer) = parts(device);
        let mut relays = lock(&self.relays);
        if relays.remove(&device).is_some() {
            // With the other end of it. What is cut stays cut.
            self.switch.ip(&format!("link del {inner}"))?;
            if !lock(&self.cut).contains(&(Network::First, device)) {
                let switch = Network::First.switch();
                self.switch
                    .ip(&format!("link set {port} master {switch}"))?;
            }
        }
        if delay.is_zero() {
            return Ok(());
        }
        self.switch
            .ip(&format!("link add {inner} type veth peer name {outer}"))?;
        self.switch.ip(&format!("link set {port} nomaster"))?;
        self.switch.ip(&format!("link set {inner} up"))?;
        let relay = self.switch.within(|| Relay::start([&port, &inner], delay));
        let relay = relay.map_err(|error| LabError::Failed {
            step: format!("relay between {port} and {inner}"),
            detail: error.to_string(),
        })?;
        relays.insert(device, relay);
        if lock(&self.cut).contains(&(Network::First, device)) {
            return self.switch.ip(&format!("link set {outer} up"));
        }
        let switch = Network::First.switch();
        self.switch
            .ip(&format!("link set {outer} master {switch} up"))?;
        self.switch.until_forwarding(&outer)
    }

    /// The port that a device has at the switch.
    pub(super) fn port_of(&self, network: Network, device: usize) -> String {
        match network {
            Network::First if lock(&self.relays).contains_key(&device) => parts(device).2,
            _ => network.port(device),
        }
    }
}

/// The port of a device, and the two ends of what a relay puts between that and the switch.
fn parts(device: usize) -> (String, String, String) {
    let port = Network::First.port(device);
    (port, format!("d{device}"), format!("b{device}"))
}

/// Carries frames between two interfaces, in both directions, until it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Between two interfaces of the namespace that the calling thread is in.
    pub(super) fn start(interfaces: [&str; 2], delay: Duration) -> io::Result<Self> {
        let [one, two] = interfaces.map(Packets::open);
        let (one, two) = (Arc::new(one?), Arc::new(two?));
        let mut relay = Self {
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for (from, to) in [(&one, &two), (&two, &one)] {
            let (sender, receiver) = mpsc::sync_channel(ON_THEIR_WAY);
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            let stop = Arc::clone(&relay.stop);
            let taking = move || take(&from, delay, &sender, &stop);
            relay.threads.push(thread::spawn(taking));
            relay
                .threads
                .push(thread::spawn(move || give(&to, &receiver)));
        }
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A frame, and when it arrives.
type Due = (Instant, Vec<u8>);

fn take(from: &Packets, delay: Duration, on: &SyncSender<Due>, stop: &AtomicBool) {
    let mut buffer = vec![0; LARGEST];
    while !stop.load(Ordering::Relaxed) {
        match from.receive(&mut buffer) {
            Ok(Some(length)) => {
                // Where there is no room it is lost, as on any long line.
                let _ = on.try_send((Instant::now() + delay, buffer[..length].to_vec()));
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

fn give(to: &Packets, frames: &Receiver<Due>) {
    while let Ok((when, frame)) = frames.recv() {
        // The length of the line, which is what this is for.
        thread::sleep(when.saturating_duration_since(Instant::now()));
        to.send(&frame);
    }
}
