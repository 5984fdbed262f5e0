//! `softbus ca`

use std::path::PathBuf;

use clap::Subcommand;

/// `softbus ca`
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make a CA; prints its certificate, which the devices list
    #[command(after_help = "JSON: one object: ca, uri_prefix, certificate (PEM)")]
    Init {
        /// What the URIs of its members begin with, as `spiffe://example.org/prod/`
        prefix: String,
        /// The directory of the CA
        #[arg(long, value_name = "DIR", default_value = "softbus-ca")]
        ca: PathBuf,
    },
    /// Issue a certificate for a device; prints it, to be installed there
    #[command(after_help = "\
JSON: one object: device, path, not_after (seconds since 1970), certificate (PEM)")]
    Issue {
        /// What `softbus identity certificate` prints on the device, as a file
        certificate: PathBuf,
        /// What the member is called, as `kiosk/7`
        path: String,
        /// For how many days, 1 to 30
        #[arg(long, default_value = "7")]
        days: u64,
        /// The directory of the CA
        #[arg(long, value_name = "DIR", default_value = "softbus-ca")]
        ca: PathBuf,
    },
    /// List what was issued
    #[command(after_help = "JSON: one object for each: device, path, not_after, expired")]
    List {
        /// The directory of the CA
        #[arg(long, value_name = "DIR", default_value = "softbus-ca")]
        ca: PathBuf,
    },
}
