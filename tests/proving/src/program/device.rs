//! A device of the lab: finds the others by mDNS, says who comes and goes, serves calls and writes each down, and makes calls.
//!
//! What it says is a JSON object a line, with `at`, the time by [`clock`](crate::program::clock). It obeys lines:
//!
//! - `stream DEVICE RUN`: calls a device again and again, each call with a number of its own, until `stop`.
//! - `calls DEVICE COUNT`: as many calls, one after the other.
//! - `transfer DEVICE BYTES`: so many bytes there and back.
//! - `one-way DEVICE COUNT`: as many one-way calls, and one that waits for them.
//! - `services COUNT`: registers so many, looks each up, and removes them.
//! - `usage`: what this process has and what its sessions hold.
//! - `leave`: takes leave and ends.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, Write},
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use softbus::{
    Allow, CallError, CallOption, DeviceEvent, DeviceId, Interfaces, Node, RemoteObject,
    SendRequestError, ServiceId, ServiceOptions, remote_interface,
};
use tokio::sync::{mpsc, oneshot};

use crate::program::{Result, clock, stats};

const MARKS: ServiceId = ServiceId::new(1405).unwrap();
/// The first of those that `services` registers.
const MANY: u32 = 2000;
/// How long a transfer may take.
const PATIENCE: Duration = Duration::from_secs(50);
/// How long nobody is called after a call that failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(5);
/// The file with an entry of 16 bytes for each call that was served, in the directory of the device.
pub(crate) const SERVED: &str = "served";

#[remote_interface(descriptor = "org.example.proving.Marks")]
trait Marks {
    /// Writes down that this call of a run was served.
    async fn mark(&self, run: u64, number: u64) -> u64;
    /// The same without an answer.
    #[oneway]
    async fn note(&self, run: u64, number: u64);
    /// Gives back what it is given.
    async fn echo(&self, bytes: Vec<u8>) -> Vec<u8>;
}

/// Written to a file, which outlives a process that is killed.
struct Ledger(Arc<Mutex<File>>);

impl Ledger {
    fn write(&self, run: u64, number: u64) {
        let entry = [run.to_le_bytes(), number.to_le_bytes()].concat();
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk shows as lost calls.
        let _ = file.write_all(&entry);
    }
}

impl Marks for Ledger {
    async fn mark(&self, run: u64, number: u64) -> u64 {
        self.write(run, number);
        number
    }

    async fn note(&self, run: u64, number: u64) {
        self.write(run, number);
    }

    async fn echo(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}

pub(crate) fn run(directory: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(directory))?;
    // The thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(directory: &Path) -> Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(SERVED))?;
    let ledger = Ledger(Arc::new(Mutex::new(file)));
    let options = ServiceOptions::distributed(Allow::trusted());
    let stub: RemoteObject = MarksStub::new(ledger).into();
    let begun = clock::now();
    let node = Node::builder()
        .identity_dir(directory)
        .service(MARKS, &stub, options)
        .mdns(Interfaces::All)
        .start()
        .await?;
    say(json!({ "event": "ready", "device": node.device_id().to_string(), "begun": begun }));
    let mut events = node.device_events();
    let mut lines = input();
    let mut stream = None;
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
                    ["usage"] => usage(&node),
                    _ => obey(&node, &words).await,
                };
                say(done.unwrap_or_else(
                    |error| json!({ "event": "failed", "error": error.to_string() }),
                ));
            }
        }
    }
}

async fn obey(node: &Node, words: &[&str]) -> Result<Value> {
    match *words {
        ["calls", device, count] => calls(node, &device.parse()?, count.parse()?).await,
        ["transfer", device, bytes] => transfer(node, &device.parse()?, bytes.parse()?).await,
        ["one-way", device, count] => one_way(node, &device.parse()?, count.parse()?).await,
        ["services", count] => services(node, count.parse()?).await,
        _ => Err(format!("no such command: {words:?}").into()),
    }
}

async fn marks(node: &Node, device: &DeviceId) -> Result<MarksProxy> {
    Ok(MarksProxy::new(node.samgr().get(MARKS, device).await?))
}

async fn calls(node: &Node, device: &DeviceId, count: u64) -> Result<Value> {
    let proxy = marks(node, device).await?;
    let begun = Instant::now();
    let mut took = Vec::new();
    for number in 0..count {
        let call = Instant::now();
        proxy.mark(0, number).await?;
        took.push(call.elapsed().as_secs_f64() * 1000.0);
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok(json!({
        "event": "called",
        "p50": stats::percentile(&took, 50),
        "p99": stats::percentile(&took, 99),
        "most": stats::most(&took),
        "per_second": count as f64 / seconds,
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
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    Ok(json!({ "event": "transferred", "ms": ms }))
}

async fn one_way(node: &Node, device: &DeviceId, count: u64) -> Result<Value> {
    let proxy = marks(node, device).await?;
    let begun = Instant::now();
    let mut refused = 0_u64;
    for number in 0..count {
        match proxy.note(1, number).await {
            Ok(()) => {}
            Err(CallError::Send(SendRequestError::Busy { .. })) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    proxy.mark(1, count).await?;
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    Ok(json!({ "event": "sent", "ms": ms, "refused": refused }))
}

async fn services(node: &Node, count: u32) -> Result<Value> {
    let id = |number| ServiceId::new(MANY + number).ok_or("no such id");
    let file = Arc::new(Mutex::new(File::open("/dev/null")?));
    let begun = Instant::now();
    for number in 0..count {
        let stub: RemoteObject = MarksStub::new(Ledger(Arc::clone(&file))).into();
        let options = ServiceOptions::distributed(Allow::trusted());
        node.samgr().add(id(number)?, &stub, options)?;
    }
    let added = begun.elapsed();
    for number in 0..count {
        node.samgr().get(id(number)?, &node.device_id()).await?;
    }
    let got = begun.elapsed() - added;
    for number in 0..count {
        node.samgr().remove(id(number)?)?;
    }
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(json!({ "event": "served", "added_ms": ms(added), "got_ms": ms(got) }))
}

/// Memory, descriptors and threads as the system counts them; tasks and tables as the bus does.
fn usage(node: &Node) -> Result<Value> {
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
        "held": held,
        "cpu_ms": cpu,
    }))
}

/// Calls that go on whatever happens, and what became of each.
struct Stream {
    stop: oneshot::Sender<()>,
    log: Rc<RefCell<Log>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Log {
    /// How many were begun: their numbers are those below.
    begun: u64,
    /// Those that were answered, as ranges.
    answered: Vec<(u64, u64)>,
    /// Those that certainly were not made, and those of which that is not known.
    failed: Vec<u64>,
    unknown: Vec<u64>,
    kinds: BTreeMap<String, u64>,
    took: Vec<f64>,
    /// When the last was answered, and the longest time between two answers.
    last: Option<f64>,
    gap: f64,
}

impl Log {
    fn answered(&mut self, number: u64, took: f64) {
        match self.answered.last_mut() {
            Some((_, to)) if *to + 1 == number => *to = number,
            _ => self.answered.push((number, number)),
        }
        self.took.push(took);
        let now = clock::now();
        if let Some(last) = self.last.replace(now) {
            self.gap = self.gap.max(now - last);
        }
    }
}

impl Log {
    fn failed(&mut self, number: u64, error: &CallError) {
        *self.kinds.entry(error.to_string()).or_default() += 1;
        match error {
            CallError::Send(
                SendRequestError::Indeterminate
                | SendRequestError::TimedOut { .. }
                | SendRequestError::Cancelled,
            ) => self.unknown.push(number),
            _ => self.failed.push(number),
        }
    }
}

impl Stream {
    fn begin(node: &Node, device: DeviceId, run: u64) -> Self {
        let (stop, stopped) = oneshot::channel();
        let log: Rc<RefCell<Log>> = Rc::default();
        let calls = call_on(node.clone(), device, run, Rc::clone(&log), stopped);
        let task = tokio::task::spawn_local(calls);
        Self { stop, log, task }
    }

    /// Waits for the call that is under way: each has to end.
    async fn end(self) -> Result<Value> {
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        let log = self.log.borrow();
        Ok(json!({
            "event": "streamed",
            "begun": log.begun,
            "never_ended": u64::from(ended.is_err()),
            "answered": log.answered,
            "failed": log.failed,
            "unknown": log.unknown,
            "kinds": log.kinds,
            "p50": stats::percentile(&log.took, 50),
            "p99": stats::percentile(&log.took, 99),
            "gap": log.gap,
            "last": log.last,
        }))
    }
}

async fn call_on(
    node: Node,
    device: DeviceId,
    run: u64,
    log: Rc<RefCell<Log>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut proxy = None;
    while stopped.try_recv().is_err() {
        let Some(known) = &proxy else {
            let got = node
                .samgr()
                .get_within(MARKS, &device, Duration::from_secs(2))
                .await;
            proxy = got.ok().map(MarksProxy::new);
            if proxy.is_none() {
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
            continue;
        };
        let number = {
            let mut log = log.borrow_mut();
            log.begun += 1;
            log.begun - 1
        };
        let begun = Instant::now();
        let ended = known
            .with_option(CallOption::two_way().wait(Duration::from_secs(2)))
            .mark(run, number)
            .await;
        match ended {
            Ok(_) => {
                let took = begun.elapsed().as_secs_f64() * 1000.0;
                log.borrow_mut().answered(number, took);
            }
            Err(error) => {
                log.borrow_mut().failed(number, &error);
                if known.as_object().is_dead() {
                    proxy = None;
                }
                // What fails at once would fail for ever if nobody else got a turn.
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
    }
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

fn input() -> mpsc::UnboundedReceiver<String> {
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

fn say(mut event: Value) {
    event["at"] = clock::now().into();
    let mut out = io::stdout().lock();
    // Who does not read any more is over, and so is this.
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}
