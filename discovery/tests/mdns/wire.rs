//! Another host on the multicast group: hears what is sent, and sends what it likes.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

pub(crate) struct Wire(UdpSocket);

impl Wire {
    /// Listens on 127.0.0.1.
    pub(crate) fn tap() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        socket.bind(&any.into()).unwrap();
        socket
            .join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)
            .unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        Self(socket.into())
    }

    /// The kinds of the next responses about an instance, in the order they come, until there are `count` of them for
    /// which `wanted` holds or the time is over.
    pub(crate) fn responses(
        &self,
        instance: &str,
        within: Duration,
        count: usize,
        wanted: impl Fn(Response) -> bool,
    ) -> usize {
        let deadline = Instant::now() + within;
        let mut found = 0;
        let mut buffer = [0; 9000];
        while found < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.0.set_read_timeout(Some(left)).unwrap();
            let Ok(len) = self.0.recv(&mut buffer) else {
                continue;
            };
            found += usize::from(response(&buffer[..len], instance).is_some_and(&wanted));
        }
        found
    }

    /// Sends what need not be a message at all.
    pub(crate) fn throw(&self, packet: &[u8]) {
        let group = SocketAddrV4::new(GROUP, PORT);
        self.0.send_to(packet, group).unwrap();
    }

    /// Sends a response that names `ghost` as an instance, or says that it left.
    pub(crate) fn forge(&self, ghost: &Ghost<'_>) {
        let group = SocketAddrV4::new(GROUP, PORT);
        self.0.send_to(&ghost.packet(), group).unwrap();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Announcement,
    Goodbye,
}

/// What a response says of an instance by its pointer record.
fn response(packet: &[u8], instance: &str) -> Option<Response> {
    let be16 = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let is_response = be16(2)? & 0x8000 != 0;
    let questions = be16(4)?;
    let answers = be16(6)?;
    if !is_response || questions != 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..answers {
        loop {
            match *packet.get(at)? {
                0 => {
                    at += 1;
                    break;
                }
                pointer if pointer >= 0xc0 => {
                    at += 2;
                    break;
                }
                len => at += 1 + usize::from(len),
            }
        }
        let kind = be16(at)?;
        let lives = packet.get(at + 4..at + 8)? != [0; 4];
        let len = usize::from(be16(at + 8)?);
        let data = packet.get(at + 10..at + 10 + len)?;
        at += 10 + len;
        let label = data.get(1..=usize::from(*data.first()?));
        if kind == 12 && label == Some(instance.as_bytes()) {
            return Some(if lives {
                Response::Announcement
            } else {
                Response::Goodbye
            });
        }
    }
    None
}

/// A device that does not exist, or a word about one that does.
pub(crate) struct Ghost<'a> {
    pub(crate) instance: &'a str,
    pub(crate) txt: &'a [String],
    /// Seconds; 0 is a goodbye.
    pub(crate) ttl: u32,
}

impl Ghost<'_> {
    fn packet(&self) -> Vec<u8> {
        let service = ["_softbus", "_udp", "local"];
        let full: Vec<_> = std::iter::once(self.instance).chain(service).collect();
        // One of its own: many instances of one host keep the engine busy for seconds.
        let host = [&self.instance[..16], "local"];
        let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0];
        let txt = self.txt.iter().flat_map(|entry| {
            let len = u8::try_from(entry.len()).expect("a TXT entry is short");
            std::iter::once(len).chain(entry.bytes())
        });
        let mut srv = vec![0, 0, 0, 0, 0x11, 0x51];
        srv.extend(name(&host));
        self.record(&mut packet, &service, 12, &name(&full));
        self.record(&mut packet, &full, 33, &srv);
        self.record(&mut packet, &full, 16, &txt.collect::<Vec<_>>());
        self.record(&mut packet, &host, 1, &[127, 0, 0, 9]);
        packet
    }

    fn record(&self, packet: &mut Vec<u8>, owner: &[&str], kind: u16, data: &[u8]) {
        packet.extend(name(owner));
        packet.extend(kind.to_be_bytes());
        packet.extend([0, 1]);
        packet.extend(self.ttl.to_be_bytes());
        packet.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        packet.extend(data);
    }
}

fn name(labels: &[&str]) -> Vec<u8> {
    let mut name = Vec::new();
    for label in labels {
        name.push(u8::try_from(label.len()).expect("a label is short"));
        name.extend(label.bytes());
    }
    name.push(0);
    name
}
