//! A device that the others do not trust.

use std::path::Path;

use softbus::transport::Transports;
use testkit::{
    netns::{LabError, Namespace},
    strangers::{Flood, PAUSE},
};

use super::{Ground, lock};
use crate::ComposeError;

/// Where the second device listens: `devices.yaml` says so.
const PORT: u16 = 4711;

impl Ground {
    /// Starts the stranger. Where processes of it attach.
    ///
    /// # Errors
    /// Docker fails.
    pub fn start_stranger(&self) -> Result<&Path, ComposeError> {
        self.stranger.start()?;
        Ok(&self.stranger.socket)
    }

    /// From where the stranger is, noise is sent to the second device, and devices are announced that there are not.
    ///
    /// # Errors
    /// One of both does not run, or this user may not.
    pub fn flood(&self) -> Result<Flood, ComposeError> {
        let [stranger, two] = [&self.stranger, &self.places[1]].map(|it| lock(&it.inside).clone());
        let failed = |detail: String| LabError::Failed {
            step: "flood".to_owned(),
            detail,
        };
        let (stranger, two) = stranger
            .zip(two)
            .ok_or_else(|| failed("a container does not run".to_owned()))?;
        let by = match self.by_tcp {
            true => Transports::Tcp,
            false => Transports::Quic,
        };
        let noise_to = (two.address, PORT);
        let start = || Flood::start(stranger.address, noise_to, by, true, PAUSE);
        let flood = Namespace::of_process(stranger.process)?.within(start);
        Ok(flood.map_err(|error| failed(error.to_string()))?)
    }
}
