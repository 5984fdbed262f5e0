//! A device of the lab: finds the others by mDNS, says who comes and goes, serves calls and writes each down, and makes calls.
//!
//! What it says is a JSON object a line, with `at`, the time by [`clock`](crate::program::clock). It obeys lines:
//!
//! - `stream DEVICE RUN`: calls a device again and again, each call with a number of its own, until `stop`.
//! - `counted DEVICE RUN COUNT SECONDS`: as many of those, or as many as there is time for.
//! - `calls DEVICE COUNT [SECONDS]`: as many calls, one after the other, or as many as there is time for.
//! - `all RUN NUMBER`: one call of each device that is online, its service looked up before.
//! - `transfer DEVICE BYTES`: so many bytes there and back.
//! - `one-way DEVICE COUNT RUN`: as many one-way calls, until they have arrived.
//! - `flood DEVICE SECONDS`: as many calls as go, of every kind.
//! - `services COUNT`: registers so many, looks each up, and removes them.
//! - `watch DEVICE`: says when the process dies that serves there beside the host.
//! - `where DEVICE`: how the session with it goes.
//! - `clock`: what its wall clock shows.
//! - `usage`: what this process has and what its sessions hold.
//! - `leave`: takes leave and ends.

mod marks;
pub(crate) mod process;
mod stream;
mod tasks;

use std::{
    fs::OpenOptions,
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use softbus::{
    Allow, DeathLink, DeathReason, DeviceEvent, DeviceId, Interfaces, Node, RemoteObject,
    ServiceOptions, transport::Transport,
};
use tokio::sync::mpsc;

use crate::program::{By, Result, clock};
pub(crate) use marks::MARKS;
use stream::Stream;

/// The file with an entry of 16 bytes for each call that was served, in the directory of the device.
pub(crate) const SERVED: &str = "served";

/// What a device is.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where its identity is
    directory: PathBuf,
    #[arg(long, value_enum, default_value_t = By::All)]
    transport: By,
    /// Hosts the bus of its device there
    #[arg(long)]
    host: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    run_locally(serve(options))
}

pub(crate) fn run_locally(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, work)?;
    // The thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    Ok(())
}

async fn start(options: &Options) -> Result<(Node, RemoteObject)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(options.directory.join(SERVED))?;
    let stub = marks::stub(&Arc::new(Mutex::new(file)));
    let mut builder = Node::builder()
        .identity_dir(&options.directory)
        .service(MARKS, &stub, ServiceOptions::distributed(Allow::trusted()))
        .transports(options.transport.transports())
        .mdns(Interfaces::All);
    if let Some(socket) = &options.host {
        builder = builder.host_local(socket);
    }
    Ok((builder.start().await?, stub))
}

async fn serve(options: &Options) -> Result<()> {
    let begun = clock::now();
    let (node, stub) = start(options).await?;
    say(json!({
        "event": "ready",
        "device": node.device_id().to_string(),
        "port": node.local_addr().map(|address| address.port()),
        "begun": begun,
    }));
    let mut events = node.device_events();
    let mut lines = input();
    let mut stream = None;
    let mut watched = Vec::new();
    loop {
        tokio::select! {
            event = events.next() => tell(&event),
            line = lines.recv() => {
                let Some(line) = line else { return Ok(()) };
                let words: Vec<_> = line.split(' ').collect();
                let done = match words[..] {
                    ["leave"] => {
                        node.shutdown().await;
                        return Ok(());
                    }
                    ["stream", device, run] => {
                        stream = Some(Stream::begin(&node, device.parse()?, run.parse()?));
                        continue;
                    }
                    ["stop"] => match stream.take() {
                        Some(stream) => stream.end().await,
                        None => Err("no stream".into()),
                    },
                    ["usage"] => usage(&node, &stub),
                    ["counted", device, run, count, seconds] => {
                        let at_most = Duration::from_secs(seconds.parse()?);
                        let (device, run, count) = (device.parse()?, run.parse()?, count.parse()?);
                        Ok(stream::counted(&node, device, run, count, at_most).await)
                    }
                    ["clock"] => clock_shows(),
                    ["where", device] => whereabouts(&node, &device.parse()?),
                    ["watch", device] => watch(&node, &device.parse()?, &mut watched).await,
                    _ => tasks::obey(&node, &words).await,
                };
                say(done.unwrap_or_else(
                    |error| json!({ "event": "failed", "error": error.to_string() }),
                ));
            }
        }
    }
}

fn clock_shows() -> Result<Value> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(json!({ "event": "clock", "seconds": since.as_secs() }))
}

/// By what, and at which address, the session with a device is.
fn whereabouts(node: &Node, device: &DeviceId) -> Result<Value> {
    let devices = node.devices();
    let found = devices.iter().find(|found| found.id == *device);
    let found = found
        .filter(|found| found.is_online())
        .ok_or("not online")?;
    let transport = found.transport.map(|transport| transport.to_string());
    let address = found
        .addresses
        .first()
        .map(|address| address.ip().to_canonical());
    Ok(json!({
        "event": "there",
        "transport": transport,
        "address": address.map(|address| address.to_string()),
    }))
}

/// Says so when the process dies that serves beside the host of a device.
async fn watch(node: &Node, device: &DeviceId, watched: &mut Vec<DeathLink>) -> Result<Value> {
    let proxy = node.samgr().get(marks::OF_A_PROCESS, device).await?;
    marks::MarksProxy::new(proxy.clone()).mark(0, 0).await?;
    let device = device.to_string();
    watched.push(proxy.link_to_death(move |reason: DeathReason| {
        say(json!({ "event": "died", "device": device, "reason": reason.to_string() }));
    })?);
    Ok(json!({ "event": "watches" }))
}

/// Memory, descriptors and threads as the system counts them; tasks and tables as the bus does.
fn usage(node: &Node, stub: &RemoteObject) -> Result<Value> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let mut cpu = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        // A thread may have ended since. Nanoseconds come first.
        let stat = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        let spent = stat
            .split(' ')
            .next()
            .and_then(|spent| spent.parse::<f64>().ok());
        cpu += spent.unwrap_or_default() / 1_000_000.0;
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    let held: usize = node
        .usage()
        .iter()
        .map(|(_, usage)| {
            usage.exports
                + usage.imports
                + usage.calls
                + usage.serving
                + usage.links
                + usage.bulk
                + usage.obituaries
        })
        .sum();
    Ok(json!({
        "event": "usage",
        "kib": field("VmRSS:"),
        "threads": field("Threads:"),
        "descriptors": std::fs::read_dir("/proc/self/fd")?.count(),
        "tasks": metrics.num_alive_tasks(),
        "sessions": node.usage().len(),
        "by_tcp": by_tcp(node),
        "held": held,
        "refused": stub.stats().map(|stats| stats.refused.total()),
        "cpu_ms": cpu,
    }))
}

/// With how many devices the session is by TCP now.
fn by_tcp(node: &Node) -> usize {
    let by_tcp = |device: &softbus::Device| device.transport == Some(Transport::Tcp);
    node.devices()
        .iter()
        .filter(|device| by_tcp(device))
        .count()
}

fn tell(event: &DeviceEvent) {
    say(match event {
        DeviceEvent::Online(id) => json!({ "event": "online", "device": id.to_string() }),
        DeviceEvent::Offline(id, reason) => json!({
            "event": "offline", "device": id.to_string(), "reason": reason.to_string()
        }),
        other => json!({ "event": format!("{other:?}") }),
    });
}

pub(crate) fn input() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

pub(crate) fn say(mut event: Value) {
    event["at"] = clock::now().into();
    let mut out = io::stdout().lock();
    // Who does not read any more is over, and so is this.
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}
