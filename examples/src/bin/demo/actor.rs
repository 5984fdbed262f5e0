//! A device's process, as the director sees it.

use std::{
    io,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use indicatif::ProgressBar;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::order::{Failure, OrFail, Order, Outcome, Report, within};

/// How long a device may take for anything that has no deadline of its own; far above what it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running device. Ended with this value at the latest; and it ends by itself when its standard input does, should
/// the director be killed.
#[derive(Debug)]
pub(crate) struct Actor {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Actor {
    /// Starts a device, or a process of one, and waits until it is on the bus.
    pub(crate) async fn start(
        name: &'static str,
        role: &str,
        arguments: Vec<std::ffi::OsString>,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe().or_fail("the program's own path")?;
        let mut child = Command::new(program)
            .arg(role)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .or_fail(&format!("the process of {name} to start"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("pipes to a process", "none"));
        };
        let lines = BufReader::new(stdout).lines();
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut actor = Self {
            name,
            child,
            stdin,
            lines,
            address,
        };
        match actor.next().await? {
            Report::Ready { address } => Ok(Self { address, ..actor }),
            Report::Attached => Ok(actor),
            Report::Answer(Err(failure)) => Err(failure),
            other => Err(Failure::new(
                format!("{name} to say that it is ready"),
                format!("{other:?}"),
            )),
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn ask(&mut self, order: Order) -> Outcome {
        self.ask_and_show(order, &ProgressBar::hidden()).await
    }

    pub(crate) async fn ask_and_show(&mut self, order: Order, bar: &ProgressBar) -> Outcome {
        let mut line = serde_json::to_string(&order).or_fail("an order in words")?;
        line.push('\n');
        let sent = self.stdin.write_all(line.as_bytes()).await;
        sent.or_fail(&format!("{} to take an order", self.name))?;
        loop {
            match self.next().await? {
                Report::Answer(outcome) => return outcome,
                Report::Moved { bytes, doing } => {
                    bar.set_position(bytes);
                    bar.set_message(doing);
                }
                Report::Ready { .. } | Report::Attached => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Report, Failure> {
        let expected = format!("a report of {}", self.name);
        let line = within(PATIENCE, &expected, self.lines.next_line())
            .await?
            .or_fail(&expected)?;
        let Some(line) = line else {
            return Err(Failure::new(
                expected,
                format!("the end of it: {:?}", self.child.try_wait()),
            ));
        };
        serde_json::from_str(&line).or_fail(&format!("{expected}, not {line:?}"))
    }

    /// Takes its life without a warning, as a crash does: SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.child
            .start_kill()
            .or_fail(&format!("{} to be killed", self.name))
    }

    /// Waits until it has ended.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, Failure> {
        let expected = format!("the process of {} to end", self.name);
        within(Duration::from_secs(10), &expected, self.child.wait())
            .await?
            .or_fail(&expected)
    }

    /// Ends it, whatever it does.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}
