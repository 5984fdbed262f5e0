//! One network namespace, held by a file descriptor alone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::panic;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{LabError, set_ipv6_option};
use crate::wait::wait_for;

/// How long a port may take until it forwards.
const FORWARDING: Duration = Duration::from_secs(20);

/// A network namespace that is there as long as this is.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Has `unshare` make a namespace and opens it before that program ends.
    pub(super) fn new() -> Result<Self, LabError> {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| unavailable(&format!("cannot run `unshare`: {error}")))?;
        let file = open(&mut holder);
        // Its input ends here, and so does `cat`.
        let output = holder.wait_with_output();
        match file {
            Ok(file) => Ok(Self { file }),
            Err(error) => {
                let said = output.map(|output| said(&output)).unwrap_or_default();
                Err(unavailable(
                    if said.is_empty() {
                        error.to_string()
                    } else {
                        said
                    }
                    .as_str(),
                ))
            }
        }
    }

    /// The one that a process is in: of a container, for example.
    ///
    /// # Errors
    /// There is no such process, or it is not ours to look at.
    pub fn of_process(id: u32) -> Result<Self, LabError> {
        let path = format!("/proc/{id}/ns/net");
        match File::open(&path) {
            Ok(file) => Ok(Self { file }),
            Err(error) => Err(LabError::Failed {
                step: format!("open {path}"),
                detail: error.to_string(),
            }),
        }
    }

    /// The one that this process is in.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub fn own() -> Result<Self, LabError> {
        Self::of_process(std::process::id())
    }

    /// The namespace as a path that other programs of this user can open while we live.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    pub(super) fn try_clone(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Runs `work` on a thread that is in it.
    ///
    /// # Panics
    /// When this user may not enter it; a panic of `work` goes on in the caller.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = self.file.as_fd();
        let on_device = || {
            // A namespace that was made here can be entered from here, and any other by root.
            move_into_link_name_space(file, Some(LinkNameSpaceType::Network))
                .expect("entering an open network namespace");
            work()
        };
        // A thread of its own, because it could not be brought back if `work` panicked.
        let name = thread::current().name().unwrap_or("lab").to_owned();
        let done = thread::scope(|scope| {
            let worker = thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, on_device);
            worker.expect("spawning a thread").join()
        });
        done.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    }

    /// Has nothing said there by the kernel itself, which does that over IPv6 as soon as there is an interface.
    pub(super) fn silence(&self) -> Result<(), LabError> {
        self.within(|| {
            set_ipv6_option("all", "disable_ipv6", "1")?;
            set_ipv6_option("default", "disable_ipv6", "1")
        })
    }

    /// Runs `ip` with these words as arguments.
    ///
    /// # Errors
    /// It is not there, or fails; so with all below.
    pub fn ip(&self, words: &str) -> Result<(), LabError> {
        self.tool("ip", words, "").map(drop)
    }

    /// Runs `ip` once for many lines.
    pub(super) fn ip_batch(&self, lines: &str) -> Result<(), LabError> {
        self.tool("ip", "-batch -", lines).map(drop)
    }

    /// Waits until a port that was added to a switch sends on what comes: the kernel notices its carrier a little later, up to
    /// a second, and drops until then.
    pub(super) fn until_forwarding(&self, port: &str) -> Result<(), LabError> {
        let forwards = || match self.tool("ip", &format!("-d link show dev {port}"), "") {
            Ok(said) => said.contains("state forwarding").then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        wait_for(FORWARDING, forwards).unwrap_or_else(|| {
            Err(LabError::Failed {
                step: format!("wait for {port} to forward"),
                detail: format!("it does not within {FORWARDING:?}"),
            })
        })
    }

    /// Runs `tc` with these words as arguments.
    pub fn tc(&self, words: &str) -> Result<(), LabError> {
        self.tool("tc", words, "").map(drop)
    }

    /// Has `nft` apply a script, all of it or nothing.
    pub fn nft(&self, script: &str) -> Result<(), LabError> {
        self.tool("nft", "-f -", script).map(drop)
    }

    /// What it prints.
    pub(super) fn tool(&self, program: &str, words: &str, input: &str) -> Result<String, LabError> {
        let run = || {
            let mut child = Command::new(program)
                .args(words.split_whitespace())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            // Dropping the pipe ends the tool's input. A tool that ends before reading it says why.
            let _ = child
                .stdin
                .take()
                .map(|mut stdin| stdin.write_all(input.as_bytes()));
            child.wait_with_output()
        };
        let failed = |detail| LabError::Failed {
            step: format!("{program} {words}"),
            detail,
        };
        match self.within(run) {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(output) => Err(failed(said(&output))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(unavailable(&format!("cannot run `{program}`: {error}")))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// What `cat` echoes proves that `unshare` has become `cat`, so the namespace is made.
fn open(holder: &mut Child) -> io::Result<File> {
    let mut stdin = holder.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let stdout = holder.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    stdin.write_all(b"\n")?;
    stdout.read_exact(&mut [0])?;
    File::open(format!("/proc/{}/ns/net", holder.id()))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn unavailable(reason: &str) -> LabError {
    LabError::Unavailable {
        reason: reason.to_owned(),
    }
}
