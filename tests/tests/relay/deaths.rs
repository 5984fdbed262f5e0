//! Whoever dies, both sides of the host hear of it, with the reason.

use std::{sync::Arc, time::Duration};

use softbus::rpc::{
    CallOption, DeathReason, GetServiceError, LinkToDeathError, Parcel, RemoteObject,
    SendRequestError,
};
use testkit::wait::wait_until_async;
use tokio::sync::mpsc;

use crate::{
    calls::{code, served},
    objects::{hand, shelf},
    world::{SERVICE, World},
};

async fn told(object: &RemoteObject, end: impl FnOnce()) -> DeathReason {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let link = object.link_to_death(move |reason| {
        let _ = sender.send(reason);
    });
    let link = link.unwrap();
    end();
    let told = tokio::time::timeout(Duration::from_secs(20), receiver.recv()).await;
    let reason = told.unwrap().unwrap();
    drop(link);
    assert_eq!(receiver.recv().await, None, "told once");
    assert_eq!(object.death(), Some(reason));
    let dead = object
        .send_request(1, &Parcel::new(), CallOption::two_way())
        .await;
    assert_eq!(dead.unwrap_err(), SendRequestError::DeadObject { reason });
    reason
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_death_is_passed_on() {
    let (world, _service) = served().await;
    let proxy = world.get().await;
    let removed = told(&proxy, || world.other.bus.samgr().remove(SERVICE).unwrap()).await;
    assert_eq!(removed, DeathReason::ServiceRemoved);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_lost_is_unreachable() {
    let (world, _service) = served().await;
    let proxy = world.get().await;
    let lost = told(&proxy, || world.part(&world.host, 2)).await;
    assert_eq!(lost, DeathReason::DeviceUnreachable);
}

#[tokio::test(start_paused = true)]
async fn without_the_host_objects_of_other_devices_are_dead() {
    let (world, _service) = served().await;
    let proxy = world.get().await;
    let gone = told(&proxy, || world.part(&world.process, 1)).await;
    assert_eq!(gone, DeathReason::HostGone);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_indeterminate_when_its_device_is_lost() {
    let (world, service) = served().await;
    let proxy = world.get().await;
    let nothing = Parcel::new();
    let call = proxy.send_request(code::HANG, &nothing, CallOption::two_way());
    let lose = async {
        service.entered.notified().await;
        world.part(&world.host, 2);
    };
    let (ended, ()) = tokio::join!(call, lose);
    assert_eq!(ended.unwrap_err(), SendRequestError::Indeterminate);
}

#[tokio::test(start_paused = true)]
async fn anonymous_objects_of_other_devices_cannot_be_watched() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let proxy = world.get().await;
    let (callback, here) = shelf();
    hand(&proxy, &callback).await.unwrap();
    let kept = there.kept.lock().unwrap()[0].clone();
    hand(&kept, &stub).await.unwrap();
    for anonymous in [kept, here.kept.lock().unwrap()[0].clone()] {
        let refused = anonymous.link_to_death(|_| {}).unwrap_err();
        assert_eq!(refused, LinkToDeathError::AnonymousStub);
    }
}

/// The host's answer names what the process ends meanwhile, at every moment between question and answer.
#[tokio::test(start_paused = true)]
async fn an_own_service_that_ends_while_the_host_is_asked_is_absent() {
    let world = World::new().await;
    let (stub, _) = shelf();
    let mut overtaken = 0;
    for moments in 0..40 {
        world.process.offer(&stub);
        world.register(&world.process).await;
        let ended = async {
            for _ in 0..moments {
                tokio::task::yield_now().await;
            }
            world.process.bus.samgr().remove(SERVICE).unwrap();
        };
        let (asked, ()) = tokio::join!(world.ask_host(&world.process), ended);
        match asked {
            Ok(own) => assert_eq!(own, stub),
            Err(error) => {
                assert_eq!(error, GetServiceError::Absent, "after {moments}");
                overtaken += 1;
            }
        }
    }
    assert!((1..40).contains(&overtaken), "{overtaken}");
}

#[tokio::test(start_paused = true)]
async fn a_callback_dies_with_its_process() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let proxy = world.get().await;
    let (callback, _here) = shelf();
    hand(&proxy, &callback).await.unwrap();
    let kept = there.kept.lock().unwrap()[0].clone();
    world.part(&world.process, 1);
    let dead = async || kept.is_dead();
    assert!(wait_until_async(Duration::from_secs(20), dead).await);
    let called = kept.ping(CallOption::two_way()).await.unwrap_err();
    assert!(matches!(called, SendRequestError::DeadObject { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_callback_is_let_go_when_its_holder_is_lost() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let proxy = world.get().await;
    let (callback, here) = shelf();
    hand(&proxy, &callback).await.unwrap();
    drop(callback);
    assert_eq!(Arc::strong_count(&here), 2);
    world.part(&world.host, 2);
    let gone = async || Arc::strong_count(&here) == 1;
    assert!(wait_until_async(Duration::from_secs(20), gone).await);
    assert_eq!(there.kept.lock().unwrap().len(), 1);
}
