//! What the bytes of the soft-bus are: ids, frames, control messages. Depends on no crate of ours.

mod id;

pub use id::{BootId, CallId, DeviceId, Handle, ObjectId, ServiceId};
