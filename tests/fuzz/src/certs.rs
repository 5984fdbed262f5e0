//! One module for each target of `certs`: what comes before two devices trust each other.

pub mod certificate;
pub mod invitation;
pub mod pairing;

use super::input::Input;
