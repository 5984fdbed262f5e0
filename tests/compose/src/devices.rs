//! Who the devices are and whom they trust, written before they start, as an operator does it: with the `softbus` command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{ComposeError, command::output};

const WITHIN: Duration = Duration::from_secs(30);
/// The name space of the fleet's CA.
const FLEET: &str = "spiffe://example.org/compose/";

/// A directory with a directory for each device.
#[derive(Debug)]
pub struct Devices {
    softbus: PathBuf,
    directory: PathBuf,
}

impl Devices {
    /// Those in `directory`, made with the program `softbus`.
    pub fn new(softbus: PathBuf, directory: PathBuf) -> Self {
        Self { softbus, directory }
    }

    /// Makes a device. Returns its id.
    ///
    /// # Errors
    /// The command fails.
    pub fn create(&self, name: &str) -> Result<String, ComposeError> {
        let id = self.run(name, &["identity", "show"])?;
        Ok(id.trim().to_owned())
    }

    /// `name` trusts the device `id` from now on, and calls it `called`.
    ///
    /// # Errors
    /// The command fails.
    pub fn trust(&self, name: &str, id: &str, called: &str) -> Result<(), ComposeError> {
        self.run(name, &["trust", "add", id, "--name", called])
            .map(drop)
    }

    /// `name` trusts the device `id` no longer.
    ///
    /// # Errors
    /// The command fails.
    pub fn forget(&self, name: &str, id: &str) -> Result<(), ComposeError> {
        self.run(name, &["trust", "remove", id]).map(drop)
    }

    /// The directory of a device.
    pub fn home(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a CA, issues `member` a certificate, and has all of `listing` take who has one.
    ///
    /// # Errors
    /// A command fails, or a file cannot be written.
    pub fn fleet(&self, member: &str, listing: &[&str]) -> Result<(), ComposeError> {
        let ca = self.directory.join("ca");
        let ca = ca.to_string_lossy().into_owned();
        let certificate = self.run(member, &["ca", "init", FLEET, "--ca", &ca])?;
        let request = self.run(member, &["identity", "certificate"])?;
        let request = self.write("request.pem", &request)?;
        let issued = self.run(member, &["ca", "issue", &request, member, "--ca", &ca])?;
        let issued = self.write("issued.pem", &issued)?;
        self.run(member, &["identity", "install", &issued])?;
        let fleet = format!(
            "version = 1\n\n[[ca]]\nname = \"compose\"\ncertificate = \"ca.pem\"\nuri_prefix = \"{FLEET}\"\n"
        );
        for name in listing {
            self.write(&format!("{name}/ca.pem"), &certificate)?;
            self.write(&format!("{name}/fleet.toml"), &fleet)?;
        }
        Ok(())
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Result<String, ComposeError> {
        let mut command = Command::new(&self.softbus);
        command.arg("--dir").arg(self.directory.join(name));
        command.args(arguments);
        output(command, WITHIN)
    }

    fn write(&self, name: &str, text: &str) -> Result<String, ComposeError> {
        let path = self.directory.join(name);
        fs::write(&path, text).map_err(|source| file(&path, source))?;
        Ok(path.to_string_lossy().into_owned())
    }
}

fn file(path: &Path, source: std::io::Error) -> ComposeError {
    ComposeError::File {
        path: path.display().to_string(),
        source,
    }
}
