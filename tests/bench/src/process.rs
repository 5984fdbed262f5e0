//! The two processes of a cell: how they are told what to do, and what they say of themselves.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        prctl::set_pdeathsig,
        resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
        signal::Signal,
        time::TimeValLike,
    },
    unistd::{Pid, getppid},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use crate::workload::Workload;

/// One-way messages that this process, a server, has received.
static RECEIVED: AtomicU64 = AtomicU64::new(0);

/// Whether this process, a server, takes its time for each of them.
static SLOW: AtomicBool = AtomicBool::new(false);

/// How long a slow receiver takes for a message.
const SLOW_MESSAGE: Duration = Duration::from_millis(1);

/// A server got a one-way message. A slow one takes its time, and does other things meanwhile.
pub(crate) async fn received() {
    if SLOW.load(Ordering::Relaxed) {
        tokio::time::sleep(SLOW_MESSAGE).await;
    }
    RECEIVED.fetch_add(1, Ordering::Relaxed);
}

/// This process, a server, is what its workload needs it to be.
pub(crate) fn be_slow(slow: bool) {
    SLOW.store(slow, Ordering::Relaxed);
}

/// This process ends when the one that started it does, however that one ends.
pub(crate) fn end_with_parent() -> Result<()> {
    let parent = getppid();
    set_pdeathsig(Signal::SIGKILL)?;
    // It may have ended before it was asked for.
    ensure!(
        getppid() == parent,
        "the process that started this one is gone"
    );
    Ok(())
}

/// What a process of the bench is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Without `-mt`.
    pub(crate) contestant: String,
    pub(crate) workload: Workload,
    /// Two worker threads instead of a current-thread runtime that is pinned to a core.
    pub(crate) multi_thread: bool,
    pub(crate) warm: Duration,
    pub(crate) measure: Duration,
    /// Identities, whom the server trusts, and sockets.
    pub(crate) directory: PathBuf,
    /// Where a server listens: loopback, or its address in a lab.
    pub(crate) host: String,
}

impl Spec {
    /// The runtime that a contestant's row is about.
    pub(crate) fn runtime(&self, core: usize) -> Result<Runtime> {
        if self.multi_thread {
            let mut runtime = Builder::new_multi_thread();
            return Ok(runtime.worker_threads(2).enable_all().build()?);
        }
        let mut cores = CpuSet::new();
        cores.set(core)?;
        // A machine with one core runs both on it, slower.
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
        Ok(Builder::new_current_thread().enable_all().build()?)
    }

    /// The same program in another role.
    pub(crate) fn command(&self, role: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).arg(serde_json::to_string(self)?);
        Ok(command)
    }
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Seconds, user and system.
    pub(crate) cpu: f64,
    pub(crate) rss_kib: u64,
    pub(crate) received: u64,
}

impl Usage {
    pub(crate) fn of_self() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let status = fs::read_to_string("/proc/self/status")?;
        let rss = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok())
            .context("no VmRSS")?;
        Ok(Self {
            cpu: micros as f64 / 1e6,
            rss_kib: rss,
            received: RECEIVED.load(Ordering::Relaxed),
        })
    }
}

/// The server's side of the pipe: says where it is, answers each line with its usage, and ends the process with it.
pub(crate) fn announce(address: &str) {
    println!("{address}");
    std::thread::spawn(|| {
        for line in std::io::stdin().lines() {
            let usage = Usage::of_self().ok().filter(|_| line.is_ok());
            let Some(usage) = usage.and_then(|usage| serde_json::to_string(&usage).ok()) else {
                break;
            };
            if writeln!(std::io::stdout(), "{usage}").is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
}

/// How long a server may take to end.
const LEAVE: Duration = Duration::from_secs(5);

/// A server process, as its client has it. Ends when dropped, and by itself when its client is gone.
pub(crate) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(spec: &Spec) -> Result<Self> {
        let mut child = spec
            .command("serve")?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().context("piped")?);
        let address = line(&mut output)?;
        Ok(Self {
            child,
            input,
            output,
            address,
        })
    }

    pub(crate) fn usage(&mut self) -> Result<Usage> {
        writeln!(self.input.as_mut().context("piped")?)?;
        Ok(serde_json::from_str(&line(&mut self.output)?)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of the pipe ends it; by itself, so that a profiler around it can write down what it saw.
        self.input = None;
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < LEAVE {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(output: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    ensure!(output.read_line(&mut line)? > 0, "the server ended");
    Ok(line.trim_end().to_owned())
}

/// As many descriptors as the system lets us have: a thousand connections need them.
pub(crate) fn raise_descriptors() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// A socket's place in the directory of a cell.
pub(crate) fn socket_path(directory: &Path) -> PathBuf {
    directory.join("socket")
}
