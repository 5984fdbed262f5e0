//! The ports a node listens at: UDP for QUIC, and the same number for TCP.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
};

use certs::Identity;

use crate::{
    error::StartNodeError,
    link::{
        quic::{config, socket},
        tcp::{self, Listening},
    },
    presence::Profile,
    transport::{Transport, Transports},
};

/// How many free ports are tried until one is free for both.
const TRIES: usize = 16;

/// What the builder was told.
pub(super) struct Wanted {
    pub(super) listen: Option<SocketAddr>,
    pub(super) port: u16,
    pub(super) profile: Profile,
    pub(super) transports: Transports,
}

/// What is open.
pub(super) struct Ports {
    pub(super) endpoint: quinn::Endpoint,
    pub(super) tcp: Option<Listening>,
    pub(super) address: SocketAddr,
}

impl Wanted {
    /// Opens them. Others know only one number: where that of UDP is taken for TCP, there is no TCP.
    pub(super) fn open(&self, identity: &Identity) -> Result<Ports, StartNodeError> {
        let (udp, listener) = self.bind()?;
        let server = match self.transports.has(Transport::Quic) {
            true => Some(config::server(identity, self.profile)?),
            false => None,
        };
        let runtime = quinn::default_runtime().ok_or(StartNodeError::NoRuntime)?;
        let endpoint = quinn::Endpoint::new(config::endpoint(identity), server, udp, runtime);
        let endpoint = endpoint.map_err(|error| self.error(&error))?;
        let address = endpoint.local_addr().map_err(|error| self.error(&error))?;
        let tcp = match listener {
            Some(listener) => {
                let config = Arc::new(tcp::server(identity)?);
                Some(Listening { listener, config })
            }
            None => None,
        };
        Ok(Ports {
            endpoint,
            tcp,
            address,
        })
    }

    fn bind(
        &self,
    ) -> Result<(std::net::UdpSocket, Option<tokio::net::TcpListener>), StartNodeError> {
        let any = self.listen.map_or(self.port, |address| address.port()) == 0;
        let mut tries = 0;
        loop {
            let udp = socket::bind(self.listen, self.port).map_err(|error| self.error(&error))?;
            if !self.transports.has(Transport::Tcp) {
                return Ok((udp, None));
            }
            tries += 1;
            match udp.local_addr().and_then(tcp::listen) {
                Ok(listener) => return Ok((udp, Some(listener))),
                Err(error) if any && error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {}
                Err(error) if self.transports.has(Transport::Quic) => {
                    tracing::warn!(%error, "no TCP: the port is not to be had");
                    return Ok((udp, None));
                }
                Err(error) => return Err(self.error(&error)),
            }
        }
    }

    fn error(&self, error: &io::Error) -> StartNodeError {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port));
        StartNodeError::Bind {
            address: self.listen.unwrap_or(any),
            reason: error.to_string(),
        }
    }
}
