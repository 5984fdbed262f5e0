//! Devices that are not where they were: nodes in one process on 127.0.0.1.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use softbus::{
    DeviceEvent, DeviceId, Identity, Node, TrustStore,
    discovery::{Source, StaticPeers},
    presence::OfflineReason,
};

/// More than a round of dialling and the pause after it.
const BACK_ONLINE: Duration = Duration::from_secs(6);

fn local() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Two identities, the one with the smaller id first: it withholds its Welcome while a dial of its own is open.
fn identities() -> (Identity, Identity) {
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    if a.device_id() < b.device_id() {
        (a, b)
    } else {
        (b, a)
    }
}

fn trusting(device: &DeviceId) -> TrustStore {
    let store = TrustStore::in_memory();
    store.trust(*device, "").unwrap();
    store
}

async fn next_event(node: &Node) -> DeviceEvent {
    let mut events = node.device_events();
    tokio::time::timeout(BACK_ONLINE, events.next())
        .await
        .unwrap()
}

#[tokio::test]
async fn who_dials_an_address_where_nobody_is_can_be_dialled() {
    let (small, large) = identities();
    // Bound and never read, so that no other process gets the port.
    let nobody = UdpSocket::bind(local()).unwrap();
    let small = Node::builder()
        .trust(trusting(large.device_id()))
        .static_peer(*large.device_id(), nobody.local_addr().unwrap())
        .identity(small)
        .listen(local())
        .start()
        .await
        .unwrap();
    let large = Node::builder()
        .trust(trusting(&small.device_id()))
        .static_peer(small.device_id(), small.local_addr().unwrap())
        .identity(large)
        .listen(local())
        .start()
        .await
        .unwrap();
    assert_eq!(
        next_event(&small).await,
        DeviceEvent::Online(large.device_id())
    );
}

#[tokio::test]
async fn an_address_that_is_learnt_while_another_is_dialled_is_tried_at_once() {
    let (small, large) = identities();
    let nobody = UdpSocket::bind(local()).unwrap();
    let large = Node::builder()
        .trust(trusting(small.device_id()))
        .identity(large)
        .listen(local())
        .start()
        .await
        .unwrap();
    let list = StaticPeers::new(
        Source::STATIC,
        [(large.device_id(), nobody.local_addr().unwrap())],
    )
    .unwrap();
    let small = Node::builder()
        .trust(trusting(&large.device_id()))
        .discovery(Box::new(list.clone()))
        .identity(small)
        .listen(local())
        .start()
        .await
        .unwrap();
    nobody.set_read_timeout(Some(BACK_ONLINE)).unwrap();
    tokio::task::spawn_blocking(move || nobody.recv(&mut [0; 2048]).unwrap())
        .await
        .unwrap();
    list.insert(large.device_id(), large.local_addr().unwrap())
        .unwrap();
    let mut events = small.device_events();
    let online = tokio::time::timeout(Duration::from_secs(2), events.next());
    assert_eq!(
        online.await.unwrap(),
        DeviceEvent::Online(large.device_id())
    );
}

#[tokio::test]
async fn a_device_that_is_dialled_again_has_left_all_the_same() {
    let (small, large) = identities();
    let large = Node::builder()
        .trust(trusting(small.device_id()))
        .identity(large)
        .listen(local())
        .start()
        .await
        .unwrap();
    let small = Node::builder()
        .trust(trusting(&large.device_id()))
        .static_peer(large.device_id(), large.local_addr().unwrap())
        .identity(small)
        .listen(local())
        .start()
        .await
        .unwrap();
    let mut events = small.device_events();
    assert_eq!(events.next().await, DeviceEvent::Online(large.device_id()));
    large.shutdown().await;
    let left = tokio::time::timeout(BACK_ONLINE, events.next());
    let expected = DeviceEvent::Offline(large.device_id(), OfflineReason::Left);
    assert_eq!(left.await.unwrap(), expected);
}

/// Whoever stops a node and starts it again does not have to wait until the last of its tasks is gone.
#[tokio::test]
async fn a_node_that_has_shut_down_has_given_its_identity_back() {
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        let builder = Node::builder().identity_dir(directory.path().join("identity"));
        builder.listen(local()).start()
    };
    let first = start().await.unwrap();
    let error = start().await.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    first.shutdown().await;
    // `first` and what belongs to it is still there.
    let second = start().await.unwrap();
    assert_eq!(second.device_id(), first.device_id());
    assert_eq!(second.boot_id().epoch, first.boot_id().epoch + 1);
}
