//! Programs of the machine, each with a deadline.

use std::{
    io::Read,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use testkit::wait::wait_for;

use crate::ComposeError;

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said of itself.
    pub stderr: String,
}

/// Runs a program to its end, whatever that is; kills it when the time is over.
///
/// # Errors
/// It cannot be run, or does not end.
pub fn run(mut command: Command, within: Duration) -> Result<Ended, ComposeError> {
    let shown = show(&command);
    let failed = |source| ComposeError::CannotRun {
        program: shown.clone(),
        source,
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let stdout = child.stdout.take().map(read);
    let stderr = child.stderr.take().map(read);
    let status = wait_for(within, || child.try_wait().transpose());
    let Some(status) = status else {
        // Killed and reaped; what it left behind is not waited for.
        let _ = child.kill();
        let _ = child.wait();
        return Err(ComposeError::TimedOut {
            command: shown,
            within,
        });
    };
    let text = |reader: Option<JoinHandle<String>>| {
        let read = reader.map(JoinHandle::join);
        read.and_then(Result::ok).unwrap_or_default()
    };
    Ok(Ended {
        code: status.map_err(failed)?.code(),
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

/// Runs a program that has to end well; what it printed.
///
/// # Errors
/// It does not.
pub fn output(command: Command, within: Duration) -> Result<String, ComposeError> {
    let shown = show(&command);
    match run(command, within)? {
        Ended {
            code: Some(0),
            stdout,
            ..
        } => Ok(stdout),
        Ended { code, stderr, .. } => Err(ComposeError::Failed {
            command: shown,
            code,
            stderr,
        }),
    }
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn show(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|word| word.to_string_lossy());
    std::iter::once(program.into())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
