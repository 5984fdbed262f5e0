//! A process of a device for tests: `local_process PATH [USER]`, which attaches to the host there, as another user if it is told to.
//!
//! It says what happens, a JSON object a line, and obeys lines on its standard input, with whose end it ends:
//!
//! - `serve`: registers a workbench.
//! - `offer`: registers a workbench for other devices too.
//! - `meet DEVICE`: waits for the workbench of a device, calls it, is called back by it, keeps it and watches it.
//! - `again`: calls what it met last.
//! - `hand over`: gives what it met last to its host.
//! - `get DEVICE`: gets the workbench of a device.
//! - `dump`: says what the workbench of its own device writes.
//! - `hold`: gets the workbench of the device, calls it, keeps it and watches it.
//! - `fork`: leaves its sockets to a child that it forks.
//! - `call in a child`: calls what it holds in a child that it forks, and says what came of it.
//!
//! # Safety
//!
//! What runs between `fork` and `exec` may only do little ([`CommandExt::pre_exec`]): the children here wait or make one call,
//! which has to be refused before it does anything.
#![expect(unsafe_code, reason = "forks")]

use std::{
    io::{self, BufRead, Write},
    os::unix::process::CommandExt,
    pin::pin,
    process::Command,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use rustix::{
    process::{Uid, getuid},
    thread::set_thread_uid,
};
use serde_json::{Value, json};
use softbus::{
    CallOption, DeathLink, Node, Parcel, RemoteObject, SendRequestError, ServiceOptions,
};
use testkit::scenarios::{
    introductions::{INBOX, give},
    workbench::{SERVICE, delegate, for_all, reverse, workbench},
};
use tokio::sync::mpsc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a child tells by its failure to start.
const FORKED: i32 = 71;
const NOT_REFUSED: i32 = 72;

/// How long a service of another device is waited for.
const SOON: Duration = Duration::from_secs(20);

fn main() -> Result<(), Failure> {
    let path = std::env::args_os().nth(1).ok_or("local_process PATH")?;
    if let Some(user) = std::env::args().nth(2) {
        // Of this thread, which is the only one, and of those that it starts.
        set_thread_uid(Uid::from_raw(user.parse()?))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(path.into()))?;
    // The thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    Ok(())
}

async fn run(path: std::path::PathBuf) -> Result<(), Failure> {
    let node = match Node::attach(path).await {
        Ok(node) => node,
        Err(error) => {
            refused("not attached", &error);
            return Ok(());
        }
    };
    let (stub, _bench) = workbench();
    let mut lines = input();
    let mut held = Vec::new();
    say(&json!({ "event": "ready", "user": getuid().as_raw() }));
    while let Some(line) = lines.recv().await {
        match &*line {
            "serve" => {
                let options = ServiceOptions::local();
                match node.samgr().register(SERVICE, &stub, options).await {
                    Ok(()) => say(&json!({ "event": "serves" })),
                    Err(error) => refused("refused", &error),
                }
            }
            "offer" => {
                node.samgr().register(SERVICE, &stub, for_all()).await?;
                say(&json!({ "event": "offers" }));
            }
            "again" => report("called", reverse(last(&held)?, 2019).await),
            "hand over" => {
                let inbox = node.samgr().get(INBOX, &node.device_id()).await?;
                report(
                    "handed over",
                    give(&inbox, &[last(&held)?]).await.map(|()| 0),
                );
            }
            "dump" => {
                let proxy = node.samgr().get(SERVICE, &node.device_id()).await?;
                let (reader, writer) = io::pipe()?;
                let dumped = proxy.dump(&writer, &["it"], CallOption::two_way()).await;
                drop(writer);
                match dumped {
                    Ok(()) => {
                        say(&json!({ "event": "dumped", "text": io::read_to_string(reader)? }))
                    }
                    Err(error) => refused("dumped", &error),
                }
            }
            "hold" => {
                let proxy = node.samgr().get(SERVICE, &node.device_id()).await?;
                reverse(&proxy, 12).await?;
                held.push(watched(proxy)?);
                say(&json!({ "event": "holds" }));
            }
            "fork" => {
                thread::spawn(|| {
                    fork(|| {
                        thread::sleep(Duration::from_secs(600));
                        Ok(())
                    })
                });
            }
            "call in a child" => {
                let (proxy, _) = held.first().ok_or("nothing is held")?;
                let proxy = proxy.clone();
                let error = fork(move || Err(io::Error::from_raw_os_error(call_once(&proxy))));
                let refused = error.and_then(|error| error.raw_os_error()) == Some(FORKED);
                say(&json!({ "event": "called", "refused": refused }));
                reverse(&held[0].0, 12).await?;
            }
            other if other.starts_with("meet ") => {
                let device = other["meet ".len()..].parse()?;
                let met = node.samgr().wait_for(SERVICE, &device, SOON).await?;
                let result = reverse(&met, 2019).await?;
                let called_back = delegate(&met, &stub, 12).await?;
                held.push(watched(met)?);
                say(&json!({ "event": "met", "result": result, "called back": called_back }));
            }
            other => {
                let device = other.strip_prefix("get ").ok_or("what is that?")?;
                match node.samgr().get(SERVICE, &device.parse()?).await {
                    Ok(_) => say(&json!({ "event": "got" })),
                    Err(error) => refused("got", &error),
                }
            }
        }
    }
    Ok(())
}

/// What is held, and told of when it dies.
fn watched(proxy: RemoteObject) -> Result<(RemoteObject, DeathLink), Failure> {
    let link = proxy.link_to_death(|reason| {
        say(&json!({ "event": "died", "reason": format!("{reason:?}") }));
    })?;
    Ok((proxy, link))
}

fn last(held: &[(RemoteObject, DeathLink)]) -> Result<&RemoteObject, Failure> {
    let (proxy, _) = held.last().ok_or("nothing is held")?;
    Ok(proxy)
}

/// Runs something in a forked child. Returns when that has ended: why it did.
fn fork(child: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Option<io::Error> {
    let mut command = Command::new("true");
    // SAFETY: it sleeps, or makes a call that is refused before it takes a lock.
    unsafe { command.pre_exec(child) };
    command.spawn().err()
}

/// Makes a call that is not waited for.
fn call_once(proxy: &RemoteObject) -> i32 {
    let data = Parcel::new();
    let call = pin!(proxy.send_request(1, &data, CallOption::two_way()));
    match call.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(SendRequestError::Forked)) => FORKED,
        _ => NOT_REFUSED,
    }
}

fn input() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn report(event: &str, done: Result<i32, SendRequestError>) {
    match done {
        Ok(result) => say(&json!({ "event": event, "result": result })),
        Err(error) => refused(event, &error),
    }
}

fn refused(event: &str, error: &dyn std::fmt::Debug) {
    say(&json!({ "event": event, "error": format!("{error:?}") }));
}

fn say(value: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{value}");
    let _ = out.flush();
}
