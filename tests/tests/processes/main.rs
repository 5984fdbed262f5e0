//! Processes of one device that are programs of their own: killed ones, and those of another user.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails its test")]

mod killed;
mod users;

use std::{
    fs::Permissions,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use serde_json::Value;
use softbus::{Node, NodeBuilder};
use testkit::{process::Process, world::loopback::LOCAL};

const SOON: Duration = Duration::from_secs(20);

/// A device whose bus is hosted here.
struct Device {
    _directory: tempfile::TempDir,
    path: PathBuf,
    host: Node,
}

impl Device {
    async fn start() -> Self {
        Self::start_with(|builder, path| builder.host_local(path)).await
    }

    /// Whose socket every user may use.
    async fn open_to_all() -> Self {
        Self::start_with(|builder, path| {
            let socket = UnixListener::bind(path).unwrap();
            for (path, mode) in [(path.as_path(), 0o666), (path.parent().unwrap(), 0o711)] {
                std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            }
            builder.host_local_on(socket)
        })
        .await
    }

    async fn start_with(host: impl FnOnce(NodeBuilder, &PathBuf) -> NodeBuilder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus.sock");
        let identity = directory.path().join("identity");
        let builder = Node::builder().identity_dir(identity).listen(LOCAL);
        let host = host(builder, &path).start().await.unwrap();
        Self {
            _directory: directory,
            path,
            host,
        }
    }

    /// A process that has attached.
    async fn process(&self) -> Process {
        let process = self.spawn(None);
        event(process, "ready").await.0
    }

    /// A program that attaches to us while we wait, as another user if it is told to.
    fn spawn(&self, user: Option<u32>) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local_process"));
        command.arg(&self.path);
        command.args(user.map(|user| user.to_string()));
        Process::spawn(command).unwrap()
    }

    async fn told(&self, process: Process, line: &str, answer: &'static str) -> Process {
        tell(process, line, answer).await.0
    }
}

/// Says something to a process, and waits for what it answers.
async fn tell(mut process: Process, line: &str, answer: &'static str) -> (Process, Value) {
    process.send_line(line).unwrap();
    event(process, answer).await
}

/// Waits for an event of a process, while our own node goes on.
async fn event(mut process: Process, wanted: &'static str) -> (Process, Value) {
    let waited = tokio::task::spawn_blocking(move || {
        let event = process.wait_for_event(SOON, |event| event["event"] == wanted);
        (process, event)
    });
    let (process, event) = waited.await.unwrap();
    (process, event.unwrap())
}
