//! What the fuzz targets and the test of their inputs need beyond what users have: links without a network, what streams begin with, and what is said before
//! there is one. Not for people: it changes without notice.

pub use crate::link::{
    moving::fuzzing::Moving,
    quic::beginning::{Beginning, LONGEST as LONGEST_BEGINNING, NotRead},
    stream::fuzzing::{Besieged, Said, preamble, read_preamble},
};
#[cfg(target_os = "linux")]
pub use crate::{
    link::unix::packets::packet_again,
    local::fuzzing::{ask_desk, claim_again, devices_again, prelude_again, refusal_again},
};
