//! What tests with many nodes need around them: devices on a network that can be cut, processes
//! that can be killed, waiting with a deadline, and skipping that nobody overlooks.
//!
//! - [`netns::Lab`]: N devices and a switch, each in a network namespace of its own. Faults are
//!   injected at the switch, so a device sees what it would see on a real network.
//! - [`avahi::Avahi`]: somebody else's mDNS implementation on one of those devices.
//! - [`process::Process`]: a child program that reports what it does line by line.
//! - [`site::Site`]: a lab whose devices are such programs, all trusting each other.
//! - [`mod@ledger`]: every call that was made and served, so that one lost silently, or done twice, is seen.
//! - [`relay::Relays`]: a network of our own between devices on loopback, that can be cut, lossy, slow and narrow.
//! - [`wait::wait_until`]: the only place that polls.
//! - [`mod@scenarios`]: what the bus has to do, for any [`world::World`]: memory, loopback or lab.
//! - [`strangers::Flood`]: somebody who does not stop sending; [`deaf::Deaf`]: somebody trusted who asks and does not read.
//! - [`wall_clock::WallClock`]: a wall clock that jumps.
//! - [`skip::skip`]: says loudly that a test did not run, and why.
//!
//! A test in a lab looks like this:
//!
//! ```no_run
//! # use std::{process::Command, time::Duration};
//! # use testkit::netns::Lab;
//! # fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let Some(lab) = Lab::or_skip(2) else { return Ok(()) };
//! let mut node = lab.run_in(1, Command::new("some-test-program"))?;
//! node.wait_for_event(Duration::from_secs(5), |event| event["event"] == "ready")?;
//! lab.cut(1)?;
//! node.wait_for_event(Duration::from_secs(10), |event| event["event"] == "alone")?;
//! # Ok(()) }
//! ```

#[cfg(target_os = "linux")]
pub mod avahi;
#[cfg(target_os = "linux")]
pub mod deaf;
pub mod ledger;
#[cfg(target_os = "linux")]
pub mod netns;
pub mod network;
#[cfg(unix)]
pub mod process;
pub mod relay;
pub mod scenarios;
#[cfg(target_os = "linux")]
pub mod site;
pub mod skip;
#[cfg(unix)]
pub mod strangers;
pub mod wait;
#[cfg(target_os = "linux")]
pub mod wall_clock;
pub mod world;

/// The README's code, so that it compiles as long as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
