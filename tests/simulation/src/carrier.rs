//! What joins the devices: what a run needs of it, whatever it moves.

use std::{fmt::Debug, sync::Arc};

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
pub(crate) trait Carrier: Debug + Send + Sync {
    /// A device is there from here on.
    fn start(&self, place: Place);

    /// Dials a device. The link is there at once; whether anybody answers on it will be seen.
    fn dial(&self, from: Place, to: u8) -> Numbered;

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

    /// Whether what the end that dialled says by itself comes to the end that was dialled; where no session begins before that end
    /// has been heard, it always does.
    fn hears(&self, link: u32) -> bool;

    /// A device is gone. Its peers hear nothing more, or, where `host_answers`, that nobody knows the connection.
    fn crash(&self, place: Place, host_answers: bool);
}
