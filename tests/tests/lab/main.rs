//! The lab keeps its promises: packets pass, and every fault does what its name says.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod avahi;
mod calls;
mod faults;
mod hostile;
mod interop;
mod links;
mod moved;
mod networks;
mod nodes;
mod pairing;
mod processes;
mod scenarios;
mod sessions;
mod site;
mod strangers;
mod transports;
mod warm;
mod weather;
