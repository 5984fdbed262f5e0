//! What a session lives on, whichever transport it is.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use certs::CloseCode;
use quinn::Side;
use rpc::link::Link;
use rustls::pki_types::CertificateDer;

use super::silence::Traffic;
use crate::{
    link::{
        quic::{self, QuicLink},
        tcp::TcpConnection,
    },
    transport::Transport,
};

/// An authenticated connection to a device.
#[derive(Clone, Debug)]
pub(crate) enum Connection {
    Quic(quinn::Connection),
    Tcp(Arc<TcpConnection>),
}

impl Connection {
    /// The link on one that we dialled.
    pub(super) fn link(&self) -> Arc<dyn Link> {
        match self {
            Self::Quic(connection) => Arc::new(QuicLink::new(connection.clone(), true)),
            Self::Tcp(connection) => connection.link(),
        }
    }

    pub(crate) fn remote_address(&self) -> SocketAddr {
        match self {
            Self::Quic(connection) => connection.remote_address(),
            Self::Tcp(connection) => connection.address(),
        }
    }

    /// Where the device can be dialled, as far as the connection tells.
    pub(super) fn dialled_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Quic(connection) => Some(connection.remote_address()),
            Self::Tcp(connection) => connection.was_dialled().then(|| connection.address()),
        }
    }

    /// The address of its end here, where it lives no longer than that: over QUIC who has dialled may go on from another one.
    pub(super) fn bound_to(&self) -> Option<IpAddr> {
        match self {
            Self::Quic(connection) => match connection.side() {
                Side::Server => connection.local_ip(),
                Side::Client => None,
            },
            Self::Tcp(connection) => connection.bound_to(),
        }
    }

    pub(crate) const fn transport(&self) -> Transport {
        match self {
            Self::Quic(_) => Transport::Quic,
            Self::Tcp(_) => Transport::Tcp,
        }
    }

    /// What its other end has shown.
    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        match self {
            Self::Quic(connection) => {
                let identity = connection.peer_identity();
                let certificates = identity.and_then(|identity| identity.downcast().ok());
                certificates.map_or_else(Vec::new, |certificates| *certificates)
            }
            Self::Tcp(connection) => connection.certificates().to_vec(),
        }
    }

    /// Changes whenever something comes.
    pub(super) fn received(&self) -> u64 {
        self.traffic().received
    }

    /// Datagrams, or by TCP what has come of the stream.
    pub(super) fn traffic(&self) -> Traffic {
        match self {
            Self::Quic(connection) => {
                let stats = connection.stats();
                Traffic {
                    received: stats.udp_rx.datagrams,
                    sent: stats.udp_tx.datagrams,
                }
            }
            Self::Tcp(connection) => Traffic {
                received: connection.link().first().received(),
                sent: 0,
            },
        }
    }

    /// What has come before Welcome, where a session begins without an answer to that: over QUIC the lanes are one.
    pub(super) fn before_welcome(&self) -> Option<u64> {
        match self {
            Self::Quic(_) => None,
            Self::Tcp(_) => Some(self.received()),
        }
    }

    /// Waits until the last of it has gone out, where the endpoint does not say so for all.
    pub(super) async fn gone(&self) {
        if let Self::Tcp(connection) = self {
            connection.link().first().gone().await;
        }
    }

    pub(super) fn close(&self, code: CloseCode, text: &str) {
        match self {
            Self::Quic(connection) => quic::close(connection, code.code().into(), text.as_bytes()),
            Self::Tcp(connection) => connection.close(code.code(), text),
        }
    }
}
