//! Every metric that is documented is recorded, under its name, with its labels and no others.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "telemetry/devices.rs"]
mod devices;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use devices::{Actor, Pair, SERVICE, call, code, pair, settle, sleep};
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use softbus_rpc::{
    DeathReason, RemoteObject,
    telemetry::metrics::{self, Kind, METRICS},
};

/// Name, sorted labels, value.
type Row = (String, BTreeMap<String, String>, DebugValue);

fn rows(snapshotter: &Snapshotter) -> Vec<Row> {
    let rows = snapshotter.snapshot().into_vec().into_iter();
    let row = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
        let metric = METRICS
            .iter()
            .find(|metric| metric.name == key.key().name());
        let metric = metric.unwrap_or_else(|| panic!("{} is not documented", key.key().name()));
        let kind = match metric.kind {
            Kind::Counter => MetricKind::Counter,
            Kind::Gauge => MetricKind::Gauge,
            _ => MetricKind::Histogram,
        };
        assert_eq!(key.kind(), kind, "{}", metric.name);
        let labels = key.key().labels();
        let labels: BTreeMap<String, String> = labels
            .map(|label| (label.key().to_owned(), label.value().to_owned()))
            .filter(|(name, _)| name != "node")
            .collect();
        let documented: BTreeSet<_> = metric.labels.iter().copied().collect();
        let found: BTreeSet<_> = labels.keys().map(String::as_str).collect();
        assert_eq!(found, documented, "{}", metric.name);
        (metric.name.to_owned(), labels, value)
    };
    rows.map(row).collect()
}

fn count(rows: &[Row], name: &str, labels: &[(&str, &str)]) -> u64 {
    let matches = |row: &&Row| {
        let has = |(name, value): &(&str, &str)| row.1.get(*name).is_some_and(|v| v == value);
        row.0 == name && labels.iter().all(has)
    };
    let value = |row: &Row| match &row.2 {
        DebugValue::Counter(value) => *value,
        DebugValue::Gauge(value) => value.0 as u64,
        DebugValue::Histogram(values) => values.len() as u64,
    };
    rows.iter().filter(matches).map(value).sum()
}

#[tokio::test(start_paused = true)]
async fn every_documented_metric_is_recorded() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    assert!(!metrics::is_enabled());
    metrics::enable();

    let Pair {
        actor,
        here,
        there,
        buses,
    } = &pair(Actor::default()).await;
    let _link = actor.link_to_death(|_: DeathReason| {}).unwrap();
    for _ in 0..3 {
        call(actor, code::ECHO, "hello").await.unwrap();
    }
    call(actor, code::REFUSE, "").await.unwrap_err();
    call(actor, code::UNKNOWN, "").await.unwrap_err();
    sleep(actor, 3_000).await.unwrap();
    sleep(actor, 6_000).await.unwrap();
    metrics::reconnected();
    settle().await;
    let label = vec![("node", "here".to_owned())];
    metrics::publish(&buses[0], &label);
    metrics::publish(&buses[1], &[("node", "there".to_owned())]);
    buses[1].samgr().remove(SERVICE).unwrap();
    settle().await;
    there.leave(0, "bye").await;
    here.ended().await;
    settle().await;

    let rows = rows(&snapshotter);
    let found: BTreeSet<_> = rows.iter().map(|row| row.0.as_str()).collect();
    let documented: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(found, documented);

    let count = |name, labels: &[_]| count(&rows, name, labels);
    let ok = ("rpc.response.status_code", "ok");
    let echo = ("rpc.method", "org.example.Actor/1");
    let (client, server) = (("direction", "client"), ("direction", "server"));
    assert_eq!(count("softbus.calls", &[server, ok, echo]), 3);
    assert_eq!(count("rpc.server.call.duration", &[ok, echo]), 3);
    // The caller has no interface of it, and knows the service's id.
    assert_eq!(
        count("softbus.calls", &[client, ok, ("rpc.method", "7/1")]),
        3
    );
    assert_eq!(
        count("rpc.client.call.duration", &[ok, ("rpc.method", "7/1")]),
        3
    );
    // What only the caller has heard of is no label here.
    let unknown = ("rpc.response.status_code", "unknown_method");
    assert_eq!(
        count(
            "softbus.calls",
            &[server, unknown, ("rpc.method", "_OTHER")]
        ),
        1
    );
    for direction in [client, server] {
        assert_eq!(
            count("softbus.refusals", &[direction, ("kind", "refused")]),
            1
        );
    }
    assert_eq!(count("softbus.slow", &[("what", "handler")]), 1);
    assert_eq!(count("softbus.slow", &[("what", "stuck_handler")]), 1);
    assert_eq!(count("softbus.slow", &[("what", "call")]), 2);
    assert!(count("softbus.bytes", &[("direction", "sent")]) > 100);
    assert_eq!(
        count("softbus.bytes", &[("direction", "sent")]),
        count("softbus.bytes", &[("direction", "received")]),
        "both ends are in this process"
    );
    assert_eq!(count("softbus.sessions.opened", &[]), 2);
    assert_eq!(count("softbus.sessions.ended", &[]), 2);
    assert_eq!(count("softbus.reconnects", &[]), 1);
    assert_eq!(count("softbus.deaths", &[("reason", "service_removed")]), 1);
    assert_eq!(
        count("softbus.sessions", &[("network.transport", "memory")]),
        2
    );
    assert_eq!(
        count("softbus.sessions", &[]),
        2,
        "and none on anything else"
    );
    assert_eq!(count("softbus.references", &[("kind", "imports")]), 3);
    assert_eq!(count("softbus.death_links", &[]), 1);

    // No label is a device.
    for number in [1, 2] {
        let device = proto::DeviceId::from_bytes([number; 32]);
        let mut values = rows.iter().flat_map(|row| row.1.values());
        let short = device.short().to_string();
        assert!(!values.any(|value| value.contains(&short)));
    }
}

/// The gauges follow by themselves, until the bus is gone.
#[tokio::test(start_paused = true)]
async fn publishing_again_and_again_keeps_no_bus_alive() {
    let bus = devices::bus(3);
    let weak = std::sync::Arc::downgrade(&bus);
    bus.samgr()
        .add(
            SERVICE,
            &RemoteObject::new(Actor::default()),
            Default::default(),
        )
        .unwrap();
    metrics::publish_every(&bus, Duration::from_secs(5), Vec::new());
    tokio::time::sleep(Duration::from_secs(12)).await;
    drop(bus);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(weak.upgrade().is_none());
}

/// What is documented is what there is.
#[test]
fn the_table_of_the_documentation_names_every_metric_and_no_other() {
    let text = include_str!("../../docs/observability.md");
    let table = text.split("## Metrics").nth(1).unwrap();
    let table = table.split("## The log").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let documented: BTreeMap<String, String> = cells
        .map(|cells| (cells[1].replace('`', ""), cells[3].replace('`', "")))
        .collect();
    let there = METRICS
        .iter()
        .map(|metric| (metric.name.to_owned(), metric.labels.join(", ")));
    assert_eq!(documented, there.collect());
}
