//! The commands, a file each, and what they share.

pub(crate) mod ca;
pub(crate) mod call;
pub(crate) mod describe;
pub(crate) mod devices;
#[cfg(target_os = "linux")]
pub(crate) mod dump;
pub(crate) mod identity;
pub(crate) mod load;
pub(crate) mod pair;
pub(crate) mod policy;
pub(crate) mod run;
pub(crate) mod services;
pub(crate) mod trust;
pub(crate) mod watch;

use std::{net::SocketAddr, path::PathBuf};

use softbus::{Device, DeviceId, Node, TrustStore, certs::TrustEntry};

use crate::{
    args::{Network, Options},
    device_name, directory,
    failure::{Asked, Failure},
    output::Output,
};

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) output: &'a Output,
    /// Where identity and trust store are.
    pub(crate) directory: PathBuf,
    pub(crate) network: Network,
    /// How this command is called, with the directory if it was given: for hints.
    pub(crate) softbus: String,
}

impl<'a> Context<'a> {
    pub(crate) fn new(options: Options, output: &'a Output) -> Result<Self, Failure> {
        let softbus = match &options.dir {
            Some(directory) => format!("softbus --dir {}", directory.display()),
            None => "softbus".to_owned(),
        };
        let directory = directory::choose(options.dir)?;
        Ok(Self {
            output,
            directory,
            network: options.network,
            softbus,
        })
    }

    /// Who asks whom.
    fn asked<'b>(&'b self, device: &'b DeviceId, us: &'b DeviceId) -> Asked<'b> {
        Asked {
            device,
            us,
            softbus: &self.softbus,
        }
    }

    /// What devices are called here. An attached node has no trust store; that of our directory may be its host's, and is asked for
    /// names only.
    pub(crate) fn names(&self, node: &Node) -> Option<TrustStore> {
        let own = node.trust().cloned();
        own.or_else(|| TrustStore::open(&self.directory).ok())
    }

    pub(crate) fn trust(&self) -> Result<TrustStore, Failure> {
        TrustStore::open(&self.directory).map_err(|error| Failure::failed(error.to_string()))
    }
}

/// The devices that are trusted, and not blocked.
pub(crate) fn trusted(trust: Option<&TrustStore>) -> Vec<TrustEntry> {
    let Some(trust) = trust else {
        return Vec::new();
    };
    let entries = trust.entries().into_iter();
    entries
        .filter(|entry| trust.is_trusted(&entry.device))
        .collect()
}

/// Which device the user means, for a command with a node.
fn device(context: &Context<'_>, given: &str, node: &Node) -> Result<DeviceId, Failure> {
    device_name::resolve(given, &trusted(context.names(node).as_ref()))
}

/// What our user calls a device.
pub(crate) fn local_name(trust: Option<&TrustStore>, device: &DeviceId) -> Option<String> {
    trust?
        .get(device)
        .map(|entry| entry.name)
        .filter(|name| !name.is_empty())
}

/// Where a device is, for people and machines: an IPv4 address as such also on a socket for both.
pub(crate) fn addresses(device: &Device) -> Vec<String> {
    let canonical =
        |address: &SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    device
        .addresses
        .iter()
        .map(|address| canonical(address).to_string())
        .collect()
}
