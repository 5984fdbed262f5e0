//! What the bytes of the soft-bus are: ids, frames, control messages. Depends on no crate of ours.

mod error;
pub mod frame;
mod id;
pub mod message;
pub mod openharmony;

pub use error::DecodeError;
pub use frame::MAX_FRAME_LEN;
pub use id::{BootId, CallId, DeviceId, Handle, ObjectId, ParseDeviceIdError, ServiceId};
