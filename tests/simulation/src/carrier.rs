//! What joins the devices: what a run needs of it, whatever it moves.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use rpc::link::Link;

use crate::{log::Place, network::Transfer};

/// One end of a connection, and its number.
pub(crate) struct Numbered {
    /// Names this end in the log.
    pub(crate) number: u32,
    /// What a session has of it.
    pub(crate) link: Arc<dyn Link>,
}

/// A network.
#[async_trait]
pub(crate) trait Carrier: Debug + Send + Sync {
    /// A device is there from here on.
    fn start(&self, place: Place);

    /// Where a device is now.
    fn address(&self, device: u8) -> u32;

    /// Dials a device where it may be. The link is there at once; whether anybody answers on it will be seen.
    fn dial(&self, from: Place, to: u8, address: u32) -> Numbered;

    /// Waits until a connection that was dialled is one. Whether it is.
    async fn connected(&self, link: u32) -> bool;

    /// Does what is due. Returns connections that their devices have just heard of.
    fn perform(&self, transfer: Transfer) -> Vec<u32>;

    /// Which device dialled a connection, and which was dialled.
    fn devices(&self, link: u32) -> [u8; 2];

    /// A device answers on a connection that was dialled.
    fn answer(&self, link: u32, place: Place) -> Option<Numbered>;

    /// From here on nothing passes in this direction.
    fn cut(&self, from: u8, to: u8);

    /// It passes again.
    fn heal(&self, from: u8, to: u8);

    /// Every direction that is cut.
    fn cuts(&self) -> Vec<(u8, u8)>;

    /// Connections that can be broken.
    fn live(&self) -> Vec<u32>;

    /// Breaks a connection: both ends notice, each at its time.
    fn break_link(&self, link: u32);

    /// Changes whenever something comes to a device on a connection, what keeps it alive too.
    fn received(&self, link: u32, device: u8) -> u64;

    /// What has come to who was dialled, where a session begins before that end has been heard.
    fn before_welcome(&self, link: u32, device: u8) -> Option<u64>;

    /// Whether it is worth looking how long nothing has come to a device on a connection.
    fn is_silent(&self, link: u32, device: u8) -> bool;

    /// Whether nothing is under way on a connection, as far as that is known.
    fn is_quiet(&self, link: u32) -> bool;

    /// Nobody looks any more, until the network says so.
    fn looked(&self, device: u8);

    /// Whether a host says that nobody listens there.
    fn refuses(&self, from: u8, to: u8) -> bool;

    /// A device is elsewhere from here on. Who has dialled takes its connections along.
    fn move_away(&self, device: u8);

    /// A device stands still as its peers see it: nothing leaves it, and what comes waits.
    fn hold(&self, device: u8);

    /// It goes on.
    fn go_on(&self, device: u8);

    /// All that stand still.
    fn held(&self) -> Vec<u8>;

    /// A device is gone. Its peers hear nothing more, or, where `host_answers`, that nobody knows the connection or has the port.
    fn crash(&self, place: Place, host_answers: bool);
}
