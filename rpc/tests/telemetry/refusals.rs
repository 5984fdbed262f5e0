//! Row 158: whatever is refused is a typed error, and is in the log of both ends. What never leaves the caller is in the
//! caller's.

use std::time::Duration;

use softbus_rpc::{
    Allow, CallOption, GetServiceError, Parcel, SendRequestError, ServiceOptions, StubOptions,
    interface::{Interface, MethodHash},
    parcel::MAX_PARCEL_LEN,
};
use tracing::Level;

use crate::{
    capture::{Capture, Event},
    devices::{
        Actor, DESCRIPTOR, Pair, SERVICE, bus, call, code, connect, get, offer, pair, settle, sleep,
    },
};

const TARGET: &str = "softbus::refusal";

/// What both ends have said of this kind of refusal: the callee's words, then the caller's.
fn said(capture: &Capture, kind: &str) -> (Vec<Event>, Vec<Event>) {
    let events = capture.events().into_iter();
    let of_kind = |event: &Event| event.target == TARGET && event.fields["kind"] == kind;
    let (at_caller, at_callee): (Vec<_>, Vec<_>) = events.filter(of_kind).partition(|event| {
        let message = event.fields["message"].as_str();
        matches!(message, "call failed" | "look-up failed")
    });
    let device = |number: u8| format!("{:?}", proto::DeviceId::from_bytes([number; 32]));
    // Each end names the other.
    assert!(
        at_callee
            .iter()
            .all(|event| event.fields["device"] == device(1))
    );
    assert!(
        at_caller
            .iter()
            .all(|event| event.fields["device"] == device(2))
    );
    (at_callee, at_caller)
}

async fn at_both_ends(capture: &Capture, kind: &str) {
    settle().await;
    let (at_callee, at_caller) = said(capture, kind);
    assert_eq!((at_callee.len(), at_caller.len()), (1, 1), "{kind}");
    assert!(at_callee[0].level <= Level::INFO);
    assert!(at_caller[0].level <= Level::INFO);
}

async fn at_the_caller_only(capture: &Capture, kind: &str) {
    settle().await;
    let (at_callee, at_caller) = said(capture, kind);
    assert_eq!((at_callee.len(), at_caller.len()), (0, 1), "{kind}");
}

#[tokio::test(start_paused = true)]
async fn refused_by_the_service_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let refused = call(actor, code::REFUSE, "").await;
    assert_eq!(refused.unwrap_err(), SendRequestError::Refused);
    at_both_ends(&capture, "refused").await;
    let (at_callee, at_caller) = said(&capture, "refused");
    assert_eq!(at_callee[0].level, Level::WARN);
    assert_eq!(at_callee[0].fields["service"], "7");
    assert_eq!(at_caller[0].fields["code"], "6");
}

#[tokio::test(start_paused = true)]
async fn look_ups_that_fail_are_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let buses = [bus(1), bus(2)];
    let (here, _there) = connect(&buses[0], &buses[1]).await;
    let wait = Duration::from_secs(5);
    let refused = here.get_service(SERVICE, wait).await;
    assert_eq!(refused.unwrap_err(), GetServiceError::Refused);
    at_both_ends(&capture, "refused").await;
    offer(&buses[1], Actor::default());
    buses[1].samgr().remove(SERVICE).unwrap();
    let absent = here.get_service(SERVICE, wait).await;
    assert_eq!(absent.unwrap_err(), GetServiceError::Absent);
    at_both_ends(&capture, "absent").await;
    let object = softbus_rpc::RemoteObject::new(Actor::default());
    let local = ServiceOptions::local();
    buses[1].samgr().add(SERVICE, &object, local).unwrap();
    let local = here.get_service(SERVICE, wait).await;
    assert_eq!(local.unwrap_err(), GetServiceError::NotDistributed);
    at_both_ends(&capture, "not_distributed").await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_no_rule_names_is_refused_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let buses = [bus(1), bus(2)];
    let (here, _there) = connect(&buses[0], &buses[1]).await;
    let other = proto::DeviceId::from_bytes([9; 32]);
    let options = ServiceOptions::distributed(Allow::devices([other]));
    let object = softbus_rpc::RemoteObject::new(Actor::default());
    buses[1].samgr().add(SERVICE, &object, options).unwrap();
    let refused = here.get_service(SERVICE, Duration::from_secs(5)).await;
    assert_eq!(refused.unwrap_err(), GetServiceError::Refused);
    at_both_ends(&capture, "refused").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_times_out_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let late = sleep(actor, 60_000).await;
    let after = Duration::from_secs(8);
    assert_eq!(late.unwrap_err(), SendRequestError::TimedOut { after });
    tokio::time::sleep(Duration::from_secs(1)).await;
    at_both_ends(&capture, "timed_out").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_dead_object_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, buses, .. } = &pair(Actor::default()).await;
    buses[1].samgr().remove(SERVICE).unwrap();
    // The call crosses the obituary, which is still to be written.
    let dead = call(actor, code::ECHO, "").await.unwrap_err();
    assert!(
        matches!(dead, SendRequestError::DeadObject { .. }),
        "{dead}"
    );
    at_both_ends(&capture, "dead_object").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_too_large_is_logged_where_it_stays() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let mut data = Parcel::new();
    data.raise_capacity(MAX_PARCEL_LEN).unwrap();
    let object = softbus_rpc::RemoteObject::new(Actor::default());
    data.write_remote_object(&object).unwrap();
    let rest = MAX_PARCEL_LEN - data.data_size();
    data.write_buffer(&vec![0; rest]).unwrap();
    let sent = actor.send_request(code::ECHO, &data, CallOption::two_way());
    let error = sent.await.unwrap_err();
    assert!(matches!(error, SendRequestError::RequestTooLarge { .. }));
    at_the_caller_only(&capture, "request_too_large").await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_too_large_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let error = call(actor, code::LARGE, "").await.unwrap_err();
    assert_eq!(error, SendRequestError::ReplyTooLarge);
    at_both_ends(&capture, "reply_too_large").await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let actor = Actor {
        options: StubOptions::default().queue(1),
        ..Actor::default()
    };
    let Pair { actor, .. } = &pair(actor).await;
    let (first, second) = tokio::join!(sleep(actor, 10), sleep(actor, 10));
    first.unwrap();
    assert!(matches!(second.unwrap_err(), SendRequestError::Busy { .. }));
    at_both_ends(&capture, "busy").await;
}

/// Device 2 may not hand an object of device 3 to device 1, nor 1 one of 2 back to it.
#[tokio::test(start_paused = true)]
async fn an_object_that_may_not_be_passed_is_logged() {
    let (capture, _guard) = Capture::start();
    let buses = [bus(1), bus(2), bus(3)];
    offer(&buses[2], Actor::default());
    let (second, _third) = connect(&buses[1], &buses[2]).await;
    let next = Some(get(&second).await);
    let actor = Actor {
        next,
        ..Actor::default()
    };
    offer(&buses[1], actor);
    let (first, _second) = connect(&buses[0], &buses[1]).await;
    let actor = get(&first).await;
    let error = call(&actor, code::THIRD_PARTY, "").await.unwrap_err();
    assert_eq!(error, SendRequestError::ReplyPassRefused);
    at_both_ends(&capture, "pass_refused").await;
    let mut data = Parcel::new();
    data.write_remote_object(&actor).unwrap();
    let sent = actor.send_request(code::ECHO, &data, CallOption::two_way());
    assert!(matches!(
        sent.await.unwrap_err(),
        SendRequestError::Pass { .. }
    ));
    settle().await;
    let (at_callee, at_caller) = said(&capture, "pass_refused");
    assert_eq!((at_callee.len(), at_caller.len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_method_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let error = call(actor, code::UNKNOWN, "").await.unwrap_err();
    assert_eq!(error, SendRequestError::UnknownMethod { code: 99 });
    at_both_ends(&capture, "unknown_method").await;
}

#[tokio::test(start_paused = true)]
async fn another_interface_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let methods = vec![MethodHash { code: 1, hash: 2 }];
    let other: &'static Interface = Box::leak(Box::new(Interface::new(DESCRIPTOR, methods)));
    let empty = Parcel::new();
    let sent = actor.send_typed(other, 1, &empty, CallOption::two_way());
    assert_eq!(sent.await.unwrap_err(), SendRequestError::InterfaceMismatch);
    at_both_ends(&capture, "interface_mismatch").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_logged_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let error = call(actor, code::PANIC, "").await.unwrap_err();
    assert_eq!(error, SendRequestError::Panicked);
    at_both_ends(&capture, "panicked").await;
}

/// The service's own answer is nobody's refusal.
#[tokio::test(start_paused = true)]
async fn a_code_of_the_services_own_is_not_logged() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let error = call(actor, code::FAIL, "").await.unwrap_err();
    assert_eq!(error, SendRequestError::Service(7));
    settle().await;
    let events = capture.events();
    assert!(!events.iter().any(|event| event.target == TARGET));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refusals_is_folded_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    for _ in 0..500 {
        call(actor, code::REFUSE, "").await.unwrap_err();
    }
    settle().await;
    let (at_callee, at_caller) = said(&capture, "refused");
    assert_eq!((at_callee.len(), at_caller.len()), (10, 10));
    tokio::time::sleep(Duration::from_secs(10)).await;
    call(actor, code::REFUSE, "").await.unwrap_err();
    settle().await;
    let (at_callee, at_caller) = said(&capture, "refused");
    assert_eq!(at_callee[10].fields["folded"], "490");
    assert_eq!(at_caller[10].fields["folded"], "490");
}
