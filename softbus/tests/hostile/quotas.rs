//! What the builder of a node says that others may make it hold.

use softbus::{
    Streaming, remote_interface,
    rpc::{
        Quotas,
        error::{LinkToDeathError, SendRequestError},
        stream::StreamError,
    },
};

use super::*;

const KIB: usize = 1024;

async fn send(proxy: &RemoteObject, bytes: usize) -> Result<(), SendRequestError> {
    let mut data = Parcel::new();
    data.write_string(PAYLOAD).unwrap();
    data.write_raw_data(vec![7; bytes]).unwrap();
    let reply = proxy.send_request(1, &data, CallOption::two_way()).await;
    reply.map(drop)
}

#[test]
fn bodies_over_the_memory_that_is_given_are_busy_and_the_rest_is_served() {
    let [mut of_one, mut of_all] = [Quotas::DEFAULT; 2];
    of_one.bulk_memory = 256 * KIB;
    of_all.bulk_memory_in_all = 256 * KIB;
    for quotas in [of_one, of_all] {
        run(async || {
            let scene = Scene::start(|builder| builder.quotas(quotas)).await;
            let (samgr, node) = (scene.friend.samgr(), scene.node.device_id());
            let proxy = samgr.get(SERVICE, &node).await.unwrap();
            assert_eq!(send(&proxy, 128 * KIB).await, Ok(()));
            let over = send(&proxy, 1024 * KIB).await;
            let Err(SendRequestError::Busy { limit, value, .. }) = over else {
                panic!("{over:?}");
            };
            assert_eq!(limit, Some(256 * KIB as u64));
            // Of a body whose header comes behind it, only what has come is known.
            assert!(value > limit, "{value:?}");
            // What was taken for it is given back.
            assert_eq!(send(&proxy, 128 * KIB).await, Ok(()));
            scene.unharmed().await;
        });
    }
}

#[test]
fn death_links_are_as_many_as_the_builder_says() {
    run(async || {
        let mut quotas = Quotas::DEFAULT;
        quotas.death_links_per_object = 2;
        quotas.death_links = 3;
        let scene = Scene::start(|builder| builder).await;
        let (known, here) = (scene.known, scene.node.device_id());
        let trust = TrustStore::in_memory();
        trust.trust(here, "").unwrap();
        let watcher = Node::builder().identity(known).trust(trust).listen(LOCAL);
        let at = scene.node.local_addr().unwrap();
        let watcher = watcher.static_peer(here, at).quotas(quotas);
        let watcher = watcher.start().await.unwrap();
        let other = ServiceId::new(9).unwrap();
        let options = ServiceOptions::distributed(Allow::trusted());
        let added = scene
            .node
            .samgr()
            .add(other, &RemoteObject::new(Echo), options);
        added.unwrap();
        let get = async |service| watcher.samgr().get(service, &here).await.unwrap();
        let (one, two) = (get(SERVICE).await, get(other).await);
        let links = [&one, &one, &two].map(|proxy| proxy.link_to_death(|_| {}).unwrap());
        let over = |proxy: &RemoteObject| proxy.link_to_death(|_| {}).unwrap_err();
        assert_eq!(
            over(&two),
            LinkToDeathError::LimitReached { limit: 3, value: 4 }
        );
        drop(links);
        let _links = [&one, &one].map(|proxy| proxy.link_to_death(|_| {}).unwrap());
        assert_eq!(
            over(&one),
            LinkToDeathError::LimitReached { limit: 2, value: 3 }
        );
    });
}

#[remote_interface(descriptor = "test.Numbers")]
trait Numbers {
    async fn all(&self) -> Streaming<u64>;
}

struct Endless;

impl Numbers for Endless {
    async fn all(&self) -> Streaming<u64> {
        Streaming::iter(0..)
    }
}

/// At either end: who reads them, and who makes them.
#[test]
fn streams_are_as_many_as_the_builder_says() {
    let mut two = Quotas::DEFAULT;
    two.streams = 2;
    for [reads, makes] in [[two, Quotas::DEFAULT], [Quotas::DEFAULT, two]] {
        run(async || {
            let scene = Scene::start(|builder| {
                let options = ServiceOptions::distributed(Allow::trusted());
                let object = NumbersStub::new(Endless).into();
                let numbers = ServiceId::new(9).unwrap();
                builder.quotas(makes).service(numbers, &object, options)
            })
            .await;
            let (known, here) = (scene.known, scene.node.device_id());
            let trust = TrustStore::in_memory();
            trust.trust(here, "").unwrap();
            let reader = Node::builder().identity(known).trust(trust).listen(LOCAL);
            let at = scene.node.local_addr().unwrap();
            let reader = reader.static_peer(here, at).quotas(reads);
            let reader = reader.start().await.unwrap();
            let numbers = reader.samgr().get(ServiceId::new(9).unwrap(), &here).await;
            let numbers = NumbersProxy::new(numbers.unwrap());
            let mut open = Vec::new();
            for _ in 0..2 {
                let mut stream = numbers.all().await.unwrap();
                assert_eq!(stream.next().await, Some(Ok(0)));
                open.push(stream);
            }
            let one_more = numbers.all().await.unwrap().next().await;
            let Some(Err(StreamError::Open(SendRequestError::Busy { limit, value, .. }))) =
                one_more
            else {
                panic!("{one_more:?}");
            };
            let ours = reads == two;
            assert_eq!((limit, value), (ours.then_some(2), ours.then_some(3)));
        });
    }
}
