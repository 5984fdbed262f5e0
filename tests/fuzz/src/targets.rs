//! One module for each target. Each has a `run` that takes what a stranger may send and panics when a promise is broken.

pub mod frame;
mod input;
pub mod message;
pub mod parcel;
pub mod parcelable;
pub mod session;

use input::Input;
