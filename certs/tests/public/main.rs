//! What the crate promises, seen from outside.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod fleet;
mod handshake;
#[cfg(unix)]
mod identity;
mod policy;
mod policy_store;
mod rogue;
mod trust;
