//! The kept inputs of the fuzz target (`tests/fuzz`) of this crate, through the same function. It needs no fuzzer, and shows
//! that the target still builds.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, and a crate of its own elsewhere"
)]

#[path = "../../tests/fuzz/src"]
mod fuzz {
    pub mod discovery;
    mod input;
    pub mod replay;
}

use fuzz::discovery::announcement;
use fuzz::replay::replay;

#[test]
fn announcements() {
    replay("announcement", announcement::run);
}
