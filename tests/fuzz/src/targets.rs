//! One module for each target of `proto` and `rpc`. Each has a `run` that takes what a stranger may send and panics when a promise is broken.

pub mod append;
pub mod dynamic;
pub mod frame;
pub mod guests;
pub mod identity;
pub mod introduction;
pub mod message;
pub mod parcel;
pub mod parcelable;
pub mod samgr;
pub mod session;

use super::input::Input;
