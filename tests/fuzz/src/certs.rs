//! One module for each target of `certs`: what comes before two devices trust each other, and the files that say who is trusted.

pub mod certificate;
pub mod fleet;
pub mod freeze;
pub mod invitation;
pub mod pairing;
pub mod policy;
pub mod trust;

use super::input::Input;
