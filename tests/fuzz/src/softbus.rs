//! One module for each target of `softbus`: its links, and of those on QUIC what their streams begin with.

#[cfg(target_os = "linux")]
pub mod local;
pub mod moving;
pub mod quic;
pub mod stream;

use super::input::Input;
