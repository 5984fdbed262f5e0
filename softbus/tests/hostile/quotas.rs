//! What the builder of a node says that others may make it hold.

use softbus::rpc::{
    Quotas,
    error::{LinkToDeathError, SendRequestError},
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
            assert!(
                matches!(over, Err(SendRequestError::Busy { .. })),
                "{over:?}"
            );
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
