//! What somebody sends whom nobody trusts.

use std::{
    io::{self, Write},
    iter,
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use softbus::{
    DeviceId,
    discovery::{Announcement, InstanceName, ProtocolVersions},
    transport::Transports,
};

/// What a device says of itself in its TXT record.
#[must_use]
pub fn txt(device: DeviceId) -> Vec<String> {
    let versions = ProtocolVersions::new(1, 1).expect("versions in order");
    let entries = Announcement::new(device, versions, 1).to_txt().into_iter();
    entries
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// An answer of multicast DNS that nobody asked for: a device at this address and port.
fn announcement(device: DeviceId, address: Ipv4Addr, port: u16) -> Vec<u8> {
    fn name(packet: &mut Vec<u8>, labels: &[&str]) {
        for label in labels {
            packet.push(label.len() as u8);
            packet.extend(label.as_bytes());
        }
        packet.push(0);
    }
    let instance = InstanceName::new(&device);
    let instance = [instance.as_str(), "_softbus", "_udp", "local"];
    let host = [&instance[0][..16], "local"];
    let mut records: Vec<(&[&str], u16, Vec<u8>)> = Vec::new();
    let mut pointer = Vec::new();
    name(&mut pointer, &instance);
    records.push((&instance[1..], 12, pointer));
    let mut service = vec![0, 0, 0, 0];
    service.extend(port.to_be_bytes());
    name(&mut service, &host);
    records.push((&instance, 33, service));
    let entries = txt(device);
    let text = entries
        .iter()
        .flat_map(|entry| iter::once(entry.len() as u8).chain(entry.bytes()));
    records.push((&instance, 16, text.collect()));
    records.push((&host, 1, address.octets().to_vec()));

    let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
    for (owner, kind, data) in records {
        name(&mut packet, owner);
        packet.extend(kind.to_be_bytes());
        // In the Internet, for two minutes.
        packet.extend([0, 1, 0, 0, 0, 120]);
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
    }
    packet
}

/// Somebody who sends noise to a port without end: datagrams, and where sessions are on TCP a connection each time. Where there is
/// multicast DNS, it announces a thousand devices that there are not, over and over, between that.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Begins on the network that the calling thread is on, from this address of it, with noise to a port of somebody who talks by these, and
    /// so much time between two datagrams of it at least.
    ///
    /// # Errors
    /// The address is none of that network's.
    pub fn start(
        from: Ipv4Addr,
        noise_to: (Ipv4Addr, u16),
        by: Transports,
        multicast: bool,
        pause: Duration,
    ) -> io::Result<Self> {
        let devices = if multicast { DEVICES } else { 0 };
        let announced = (0..devices).map(|number| {
            let mut id = [0xf1; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            Some(announcement(DeviceId::from_bytes(id), from, 1000 + number))
        });
        let mut announced: Vec<_> = announced.collect();
        if announced.is_empty() {
            announced.push(None);
        }
        let socket = socket(SocketAddrV4::new(from, if multicast { MDNS.1 } else { 0 }))?;
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let work = move || {
            for packet in announced.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if by == Transports::Tcp {
                    // Who comes too often is hung up on.
                    let _ = TcpStream::connect(noise_to)
                        .and_then(|mut stream| stream.write_all(&NOISE));
                }
                thread::sleep(pause);
                let packet = packet.as_ref().map(|packet| (&packet[..], MDNS));
                for (packet, to) in packet.into_iter().chain([(&NOISE[..], noise_to)]) {
                    let went = socket.send_to(packet, to).is_ok();
                    count.fetch_add(went.into(), Ordering::Relaxed);
                }
            }
        };
        Ok(Self {
            stop,
            sent,
            thread: Some(thread::spawn(work)),
        })
    }

    /// How many packets it has sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// On a port that others of this host may have as well, as whoever speaks multicast DNS there has.
fn socket(at: SocketAddrV4) -> io::Result<UdpSocket> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &at)?;
    let socket = UdpSocket::from(socket);
    socket.set_multicast_ttl_v4(255)?;
    Ok(socket)
}

const MDNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Of a flood where the devices share a machine, which would take all of it.
pub const PAUSE: Duration = Duration::from_micros(500);
/// That there are not.
const DEVICES: u16 = 1000;
const NOISE: [u8; 1200] = [0xc5; 1200];
