//! The kept inputs of the fuzz targets (`tests/fuzz`) of this crate, through the same functions. It needs no fuzzer, and
//! shows that the targets still build.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, and a crate of its own elsewhere"
)]

#[path = "../../tests/fuzz/src"]
mod fuzz {
    pub mod certs;
    mod input;
    pub mod replay;
}

use fuzz::certs::{certificate, fleet, freeze, invitation, pairing, policy, trust};
use fuzz::replay::replay;

#[test]
fn pairings() {
    replay("pairing", pairing::run);
}

#[test]
fn invitations() {
    replay("invitation", invitation::run);
}

#[test]
fn certificates() {
    replay("certificate", certificate::run);
}

#[test]
fn policies() {
    replay("policy", policy::run);
}

#[test]
fn trust_stores() {
    replay("trust", trust::run);
}

#[test]
fn fleets() {
    replay("fleet", fleet::run);
}

#[test]
fn pairing_freezes() {
    replay("freeze", freeze::run);
}
