//! A child program of a test: what it reports is read line by line, each read has a deadline, and
//! nothing of it outlives the test.
//!
//! A test program reports what happened as one JSON object a line on its standard output. Its
//! standard input is a pipe that closes when the test ends, however the test ends: a program that
//! must not be left behind even when the test itself is killed ends at the end of its input.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::wait::wait_for;

/// Why a child's report could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The deadline passed first.
    #[error("no such line within {within:?}; lines meanwhile: {seen:?}")]
    TimedOut {
        /// The deadline that was given.
        within: Duration,
        /// What the child said instead.
        seen: Vec<String>,
    },
    /// The child closed its standard output, which it does by ending.
    #[error("output ended; lines meanwhile: {seen:?}")]
    Ended {
        /// What the child said before.
        seen: Vec<String>,
    },
    /// A line was expected to be JSON and is not.
    #[error("line is not JSON: {line:?}")]
    NotJson {
        /// The line.
        line: String,
    },
}

/// A running child program; killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    /// Starts `command` with its standard input and output as pipes of ours.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (sender, lines) = mpsc::channel();
        let stdout = child
            .stdout
            .take()
            .expect("standard output was asked to be a pipe");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            lines,
        })
    }

    /// The child's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of the child's standard output.
    pub fn next_line(&mut self, within: Duration) -> Result<String, ReportError> {
        self.wait_for_line(within, |_| true)
    }

    /// The next line that `wanted` accepts; earlier lines are dropped.
    pub fn wait_for_line(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<String, ReportError> {
        let deadline = Instant::now() + within;
        let mut seen = Vec::new();
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if wanted(&line) => return Ok(line),
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(ReportError::TimedOut { within, seen });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(ReportError::Ended { seen }),
            }
        }
    }

    /// The next line, read as JSON.
    pub fn next_event(&mut self, within: Duration) -> Result<Value, ReportError> {
        let line = self.next_line(within)?;
        serde_json::from_str(&line).map_err(|_| ReportError::NotJson { line })
    }

    /// The next JSON line that `wanted` accepts; other lines, JSON or not, are dropped.
    pub fn wait_for_event(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value, ReportError> {
        let mut event = Value::Null;
        self.wait_for_line(within, |line| match serde_json::from_str(line) {
            Ok(value) if wanted(&value) => {
                event = value;
                true
            }
            _ => false,
        })?;
        Ok(event)
    }

    /// Writes one line to the child's standard input.
    pub fn send_line(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(stdin, "{line}")?;
        stdin.flush()
    }

    /// Ends the child's standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Takes the child's life without a warning, as a crash does (SIGKILL), and reaps it.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks the child to end (SIGTERM).
    pub fn terminate(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Puts the child to sleep, as a closed laptop lid does (SIGSTOP).
    pub fn suspend(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Wakes the child up again (SIGCONT).
    pub fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for the child to end by itself.
    pub fn wait(&mut self, within: Duration) -> io::Result<ExitStatus> {
        wait_for(within, || self.child.try_wait().transpose())
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// A child that has ended is reaped, and then its id may name a stranger: never signal that.
    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the child has ended",
            ));
        }
        Ok(rustix::process::kill_process(
            Pid::from_child(&self.child),
            signal,
        )?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that the child is gone already, which is what we want.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(command).unwrap()
    }

    #[test]
    fn events_come_in_order() {
        let mut child = shell(r#"echo '{"event":"a"}'; echo noise; echo '{"event":"b","n":2}'"#);
        assert_eq!(child.next_event(SOON).unwrap()["event"], "a");
        assert_eq!(
            child
                .wait_for_event(SOON, |event| event["event"] == "b")
                .unwrap()["n"],
            2
        );
        assert!(matches!(
            child.next_line(SOON),
            Err(ReportError::Ended { .. })
        ));
        assert!(child.wait(SOON).unwrap().success());
    }

    #[test]
    fn a_line_that_is_not_json_is_shown() {
        let mut child = shell("echo hello");
        let error = child.next_event(SOON).unwrap_err();
        assert!(error.to_string().contains("hello"), "{error}");
    }

    #[test]
    fn a_silent_child_meets_the_deadline() {
        let mut child = shell("echo other; read line");
        child.wait_for_line(SOON, |line| line == "other").unwrap();
        let error = child
            .wait_for_line(Duration::from_millis(20), |_| true)
            .unwrap_err();
        assert!(matches!(error, ReportError::TimedOut { .. }), "{error}");
        let error = child.wait(Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn input_reaches_the_child_and_its_end_too() {
        let mut child = shell(r#"while read line; do echo "got $line"; done; echo over"#);
        child.send_line("one").unwrap();
        assert_eq!(child.next_line(SOON).unwrap(), "got one");
        child.close_stdin();
        assert_eq!(child.next_line(SOON).unwrap(), "over");
    }

    #[test]
    fn kill_is_a_sigkill_and_terminate_is_not() {
        let mut child = shell("read line");
        assert_eq!(child.kill().unwrap().signal(), Some(Signal::KILL.as_raw()));

        let mut child = shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do read x; done");
        child.wait_for_line(SOON, |line| line == "ready").unwrap();
        child.terminate().unwrap();
        child.close_stdin();
        child.wait_for_line(SOON, |line| line == "bye").unwrap();
        assert_eq!(child.wait(SOON).unwrap().code(), Some(3));
    }

    #[test]
    fn a_suspended_child_is_silent_until_resumed() {
        let mut child = shell("while read line; do echo $line; done");
        child.suspend().unwrap();
        child.send_line("x").unwrap();
        assert!(child.next_line(Duration::from_millis(50)).is_err());
        child.resume().unwrap();
        assert_eq!(child.next_line(SOON).unwrap(), "x");
    }

    #[test]
    fn dropping_ends_the_child() {
        let child = shell("read line");
        let pid = Pid::from_child(&child.child);
        drop(child);
        // Reaped, so the id names nobody any more.
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
