use std::sync::{Arc, Mutex};

use softbus_rpc::{CallOption, Parcel, telemetry::TraceContext};

use crate::{
    capture::{Capture, Span},
    devices::{Actor, Pair, bus, call, code, connect, get, offer, pair, settle},
};

type Seen = Arc<Mutex<Vec<Option<TraceContext>>>>;

/// Devices 1, 2 and 3: 1 calls 2, which calls 3.
async fn relay(capture: &Capture) -> Vec<Span> {
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
    let object = get(&first).await;
    settle().await;
    let before = capture.calls().len();
    let mut answer = call(&object, code::RELAY, "hello").await.unwrap();
    assert_eq!(answer.read_string16().unwrap(), "hello");
    settle().await;
    capture.calls().split_off(before)
}

#[tokio::test(start_paused = true)]
async fn spans_of_a_nested_call_join_across_three_devices() {
    let (capture, _guard) = Capture::start();
    let calls = relay(&capture).await;
    let names: Vec<_> = calls.iter().map(|span| span.name).collect();
    assert_eq!(names, ["call", "serve", "call", "serve"]);
    let of = |index: usize, field: &str| calls[index].fields.get(field).map(String::as_str);
    for (index, span) in calls.iter().enumerate() {
        assert_eq!(of(index, "trace_id"), of(0, "trace_id"));
        assert!(span.closed, "{index}");
        assert_eq!(of(index, "rpc.system.name"), Some("softbus"));
        assert_eq!(of(index, "rpc.response.status_code"), Some("ok"));
        assert_eq!(of(index, "error.type"), None);
        assert_eq!(of(index, "otel.status_code"), None);
        assert_eq!(of(index, "network.transport"), Some("memory"));
        let parent = index
            .checked_sub(1)
            .and_then(|parent| of(parent, "span_id"));
        assert_eq!(of(index, "parent_span_id"), parent, "{index}");
    }
    assert_eq!(of(0, "trace_id").map(str::len), Some(32));
    assert_eq!(of(0, "span_id").map(str::len), Some(16));
    assert_eq!(of(0, "otel.kind"), Some("client"));
    assert_eq!(of(1, "otel.kind"), Some("server"));
    assert_eq!(of(1, "rpc.method"), Some("org.example.Actor/2"));
    assert_eq!(of(1, "otel.name"), Some("org.example.Actor/2"));
    assert_eq!(of(1, "softbus.service.id"), Some("7"));
    assert_eq!(of(1, "softbus.request.code"), Some("2"));
    assert_eq!(of(1, "softbus.one_way"), Some("false"));
    let device = proto::DeviceId::from_bytes([2; 32]).short().to_string();
    assert_eq!(of(0, "softbus.device"), Some(device.as_str()));
    assert_eq!(of(0, "server.address"), Some(device.as_str()));
}

#[tokio::test(start_paused = true)]
async fn the_nested_call_is_a_child_of_the_handlers_span_and_the_handlers_of_none() {
    let (capture, _guard) = Capture::start();
    relay(&capture).await;
    let spans = capture.spans();
    let serve = spans.iter().rposition(|span| {
        span.name == "serve" && span.fields["softbus.request.code"] == code::RELAY.to_string()
    });
    let nested = spans.iter().rfind(|span| span.name == "call").unwrap();
    assert_eq!(nested.parent, serve);
    // What joins the two ends is the trace context, never a span of the task that reads requests.
    let parents = spans.iter().filter(|span| span.name == "serve");
    assert!(parents.into_iter().all(|span| span.parent.is_none()));
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_logs_stands_in_its_span() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    call(actor, code::LOG, "").await.unwrap();
    let event = &capture.said("test::handler", "in the handler")[0];
    assert_eq!(capture.spans()[event.span.unwrap()].name, "serve");
}

#[tokio::test(start_paused = true)]
async fn a_span_says_how_its_call_ended() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    call(actor, code::FAIL, "").await.unwrap_err();
    call(actor, code::UNKNOWN, "").await.unwrap_err();
    // Cancelled at both ends.
    let data = {
        let mut data = Parcel::new();
        data.write_u64(60_000).unwrap();
        data
    };
    let waiting = actor.send_request(code::SLEEP, &data, CallOption::two_way());
    tokio::select! {
        _ = waiting => panic!("the handler sleeps"),
        () = settle() => {}
    }
    settle().await;
    let calls = capture.calls();
    let ends = |of: u32| {
        let of = of.to_string();
        let spans = calls
            .iter()
            .filter(move |span| span.fields["softbus.request.code"] == of);
        let end = |span: &Span| {
            assert!(span.closed);
            assert_eq!(span.fields["otel.status_code"], "ERROR");
            let field = |name: &str| span.fields[name].clone();
            (field("rpc.response.status_code"), field("error.type"))
        };
        spans.map(end).collect::<Vec<_>>()
    };
    let both = |status: &str, kind: &str| vec![(status.to_owned(), kind.to_owned()); 2];
    assert_eq!(ends(code::FAIL), both("7", "service"));
    assert_eq!(
        ends(code::UNKNOWN),
        both("unknown_method", "unknown_method")
    );
    assert_eq!(ends(code::SLEEP), both("cancelled", "cancelled"));
    let unknown = calls
        .iter()
        .find(|span| span.fields.contains_key("rpc.method_original"));
    let unknown = unknown.unwrap();
    assert_eq!(unknown.fields["rpc.method"], "_OTHER");
    assert_eq!(
        unknown.fields["rpc.method_original"],
        "org.example.Actor/99"
    );
}

#[tokio::test(start_paused = true)]
async fn a_one_way_call_has_a_span_at_both_ends() {
    let (capture, _guard) = Capture::start();
    let Pair { actor, .. } = &pair(Actor::default()).await;
    let empty = Parcel::new();
    let sent = actor.send_request(code::LOG, &empty, CallOption::one_way());
    sent.await.unwrap();
    settle().await;
    let calls = capture.calls();
    let [.., client, server] = &calls[..] else {
        panic!("two spans")
    };
    assert_eq!(client.fields["softbus.one_way"], "true");
    assert_eq!(client.fields["span_id"], server.fields["parent_span_id"]);
    assert_eq!(server.fields["rpc.response.status_code"], "ok");
}

/// Nobody wants spans of calls: none is built, no trace is made up, and nothing is sent along.
#[tokio::test(start_paused = true)]
async fn nothing_is_built_when_nobody_listens() {
    let (capture, _guard) = Capture::without_calls();
    let traces = Arc::new(Mutex::new(Vec::new()));
    let actor = Actor {
        traces: Arc::clone(&traces),
        ..Actor::default()
    };
    let Pair { actor, .. } = &pair(actor).await;
    call(actor, code::ECHO, "hello").await.unwrap();
    call(actor, code::LOG, "").await.unwrap();
    assert!(capture.spans().is_empty());
    let event = &capture.said("test::handler", "in the handler")[0];
    assert_eq!(event.span, None);
    assert_eq!(*traces.lock().unwrap(), [None, None]);
}

/// The caller's trace goes through a device where nobody listens, to the next one.
#[tokio::test(start_paused = true)]
async fn a_trace_is_passed_on_where_nobody_listens() {
    let buses = [bus(1), bus(2), bus(3)];
    let seen = [Seen::default(), Seen::default()];
    let actor = |index: usize, next| Actor {
        next,
        traces: Arc::clone(&seen[index]),
        ..Actor::default()
    };
    offer(&buses[2], actor(1, None));
    let (second, _third) = connect(&buses[1], &buses[2]).await;
    let next = Some(get(&second).await);
    offer(&buses[1], actor(0, next));
    let (first, _second) = connect(&buses[0], &buses[1]).await;
    let object = get(&first).await;
    settle().await;

    let (capture, guard) = Capture::start();
    let mut relayed = std::pin::pin!(call(&object, code::RELAY, "hello"));
    tokio::select! {
        biased;
        _ = &mut relayed => panic!("the others have not run"),
        () = std::future::ready(()) => {}
    }
    // From here on only what travels can tell.
    drop(guard);
    relayed.await.unwrap();
    let calls = capture.calls();
    let [client] = &calls[..] else {
        panic!("one span: {calls:?}")
    };
    for seen in &seen {
        let trace = seen.lock().unwrap()[0].unwrap();
        let (trace_id, span_id) = (&client.fields["trace_id"], &client.fields["span_id"]);
        assert_eq!(trace.to_string(), format!("00-{trace_id}-{span_id}-01"));
    }
}

/// The trace of a caller is seen by the handler, and by what runs for it on the pool.
#[tokio::test(start_paused = true)]
async fn a_handler_knows_the_trace_it_belongs_to() {
    let (capture, _guard) = Capture::start();
    let traces = Arc::new(Mutex::new(Vec::new()));
    let actor = Actor {
        traces: Arc::clone(&traces),
        ..Actor::default()
    };
    let Pair { actor, .. } = &pair(actor).await;
    call(actor, code::BLOCKING, "").await.unwrap();
    let traces = traces.lock().unwrap().clone();
    let serve = capture.calls().pop().unwrap();
    let own: &TraceContext = traces[0].as_ref().unwrap();
    assert!(own.to_string().contains(&serve.fields["trace_id"]));
    assert!(own.to_string().contains(&serve.fields["span_id"]));
    assert_eq!(traces[0], traces[1]);
}
