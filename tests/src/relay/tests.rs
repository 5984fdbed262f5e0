//! The relays keep their promises: what is sent passes, and every fault does what its name says.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
};

use super::*;
use crate::wait::wait_until;

const SOON: Duration = Duration::from_secs(20);
/// Longer than anything takes here, short enough to show that nothing comes.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Two devices and the relay between them.
struct Two {
    relays: Relays,
    ids: [DeviceId; 2],
    sockets: [UdpSocket; 2],
}

fn two() -> Two {
    let mut relays = Relays::new(1).unwrap();
    let ids = [1, 2].map(|n| DeviceId::from_bytes([n; 32]));
    let sockets = ids.map(|id| {
        relays.add(id).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(A_MOMENT)).unwrap();
        relays.set_address(id, socket.local_addr().unwrap());
        socket
    });
    Two {
        relays,
        ids,
        sockets,
    }
}

impl Two {
    /// Where one of them finds the other.
    fn found_by(&self, who: usize) -> SocketAddr {
        let found = self.relays.found_by(&self.ids[who]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, self.ids[1 - who]);
        found[0].1
    }

    /// Who a datagram seems to come from that one sends to the other, if it gets there.
    fn passes(&self, from: usize, content: &[u8]) -> Option<SocketAddr> {
        let sent = self.sockets[from].send_to(content, self.found_by(from));
        sent.unwrap();
        let mut buffer = [0; 16];
        loop {
            let (len, address) = self.sockets[1 - from].recv_from(&mut buffer).ok()?;
            if buffer[..len] == *content {
                return Some(address);
            }
        }
    }

    /// A connection from one to the other, both ends of it.
    fn connect(&self) -> [TcpStream; 2] {
        let listener = TcpListener::bind(self.sockets[1].local_addr().unwrap()).unwrap();
        let dialled = TcpStream::connect(self.found_by(0)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let ends = [dialled, accepted];
        for end in &ends {
            end.set_read_timeout(Some(A_MOMENT)).unwrap();
        }
        ends
    }
}

#[test]
fn datagrams_pass_and_come_from_where_the_sender_is_found() {
    let mut two = two();
    for from in [0, 1] {
        let seen = || two.passes(from, b"hello") == Some(two.found_by(1 - from));
        assert!(wait_until(SOON, seen));
    }
    let before = two.found_by(1);
    two.relays.change_address(&two.ids[0]).unwrap();
    assert_ne!(two.found_by(1), before);
    let seen = || two.passes(0, b"moved") == Some(two.found_by(1));
    assert!(wait_until(SOON, seen));
    let found = || two.passes(1, b"found") == Some(two.found_by(0));
    assert!(wait_until(SOON, found));
}

#[test]
fn a_cut_stops_both_directions_and_a_mute_one() {
    let mut two = two();
    let passes = |two: &Two, from| wait_until(SOON, || two.passes(from, b"again").is_some());
    assert!(passes(&two, 0) && passes(&two, 1));
    let ids = two.ids;
    two.relays.cut(&ids[0], true);
    assert_eq!((two.passes(0, b"cut"), two.passes(1, b"cut")), (None, None));
    two.relays.cut(&ids[0], false);
    assert!(passes(&two, 0) && passes(&two, 1));
    two.relays.mute(&ids[0], true);
    assert_eq!(two.passes(0, b"mute"), None);
    assert!(passes(&two, 1));
    two.relays.mute(&ids[0], false);
    assert!(passes(&two, 0));
    two.relays.lose(100);
    assert_eq!(
        (two.passes(0, b"lost"), two.passes(1, b"lost")),
        (None, None)
    );
    two.relays.lose(0);
    assert!(passes(&two, 0) && passes(&two, 1));
}

/// Reads exactly this, however long it takes.
fn arrives(stream: &mut TcpStream, content: &[u8]) -> bool {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut buffer = vec![0; content.len()];
    let read = stream.read_exact(&mut buffer);
    stream.set_read_timeout(Some(A_MOMENT)).unwrap();
    read.is_ok() && buffer == content
}

#[test]
fn what_is_cut_of_a_stream_arrives_when_it_is_healed() {
    let mut two = two();
    let [mut dialled, mut accepted] = two.connect();
    dialled.write_all(b"there").unwrap();
    assert!(arrives(&mut accepted, b"there"));
    accepted.write_all(b"back").unwrap();
    assert!(arrives(&mut dialled, b"back"));

    let ids = two.ids;
    two.relays.cut(&ids[1], true);
    dialled.write_all(b"late").unwrap();
    assert!(accepted.read(&mut [0; 1]).is_err(), "it is cut");
    two.relays.cut(&ids[1], false);
    assert!(arrives(&mut accepted, b"late"));
    drop(dialled);
    assert!(wait_until(SOON, || accepted
        .read(&mut [0; 1])
        .is_ok_and(|len| len == 0)));
}

#[test]
fn a_stream_to_where_a_device_was_is_silent() {
    let mut two = two();
    let [mut dialled, mut accepted] = two.connect();
    dialled.write_all(b"there").unwrap();
    assert!(arrives(&mut accepted, b"there"));
    let ids = two.ids;
    two.relays.change_address(&ids[1]).unwrap();
    // What is under way at that moment may still arrive.
    let silent = || {
        dialled.write_all(b"!").unwrap();
        accepted.read(&mut [0; 1]).is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
        })
    };
    assert!(wait_until(SOON, silent));
}

#[test]
fn a_narrow_road_keeps_a_stream_whole() {
    let mut two = two();
    let [mut dialled, mut accepted] = two.connect();
    two.relays.narrow(Some(1 << 20));
    two.relays.lose(20);
    let sent: Vec<u8> = (0..200_000_u32).map(|n| (n / 7) as u8).collect();
    let content = sent.clone();
    let sending = std::thread::spawn(move || {
        dialled.write_all(&content).unwrap();
        dialled
    });
    assert!(arrives(&mut accepted, &sent));
    drop(sending.join().unwrap());
}

#[test]
fn on_a_second_network_there_is_another_address_and_either_may_be_cut() {
    let mut two = two();
    let first = two.found_by(0);
    two.relays.add_second_network().unwrap();
    let (ids, found) = (two.ids, two.relays.found_by(&two.ids[0]));
    assert_eq!(found.len(), 2);
    let mut found = found.into_iter().map(|(_, address)| address);
    let second = found.find(|address| *address != first).unwrap();
    let sockets = &two.sockets;
    let passes = |to: SocketAddr, content: &[u8]| {
        sockets[0].send_to(content, to).unwrap();
        let mut buffer = [0; 16];
        loop {
            match sockets[1].recv_from(&mut buffer) {
                Ok((len, _)) if buffer[..len] == *content => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    };
    for at in [first, second] {
        assert!(wait_until(SOON, || passes(at, b"there")));
    }
    two.relays.cut_on(Network::First, &ids[1], true);
    assert!(!passes(first, b"cut"));
    assert!(wait_until(SOON, || passes(second, b"beside")));
    two.relays.cut_on(Network::First, &ids[1], false);
    assert!(wait_until(SOON, || passes(first, b"again")));
}
