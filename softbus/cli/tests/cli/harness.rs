//! Devices with a directory of their own, and commands whose every line has a deadline.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(30);

/// A device: a directory, and how the command is called for it.
pub(crate) struct Device {
    temp: TempDir,
    pub(crate) id: String,
}

impl Device {
    pub(crate) fn new() -> Self {
        let mut device = Self {
            temp: tempfile::tempdir().unwrap(),
            id: String::new(),
        };
        let id = device.run(["identity", "show"]);
        assert_eq!(id.code, 0, "{id:?}");
        device.id = id.stdout.trim().to_owned();
        device
    }

    /// Two that trust each other as `a` and `b`.
    pub(crate) fn pair() -> (Self, Self) {
        let (a, b) = (Self::new(), Self::new());
        a.trust(&b, "b");
        b.trust(&a, "a");
        (a, b)
    }

    pub(crate) fn trust(&self, other: &Self, name: &str) {
        let added = self.run(["trust", "add", &other.id, "--name", name]);
        assert_eq!(added.code, 0, "{added:?}");
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.temp.path().join("softbus")
    }

    fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = command(self.temp.path());
        command
            .arg("--dir")
            .arg(self.directory())
            .args(["--no-mdns", "--listen", "127.0.0.1"]);
        command.args(arguments);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Finished {
        finish(self.command(arguments))
    }

    /// Runs a command of one line against a node whose device is in the store as `name`.
    pub(crate) fn ask(&self, name: &str, node: &Running, line: &str) -> Finished {
        let peer = format!("{name}@{}", node.address);
        self.run(["--peer", &peer].into_iter().chain(line.split(' ')))
    }

    /// Starts a command that is not waited for.
    pub(crate) fn spawn<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Running {
        Running::spawn(self.command(arguments))
    }

    /// As [`spawn`](Self::spawn), with something in its environment.
    pub(crate) fn spawn_with<const N: usize, I: AsRef<OsStr>>(
        &self,
        environment: [(&str, &OsStr); N],
        arguments: impl IntoIterator<Item = I>,
    ) -> Running {
        let mut command = self.command(arguments);
        command.envs(environment);
        Running::spawn(command)
    }

    /// Starts a node that prints events: `run` or `watch`.
    pub(crate) fn start<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Running {
        let mut command = self.command(["--json"]);
        command.args(arguments);
        self.started(Running::spawn(command))
    }

    /// As [`start`](Self::start), on a socket that listens, as systemd starts a service.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_activated<I: AsRef<OsStr>>(
        &self,
        socket: std::os::unix::net::UnixListener,
        arguments: impl IntoIterator<Item = I>,
    ) -> Running {
        let softbus = self.command(["--json"]);
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"",
            "sh",
        ]);
        shell
            .arg(softbus.get_program())
            .args(softbus.get_args())
            .args(arguments);
        let socket = std::os::fd::OwnedFd::from(socket);
        self.started(Running::spawn_reading(shell, socket.into()))
    }

    /// As [`start`](Self::start), by another program that becomes the command.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_by<I: AsRef<OsStr>>(
        &self,
        other: impl FnOnce(&OsStr) -> Command,
        arguments: impl IntoIterator<Item = I>,
    ) -> Running {
        let softbus = self.command(["--json"]);
        let mut command = other(softbus.get_program());
        command.args(softbus.get_args()).args(arguments);
        self.started(Running::spawn(command))
    }

    fn started(&self, mut running: Running) -> Running {
        let started = running.event("started");
        assert_eq!(started["device"], self.id.as_str());
        running.address = started["address"].as_str().unwrap().to_owned();
        running
    }
}

/// The command with nothing of the user's around it.
pub(crate) fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softbus"));
    for variable in ["SOFTBUS_DIR", "XDG_DATA_HOME", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.env("HOME", home);
    command
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// It succeeded, and this is its one JSON object.
    #[track_caller]
    pub(crate) fn object(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// It failed with this code, and says all of this on the standard error.
    #[track_caller]
    pub(crate) fn assert_failed(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for text in says {
            assert!(
                self.stderr.contains(text),
                "{text:?} is not in {}",
                self.stderr
            );
        }
    }
}

pub(crate) fn finish(command: Command) -> Finished {
    Running::spawn(command).finish()
}

/// A command that runs; it is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    /// Where the node listens.
    pub(crate) address: String,
}

impl Running {
    fn spawn(command: Command) -> Self {
        Self::spawn_reading(command, Stdio::null())
    }

    fn spawn_reading(mut command: Command, stdin: Stdio) -> Self {
        let command = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.all(|line| sender.send(line).is_ok())
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Self {
            child,
            lines,
            stderr: Some(stderr),
            address: String::new(),
        }
    }

    /// The next line, or `None` at the end.
    #[track_caller]
    fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(SOON) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing is printed within {SOON:?}"),
        }
    }

    /// The next event of this name; others before it are passed over.
    #[track_caller]
    pub(crate) fn event(&mut self, name: &str) -> Value {
        let deadline = Instant::now() + SOON;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            let Some(line) = self.next_line() else { break };
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
            seen.push(line);
        }
        let _ = self.child.kill();
        let stderr = self.stderr.take().map(|stderr| stderr.join().unwrap());
        panic!(
            "no event {name} after {seen:?}; {}",
            stderr.unwrap_or_default()
        );
    }

    fn signal(&self, signal: Signal) {
        // Not reaped yet, so the id is still this child's.
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end, and waits until it has; how it did.
    #[track_caller]
    pub(crate) fn terminate(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.event("stopped");
        assert_eq!(self.next_line(), None);
        self.end().0
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(self, signal: Signal) -> Finished {
        self.signal(signal);
        self.finish()
    }

    /// Ends it as a fault of its own would, and waits until it has; how it did.
    #[cfg(target_os = "linux")]
    pub(crate) fn crash(mut self) -> ExitStatus {
        self.signal(Signal::ABORT);
        self.end().0
    }

    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let mut stdout = String::new();
        while let Some(line) = self.next_line() {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let (status, stderr) = self.end();
        let code = status
            .code()
            .unwrap_or_else(|| panic!("{status}: {stderr}"));
        Finished {
            code,
            stdout,
            stderr,
        }
    }

    /// How it ended, after its output has.
    fn end(&mut self) -> (ExitStatus, String) {
        let stderr = self.stderr.take().map(|stderr| stderr.join().unwrap());
        (self.child.wait().unwrap(), stderr.unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
