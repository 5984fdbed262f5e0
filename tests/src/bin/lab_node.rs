//! A device for tests that kill processes:
//! `lab_node DIRECTORY [--quic | --tcp] [--only INTERFACE] [--port NUMBER] [--peer DEVICE ADDRESS].. [SOCKET]`, whose identity and
//! trust store are there. It talks by what is said, and by default by both. With a socket it hosts the bus of its device there, and
//! leaves the workbench to a process that attaches.
//!
//! It finds others by mDNS on all interfaces, so it belongs into a network namespace; where it is told of peers it knows those, and
//! looks for nobody. It offers a workbench, and a narrow one whose queue is short, and says
//! what happens, a JSON object a line. It obeys lines on its standard input and ends with that:
//!
//! - `call DEVICE`: gets the workbench of a device, calls it, and watches it.
//! - `calls DEVICE COUNT`: as many calls, one after the other.
//! - `introduce HOME RECEIVER`: gets the workbench of one device and passes it to the inbox of another.
//! - `again`: calls what it was introduced to last.
//! - `pairing`: opens a window for pairing by code, and says which; the windows before are dropped.
//! - `callers`: says who has called its workbench.
//! - `work COUNT MS [DEVICE..]`: calls the ledgers of these devices, or of all whom it trusts, so many at a time, with a pause of so
//!   many milliseconds.
//! - `rest`: ends that, and says when all has ended.
//! - `flood DEVICE COUNT`: calls the workbenches of a device as fast as it can, so many times at a time and one-way beside that.
//! - `calm`: ends that, and says what it was told.
//! - `clock`: says what its wall clock shows, in seconds since 1970.
//! - `online`: says who is online, and by what.
//! - `usage`: says with how many devices it has a session, and what of those is held that is not always there.
//! - `leave`: takes leave and ends.

#[path = "lab_node/flood.rs"]
mod flood;

use std::{
    ffi::OsString,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use softbus::{
    DeathLink, DeviceEvent, DeviceId, Interfaces, Node, RemoteObject,
    pairing::{PairingListener, PairingOptions},
    rpc::session::Usage,
    transport::Transports,
};
use testkit::{
    ledger::{LEDGER, Teller, ledger},
    scenarios::{
        introductions::{Came, INBOX, give, inbox},
        workbench::{Bench, SERVICE, for_all, reverse, workbench},
    },
};
use tokio::sync::mpsc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("lab_node DIRECTORY")?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut builder = Node::builder().identity_dir(&directory);
    let (mut interfaces, mut told_of_peers) = (Interfaces::All, false);
    let mut hosts = false;
    while let Some(argument) = arguments.next() {
        builder = match argument.to_str() {
            Some("--quic") => builder.transports(Transports::Quic),
            Some("--tcp") => builder.transports(Transports::Tcp),
            Some("--only") => {
                let name = arguments.next().ok_or("--only INTERFACE")?;
                interfaces = Interfaces::Only(vec![(*name.to_string_lossy()).into()]);
                builder
            }
            Some("--port") => builder.port(next(&mut arguments)?.parse()?),
            Some("--peer") => {
                told_of_peers = true;
                let device = next(&mut arguments)?.parse()?;
                builder.static_peer(device, next(&mut arguments)?.parse()?)
            }
            _ => {
                hosts = true;
                builder.host_local(argument)
            }
        };
    }
    if !told_of_peers {
        builder = builder.mdns(interfaces);
    }
    runtime.block_on(run(builder, &directory, hosts))?;
    // The thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    Ok(())
}

fn next(arguments: &mut impl Iterator<Item = OsString>) -> Result<String, Failure> {
    let argument = arguments.next().ok_or("an argument is missing")?;
    Ok(argument.to_string_lossy().into_owned())
}

async fn run(builder: softbus::NodeBuilder, home: &Path, hosts: bool) -> Result<(), Failure> {
    let started = Instant::now();
    let node = builder.start().await?;
    let (stub, bench) = workbench();
    if !hosts {
        node.samgr().add(SERVICE, &stub, for_all())?;
        node.samgr().add(LEDGER, &ledger(home)?, for_all())?;
        node.samgr()
            .add(flood::NARROW, &flood::narrow(), for_all())?;
    }
    say(&json!({ "event": "ready", "device": node.device_id().to_string() }));
    let mut events = node.device_events();
    let mut lines = input();
    let (stub, mut came) = inbox();
    node.samgr().add(INBOX, &stub, for_all())?;
    let mut links = Vec::new();
    let mut introduced = None;
    let mut window = None;
    let mut teller = None;
    let mut flooding = None;
    loop {
        tokio::select! {
            event = events.next() => tell(&event, started),
            line = lines.recv() => match line.as_deref() {
                Some("leave") => break node.shutdown().await,
                None => break,
                Some("again") => report(again(introduced.as_ref()).await, Instant::now()),
                Some("callers") => tell_callers(&bench),
                Some("online") => tell_online(&node),
                Some("clock") => tell_clock(),
                Some("usage") => tell_usage(&node),
                Some("rest") => rest(teller.take()).await?,
                Some("calm") => say(&flooding.take().map_or(Value::Null, flood::Flood::calm)),
                Some(line) if line.starts_with("flood ") => {
                    flooding = Some(flood::Flood::begin(&node, line).await?);
                    say(&json!({ "event": "floods" }));
                }
                Some(line) if line.starts_with("work ") => teller = Some(work(&node, home, line)?),
                Some("pairing") => window = open_pairing(&node, window).await,
                Some(line) => obey(&node, line, &mut links).await,
            },
            Some(came) = came.recv() => match receive(came, &mut links).await {
                Ok(object) => introduced = Some(object),
                Err(error) => say(&json!({ "event": "missing", "error": error.to_string() })),
            },
        }
    }
    Ok(())
}

fn tell(event: &DeviceEvent, started: Instant) {
    let ms = milliseconds(started);
    say(&match event {
        DeviceEvent::Online(id) => {
            json!({ "event": "online", "device": id.to_string(), "ms": ms })
        }
        DeviceEvent::Offline(id, reason) => json!({
            "event": "offline", "device": id.to_string(), "reason": reason.to_string(), "ms": ms
        }),
        other => json!({ "event": format!("{other:?}") }),
    });
}

async fn obey(node: &Node, line: &str, links: &mut Vec<DeathLink>) {
    let words: Vec<_> = line.split(' ').collect();
    let begun = Instant::now();
    let done = match words[..] {
        ["call", device] => call(node, device, 1, links).await,
        ["calls", device, count] => match count.parse() {
            Ok(count) => call(node, device, count, links).await,
            Err(error) => Err(error.into()),
        },
        ["introduce", home, receiver] => introduce(node, home, receiver).await,
        _ => Err("no such command".into()),
    };
    report(done, begun);
}

fn report(done: Result<i32, Failure>, begun: Instant) {
    let ms = milliseconds(begun);
    say(&match done {
        Ok(result) => json!({ "event": "called", "result": result, "ms": ms }),
        Err(error) => json!({ "event": "failed", "error": error.to_string(), "ms": ms }),
    });
}

async fn call(
    node: &Node,
    device: &str,
    count: u32,
    links: &mut Vec<DeathLink>,
) -> Result<i32, Failure> {
    let device: DeviceId = device.parse()?;
    let proxy = node.samgr().get(SERVICE, &device).await?;
    let mut result = 0;
    for _ in 0..count {
        result = reverse(&proxy, 2019).await?;
    }
    links.push(proxy.link_to_death(move |reason| {
        let (device, reason) = (device.to_string(), format!("{reason}"));
        say(&json!({ "event": "died", "device": device, "reason": reason }));
    })?);
    Ok(result)
}

async fn introduce(node: &Node, home: &str, receiver: &str) -> Result<i32, Failure> {
    let proxy = node.samgr().get(SERVICE, &home.parse()?).await?;
    let inbox = node.samgr().get(INBOX, &receiver.parse()?).await?;
    give(&inbox, &[&proxy]).await?;
    Ok(reverse(&proxy, 2019).await?)
}

/// Calls and watches what this device was introduced to.
async fn receive(came: Came, links: &mut Vec<DeathLink>) -> Result<RemoteObject, Failure> {
    let Came::Objects(mut objects, _) = came else {
        return Err("no object".into());
    };
    let object = objects.pop().ok_or("no object")??;
    let device = object.device().ok_or("a stub of our own")?.to_string();
    links.push(object.link_to_death({
        let device = device.clone();
        move |reason| {
            let reason = format!("{reason}");
            say(&json!({ "event": "died", "device": device, "reason": reason }));
        }
    })?);
    let result = reverse(&object, 2019).await?;
    say(&json!({ "event": "introduced", "device": device, "result": result }));
    Ok(object)
}

async fn again(introduced: Option<&RemoteObject>) -> Result<i32, Failure> {
    let object = introduced.ok_or("introduced to nothing")?;
    Ok(reverse(object, 2019).await?)
}

async fn open_pairing(node: &Node, before: Option<PairingListener>) -> Option<PairingListener> {
    drop(before);
    let options = PairingOptions::code().without_asking();
    let opened = node.open_pairing(options).await;
    say(&match &opened {
        Ok(window) => {
            let code = window.code();
            let address = node.local_addr().map(|address| address.port());
            json!({ "event": "open", "code": code.map(|code| code.reveal().to_owned()), "port": address })
        }
        Err(error) => json!({ "event": "frozen", "error": error.to_string() }),
    });
    opened.ok()
}

fn tell_callers(bench: &Bench) {
    let callers = bench.callers();
    let callers: Vec<_> = callers
        .iter()
        .map(|(who, _)| who.device.to_string())
        .collect();
    say(&json!({ "event": "callers", "devices": callers }));
}

fn work(node: &Node, home: &Path, line: &str) -> Result<Teller, Failure> {
    let words: Vec<_> = line.split(' ').collect();
    let [_, at_a_time, pause, ref whom @ ..] = words[..] else {
        return Err("work COUNT MS [DEVICE..]".into());
    };
    let mut whom = whom
        .iter()
        .map(|device| device.parse())
        .collect::<Result<Vec<DeviceId>, _>>()?;
    if whom.is_empty() {
        let trusted = node.trust().ok_or("no network")?.entries();
        whom.extend(trusted.into_iter().map(|entry| entry.device));
    }
    let pause = Duration::from_millis(pause.parse()?);
    Ok(Teller::start(node, home, whom, at_a_time.parse()?, pause)?)
}

async fn rest(teller: Option<Teller>) -> io::Result<()> {
    if let Some(teller) = teller {
        teller.rest().await?;
    }
    say(&json!({ "event": "rests" }));
    Ok(())
}

fn tell_clock() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs_f64();
    say(&json!({ "event": "clock", "seconds": seconds }));
}

fn tell_online(node: &Node) {
    let mut online = node.devices();
    online.retain(softbus::Device::is_online);
    let devices: Vec<_> = online.iter().map(|device| device.id.to_string()).collect();
    let by = online
        .iter()
        .map(|device| device.transport.map(|transport| transport.to_string()));
    let by: Vec<_> = by.collect();
    say(&json!({ "event": "online now", "devices": devices, "by": by }));
}

/// Of each session the two system ability managers are held, and what a proxy is kept of.
fn tell_usage(node: &Node) {
    let usage = node.usage();
    let held = usage.iter().filter(|(_, usage)| {
        let Usage {
            calls,
            serving,
            links,
            bulk,
            obituaries,
            ..
        } = usage;
        [calls, serving, links, bulk, obituaries] != [&0; 5]
            || usage.exports > 1
            || usage.imports > 1
    });
    let held: Vec<_> = held
        .map(|(party, usage)| format!("{party:?}: {usage:?}"))
        .collect();
    say(&json!({ "event": "usage", "sessions": usage.len(), "held": held }));
}

fn input() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn say(event: &Value) {
    let mut out = io::stdout().lock();
    // A test that does not read any more is over, and so is this.
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
