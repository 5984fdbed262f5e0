//! What a device is told to do, and says the outcome of.

use std::{
    fs::File,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use softbus::{
    Allow, CallError, DeviceId, Node, SendRequestError, ServiceId, ServiceOptions,
    rpc::AddServiceError,
};

use super::marks::{self, MarksProxy, marks};
use crate::program::{Result, stats};

/// The first of those that `services` registers.
const MANY: u32 = 2000;
/// How long a transfer may take.
const PATIENCE: Duration = Duration::from_secs(50);

pub(super) async fn obey(node: &Node, words: &[&str]) -> Result<Value> {
    match *words {
        ["calls", device, count] => calls(node, &device.parse()?, count.parse()?, None).await,
        ["calls", device, count, seconds] => {
            let at_most = Duration::from_secs(seconds.parse()?);
            calls(node, &device.parse()?, count.parse()?, Some(at_most)).await
        }
        ["all", run, number] => all(node, run.parse()?, number.parse()?).await,
        ["transfer", device, bytes] => transfer(node, &device.parse()?, bytes.parse()?).await,
        ["one-way", device, count, run] => {
            one_way(node, &device.parse()?, count.parse()?, run.parse()?).await
        }
        ["flood", device, seconds] => {
            let time = Duration::from_secs(seconds.parse()?);
            flood(node, &device.parse()?, time).await
        }
        ["services", count] => services(node, count.parse()?).await,
        _ => Err(format!("no such command: {words:?}").into()),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

async fn calls(
    node: &Node,
    device: &DeviceId,
    count: u64,
    at_most: Option<Duration>,
) -> Result<Value> {
    let proxy = marks(node, device).await?;
    let begun = Instant::now();
    let mut took = Vec::new();
    for number in 0..count {
        if at_most.is_some_and(|most| begun.elapsed() >= most) {
            break;
        }
        let call = Instant::now();
        proxy.mark(0, number).await?;
        took.push(ms(call.elapsed()));
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(json!({
        "event": "called",
        "count": took.len(),
        "p50": stats::percentile(&took, 50),
        "p99": stats::percentile(&took, 99),
        "most": stats::most(&took),
        "per_second": took.len() as f64 / seconds,
    }))
}

/// Gets the service of each device that is online and calls it once.
async fn all(node: &Node, run: u64, number: u64) -> Result<Value> {
    let mut took = Vec::new();
    let mut errors = Vec::new();
    for device in node.devices().iter().filter(|device| device.is_online()) {
        let begun = Instant::now();
        let called = async {
            let proxy = marks(node, &device.id).await?;
            proxy.mark(run, number).await?;
            Result::Ok(())
        };
        match called.await {
            Ok(()) => took.push(ms(begun.elapsed())),
            Err(error) => errors.push(error.to_string()),
        }
    }
    Ok(json!({
        "event": "called all",
        "count": took.len(),
        "errors": errors,
        "p50": stats::percentile(&took, 50),
        "p99": stats::percentile(&took, 99),
        "most": stats::most(&took),
    }))
}

async fn transfer(node: &Node, device: &DeviceId, bytes: usize) -> Result<Value> {
    let proxy = marks(node, device).await?;
    let begun = Instant::now();
    // A quarter of all packets lost is more than the usual wait is for.
    let proxy = proxy.wait(PATIENCE);
    let back = proxy.echo(vec![7; bytes]).await?;
    if back.len() != bytes {
        return Err(format!("{} bytes came back", back.len()).into());
    }
    Ok(json!({ "event": "transferred", "ms": ms(begun.elapsed()) }))
}

/// One-way calls, as fast as they are accepted, numbered from 0, until they have arrived.
async fn one_way(node: &Node, device: &DeviceId, count: u64, run: u64) -> Result<Value> {
    let proxy = marks(node, device).await?;
    let begun = Instant::now();
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for number in 0..count {
        match proxy.note(run, number).await {
            Ok(()) => accepted += 1,
            Err(CallError::Send(SendRequestError::Busy { .. })) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    proxy.as_object().flush(PATIENCE).await?;
    Ok(json!({
        "event": "sent",
        "ms": ms(begun.elapsed()),
        "accepted": accepted,
        "refused": refused,
    }))
}

/// As many calls at a time as this, beside one-way calls without end.
const AT_A_TIME: usize = 1500;
const BODY: usize = 16 * 1024;

async fn flood(node: &Node, device: &DeviceId, time: Duration) -> Result<Value> {
    let object = node.samgr().get(marks::MARKS, device).await?;
    let until = Instant::now() + time;
    let mut two_way = tokio::task::JoinSet::new();
    for _ in 0..AT_A_TIME {
        let proxy = MarksProxy::new(object.clone());
        two_way.spawn_local(async move {
            let mut counts = (0_u64, 0_u64);
            while Instant::now() < until {
                match proxy.echo(vec![7; BODY]).await {
                    Ok(_) => counts.0 += 1,
                    Err(_) => {
                        counts.1 += 1;
                        tokio::task::yield_now().await;
                    }
                }
            }
            counts
        });
    }
    let proxy = MarksProxy::new(object);
    let (mut noted, mut answered, mut refused) = (0_u64, 0, 0);
    while Instant::now() < until {
        match proxy.note(0, noted).await {
            Ok(()) => noted += 1,
            Err(_) => refused += 1,
        }
        tokio::task::yield_now().await;
    }
    while let Some(counts) = two_way.join_next().await {
        let counts = counts?;
        answered += counts.0;
        refused += counts.1;
    }
    Ok(json!({
        "event": "flooded", "answered": answered, "one_way": noted, "refused": refused
    }))
}

/// Registers as many, looks each up, is told that there is no room for one more, and removes them.
async fn services(node: &Node, count: u32) -> Result<Value> {
    let id = |number| ServiceId::new(MANY + number).ok_or("no such id");
    let file = Arc::new(Mutex::new(File::open("/dev/null")?));
    let options = || ServiceOptions::distributed(Allow::trusted());
    let add = |number| -> Result<_> {
        Ok(node
            .samgr()
            .add(id(number)?, &marks::stub(&file), options()))
    };
    let begun = Instant::now();
    for number in 0..count {
        add(number)??;
    }
    let added = begun.elapsed();
    let one_more = add(count)?;
    let looked = Instant::now();
    for number in 0..count {
        node.samgr().get(id(number)?, &node.device_id()).await?;
    }
    let got = looked.elapsed();
    for number in 0..count {
        node.samgr().remove(id(number)?)?;
    }
    let limit = match one_more {
        Err(AddServiceError::LimitReached { limit, .. }) => limit,
        Err(error) => return Err(error.into()),
        Ok(()) => {
            node.samgr().remove(id(count)?)?;
            0
        }
    };
    Ok(json!({
        "event": "served", "added_ms": ms(added), "got_ms": ms(got), "limit": limit
    }))
}
