//! Devices in containers: a network of docker-compose whose devices are started, asked with the `softbus` command, and taken away.
//!
//! For tests of a device application of any kind, see `README.md`: an image with the application and the `softbus` command, a
//! directory with identities ([`devices`]), and a test that says what happens to which container ([`Lan`]).

pub mod command;
pub mod devices;
pub mod image;
mod lan;

pub use lan::{Answer, Container, Lan};

/// Why something could not be done with containers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// A program is not installed, or cannot be run.
    #[error("cannot run {program}: {source}")]
    CannotRun {
        /// Which.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It was killed, because it did not end.
    #[error("{command} did not end within {within:?}")]
    TimedOut {
        /// What was run.
        command: String,
        /// How long it had.
        within: std::time::Duration,
    },
    /// It ended as it should not.
    #[error("{command} failed with {code:?}:\n{stderr}")]
    Failed {
        /// What was run.
        command: String,
        /// Its exit code; `None` if a signal ended it.
        code: Option<i32>,
        /// What it said.
        stderr: String,
    },
    /// A program that goes into the image is not there.
    #[error(
        "{path} is not there: run `cargo build -p softbus-cli -p softbus-compose` first, with the same profile"
    )]
    NotBuilt {
        /// Where it was looked for.
        path: String,
    },
    /// A file could not be written or read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}
