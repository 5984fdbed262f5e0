//! Numbers, through the facade of the crate `metrics`: install a recorder of your choice, then [`enable`] ours.
//!
//! What is a count of something rare, or a call that ended, is recorded when it happens. What a session counts anyway,
//! such as bytes and references, is handed over by [`publish`], which [`publish_every`] calls again and again.
//!
//! Labels are bounded: no device id, and no method that only a peer has heard of. A program adds its own labels, such
//! as the name of a node, with [`publish`].

mod methods;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::metrics::{Label, Unit, counter, gauge, histogram};

use super::{
    CallStatus,
    calls::{End, Method},
};
use crate::{Bus, DeathReason, peer::PeerShared, session::Usage};

/// What is measured, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Many values.
    Histogram,
}

/// A metric as [`enable`] describes it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($($constant:ident = $name:literal, $kind:ident, $unit:ident, [$($label:literal),*], $help:literal;)*) => {
        $(const $constant: &str = $name;)*

        /// Every metric of the bus.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
        },)*];
    };
}

metrics_table! {
    CLIENT_DURATION = "rpc.client.call.duration", Histogram, Seconds, ["rpc.method", "rpc.response.status_code"],
        "How long calls to other processes and devices took, from the call to its end";
    SERVER_DURATION = "rpc.server.call.duration", Histogram, Seconds, ["rpc.method", "rpc.response.status_code"],
        "How long calls of other processes and devices were served, queues included";
    CALLS = "softbus.calls", Counter, Count, ["direction", "rpc.method", "rpc.response.status_code"],
        "Calls that ended, one-way calls included";
    REFUSALS = "softbus.refusals", Counter, Count, ["direction", "kind"],
        "Calls and look-ups that were refused or failed, at the end that says so";
    SLOW = "softbus.slow", Counter, Count, ["what"],
        "Slow handlers, handlers stuck for seconds, and calls that waited long";
    BYTES = "softbus.bytes", Counter, Bytes, ["direction"],
        "Bytes given to links and taken from them, without the overhead of the transport";
    SESSIONS_OPENED = "softbus.sessions.opened", Counter, Count, [],
        "Sessions begun";
    SESSIONS_ENDED = "softbus.sessions.ended", Counter, Count, ["reason"],
        "Sessions ended";
    RECONNECTS = "softbus.reconnects", Counter, Count, [],
        "Sessions with a device that had one before";
    DEATHS = "softbus.deaths", Counter, Count, ["reason"],
        "Death notices given to recipients";
    SESSIONS = "softbus.sessions", Gauge, Count, ["network.transport"],
        "Sessions, by what they are on at the moment";
    REFERENCES = "softbus.references", Gauge, Count, ["kind"],
        "Stubs of ours that peers hold (exports) and objects of theirs that we hold (imports)";
    IN_FLIGHT = "softbus.calls.in_flight", Gauge, Count, ["direction"],
        "Calls that have not ended";
    DEATH_LINKS = "softbus.death_links", Gauge, Count, [],
        "Objects watched for their death";
    BULK_WAITING = "softbus.bulk.waiting", Gauge, Count, [],
        "Headers and bodies that wait for their other half";
    BULK_MEMORY = "softbus.bulk.memory", Gauge, Bytes, [],
        "Memory of bulk bodies that are arriving";
    QUEUE_DEPTH = "softbus.queue.depth", Gauge, Count, ["softbus.service.id"],
        "Requests that run or wait, by service";
}

/// What sessions are on. Each is always told of, because a session may move from one to another.
const TRANSPORTS: [&str; 4] = ["quic", "tcp", "unix", "memory"];

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Describes every metric to the recorder and begins to record: for the whole process, and for good. Call it after the
/// recorder has been installed. Until then a call costs one load more, and afterwards two looks at the clock and
/// a look-up at each end.
pub fn enable() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram => {
                ::metrics::describe_histogram!(metric.name, metric.unit, metric.help);
            }
        }
    }
    ENABLED.store(true, Ordering::Relaxed);
}

/// Whether [`enable`] has been called.
#[inline]
pub fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Hands over what the sessions and services of a bus count by themselves. `labels` go with each gauge: two nodes of
/// one process need different ones, or the last to publish wins.
pub fn publish(bus: &Bus, labels: &[(&'static str, String)]) {
    if !is_enabled() {
        return;
    }
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, value.clone()))
        .collect();
    let with = |name: &'static str, value: String| {
        let mut labels = labels.clone();
        labels.push(Label::new(name, value));
        labels
    };
    let peers = bus.peers();
    let mut sum = Usage::default();
    let mut bulk_memory = 0;
    for peer in &peers {
        publish_traffic(peer);
        let usage = peer.usage();
        sum.exports += usage.exports;
        sum.imports += usage.imports;
        sum.calls += usage.calls;
        sum.serving += usage.serving;
        sum.links += usage.links;
        sum.bulk += usage.bulk;
        bulk_memory += peer.bulk_memory.get();
    }
    for transport in TRANSPORTS {
        let on = |peer: &&Arc<PeerShared>| peer.link().transport() == transport;
        let labels = with("network.transport", transport.to_owned());
        gauge!(SESSIONS, labels).set(peers.iter().filter(on).count() as f64);
    }
    gauge!(REFERENCES, with("kind", "exports".into())).set(sum.exports as f64);
    gauge!(REFERENCES, with("kind", "imports".into())).set(sum.imports as f64);
    gauge!(IN_FLIGHT, with("direction", "client".into())).set(sum.calls as f64);
    gauge!(IN_FLIGHT, with("direction", "server".into())).set(sum.serving as f64);
    gauge!(DEATH_LINKS, labels.clone()).set(sum.links as f64);
    gauge!(BULK_WAITING, labels.clone()).set(sum.bulk as f64);
    gauge!(BULK_MEMORY, labels.clone()).set(bulk_memory as f64);
    for (service, depth) in bus.queue_depths() {
        let labels = with("softbus.service.id", service.to_string());
        gauge!(QUEUE_DEPTH, labels).set(depth as f64);
    }
}

/// Publishes again and again, until the bus is gone. To be called on its runtime.
pub fn publish_every(bus: &Arc<Bus>, pause: Duration, labels: Vec<(&'static str, String)>) {
    let bus = Arc::downgrade(bus);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(pause.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(bus) = bus.upgrade() else {
                return;
            };
            publish(&bus, &labels);
        }
    });
}

/// A session has begun with a device that had one before.
pub fn reconnected() {
    if is_enabled() {
        counter!(RECONNECTS).increment(1);
    }
}

fn publish_traffic(peer: &PeerShared) {
    let (received, sent) = peer.telemetry().take_traffic();
    counter!(BYTES, "direction" => "received").increment(received);
    counter!(BYTES, "direction" => "sent").increment(sent);
}

pub(crate) fn session_opened() {
    if is_enabled() {
        counter!(SESSIONS_OPENED).increment(1);
    }
}

pub(crate) fn session_ended(peer: &PeerShared, reason: DeathReason) {
    if is_enabled() {
        publish_traffic(peer);
        counter!(SESSIONS_ENDED, "reason" => death_reason(reason)).increment(1);
    }
}

pub(crate) fn died(reason: DeathReason, recipients: usize) {
    if is_enabled() {
        counter!(DEATHS, "reason" => death_reason(reason)).increment(recipients as u64);
    }
}

pub(super) fn refused(direction: &'static str, status: CallStatus) {
    if is_enabled() {
        counter!(REFUSALS, "direction" => direction, "kind" => status.as_str()).increment(1);
    }
}

pub(super) fn slow(what: &'static str) {
    if is_enabled() {
        counter!(SLOW, "what" => what).increment(1);
    }
}

/// A call has ended.
pub(super) fn call_ended(end: End, method: &Method, status: CallStatus, took: Duration) {
    let handles = methods::of(end, method, status);
    handles.calls.increment(1);
    handles.duration.record(took.as_secs_f64());
}

const fn death_reason(reason: DeathReason) -> &'static str {
    match reason {
        DeathReason::ServiceRemoved => "service_removed",
        DeathReason::Revoked => "revoked",
        DeathReason::ProcessDied => "process_died",
        DeathReason::DeviceUnreachable => "device_unreachable",
        DeathReason::AccessRevoked => "access_revoked",
        DeathReason::HostGone => "host_gone",
        _ => "other",
    }
}
