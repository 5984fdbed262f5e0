use std::time::Duration;

use softbus_rpc::{CallOption, Parcel, StubOptions, telemetry::SlowThresholds};
use tracing::Level;

use crate::{
    capture::{Capture, Event},
    devices::{Actor, Pair, code, config, pair, pair_of, settle, sleep},
};

const TARGET: &str = "softbus::slow";

fn millis(event: &Event, field: &str) -> u64 {
    event.fields[field].parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_half_a_second_is_logged_where_it_ran() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    sleep(actor, 499).await.unwrap();
    settle().await;
    assert!(capture.said(TARGET, "handler is slow").is_empty());
    sleep(actor, 600).await.unwrap();
    settle().await;
    let said = capture.said(TARGET, "handler is slow");
    let [event] = &said[..] else {
        panic!("once: {said:?}")
    };
    assert_eq!(event.level, Level::WARN);
    assert_eq!(event.fields["service"], "7");
    assert_eq!(event.fields["code"], "3");
    assert_eq!(event.fields["ended"], "true");
    assert!((600..700).contains(&millis(event, "took_ms")), "{event:?}");
    assert!(capture.said(TARGET, "handler is stuck").is_empty());
    assert!(capture.said(TARGET, "call waited long").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_five_seconds_is_an_event_before_it_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    sleep(actor, 7_000).await.unwrap();
    settle().await;
    let said = capture.said(TARGET, "handler is stuck");
    let [running, ended] = &said[..] else {
        panic!("twice: {said:?}")
    };
    assert_eq!(running.level, Level::ERROR);
    assert_eq!(running.fields["event"], "stuck_handler");
    assert_eq!(running.fields["service"], "7");
    assert_eq!(running.fields["ended"], "false");
    assert!(
        (5_000..5_600).contains(&millis(running, "took_ms")),
        "{running:?}"
    );
    assert_eq!(ended.fields["ended"], "true");
    assert!(
        (7_000..7_100).contains(&millis(ended, "took_ms")),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_two_seconds_is_logged_at_the_caller() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    sleep(actor, 1_900).await.unwrap();
    settle().await;
    assert!(capture.said(TARGET, "call waited long").is_empty());
    sleep(actor, 2_050).await.unwrap();
    settle().await;
    let said = capture.said(TARGET, "call waited long");
    let [event] = &said[..] else {
        panic!("once: {said:?}")
    };
    assert_eq!(event.level, Level::WARN);
    assert_eq!(event.fields["code"], "3");
    assert!(
        (2_000..2_600).contains(&millis(event, "waited_ms")),
        "{event:?}"
    );
}

/// What never ends is told once, not again and again, and the caller need not have ended either.
#[tokio::test(start_paused = true)]
async fn what_never_ends_is_told_once() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let mut data = Parcel::new();
    data.write_u64(u64::MAX).unwrap();
    let option = CallOption::two_way().wait(Duration::from_secs(3000));
    let waiting = actor.send_request(code::SLEEP, &data, option);
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_err());
    assert_eq!(capture.said(TARGET, "handler is stuck").len(), 1);
    assert_eq!(capture.said(TARGET, "call waited long").len(), 1);
}

/// Who waits for something to happen is not slow.
#[tokio::test(start_paused = true)]
async fn long_polls_are_not_told_of() {
    let (capture, _guard) = Capture::start();
    let options = StubOptions::default().long_poll();
    let waits = Actor {
        options,
        ..Actor::default()
    };
    let Pair { actor, .. } = &pair(waits).await;
    let mut data = Parcel::new();
    data.write_u64(60_000).unwrap();
    let option = CallOption::two_way().wait(Duration::from_secs(90));
    let polled = actor.send_request(code::SLEEP, &data, option.long_poll());
    polled.await.unwrap();
    settle().await;
    for text in ["call waited long", "handler is slow", "handler is stuck"] {
        assert!(capture.said(TARGET, text).is_empty(), "{text}");
    }
    // The two ends look for themselves.
    actor
        .send_request(code::SLEEP, &data, option)
        .await
        .unwrap();
    settle().await;
    assert_eq!(capture.said(TARGET, "call waited long").len(), 1);
    assert!(capture.said(TARGET, "handler is stuck").is_empty());
}

#[tokio::test(start_paused = true)]
async fn thresholds_are_the_programs() {
    let (capture, _guard) = Capture::start();
    let mut configs = [config(1), config(2)];
    configs[0].slow = SlowThresholds::DEFAULT.calls(Duration::from_millis(20));
    let (slow, stuck) = (Duration::from_millis(20), Duration::from_secs(60));
    configs[1].slow = SlowThresholds::DEFAULT.handlers(slow, stuck);
    let Pair { actor, .. } = &pair_of(configs, Actor::default()).await;
    sleep(actor, 30).await.unwrap();
    settle().await;
    assert_eq!(capture.said(TARGET, "handler is slow").len(), 1);
    assert_eq!(capture.said(TARGET, "call waited long").len(), 1);
}

/// A peer that makes every handler slow does not fill the log.
#[tokio::test(start_paused = true)]
async fn slow_handlers_are_folded() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let actor = actor.clone();
            tokio::spawn(async move { sleep(&actor, 600).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    settle().await;
    assert_eq!(capture.said(TARGET, "handler is slow").len(), 10);
    tokio::time::sleep(Duration::from_secs(10)).await;
    sleep(actor, 600).await.unwrap();
    settle().await;
    let last = capture.said(TARGET, "handler is slow").pop().unwrap();
    assert_eq!(last.fields["folded"], "90");
}
