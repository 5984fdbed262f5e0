//! Row 120: a trace is carried across devices, whoever makes its ids, and whether or not anybody listens on the way.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[expect(dead_code, reason = "shared with the other tests of telemetry")]
#[path = "telemetry/capture.rs"]
mod capture;
#[expect(dead_code, reason = "shared with the other tests of telemetry")]
#[path = "telemetry/devices.rs"]
mod devices;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use capture::Capture;
use devices::{Actor, bus, call, code, connect, get, offer, settle};
use softbus_rpc::telemetry::{Propagator, TraceContext, set_propagator};
use tracing::Span;

/// A tracing system whose ids are the bus's business only as bytes. The whole process has one, so that what it sends
/// is set by the test.
struct Ours;

static SENDS: Mutex<Option<TraceContext>> = Mutex::new(None);
static EXTRACTED: Mutex<Vec<(bool, TraceContext)>> = Mutex::new(Vec::new());
static SPANS: AtomicU64 = AtomicU64::new(0);

impl Propagator for Ours {
    fn inject(&self, span: &Span) -> Option<TraceContext> {
        SPANS.fetch_add(u64::from(!span.is_disabled()), Ordering::Relaxed);
        *SENDS.lock().unwrap()
    }

    fn extract(&self, span: &Span, parent: TraceContext) {
        EXTRACTED
            .lock()
            .unwrap()
            .push((!span.is_disabled(), parent));
    }
}

type Seen = Arc<Mutex<Vec<Option<TraceContext>>>>;

/// Devices 1, 2 and 3: 1 calls 2, which calls 3. What the handlers of both saw.
async fn relay() -> [Seen; 2] {
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
    EXTRACTED.lock().unwrap().clear();
    call(&object, code::RELAY, "hello").await.unwrap();
    settle().await;
    seen
}

/// One test, because there is one propagator in a process.
#[tokio::test(start_paused = true)]
async fn a_propagator_reads_and_writes_what_requests_carry() {
    set_propagator(Ours).unwrap();
    set_propagator(Ours).unwrap_err();
    let trace: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    *SENDS.lock().unwrap() = Some(trace);

    // With spans: each end asks the propagator, and hands it what came.
    let (capture, guard) = Capture::start();
    let seen = relay().await;
    assert_eq!(*EXTRACTED.lock().unwrap(), [(true, trace), (true, trace)]);
    assert!(SPANS.load(Ordering::Relaxed) >= 4);
    for seen in &seen {
        assert_eq!(*seen.lock().unwrap(), [Some(trace)]);
    }
    // The ids are the propagator's affair.
    assert!(
        capture
            .calls()
            .iter()
            .all(|span| !span.fields.contains_key("trace_id"))
    );
    drop(guard);

    // Without spans it is still asked for the current one: a program that traces without ours loses nothing.
    let (_capture, guard) = Capture::without_calls();
    let seen = relay().await;
    assert!(EXTRACTED.lock().unwrap().is_empty());
    for seen in &seen {
        assert_eq!(*seen.lock().unwrap(), [Some(trace)]);
    }
    drop(guard);

    // Whether it is sampled is passed on as it came.
    let quiet: TraceContext = trace.to_string().replace("-01", "-00").parse().unwrap();
    *SENDS.lock().unwrap() = Some(quiet);
    let seen = relay().await;
    assert!(!seen[1].lock().unwrap()[0].unwrap().is_sampled());

    // Nothing to send: nothing arrives.
    *SENDS.lock().unwrap() = None;
    let seen = relay().await;
    for seen in &seen {
        assert_eq!(*seen.lock().unwrap(), [None]);
    }
}
