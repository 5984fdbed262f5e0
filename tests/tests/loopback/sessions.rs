//! One session with each device, whoever dials.

use std::{net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UdpSocket},
};

use softbus::{
    DeviceEvent, GetServiceError, Identity, Node, TrustStore,
    discovery::{Source, StaticPeers},
    transport::Transport,
};
use testkit::{
    scenarios::{
        SERVICE, for_all, next_event, usage_of,
        workbench::{reverse, workbench},
    },
    world::{
        Device,
        loopback::LOCAL,
        node::{NodeDevice, Vanish},
    },
};

use crate::run_in;

/// Enough to meet each order of what happens in a handshake.
const REPETITIONS: usize = 20;

fn start(identity: Identity, trust: &TrustStore) -> (NodeDevice, StaticPeers) {
    start_at(LOCAL, identity, trust)
}

fn start_at(
    address: SocketAddr,
    identity: Identity,
    trust: &TrustStore,
) -> (NodeDevice, StaticPeers) {
    let list = StaticPeers::new(Source::STATIC, []).unwrap();
    let builder = Node::builder()
        .identity(identity)
        .trust(trust.clone())
        .listen(address)
        .discovery(Box::new(list.clone()));
    (NodeDevice::start(builder, Vanish::Crash).unwrap(), list)
}

#[test]
fn two_that_dial_each_other_at_once_have_one_session() {
    run_in(async |_| {
        for _ in 0..REPETITIONS {
            both_dial_at_once().await;
        }
    });
}

async fn both_dial_at_once() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let trust = TrustStore::in_memory();
    trust.trust(*a.device_id(), "a").unwrap();
    trust.trust(*b.device_id(), "b").unwrap();
    let ((a, a_list), (b, b_list)) = (start(a, &trust), start(b, &trust));
    for node in [&a, &b] {
        node.add(SERVICE, &workbench().0, for_all()).unwrap();
    }
    let mut events = [a.events().unwrap(), b.events().unwrap()];
    a_list
        .insert(b.id(), b.node().local_addr().unwrap())
        .unwrap();
    b_list
        .insert(a.id(), a.node().local_addr().unwrap())
        .unwrap();
    let (a_id, b_id) = (a.id(), b.id());
    let (to_b, to_a) = tokio::join!(a.get(SERVICE, &b_id), b.get(SERVICE, &a_id));
    for (events, other) in events.iter_mut().zip([&b, &a]) {
        assert_eq!(next_event(events).await, DeviceEvent::Online(other.id()));
    }
    let (to_b, to_a) = (to_b.unwrap(), to_a.unwrap());
    assert_eq!(reverse(&to_b, 2019).await, Ok(9102));
    assert_eq!(reverse(&to_a, 2019).await, Ok(9102));
    usage_of(&a, &b);
    usage_of(&b, &a);
    for events in &mut events {
        let more = tokio::time::timeout(Duration::from_millis(20), events.next()).await;
        assert!(more.is_err(), "the first session stays: {more:?}");
    }
    assert!(!to_a.is_dead() && !to_b.is_dead());
}

/// A device that answers under several addresses at once is one device, and has one session.
#[test]
#[cfg(target_os = "linux")]
fn a_device_with_two_addresses_has_one_session() {
    run_in(async |_| {
        for _ in 0..REPETITIONS {
            dial_two_addresses().await;
        }
    });
}

#[cfg(target_os = "linux")]
async fn dial_two_addresses() {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let trust = TrustStore::in_memory();
    trust.trust(*a.device_id(), "a").unwrap();
    trust.trust(*b.device_id(), "b").unwrap();
    let (a, a_list) = start(a, &trust);
    // All of 127.0.0.0/8 is this machine.
    let (b, _list) = start_at("0.0.0.0:0".parse().unwrap(), b, &trust);
    b.add(SERVICE, &workbench().0, for_all()).unwrap();
    let mut events = [a.events().unwrap(), b.events().unwrap()];
    let port = b.node().local_addr().unwrap().port();
    for address in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]] {
        a_list.insert(b.id(), (address, port).into()).unwrap();
    }
    let proxy = a.get(SERVICE, &b.id()).await.unwrap();
    for (events, other) in events.iter_mut().zip([&b, &a]) {
        assert_eq!(next_event(events).await, DeviceEvent::Online(other.id()));
        let more = tokio::time::timeout(Duration::from_millis(20), events.next()).await;
        assert!(more.is_err(), "the first session stays: {more:?}");
    }
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
}

/// A copy of an identity's files, made while nobody had it open.
fn copy(from: &Path, to: &Path) {
    let private = std::fs::metadata(from).unwrap().permissions();
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, private).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Two processes with one identity: who was there first stays, and the other one is told. A start that is older than
/// the one that is connected is refused as well.
#[test]
fn a_copied_identity_does_not_take_over() {
    run_in(async |_| {
        let parent = tempfile::tempdir().unwrap();
        let [original, twin, ghost] =
            ["original", "twin", "ghost"].map(|name| parent.path().join(name));
        // Starts count: the ghost's will be the second, the original's and the twin's the third.
        let id = *Identity::open(&original).unwrap().device_id();
        copy(&original, &ghost);
        drop(Identity::open(&original).unwrap());
        copy(&original, &twin);

        let trust = TrustStore::in_memory();
        let server = Identity::generate().unwrap();
        trust.trust(*server.device_id(), "server").unwrap();
        trust.trust(id, "copied").unwrap();
        let (server, _list) = start(server, &trust);
        server.add(SERVICE, &workbench().0, for_all()).unwrap();
        let mut events = server.events().unwrap();
        let (first, list) = start(Identity::open(&original).unwrap(), &trust);
        list.insert(server.id(), server.node().local_addr().unwrap())
            .unwrap();
        let proxy = first.get(SERVICE, &server.id()).await.unwrap();
        assert_eq!(next_event(&mut events).await, DeviceEvent::Online(id));

        for (directory, said) in [(twin, "identity"), (ghost, "boot id")] {
            let (second, list) = start(Identity::open(directory).unwrap(), &trust);
            list.insert(server.id(), server.node().local_addr().unwrap())
                .unwrap();
            let wait = Duration::from_secs(1);
            let samgr = second.node().samgr();
            let refused = samgr.get_within(SERVICE, &server.id(), wait).await;
            let refused = refused.unwrap_err();
            assert!(
                matches!(&refused, GetServiceError::Unreachable(why) if why.contains(said)),
                "{refused:?}"
            );
            assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        }
        let more = tokio::time::timeout(Duration::from_millis(20), events.next()).await;
        assert!(more.is_err(), "the first one stays: {more:?}");
    });
}

/// Row 98: an address where nobody answers is given up when the wait is over, for all who asked, and nothing is left.
#[test]
fn a_device_that_does_not_answer_is_given_up() {
    run_in(async |_| {
        let (us, absent) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let trust = TrustStore::in_memory();
        trust.trust(*absent.device_id(), "absent").unwrap();
        let (us, list) = start(us, &trust);
        // Bound and never read.
        let silent = std::net::UdpSocket::bind(LOCAL).unwrap();
        let absent = *absent.device_id();
        list.insert(absent, silent.local_addr().unwrap()).unwrap();
        let samgr = us.node().samgr();
        let wait = Duration::from_millis(700);
        let get = || samgr.get_within(SERVICE, &absent, wait);
        let (one, other) = tokio::join!(get(), get());
        for refused in [one.unwrap_err(), other.unwrap_err()] {
            assert!(
                matches!(
                    refused,
                    GetServiceError::Unreachable(_) | GetServiceError::TimedOut { .. }
                ),
                "{refused:?}"
            );
        }
        assert!(us.usage().is_empty());
    });
}

/// What is lost of a handshake is sent again before TCP, which has got through meanwhile, takes the session.
#[test]
fn a_packet_of_the_handshake_may_be_lost() {
    run_in(async |_| {
        let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let trust = TrustStore::in_memory();
        trust.trust(*a.device_id(), "a").unwrap();
        trust.trust(*b.device_id(), "b").unwrap();
        let ((a, list), (b, _)) = (start(a, &trust), start(b, &trust));
        b.add(SERVICE, &workbench().0, for_all()).unwrap();
        let way = way_that_loses_the_first(b.node().local_addr().unwrap()).await;
        list.insert(b.id(), way).unwrap();
        let proxy = a.get(SERVICE, &b.id()).await.unwrap();
        assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        let devices = a.node().devices();
        let transport = devices.iter().find(|device| device.id == b.id());
        assert_eq!(transport.unwrap().transport, Some(Transport::Quic));
    });
}

/// An address at which datagrams and connections for `to` are taken, all but the first datagram.
async fn way_that_loses_the_first(to: SocketAddr) -> SocketAddr {
    let (listener, here) = loop {
        let listener = TcpListener::bind(LOCAL).await.unwrap();
        // Somebody may have that one.
        if let Ok(here) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, here);
        }
    };
    let address = here.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut there = TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut there).await });
        }
    });
    tokio::spawn(async move {
        let there = UdpSocket::bind(LOCAL).await.unwrap();
        let (mut forth, mut back) = ([0; 65_536], [0; 65_536]);
        let (_, from) = here.recv_from(&mut forth).await.unwrap();
        loop {
            tokio::select! {
                biased;
                Ok((len, _)) = here.recv_from(&mut forth) => {
                    there.send_to(&forth[..len], to).await.unwrap();
                }
                Ok(len) = there.recv(&mut back) => {
                    here.send_to(&back[..len], from).await.unwrap();
                }
            }
        }
    });
    address
}
