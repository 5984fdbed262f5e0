//! What the library logs, on the standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Kind};

/// Logs what `filter` lets through.
pub(crate) fn start(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(Kind::Usage, format!("--log {filter:?}: {error}"))
            .hint("as `info`, or `softbus=debug,quinn=warn`")
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    let subscriber = subscriber
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    subscriber
        .try_init()
        .map_err(|error| Failure::failed(format!("cannot log: {error}")))
}
