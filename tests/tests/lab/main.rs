//! The lab keeps its promises: packets pass, and every fault does what its name says.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod avahi;
mod faults;
mod interop;
mod nodes;
mod pairing;
mod processes;
mod scenarios;
mod site;
mod transports;
mod weather;
