//! Devices in containers: a network of docker-compose whose devices are started, asked with the `softbus` command, and taken away.
//!
//! For tests of a device application of any kind, see `README.md`: an image with the application and the `softbus` command, a
//! directory with identities ([`devices`]), and a test that says what happens to which container ([`Lan`]). What happens to the packets
//! between them is in [`weather`]; [`compose_world`] runs the scenarios that all other kinds of devices are tried with.

pub mod command;
pub mod compose_world;
pub mod devices;
pub mod ground;
pub mod image;
mod lan;
pub mod weather;

pub use lan::{Another, Answer, Container, Inside, Lan};

/// That what the README shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
    /// It is asked where it is and is nowhere.
    #[error("container {container} does not run, or is on no network: {found:?}")]
    NotRunning {
        /// Which.
        container: String,
        /// What Docker says of it.
        found: String,
    },
    /// Something could not be done to the network of a container.
    #[error("the network of a container: {0}. Only root may change it, where the containers are")]
    Network(#[from] testkit::netns::LabError),
    /// A device has another identity than it can have.
    #[error("no device id: {0:?}")]
    NotADevice(String),
    /// A container runs, and nobody can attach to its bus.
    #[error("container {place} runs, and has no bus to attach to: see what it has printed")]
    NoBus {
        /// Which, from 0.
        place: usize,
    },
    /// Devices that nothing keeps apart are not online to each other.
    #[error(
        "what happened before is not over: {}. See what the containers have printed", apart.join(", ")
    )]
    NotRested {
        /// Who is not online to whom.
        apart: Vec<String>,
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
