//! The session with a device: who is at its other end, and what it lives on.

use std::{net::SocketAddr, sync::Arc};

use rpc::Peer;
use tokio::sync::Notify;

use super::{
    Connection, DialError,
    contact::{self, Talk},
    decisions::{self, Current},
};

pub(super) type Table = super::table::Table<Session, Notes>;
pub(super) type Contact = contact::Contact<Session, Notes>;

/// What is kept of a device beside what decides about its connections.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) name: Option<String>,
    /// Told when something new is known of the device.
    pub(super) news: Arc<Notify>,
    /// The last dial that failed, and how many there have been.
    pub(super) last_error: Option<(u64, DialError)>,
    pub(super) dials: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) peer: Peer,
    pub(crate) connection: Connection,
    /// What had come when we said Welcome; `None` where the peer did, or where nothing has to come.
    welcomed: Option<u64>,
}

impl Session {
    /// On a connection that we dialled.
    pub(super) fn dialled(peer: Peer, connection: Connection) -> Self {
        Self {
            peer,
            connection,
            welcomed: None,
        }
    }

    /// On a connection that the peer dialled; `welcomed` is [`Connection::before_welcome`].
    pub(super) fn welcomed(peer: Peer, connection: Connection, welcomed: Option<u64>) -> Self {
        Self {
            peer,
            connection,
            welcomed,
        }
    }

    /// Goes on elsewhere. Returns where it was.
    pub(super) fn move_to(&mut self, connection: Connection) -> Connection {
        self.welcomed = None;
        std::mem::replace(&mut self.connection, connection)
    }
}

impl Talk for Session {
    type Address = SocketAddr;

    fn current(&self) -> Current {
        Current {
            boot: self.peer.boot(),
            name: self.peer.session_name(),
            confirmed: decisions::confirmed(self.welcomed, || self.connection.received()),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        self.connection.dialled_address()
    }
}
