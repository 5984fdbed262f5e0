//! Who may call out, and how much.

use std::{sync::Arc, time::Duration};

use softbus::rpc::{AddServiceError, CallOption, Parcel, RemoteObject, SendRequestError, limits};

use tokio::task::JoinSet;

use crate::{
    calls::{Service, Shared, code, served},
    objects::{given, shelf},
    world::{SERVICE, World},
};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn the_egress_rule_is_asked_at_every_call() {
    let (world, _service) = served().await;
    let proxy = world.get().await;
    proxy.ping(CallOption::two_way()).await.unwrap();
    *world.egress.closed.lock().unwrap() = Some(SERVICE);
    let refused = proxy.ping(CallOption::two_way()).await.unwrap_err();
    assert_eq!(refused, SendRequestError::Refused);
    let refused = world.get_from(&world.process, 2).await.unwrap_err();
    assert_eq!(refused, SendRequestError::Refused);
    *world.egress.closed.lock().unwrap() = None;
    proxy.ping(CallOption::two_way()).await.unwrap();
}

/// The other device ends nothing of what one process sends it one-way, and another process is served all the same.
#[tokio::test(start_paused = true)]
async fn one_process_does_not_use_up_the_credit_of_one_way_calls() {
    // More than the other device lets be under way, in many small calls and in few large ones.
    for (size, count) in [(16, 3000), (64 << 10, 50)] {
        let world = World::with_lanes(1).await;
        let (stub, there) = shelf();
        let (flooded, asked) = (Arc::<Service>::default(), Arc::<Service>::default());
        for service in [&flooded, &asked] {
            let object = RemoteObject::new(Shared(Arc::clone(service)));
            there.kept.lock().unwrap().push(object);
        }
        world.other.offer(&stub);
        let to_flood = given(&world.get().await).await.unwrap().remove(0);
        let of_sibling = world.get_from(&world.sibling, 2).await.unwrap();
        let to_ask = given(&of_sibling).await.unwrap().remove(1);
        let sent = flood(&to_flood, size, count).await;
        assert!(sent < count, "the flood is held back");
        let (nothing, option) = (Parcel::new(), CallOption::one_way());
        for _ in 0..3 {
            let sent = to_ask.send_request(code::FAIL, &nothing, option);
            sent.await.unwrap();
            let arrived = tokio::time::timeout(SOON, asked.entered.notified());
            arrived.await.expect("the other process has room");
        }
    }
}

/// Sends one-way calls that never end, until there is no more room for them. Returns how many.
async fn flood(object: &RemoteObject, size: usize, count: usize) -> usize {
    let mut data = Parcel::new();
    data.write_u8_vec(&vec![0; size]).unwrap();
    for sent in 0..count {
        let call = object.send_request(code::HANG, &data, CallOption::one_way());
        match tokio::time::timeout(Duration::from_secs(1), call).await {
            Ok(called) => drop(called.unwrap()),
            Err(_) => return sent,
        }
    }
    count
}

/// Processes of another user may have some of the host's services and not all.
#[tokio::test(start_paused = true)]
async fn another_user_does_not_take_all_services() {
    let world = World::new().await;
    let (stub, _) = shelf();
    for number in 1..=limits::MAX_SERVICES_OF_ANOTHER_USER as u32 {
        world.process.register(number + 100, &stub).await.unwrap();
    }
    // Whichever of its processes it is; what it has it may register anew.
    let limit = limits::MAX_SERVICES_OF_ANOTHER_USER;
    let more = world.sibling.register(100, &stub).await;
    let value = limit + 1;
    assert_eq!(more, Err(AddServiceError::LimitReached { limit, value }));
    world.process.register(101, &stub).await.unwrap();
    world.host.offer(&stub);
}

#[tokio::test(start_paused = true)]
async fn one_process_does_not_use_up_what_another_device_takes() {
    let (world, service) = served().await;
    let proxy = world.get().await;
    let flood = async {
        let nothing = Parcel::new();
        // As many as the session of the process with its host takes.
        let calls =
            (0..1000).map(|_| proxy.send_request(code::HANG, &nothing, CallOption::two_way()));
        let mut calls: Vec<_> = calls.map(Box::pin).collect();
        let mut busy = 0;
        std::future::poll_fn(|cx| {
            calls.retain_mut(|call| match call.as_mut().poll(cx) {
                std::task::Poll::Pending => true,
                std::task::Poll::Ready(ended) => {
                    assert!(matches!(ended, Err(SendRequestError::Busy { .. })));
                    busy += 1;
                    false
                }
            });
            match busy {
                0 => std::task::Poll::Pending,
                _ => std::task::Poll::Ready(()),
            }
        })
        .await;
        let of_sibling = world.get_from(&world.sibling, 2).await.unwrap();
        of_sibling.ping(CallOption::two_way()).await.unwrap();
        calls.len()
    };
    let held = flood.await;
    assert!((400..600).contains(&held), "{held} of about a thousand");
    drop(service);
}

/// A device that ends nothing keeps a process from calling it, and from calling no other. Its one-way calls have used up their credit, so
/// two-way calls behind them wait at the host, and it is the session of the process that is full of them.
#[tokio::test(start_paused = true)]
async fn calls_to_one_device_leave_room_for_calls_to_others() {
    let (world, _service) = served().await;
    world
        .third
        .offer(&RemoteObject::new(Shared(Arc::default())));
    let (stuck, beside) = (world.get().await, world.get_from(&world.process, 3).await);
    let beside = beside.unwrap();
    let sent = flood(&stuck, 64 << 10, 100).await;
    assert!(sent < 100, "the flood is held back");
    let mut calls = JoinSet::new();
    // More than the session of the process with its host takes.
    for _ in 0..limits::DEFAULT_PEER_LIMITS.calls_in_flight + 100 {
        let stuck = stuck.clone();
        calls.spawn(async move {
            let (nothing, option) = (Parcel::new(), CallOption::two_way());
            stuck.send_request(code::HANG, &nothing, option).await
        });
    }
    let refused = calls.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(
        matches!(refused, SendRequestError::Busy { .. }),
        "{refused}"
    );
    for _ in 0..100 {
        beside.ping(CallOption::two_way()).await.unwrap();
    }
    // What a call has taken it gives back, however it ends.
    calls.shutdown().await;
    stuck.ping(CallOption::two_way()).await.unwrap_err();
}
