//! One module for each target of `softbus`: the links that are not QUIC.

#[cfg(target_os = "linux")]
pub mod local;
pub mod moving;
pub mod stream;

use super::input::Input;
