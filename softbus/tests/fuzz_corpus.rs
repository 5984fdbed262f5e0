//! The kept inputs of the fuzz targets (`tests/fuzz`) of this crate, through the same functions. It needs no fuzzer, and
//! shows that the targets still build.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, and a crate of its own elsewhere"
)]

#[path = "../../tests/fuzz/src"]
mod fuzz {
    mod input;
    pub mod replay;
    pub mod softbus;
}

use fuzz::replay::replay;
#[cfg(target_os = "linux")]
use fuzz::softbus::local;
use fuzz::softbus::{moving, quic, stream};

#[test]
fn streams() {
    replay("stream", stream::run);
}

#[test]
fn beginnings_of_streams() {
    replay("quic", quic::run);
}

#[cfg(target_os = "linux")]
#[test]
fn processes() {
    replay("local", local::run);
}

#[test]
fn links_that_move() {
    replay("moving", moving::run);
}
