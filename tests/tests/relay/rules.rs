//! Who may call out, and how much.

use softbus::rpc::{CallOption, Parcel, SendRequestError};

use crate::{
    calls::{code, served},
    world::SERVICE,
};

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
