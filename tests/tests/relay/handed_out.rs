//! Stubs of a process that somebody else hands to another device: another process, the host, or a device that has them.

use std::sync::Arc;

use softbus::rpc::{
    Allow, CallOption, DeathReason, RemoteObject, SendRequestError, ServiceOptions, StubOptions,
    parcel::PassObjectError,
};
use testkit::wait::wait_until_async;

use crate::{
    objects::{Shelf, given, hand, shelf, shelf_with},
    world::{SERVICE, World, device},
};

fn refused(error: &SendRequestError, reason: PassObjectError) {
    assert_eq!(*error, SendRequestError::Pass { index: 0, reason });
}

fn open_shelf() -> (RemoteObject, Arc<Shelf>) {
    shelf_with(StubOptions::default().re_exportable())
}

/// A shelf of the other device, as the process has it, and two objects of its sibling: one that may be handed on, and one that
/// may not.
struct Shop {
    world: World,
    at_other: Arc<Shelf>,
    of_other: RemoteObject,
    open: (RemoteObject, Arc<Shelf>),
    closed: RemoteObject,
}

impl Shop {
    async fn new() -> Self {
        let world = World::new().await;
        let (stub, at_other) = shelf();
        world.other.offer(&stub);
        let (of_sibling, on_shelf) = shelf();
        let (open, inside) = open_shelf();
        on_shelf.kept.lock().unwrap().extend([open, shelf().0]);
        let options = ServiceOptions::local();
        let samgr = world.sibling.bus.samgr();
        samgr.add(SERVICE, &of_sibling, options).unwrap();
        let [open, closed] = given(&world.service_of_sibling().await)
            .await
            .unwrap()
            .try_into()
            .unwrap();
        Self {
            of_other: world.get().await,
            world,
            at_other,
            open: (open, inside),
            closed,
        }
    }

    fn kept(&self) -> RemoteObject {
        self.at_other.kept.lock().unwrap().last().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_stub_of_another_process_goes_to_another_device_if_its_owner_lets_it() {
    let shop = Shop::new().await;
    let (open, inside) = &shop.open;
    hand(&shop.of_other, open).await.unwrap();
    let kept = shop.kept();
    assert_eq!(kept.device(), Some(device(1)));
    kept.ping(CallOption::two_way()).await.unwrap();
    hand(&kept, &shelf().0).await.unwrap();
    let caller = inside.callers.lock().unwrap().last().unwrap().clone();
    assert_eq!((caller.device(), caller.is_local()), (device(2), false));
    let error = hand(&shop.of_other, &shop.closed).await.unwrap_err();
    refused(&error, PassObjectError::NotReExportable);
    // Who handed it out may go.
    shop.world.part(&shop.world.process, 1);
    kept.ping(CallOption::two_way()).await.unwrap();
    shop.world.part(&shop.world.sibling, 1);
    let dead = async || kept.is_dead();
    assert!(wait_until_async(std::time::Duration::from_secs(20), dead).await);
}

#[tokio::test(start_paused = true)]
async fn a_reply_hands_out_a_stub_of_another_process_by_the_same_rule() {
    let shop = Shop::new().await;
    let (callback, here) = shelf();
    hand(&shop.of_other, &callback).await.unwrap();
    let callback = shop.kept();
    here.kept.lock().unwrap().push(shop.open.0.clone());
    let got = given(&callback).await.unwrap();
    got[0].ping(CallOption::two_way()).await.unwrap();
    here.kept.lock().unwrap().push(shop.closed.clone());
    let error = given(&callback).await.unwrap_err();
    assert_eq!(error, SendRequestError::ReplyPassRefused);
}

#[tokio::test(start_paused = true)]
async fn a_parcel_holds_stubs_of_several_homes() {
    let shop = Shop::new().await;
    let (third, _at_third) = shelf();
    shop.world.third.offer(&third);
    let of_third = shop.world.get_from(&shop.world.process, 3).await.unwrap();
    let mut data = softbus::rpc::Parcel::new();
    for object in [&shop.open.0, &of_third, &shelf().0] {
        data.write_remote_object(object).unwrap();
    }
    let option = CallOption::two_way();
    let sent = shop
        .of_other
        .send_request(crate::objects::KEEP, &data, option);
    sent.await.unwrap();
    shop.kept().ping(option).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_of_another_process_goes_where_its_rule_lets_it() {
    let shop = Shop::new().await;
    let sibling = &shop.world.sibling;
    let of_sibling = shop.world.service_of_sibling().await;
    // The host does not know it, or as one for this device alone.
    let error = hand(&shop.of_other, &of_sibling).await.unwrap_err();
    refused(&error, PassObjectError::OriginRefused);
    shop.world.register(sibling).await;
    let error = hand(&shop.of_other, &of_sibling).await.unwrap_err();
    refused(&error, PassObjectError::OriginRefused);
    for (to, handed) in [(3, false), (2, true)] {
        let options = ServiceOptions::distributed(Allow::devices([device(to)]));
        let stub = open_shelf().0;
        sibling.bus.samgr().add(SERVICE, &stub, options).unwrap();
        shop.world.register(sibling).await;
        let of_sibling = shop.world.service_of_sibling().await;
        match hand(&shop.of_other, &of_sibling).await {
            Ok(_) => assert!(handed),
            Err(error) => {
                refused(&error, PassObjectError::OriginRefused);
                assert!(!handed);
            }
        }
    }
    // It is the service there, and ends with its registration.
    let kept = shop.kept();
    assert_eq!(kept.as_proxy().unwrap().service(), Some(SERVICE));
    kept.ping(CallOption::two_way()).await.unwrap();
    sibling.bus.samgr().remove(SERVICE).unwrap();
    let dead = async || kept.death() == Some(DeathReason::ServiceRemoved);
    assert!(wait_until_async(std::time::Duration::from_secs(20), dead).await);
}

#[tokio::test(start_paused = true)]
async fn the_host_hands_out_a_stub_of_a_process_by_the_same_rule() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let (at_host, on_shelf) = shelf();
    world.host.offer(&at_host);
    let host = world.service_of_host(&world.process).await;
    hand(&host, &open_shelf().0).await.unwrap();
    hand(&host, &shelf().0).await.unwrap();
    let [open, closed] = on_shelf.kept.lock().unwrap().clone().try_into().unwrap();
    let of_other = world.get_at_host().await;
    hand(&of_other, &open).await.unwrap();
    let kept = there.kept.lock().unwrap()[0].clone();
    kept.ping(CallOption::two_way()).await.unwrap();
    let error = hand(&of_other, &closed).await.unwrap_err();
    refused(&error, PassObjectError::NotReExportable);
}

/// Row 107, for a stub behind a host.
#[tokio::test(start_paused = true)]
async fn a_stub_of_a_process_is_introduced_to_a_third_device_if_it_lets_that() {
    let world = World::new().await;
    let (stub, at_other) = shelf();
    world.other.offer(&stub);
    let (third, at_third) = shelf();
    world.third.offer(&third);
    let of_other = world.get().await;
    hand(&of_other, &open_shelf().0).await.unwrap();
    hand(&of_other, &shelf().0).await.unwrap();
    let [open, closed] = at_other.kept.lock().unwrap().clone().try_into().unwrap();
    let of_third = world.third_at_other().await;
    hand(&of_third, &open).await.unwrap();
    let kept = at_third.kept.lock().unwrap()[0].clone();
    assert_eq!(kept.device(), Some(device(1)));
    kept.ping(CallOption::two_way()).await.unwrap();
    let error = hand(&of_third, &closed).await.unwrap_err();
    refused(&error, PassObjectError::NotReExportable);
}
