//! What happens to devices that are processes, over QUIC and over TCP.

use softbus::transport::Transports;
pub(crate) use testkit::site::{SOON, Site};

/// A site whose devices are `lab_node`s.
#[track_caller]
pub(crate) fn site(devices: usize) -> Option<Site> {
    Site::or_skip(env!("CARGO_BIN_EXE_lab_node"), devices)
}

#[track_caller]
pub(crate) fn run(devices: usize, transports: Transports, scenario: fn(&mut Site)) {
    if let Some(site) = site(devices) {
        scenario(&mut site.over(transports));
    }
}

/// Tests of scenarios of so many devices: each over QUIC only, and over TCP only. Without a number it is told which, and makes
/// its devices itself.
macro_rules! over_both {
    ($($scenario:ident),* $(,)?) => {
        mod quic {
            $( #[test] fn $scenario() {
                super::$scenario(softbus::transport::Transports::Quic);
            } )*
        }

        mod tcp {
            $( #[test] fn $scenario() {
                super::$scenario(softbus::transport::Transports::Tcp);
            } )*
        }
    };
    ($($scenario:ident: $devices:literal),* $(,)?) => {
        mod quic {
            $( #[test] fn $scenario() {
                $crate::site::run($devices, softbus::transport::Transports::Quic, super::$scenario);
            } )*
        }

        mod tcp {
            $( #[test] fn $scenario() {
                $crate::site::run($devices, softbus::transport::Transports::Tcp, super::$scenario);
            } )*
        }
    };
}
pub(crate) use over_both;
