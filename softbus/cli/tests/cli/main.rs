//! The real command, run as a user runs it. Nothing here speaks mDNS: every command gets `--no-mdns`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod basics;
mod calls;
#[cfg(target_os = "linux")]
mod core_dump;
mod described;
mod fleet;
mod harness;
mod identity;
#[cfg(target_os = "linux")]
mod local;
mod pairing;
mod policy;
mod presence;
mod trust;
