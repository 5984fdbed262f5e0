//! `softbus policy`

use std::path::PathBuf;

use clap::Subcommand;
use softbus::ServiceId;

use super::value;

/// `softbus policy`
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Read a policy, run its built-in tests, and say what is wrong, with the line
    #[command(after_help = "JSON: one object: file, rules, denials (how many there are)")]
    Check {
        /// The file [default: that of this device]
        file: Option<PathBuf>,
    },
    /// Say whether a device may call a method of a service, and which rule decides it
    #[command(after_help = "\
JSON: one object: device, service, method, allowed, trusted, reason (text), rules (list of {id, line})")]
    Explain {
        /// Which device: an id, the beginning of a trusted device's id, or its name here
        device: String,
        /// Which service, 1..=0xffffff
        #[arg(value_parser = value::service)]
        service: ServiceId,
        /// Which method, by its code
        #[arg(value_parser = clap::value_parser!(u32).range(1..=0xff_ffff))]
        method: u32,
        /// As a member of a fleet, as `prod/kiosk/7`
        #[arg(long, value_name = "CA/PATH")]
        member: Option<String>,
        /// The policy [default: that of this device]
        #[arg(long)]
        file: Option<PathBuf>,
    },
}
